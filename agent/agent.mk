# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Our own agent; the Makefile includes this.

DUKTAPE      := $(B)/duktape
DUKTAPE_H    := $(DUKTAPE)/src/duktape.h
DUKTAPE_V    := 2.7.0
AGENT_C      := $(wildcard agent/*.c agent/os/linux*.c)
AGENT_H      := $(wildcard agent/*.h agent/os/*.h) $(PROTO_H)
AGENT_HOST   := $(wildcard agent/js/host/*.js)

# of the machine it goes to it wants OpenSSL 3 and the C library alone; those of
# X11 are loaded where a screen is shown
AGENT_LIBS   := -l:libuv_a.a -lssl -lcrypto -l:libz.a -l:libjpeg.a -lm -lpthread -ldl
AGENT_INC    := -I$(DUKTAPE)/src -Iagent -Iproto

# An idle agent holds the pages of the program around those that it runs: no
# function that nobody calls, no tables of C++ exceptions, the engine small, and
# what is read once behind what is read always.
AGENT_LEAN   := -ffunction-sections -fdata-sections -fno-unwind-tables \
                -fno-asynchronous-unwind-tables
AGENT_COLD   := %/scripts.c %/rtc.o
AGENT_TEST_C := agent/mesh_agent_js.c $(wildcard agent/os/linux*.c) \
                $(foreach f,agent buffer desktop fs hash listen os pipe process \
                            timer, \
                  agent/mesh_agent_js_$f.c) t/agent/agent_js_test.c

# WebRTC is a library of its own inside of the program, loaded when a session
# asks for it: what it stands on is large.  AGENT_RTC= builds an agent that has
# none.
AGENT_RTC    := -DMESH_AGENT_RTC=1
AGENT_RTC_C  := $(wildcard agent/rtc/*.c) proto/mesh_dcep.c proto/mesh_sdp.c
AGENT_RTC_H  := $(wildcard agent/rtc/*.h) agent/mesh_agent_rtc.h $(PROTO_H)
AGENT_RTC_LD  = -shared -fPIC -fvisibility=hidden -Wl,-z,relro -Wl,-z,now \
                $(shell pkg-config --cflags --libs nice) -lusrsctp -lssl -lcrypto

AGENT_RTC_O  := $(if $(AGENT_RTC),agent/rtc.o)

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
	@$(CC) $(CFLAGS) -Os -w $(HARDEN) $(AGENT_LEAN) -c -o $@ \
	    $(DUKTAPE)/src/duktape.c

$(B)/asan/agent/duktape.o: $(DUKTAPE)/.stamp | $(B)/asan/agent
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) -w -c -o $@ $(DUKTAPE)/src/duktape.c

$(B)/agent/scripts.c: agent/js/host/embed.pl $(AGENT_HOST) | $(B)/agent
	@perl $< $(filter %.js,$^) > $@

$(B)/mesh-agent: $(AGENT_C) $(AGENT_H) $(PROTO_C) $(B)/agent/scripts.c \
                 $(B)/agent/duktape.o $(AGENT_RTC_O:%=$(B)/%)
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) $(AGENT_LEAN) $(AGENT_INC) $(AGENT_RTC) \
	    -o $@.debug $(filter-out $(AGENT_COLD),$(filter %.c %.o,$^)) $(LDHARD) \
	    -Wl,--gc-sections $(AGENT_LIBS) $(filter $(AGENT_COLD),$^)
	@strip -o $@.new $@.debug
	@mv $@.new $@   # another inode: an agent that runs keeps the old one

$(B)/asan/mesh-agent: $(AGENT_C) $(AGENT_H) $(PROTO_C) $(B)/agent/scripts.c \
                      $(B)/asan/agent/duktape.o $(AGENT_RTC_O:%=$(B)/asan/%)
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) $(WARN) $(AGENT_INC) $(AGENT_RTC) -o $@ $(filter %.c %.o,$^) \
	    $(AGENT_LIBS)

$(B)/mesh_agent_rtc.so: $(AGENT_RTC_C) $(AGENT_RTC_H) | packages-build $(B)
	@echo "building $(notdir $@)"
	@$(CC) $(CFLAGS) $(WARN) $(HARDEN) -fPIC -o $@.debug $(filter %.c,$^) \
	    -Wl,-z,defs $(AGENT_RTC_LD)
	@strip -o $@ $@.debug

$(B)/asan/mesh_agent_rtc.so: $(AGENT_RTC_C) $(AGENT_RTC_H) | packages-build \
                             $(B)/asan
	@echo "building $(notdir $@) with sanitizers"
	@$(CC) $(SAN) $(WARN) -o $@ $(filter %.c,$^) $(AGENT_RTC_LD)

%/agent/rtc.o: agent/rtc/image.S %/mesh_agent_rtc.so | %/agent
	@$(CC) -c -DMESH_AGENT_RTC_IMAGE='"$*/mesh_agent_rtc.so"' -o $@ $<

# --- as a Debian package

AGENT_V   := $(shell sed -n 's/.*VERSION_TEXT  *"\(.*\)"/\1/p' \
               agent/mesh_agent_version.h)
DEB_AGENT = $(B)/mesh-agent_$(AGENT_V)_$(shell dpkg --print-architecture).deb

.PHONY: deb-agent deb-agent-arm64 deb-agent-armhf
deb-agent: $(DEB_AGENT)                 ## the same, as a Debian package
deb-agent-arm64: $(B)/mesh-agent_$(AGENT_V)_arm64.deb
deb-agent-armhf: $(B)/mesh-agent_$(AGENT_V)_armhf.deb

$(DEB_AGENT): $(B)/mesh-agent $(wildcard conf/deb-agent/*)
	@echo "building $(notdir $@)"
	@sh conf/deb-agent/build.sh $< $@


# for Windows; its libraries are built once, from Debian's sources
WIN       := $(B)/windows
WIN_HOST  := x86_64-w64-mingw32
WIN_DEPS  := $(B)/deps/mingw64
WIN_C     := $(wildcard agent/*.c agent/os/windows*.c)
WIN_JS    := $(wildcard agent/js/host/windows/*.js)
WIN_FLAGS := -O2 -g -DNDEBUG -D_WIN32_WINNT=0x0a00 -DWINVER=0x0a00 \
             -DNTDDI_VERSION=0x0a000007 -DUNICODE -D_UNICODE \
             -D__USE_MINGW_ANSI_STDIO=1 -D_POSIX_C_SOURCE=200809L \
             -fstack-protector-strong -I$(WIN_DEPS)/include $(AGENT_INC)
WIN_LIBS  := -L$(WIN_DEPS)/lib -l:libuv_a.a -lssl -lcrypto -l:libz.a \
             -lws2_32 -lcrypt32 -liphlpapi -luserenv -lpsapi -ldbghelp \
             -lole32 -lwtsapi32 -lpowrprof -lntdll -luser32 -ladvapi32 \
             -lshell32
WIN_LD    := -static -Wl,--dynamicbase,--nxcompat,--high-entropy-va

.PHONY: agent-windows test-windows
agent-windows: $(WIN)/mesh-agent.exe    ## our agent for Windows, with mingw-w64

# not among the tests of CI: wine is large
test-windows: agent-windows core signer admin nginx ## the same in wine
	@$(TEST_ENV) MESH_AGENT_EXE=$(ROOT)/$(WIN)/mesh-agent.exe \
	    prove $(if $(V),-v) -It/lib t/windows.t

.PHONY: packages-windows
packages-windows:
	@sh conf/packages.sh build windows

$(WIN_DEPS)/lib/libssl.a: | packages-windows

$(WIN):
	@mkdir -p $@

# a script for Windows stands for the one of its name
$(WIN)/scripts.c: agent/js/host/embed.pl $(AGENT_HOST) $(WIN_JS) | $(WIN)
	@perl $< $(filter-out $(addprefix agent/js/host/,$(notdir $(WIN_JS))), \
	    $(filter %.js,$^)) > $@

$(WIN)/duktape.o: $(DUKTAPE)/.stamp | $(WIN)
	@echo "building duktape.o for Windows"
	@$(WIN_HOST)-gcc $(WIN_FLAGS) -w -c -o $@ $(DUKTAPE)/src/duktape.c

$(WIN)/manifest.o: agent/os/windows.rc agent/os/windows.manifest | $(WIN)
	@$(WIN_HOST)-windres -I agent/os -o $@ $<

$(WIN)/mesh-agent.exe: $(WIN_C) $(AGENT_H) $(PROTO_C) $(WIN)/scripts.c \
                       $(WIN)/duktape.o $(WIN)/manifest.o \
                       $(WIN_DEPS)/lib/libssl.a
	@echo "building $(notdir $@)"
	@$(WIN_HOST)-gcc -std=gnu99 -Wall -Wextra -Wpointer-arith \
	    -Wno-unused-parameter -Wno-format-truncation -Werror $(WIN_FLAGS) \
	    -o $@.debug $(filter %.c %.o,$^) $(WIN_LD) $(WIN_LIBS)
	@$(WIN_HOST)-strip -o $@ $@.debug

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


# --- for other systems: libraries from source, see conf/deps.sh

.PHONY: agent-static agent-arm64 agent-armhf
agent-static: $(B)/mesh-agent-static    ## one that needs no library
agent-arm64: $(B)/mesh-agent-arm64      ## for ARM, of 64 bits
agent-armhf: $(B)/mesh-agent-armhf      ## and of 32, with floating point

# a static program that is loaded anywhere, which musl-gcc does not know
MUSL_LIB     := /usr/lib/$(shell uname -m)-linux-musl

TARGET_static := musl
TARGET_arm64  := arm64
TARGET_armhf  := armhf
CROSS_static   = musl-gcc
CROSS_arm64    = aarch64-linux-gnu-gcc
CROSS_armhf    = arm-linux-gnueabihf-gcc
STRIP_static   = strip
STRIP_arm64    = aarch64-linux-gnu-strip
STRIP_armhf    = arm-linux-gnueabihf-strip
LINK_static    = -static -Wl,-pie,--no-dynamic-linker -nostartfiles \
                 $(addprefix $(MUSL_LIB)/,rcrt1.o crti.o crtn.o) \
                 -Wl,-z,relro,-z,now
LINK_arm64     = $(LDHARD)
LINK_armhf     = $(LDHARD)

# without what a processor has no instructions for; with times and places in
# files of 64 bits, as conf/deps.sh builds the libraries
CROSS_HARDEN   = $(filter-out $(if $(filter arm%,$1),-fcf-protection) \
                   $(if $(filter armhf,$1),-fstack-clash-protection), \
                   $(HARDEN)) \
                 $(if $(filter armhf,$1),-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64)

packages-cross:
	@sh conf/packages.sh build cross

.PRECIOUS: $(B)/deps/%/lib/libssl.a
$(B)/deps/%/lib/libssl.a: conf/deps.sh | packages-cross $(B)
	@CACHE=$(CACHE) JOBS=$(JOBS) sh $< $*
	@touch $@

$(B)/mesh-agent-static: $(B)/deps/musl/lib/libssl.a
$(B)/mesh-agent-arm64: $(B)/deps/arm64/lib/libssl.a
$(B)/mesh-agent-armhf: $(B)/deps/armhf/lib/libssl.a

$(B)/mesh-agent-static $(B)/mesh-agent-arm64 $(B)/mesh-agent-armhf: \
$(B)/mesh-agent-%: $(AGENT_C) $(AGENT_H) $(PROTO_C) $(B)/agent/scripts.c \
                   $(DUKTAPE)/.stamp | packages-cross
	@echo "building $(notdir $@)"
	@$(CROSS_$*) $(CFLAGS) -w $(call CROSS_HARDEN,$*) -c \
	    -o $(B)/agent/duktape-$*.o $(DUKTAPE)/src/duktape.c
	@$(CROSS_$*) $(CFLAGS) $(WARN) $(call CROSS_HARDEN,$*) $(AGENT_INC) \
	    -I$(B)/deps/$(TARGET_$*)/include -o $@.debug $(filter %.c,$^) \
	    $(B)/agent/duktape-$*.o $(LINK_$*) -L$(B)/deps/$(TARGET_$*)/lib \
	    $(AGENT_LIBS)
	@$(STRIP_$*) -o $@.new $@.debug
	@mv $@.new $@

$(B)/mesh-agent_$(AGENT_V)_arm64.deb $(B)/mesh-agent_$(AGENT_V)_armhf.deb: \
$(B)/mesh-agent_$(AGENT_V)_%.deb: $(B)/mesh-agent $(B)/mesh-agent-% \
                                  $(wildcard conf/deb-agent/*)
	@echo "building $(notdir $@)"
	@sh conf/deb-agent/build.sh $< $@ $(B)/mesh-agent-$* $*


# a program on the screen that t/agent/desktop.t and the bench look at
$(B)/desktop_client: t/agent/desktop_client.c | packages-build
	@echo "building $(notdir $@)"
	@$(CC) -O2 -g -std=gnu99 -D_GNU_SOURCE -Wall -Wextra -o $@ $< -lX11 \
	    -lXfixes -lXrandr -ljpeg
