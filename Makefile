# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# make help lists the targets.  Each is safe to run twice, and installs the
# packages that it needs, as root, once.

ROOT := $(CURDIR)
B    := build
NGX  := /usr/share/nginx/src

# the run target; URL, MESH_DATA, DB, AGENT and RELAY_PORT, the one behind
# HTTPS_PORT, are empty where nobody set them
HTTPS_PORT ?= 443
HTTP_PORT  ?= 80
MPS_PORT   ?= 4433

DESTDIR ?=
SBINDIR ?= /usr/sbin
MODDIR  ?= /usr/lib/nginx/modules
DATADIR ?= /usr/share/ngx_mesh
ETCDIR  ?= /etc/ngx_mesh
UNITDIR ?= /lib/systemd/system

CC      ?= cc
CFLAGS  ?= -O2 -g
WARN    := -std=gnu99 -D_GNU_SOURCE -Wall -Wextra -Wpointer-arith -Wno-unused-parameter \
           -Wno-format-truncation \
           -Werror
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fcf-protection \
           -D_FORTIFY_SOURCE=2 -fPIE
LDHARD  := -pie -Wl,-z,relro -Wl,-z,now
SAN     := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
           -fno-sanitize-recover=undefined

MODULE  := $(B)/modules/ngx_http_mesh_module.so
MODSRC  := $(wildcard config ngx_mesh_module/*.[ch] ngx_mesh_module/*/*.[ch] \
             ngx_mesh_relay/*.[ch] conf/sql/mesh_sql.h)

# every version of the statements and the schema is one file to depend on
SQL     := $(wildcard conf/sql/*)
PROTO_C := $(wildcard proto/*.c)
PROTO_H := $(wildcard proto/*.h)
SIGNER  := $(wildcard mesh-signer/*.c)
ADMIN   := $(wildcard mesh-admin/*.c)
UNIT    := $(patsubst t/unit/%.c,$(B)/unit/%,$(wildcard t/unit/*_test.c))
FUZZ    := $(patsubst t/fuzz/%.c,%,$(wildcard t/fuzz/*_fuzz.c))

SIGNER_LIBS := -lcrypto -lseccomp -lpthread
ADMIN_LIBS  := -lcrypto -lsqlite3 -lpq -ljson-c
PQ_CFLAGS    = -I$(shell pg_config --includedir 2>/dev/null \
                 || echo /usr/include/postgresql)

# nginx releases that the sanitizer build is made of, and where from; the other
# one that is tested is Debian's, with the module as it is shipped
ASAN_VERSIONS := 1.26.3
SUITE_1.22.1  := bookworm
SUITE_1.26.3  := trixie

# processes of one build
JOBS ?= 2

# survives clean: fetched sources
CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ngx_mesh

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

.PHONY: all run test lint check-asan bench fuzz nginx signer admin core html \
        unit install clean help packages nginx-asan test-build replay \
        lint-layers lint-c lint-shell lint-html FORCE


all: nginx signer admin agent core html ## what an installation needs

help:                                   ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile agent/agent.mk | \
	    while IFS='|' read -r t d; do printf '  %-14s %s\n' "$$t" "$$d"; done
	@echo "make run takes HTTPS_PORT= HTTP_PORT= MPS_PORT= RELAY_PORT= URL= MESH_DATA= DB= AGENT=no"


# --- packages

$(B) $(B)/modules $(B)/unit $(B)/fuzz $(B)/obj $(B)/asan $(B)/lint:
	@mkdir -p $@

packages:                               ## everything that any target needs
	@sh conf/packages.sh build node functional browser interop fuzz lint

.PHONY: packages-build packages-node packages-test packages-lint packages-fuzz
packages-build:
	@sh conf/packages.sh build

packages-node:
	@sh conf/packages.sh node

packages-test:
	@sh conf/packages.sh build node functional browser interop

packages-fuzz:
	@sh conf/packages.sh build fuzz

packages-lint:
	@sh conf/packages.sh build node lint

# packages first; a file does not become older than a target by that
$(MODULE): | packages-build
$(B)/mesh-signer $(B)/mesh-admin: | packages-build
$(B)/core.js $(B)/html.stamp html/node_modules/.stamp: | packages-node


# --- the modules, against Debian's nginx

nginx: $(MODULE)                        ## the modules, for Debian's nginx

# changes when a source comes or goes, not when one is edited
$(B)/sources.list: FORCE | $(B)
	@echo '$(sort $(MODSRC) $(PROTO_C))' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/module/Makefile: config $(B)/sources.list | packages-build
	@echo "configuring the modules"
	@cd $(NGX) && bash -euc '. ./conf_flags; \
	    ./configure --builddir=$(ROOT)/$(B)/module "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc-opt="$(CFLAGS) $(filter-out -fPIE,$(HARDEN))" \
    --with-ld-opt="$(filter-out -pie,$(LDHARD))" \
    --with-stream=dynamic --add-dynamic-module=$(ROOT)' \
	    > $(ROOT)/$(B)/module.log 2>&1 \
	    || { tail -n 20 $(ROOT)/$(B)/module.log >&2; exit 1; }

# nginx's rules know few of our headers: a newer one rebuilds all
$(MODULE): $(B)/module/Makefile $(MODSRC) $(PROTO_C) $(PROTO_H) $(SQL) \
           | $(B)/modules
	@if [ -n "$$(find $(filter %.h %.sql,$^) -newer $@ 2>/dev/null)" ]; then \
	    find $(B)/module/addon -name '*.o' -delete; fi
	@echo "building $(notdir $@)"
	@$(MAKE) -s --no-print-directory -C $(NGX) -f $(ROOT)/$(B)/module/Makefile \
	    $(ROOT)/$(B)/module/$(notdir $@)
	@cp $(B)/module/$(notdir $@) $@.new
	@mv $@.new $@   # another inode: an nginx that runs keeps the old one


# --- programs

signer: $(B)/mesh-signer                ## the key daemon and key tool
admin: $(B)/mesh-admin                  ## the operator's command line

$(B)/mesh-signer: $(SIGNER) $(wildcard mesh-signer/*.h) $(PROTO_C) $(PROTO_H) \
                  | $(B)
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) -o $@ $(filter %.c,$^) $(LDHARD) \
	    $(SIGNER_LIBS)

$(B)/mesh-admin: $(ADMIN) $(wildcard mesh-admin/*.h) $(PROTO_C) $(PROTO_H) \
                 $(SQL) | $(B)
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) $(PQ_CFLAGS) -Iconf/sql -o $@ \
	    $(filter %.c,$^) $(LDHARD) $(ADMIN_LIBS)


include agent/agent.mk


# --- scripts and pages

core: $(B)/core.js                      ## what the server pushes to agents

$(B)/core.js: $(wildcard agent/js/*.js) | $(B)
	@echo "building core.js"
	@node agent/js/build.js $(B)

html: $(B)/html.stamp                   ## the web application

html/node_modules/.stamp: html/package-lock.json
	@echo "installing the packages of html/"
	@cd html && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

HTML := $(shell find html \( -name node_modules -o -name dist -o -name test \) \
          -prune -o -type f -print 2>/dev/null)

$(B)/html.stamp: html/node_modules/.stamp $(HTML) | $(B)
	@echo "building html/dist"
	@cd html && npm run --silent build > ../$(B)/html.log 2>&1 \
	    || { tail -n 30 ../$(B)/html.log >&2; exit 1; }
	@touch $@


# --- run and install

run:                                    ## packages, build, data, start
	@$(MAKE) -s --no-print-directory all
	@HTTPS_PORT='$(HTTPS_PORT)' HTTP_PORT='$(HTTP_PORT)' \
	    MPS_PORT='$(MPS_PORT)' RELAY_PORT='$(RELAY_PORT)' URL='$(URL)' DB='$(DB)' \
	    MESH_DATA='$(MESH_DATA)' AGENT='$(AGENT)' exec perl conf/run.pl


# --- tests

TEST_ENV = MESH_NGINX=$(or $(MESH_NGINX),/usr/sbin/nginx) \
           MESH_MODULES=$(ROOT)/$(B)/modules \
           MESH_SIGNER_BIN=$(ROOT)/$(B)/mesh-signer \
           MESH_ADMIN_BIN=$(ROOT)/$(B)/mesh-admin \
           $(TEST_FILES)
TEST_FILES = MESH_STOCK_AGENT=$(STOCK)/agents/meshagent_x86-64 \
             MESH_AGENT_BIN=$(ROOT)/$(B)/mesh-agent \
             MESH_MESHCTRL=$(STOCK)/meshctrl.js \
             MESH_HTML=$(ROOT)/html/dist MESH_BUILD=$(ROOT)/$(B)
STOCK := $(ROOT)/t/node_modules/meshcentral

# t/core is by hand: core.js on one agent and a server of the test, for long;
# and so is t/cross
KINDS := unit fuzz html agent sqlite postgres interop ui

test: test-build                        ## every test
	@$(TEST_ENV) perl t/all.pl $(KINDS)

# one kind alone, and of it the files named like WORD: make test-sqlite TESTS=WORD
.PHONY: $(addprefix test-,unit fuzz html core agent sqlite postgres interop ui)
test-unit: packages-test signer unit
test-fuzz: packages-test replay
test-core: packages-test agent core t/node_modules/.stamp
test-html: packages-test html/node_modules/.stamp
test-agent: packages-test agent core $(B)/agent_js_test $(B)/desktop_client
test-sqlite test-postgres test-interop test-ui: test-build t/node_modules/.stamp

$(addprefix test-,unit fuzz html core agent sqlite postgres interop ui):
	@$(TEST_ENV) TESTS='$(TESTS)' perl t/all.pl $(if $(V),-v) $(@:test-%=%)

# by hand: the libraries take minutes to build
.PHONY: test-static test-cross
test-static: agent-static
test-cross: agent-static agent-arm64 agent-armhf deb-agent-arm64 deb-agent-armhf
test-static test-cross: packages-test agent core
	@$(TEST_ENV) TESTS='$(if $(filter test-static,$@),static,$(TESTS))' \
	    perl t/all.pl $(if $(V),-v) cross

# one after the other: packages before what is built with them
test-build:
	@$(MAKE) -s --no-print-directory packages-test
	@$(MAKE) -s --no-print-directory nginx signer admin deb-agent core html unit \
	    replay $(B)/agent_js_test $(B)/desktop_client $(B)/mesh_screen \
	    t/node_modules/.stamp

t/node_modules/.stamp: t/package-lock.json | packages-node
	@echo "installing the packages of t/"
	@cd t && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

unit: $(UNIT)                           ## parsers alone: programs that print TAP

$(B)/unit/%: t/unit/%.c $(wildcard t/unit/*.h) $(PROTO_C) $(PROTO_H) \
             | packages-build $(B)/unit
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) -o $@ $< $(PROTO_C) $(LDHARD) \
	    $(WITH) -lcrypto

replay: $(FUZZ:%=$(B)/fuzz/%_replay)

# what tests of the desktop look at and type into
$(B)/mesh_screen: t/screen/mesh_screen.c | $(B)
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) -o $@ $< -lX11

$(B)/fuzz/%_replay: t/fuzz/%.c t/fuzz/replay.c $(PROTO_C) $(PROTO_H) \
                    | packages-build $(B)/fuzz
	@echo "building $(notdir $@)"
	@$(CC) $(SAN) $(WARN) -o $@ $< t/fuzz/replay.c $(PROTO_C) $(WITH) -lcrypto

$(B)/fuzz/%: t/fuzz/%.c $(PROTO_C) $(PROTO_H) | packages-fuzz $(B)/fuzz
	@clang -g -O1 -fsanitize=fuzzer,address,undefined $(WARN) \
	    -Wno-unknown-warning-option -o $@ $< $(PROTO_C) $(WITH) -lcrypto

# the agent's data file, as the agent itself reads and writes it
STORE_C    := agent/mesh_agent_store.c agent/os/linux_host.c
STORE_TEST := $(addprefix $(B)/,unit/mesh_agent_store_test \
                asan/mesh_agent_store_test fuzz/mesh_agent_store_fuzz \
                fuzz/mesh_agent_store_fuzz_replay)

$(STORE_TEST): WITH = $(STORE_C) -l:libuv_a.a -l:libz.a -lpthread -ldl
$(STORE_TEST): $(STORE_C) $(wildcard agent/*.h agent/os/*.h t/unit/*.h)

# how long the agent waits for a server
RETRY_TEST := $(addprefix $(B)/,unit/mesh_agent_retry_test \
                asan/mesh_agent_retry_test)

$(RETRY_TEST): WITH = agent/mesh_agent_retry.c
$(RETRY_TEST): agent/mesh_agent_retry.c agent/mesh_agent_retry.h

FUZZ_SECONDS ?= 60

fuzz:                                   ## each parser, FUZZ_SECONDS=60 each
	@$(MAKE) -s --no-print-directory packages-fuzz
	@$(MAKE) -s --no-print-directory $(addprefix $(B)/fuzz/,$(FUZZ))
	@for f in $(FUZZ); do \
	    c=t/fuzz/corpus/$${f%_fuzz}; \
	    mkdir -p $(B)/fuzz/found/$$f $$c; \
	    $(B)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	        -artifact_prefix=$(B)/fuzz/found/ $(B)/fuzz/found/$$f $$c \
	        || exit 1; \
	done

bench: test-build                       ## figures, against their bounds
	@$(MAKE) -s --no-print-directory $(B)/meshload
	@$(TEST_ENV) sh t/bench/all.sh

$(B)/meshload: t/bench/meshload.c | $(B)
	@echo "building meshload"
	@$(CC) -O2 -g -Wall -Wextra -Wno-deprecated-declarations \
	    -Wno-missing-field-initializers -o $@ $< -lssl -lcrypto -lm


# --- sanitizers: nginx with the modules linked in, from Debian's sources

ASAN_NGINX  := $(ASAN_VERSIONS:%=$(B)/nginx-asan-%/objs/nginx)
ASAN_CONF   := --with-debug --with-compat --with-threads --with-pcre-jit \
               --with-stream --with-stream_ssl_module --with-http_ssl_module \
               --with-http_v2_module --with-http_gzip_static_module \
               --with-http_realip_module --with-http_auth_request_module \
               --with-http_stub_status_module
ASAN_CC     := $(SAN) -fno-sanitize=nonnull-attribute -DNGX_DEBUG_PALLOC=1
ASAN_UNIT   := $(UNIT:$(B)/unit/%=$(B)/asan/%)

nginx-asan: $(ASAN_NGINX)               ## the sanitizer builds alone

$(B)/nginx-asan-%/configure: | packages-build $(B)
	@echo "fetching nginx $*"
	@CACHE=$(CACHE) sh conf/sources.sh $(SUITE_$*) nginx $* $(B)/nginx-asan-$*

$(B)/nginx-asan-%/objs/Makefile: config $(B)/sources.list \
                                 $(B)/nginx-asan-%/configure
	@echo "configuring nginx $* with sanitizers"
	@cd $(B)/nginx-asan-$* && ./configure --prefix=$(ROOT)/$(B)/nginx-asan-$* \
	    $(ASAN_CONF) --add-module=$(ROOT) --with-ld-opt='$(SAN)' \
	    --with-cc-opt='$(ASAN_CC)' > ../asan-$*.log 2>&1 \
	    || { tail -n 20 ../asan-$*.log >&2; exit 1; }
	@mkdir -p $(B)/nginx-asan-$*/logs

$(B)/nginx-asan-%/objs/nginx: $(B)/nginx-asan-%/objs/Makefile $(MODSRC) \
                              $(PROTO_C) $(PROTO_H) $(SQL)
	@if [ -n "$$(find $(filter %.h %.sql,$^) -newer $@ 2>/dev/null)" ]; then \
	    find $(B)/nginx-asan-$*/objs/addon -name '*.o' -delete; fi
	@echo "building nginx $* with sanitizers"
	@$(MAKE) -s --no-print-directory -j $(JOBS) -C $(B)/nginx-asan-$*
	@touch $@

$(B)/asan/%_test: t/unit/%_test.c $(wildcard t/unit/*.h) $(PROTO_C) \
                  $(PROTO_H) | packages-build $(B)/asan
	@$(CC) $(SAN) $(WARN) -o $@ $< $(PROTO_C) $(WITH) -lcrypto

$(B)/asan/mesh-admin: $(ADMIN) $(wildcard mesh-admin/*.h) $(PROTO_C) \
                      $(PROTO_H) $(SQL) | $(B)/asan
	@$(CC) $(SAN) $(WARN) $(PQ_CFLAGS) -Iconf/sql -o $@ $(filter %.c,$^) \
	    $(ADMIN_LIBS)

# the harness sets ASAN_OPTIONS, and fails a test with a report
check-asan: test-build                  ## the same under ASan and UBSan
	@$(MAKE) -s --no-print-directory $(ASAN_NGINX) $(ASAN_UNIT) \
	    $(B)/asan/mesh-admin $(B)/asan/mesh-agent $(B)/asan/agent_js_test
	@$(TEST_ENV) MESH_UNIT='$(B)/asan/*_test' MESH_ASAN=1 \
	    MESH_AGENT_JS=$(B)/asan/agent_js_test \
	    MESH_AGENT_BIN=$(ROOT)/$(B)/asan/mesh-agent perl t/all.pl unit agent
	@for v in $(ASAN_VERSIONS); do \
	    echo "nginx $$v with sanitizers"; \
	    MESH_NGINX=$(ROOT)/$(B)/nginx-asan-$$v/objs/nginx MESH_MODULES= \
	    MESH_SIGNER_BIN=$(ROOT)/$(B)/mesh-signer MESH_ASAN=1 \
	    MESH_ADMIN_BIN=$(ROOT)/$(B)/asan/mesh-admin $(TEST_FILES) \
	    MESH_AGENT_BIN=$(ROOT)/$(B)/asan/mesh-agent \
	    perl t/all.pl sqlite postgres interop || exit 1; \
	done


# --- lint

LINT_C = $(filter %.c,$(MODSRC)) $(PROTO_C) $(SIGNER) $(ADMIN) $(AGENT_C) \
         $(wildcard agent/rtc/*.c t/unit/*.c t/fuzz/*.c)
TIDY_C = $(LINT_C)
SHELLS = .ci/run $(shell find conf t -name '*.sh' -not -path '*/node_modules/*')

lint:                                   ## layers, C, shell, TypeScript
	@$(MAKE) -s --no-print-directory packages-lint
	@$(MAKE) -s --no-print-directory lint-layers lint-shell lint-c lint-html

lint-layers:
	@echo "layers"
	@perl t/lint/layers.pl
	@perl t/lint/security.pl

lint-shell:
	@echo "shellcheck"
	@shellcheck $(SHELLS)

lint-c: $(B)/module/Makefile $(DUKTAPE)/.stamp | $(B)/lint
	@perl t/lint/commands.pl $(B)/module/Makefile $(LINT_C) \
	    > $(B)/lint/compile_commands.json
	@echo "cppcheck"
	@cppcheck -q --project=$(B)/lint/compile_commands.json --inline-suppr \
	    --enable=warning,portability --max-configs=1 --error-exitcode=1 \
	    --suppressions-list=t/lint/cppcheck.supp -j 2
	@echo "clang-tidy"
	@printf '%s\n' $(TIDY_C) | xargs -P 2 -n 1 \
	    clang-tidy -p $(B)/lint --quiet --config-file=t/lint/clang-tidy \
	    2>$(B)/lint/clang-tidy.log

lint-html: html/node_modules/.stamp
	@echo "tsc, eslint"
	@cd html && npm run --silent check


# --- install

# the number under which our agent is offered: that of the machine it is for
AGENT_ID := $(strip $(patsubst x86_64,6,$(patsubst aarch64,32, \
              $(patsubst riscv64,45, \
                $(filter x86_64 aarch64 riscv64,$(shell uname -m))))))

install: all                            ## into DESTDIR, as Debian lays it out
	install -d $(DESTDIR)$(MODDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(UNITDIR)
	install -d $(DESTDIR)$(DATADIR)/core $(DESTDIR)$(DATADIR)/own-agents
	install -d $(DESTDIR)$(ETCDIR)
	install -d $(DESTDIR)$(UNITDIR)/nginx.service.d
	install -d $(DESTDIR)/usr/lib/sysusers.d $(DESTDIR)/usr/lib/tmpfiles.d
	install -d $(DESTDIR)/usr/share/nginx/modules-available
	install -d $(DESTDIR)/etc/nginx/modules-enabled
	install -d $(DESTDIR)/etc/nginx/sites-available
	install -m 644 $(MODULE) $(DESTDIR)$(MODDIR)
	install -m 755 $(B)/mesh-signer $(B)/mesh-admin $(DESTDIR)$(SBINDIR)
	install -m 644 $(B)/core.js $(B)/recovery.js $(DESTDIR)$(DATADIR)/core
	for agent in static:36 arm64:32 armhf:25; do \
	    [ ! -e $(B)/mesh-agent-$${agent%:*} ] || \
	    install -m 755 $(B)/mesh-agent-$${agent%:*} \
	        $(DESTDIR)$(DATADIR)/own-agents/$${agent#*:} || exit 1; \
	done
	[ -z '$(AGENT_ID)' ] || install -m 755 $(B)/mesh-agent \
	    $(DESTDIR)$(DATADIR)/own-agents/$(AGENT_ID)
	rm -rf $(DESTDIR)$(DATADIR)/html
	cp -r html/dist $(DESTDIR)$(DATADIR)/html
	install -m 644 conf/systemd/mesh-signer.socket \
	    conf/systemd/mesh-signer.service $(DESTDIR)$(UNITDIR)
	install -m 644 conf/systemd/nginx-mesh.conf \
	    $(DESTDIR)$(UNITDIR)/nginx.service.d/mesh.conf
	install -m 644 conf/systemd/sysusers.conf \
	    $(DESTDIR)/usr/lib/sysusers.d/ngx_mesh.conf
	install -m 644 conf/systemd/tmpfiles.conf \
	    $(DESTDIR)/usr/lib/tmpfiles.d/ngx_mesh.conf
	install -m 644 conf/mesh-web.conf $(DESTDIR)$(DATADIR)
	sh conf/install.sh '$(DESTDIR)' '$(MODDIR)' '$(DATADIR)' '$(ETCDIR)'

clean:                                  ## what was built; not data, not packages
	rm -rf $(B) html/dist
