# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Our own agent; the Makefile includes this.

DUKTAPE      := $(B)/duktape
DUKTAPE_H    := $(DUKTAPE)/src/duktape.h
DUKTAPE_V    := 2.7.0
AGENT_C      := $(wildcard agent/*.c agent/os/*.c)
AGENT_H      := $(wildcard agent/*.h agent/os/*.h) $(PROTO_H)
AGENT_HOST   := $(wildcard agent/js/host/*.js)

# of the machine it goes to it wants OpenSSL 3 and the C library alone; those of
# X11 are loaded where a screen is shown
AGENT_LIBS   := -l:libuv_a.a -lssl -lcrypto -l:libz.a -l:libjpeg.a -lm -lpthread -ldl
AGENT_INC    := -I$(DUKTAPE)/src -Iagent -Iproto
AGENT_TEST_C := agent/mesh_agent_js.c $(wildcard agent/os/*.c) \
                $(foreach f,agent buffer desktop fs hash os pipe process timer, \
                  agent/mesh_agent_js_$f.c) t/agent/agent_js_test.c

.PHONY: agent
agent: $(B)/mesh-agent                  ## our own agent

# The library of Debian cannot stop a script that loops: the engine is built
# from its source package, with a clock that it asks now and then.  A regular
# expression has no such clock; it gives up after fewer steps instead.
$(DUKTAPE)/.stamp: | packages-build $(B)
	@echo "fetching duktape $(DUKTAPE_V)"
	@CACHE=$(CACHE) sh conf/sources.sh bookworm duktape $(DUKTAPE_V) $(DUKTAPE)
	@sed -i -e '/^#endif  .. DUK_CONFIG_H_INCLUDED/i \
	#define DUK_USE_INTERRUPT_COUNTER \
	extern int mesh_agent_js_timeout(void *data); \
	#define DUK_USE_EXEC_TIMEOUT_CHECK(data) mesh_agent_js_timeout(data)' \
	    $(DUKTAPE)/src/duk_config.h
	@sed -i -e 's/\(DUK_RE_EXECUTE_STEPS_LIMIT\) 1000000000L/\1 50000000L/' \
	    $(DUKTAPE)/src/duktape.c
	@grep -q mesh_agent_js_timeout $(DUKTAPE)/src/duk_config.h
	@grep -q 'LIMIT 50000000L' $(DUKTAPE)/src/duktape.c
	@touch $@

$(B)/agent $(B)/asan/agent:
	@mkdir -p $@

$(B)/agent/duktape.o: $(DUKTAPE)/.stamp | $(B)/agent
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) -w $(HARDEN) -c -o $@ $(DUKTAPE)/src/duktape.c

$(B)/asan/agent/duktape.o: $(DUKTAPE)/.stamp | $(B)/asan/agent
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) -w -c -o $@ $(DUKTAPE)/src/duktape.c

$(B)/agent/scripts.c: agent/js/host/embed.pl $(AGENT_HOST) | $(B)/agent
	@perl $< $(filter %.js,$^) > $@

$(B)/mesh-agent: $(AGENT_C) $(AGENT_H) $(PROTO_C) $(B)/agent/scripts.c \
                 $(B)/agent/duktape.o
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) $(AGENT_INC) -o $@.debug \
	    $(filter %.c %.o,$^) $(LDHARD) $(AGENT_LIBS)
	@strip -o $@.new $@.debug
	@mv $@.new $@   # another inode: an agent that runs keeps the old one

$(B)/asan/mesh-agent: $(AGENT_C) $(AGENT_H) $(PROTO_C) $(B)/agent/scripts.c \
                      $(B)/asan/agent/duktape.o
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) $(WARN) $(AGENT_INC) -o $@ $(filter %.c %.o,$^) $(AGENT_LIBS)

# scripts of t/agent in the agent's runtime, without a server
$(B)/agent_js_test: $(AGENT_TEST_C) $(AGENT_H) $(PROTO_C) \
                    $(B)/agent/scripts.c $(B)/agent/duktape.o
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) $(AGENT_INC) -o $@ $(filter %.c %.o,$^) \
	    $(LDHARD) $(AGENT_LIBS)

$(B)/asan/agent_js_test: $(AGENT_TEST_C) $(AGENT_H) $(PROTO_C) \
                         $(B)/agent/scripts.c $(B)/asan/agent/duktape.o
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) $(WARN) $(AGENT_INC) -o $@ $(filter %.c %.o,$^) $(AGENT_LIBS)

# a program on the screen that t/agent/desktop.t and the bench look at
$(B)/desktop_client: t/agent/desktop_client.c | packages-build
	@echo "building $(notdir $@)"
	@$(CC) -O2 -g -std=gnu99 -D_GNU_SOURCE -Wall -Wextra -o $@ $< -lX11 \
	    -lXfixes -lXrandr -ljpeg
