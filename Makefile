# tcpwitness: what to type is in `make help`; what follows is in the order of the build.
#
#   V=1   show the commands        O=DIR   build elsewhere than .output/

O ?= .output
V ?= 0
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

# ---- packages: the one place that names them ------------------------------------------------

PACKAGES_BUILD := gcc libc6-dev linux-libc-dev clang make git bpftool \
	libbpf-dev libelf-dev zlib1g-dev libmicrohttpd-dev libpcap-dev
PACKAGES_TEST := python3 libcmocka-dev libclang-rt-14-dev \
	clang-format cppcheck shellcheck iproute2 procps nftables conntrack tshark curl prometheus \
	prometheus-alertmanager nginx-light wrk redis-server
# what make bench measures us with and beside; it says "skipped" where one is missing
PACKAGES_BENCH := iperf3 libbpf-tools bpftrace tcpdump

# ---- flags ----------------------------------------------------------------------------------

# bpftool lives where only root's PATH looks
export PATH := $(PATH):/usr/sbin:/sbin
# root building another user's clone: git is asked for the version and the list of files only
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := *

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
CFLAGS ?= -O2 -g
# SANITIZE=address,undefined is what `make asan` sets; FORTIFY would hide errors from it
HARDENING = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer,-fstack-protector-strong -D_FORTIFY_SOURCE=2)
# The tracker is many small functions in many files: a sixth of a record's time is the calls
# between them (tests/bench/bench_pipeline). The objects hold plain code too, which tests are
# linked from. Never both flags in one command: gcc then does as -fno-lto says, wherever it stands.
LTO = $(if $(SANITIZE),,$(if $(findstring gcc,$(CC)),-flto=1 -flto-partition=one -ffat-lto-objects))
# across files gcc sees what -errno sets, and not that it is never 0
LTO_LINK = $(if $(LTO),$(LTO) -Wno-maybe-uninitialized)
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARNINGS) $(HARDENING) -D_GNU_SOURCE \
	-Iinclude -Idaemon -I$(O) -MMD -MP
LIBS := -lbpf -lelf -lz -lmicrohttpd -lpcap -lpthread

# v3: 32-bit ALU and jumps, the newest instruction set that clang 14 and kernel 5.15 share
BPF_CFLAGS = -target bpf -O2 -g -Wall -Werror -mcpu=v3 -Iinclude \
	-I/usr/include/$(shell $(CC) -print-multiarch) -MMD -MP

ifeq ($(V),1)
say = @:
else
say = @printf '  %-8s %s\n'
.SILENT:
endif

# ---- files ----------------------------------------------------------------------------------

LIB_SOURCES := $(sort $(filter-out daemon/main.c,$(wildcard daemon/*.c daemon/*/*.c)))
LIB_OBJECTS := $(LIB_SOURCES:%.c=$(O)/%.o)
LIBRARY := $(O)/libtcpwitness.a

UNIT_TESTS := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
BPF_TESTS := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/bpf/test_*.c)))
NET_TOOLS := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/net/*.c)))
# bench_*.c measure by themselves; the others are tools of the network tests and of tests/bench/run
BENCH_PROGRAMS := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/bench/*.c)))
# tests/unit/*.c that are not tests are what tests and fuzz targets share
TEST_OBJECTS := $(patsubst tests/%.c,$(O)/tests/%.o,\
	$(sort $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))))
TEST_LIBRARY := $(O)/tests/libshared.a
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(O)/tests/fuzz/replay_%)
FUZZERS := $(FUZZ_NAMES:%=$(O)/tests/fuzz/fuzz_%)

.PHONY: help deps deps-build all run test test-unit test-vm test-programs sanitized-programs \
	lint format asan fuzz fuzzers deps-bench bench soak clean install uninstall FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | \
		sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done
	@printf '\nV=1 shows the commands, O=DIR builds elsewhere than .output/.\n'

all: $(O)/tcpwitness ## build .output/tcpwitness

deps: ## install the Debian packages that build, run and test need (only what is missing)
	.ci/deps $(PACKAGES_BUILD) $(PACKAGES_TEST)
	tests/vm/images

deps-build:
	.ci/deps $(PACKAGES_BUILD)

# ---- BPF: one object of all sources, without debugging sections; one skeleton ------------------

$(O)/bpf/witness.o: bpf/witness.bpf.c
	$(say) BPF $<
	mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(O)/bpf/witness.bpf.o: $(O)/bpf/witness.o
	$(say) LINK $@
	bpftool gen object $@ $<

$(O)/witness.skel.h: $(O)/bpf/witness.bpf.o
	$(say) SKEL $@
	bpftool gen skeleton $< name witness > $@

# ---- the daemon: everything but main() in a library, which the tests link too -----------------

# rewritten only when it changes, so that a commit does not rebuild what does not show it
$(O)/build_info.h: FORCE
	mkdir -p $(@D)
	{ echo '#define BUILD_VERSION "$(shell git describe --tags --always --dirty 2>/dev/null || \
		echo unknown)"'; \
	echo '#define BUILD_REVISION "$(shell git rev-parse HEAD 2>/dev/null || echo unknown)"'; \
	echo '#define BUILD_CC "$(shell $(CC) --version | head -n1)"'; \
	echo '#define BUILD_CLANG "$(shell $(CLANG) --version | head -n1)"'; } > $@.tmp
	cmp -s $@.tmp $@ || cp $@.tmp $@
	rm -f $@.tmp

$(O)/daemon/%.o: daemon/%.c | $(O)/build_info.h
	$(say) CC $<
	mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LTO) -c $< -o $@

# what every record passes: -O3 saves another tenth of its time
$(addprefix $(O)/daemon/,tcp/%.o track/%.o capture/decode.o capture/merge.o capture/ring.o): \
	LTO += $(if $(SANITIZE),,-O3)

# the only user of the skeleton (tests/lint/layers)
$(O)/daemon/capture/loader.o: $(O)/witness.skel.h

$(LIBRARY): $(LIB_OBJECTS)
	$(say) AR $@
	rm -f $@.new
	ar rcs $@.new $^
	mv $@.new $@

$(O)/tcpwitness: $(O)/daemon/main.o $(LIBRARY)
	$(say) LD $@
	$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) $(LTO_LINK) $(LDFLAGS) $^ $(LIBS) -o $@

run: deps-build ## build and run the daemon; ARGS='--log.level=debug …' are its flags
	+$(MAKE) --no-print-directory -j$(JOBS) all
	exec $(O)/tcpwitness run $(ARGS)

# ---- tests ----------------------------------------------------------------------------------

# unit and BPF tests are cmocka programs; programs beside the network tests and the benchmarks are not
$(UNIT_TESTS) $(BPF_TESTS) $(O)/tests/bench/bench_programs: TEST_LIBS := -lcmocka

# its functions step through mutants of the table (tests/unit/test_mutants.c)
$(O)/tests/unit/test_mutants: TEST_LIBS += -Wl,--wrap=fsm_step

$(TEST_OBJECTS): $(O)/tests/%.o: tests/%.c
	$(say) CC $<
	mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -c $< -o $@

$(TEST_LIBRARY): $(TEST_OBJECTS)
	$(say) AR $@
	rm -f $@.new
	ar rcs $@.new $^
	mv $@.new $@

# what is measured is built as the daemon is
TEST_LTO := -fno-lto
$(addprefix $(O)/tests/bench/bench_,pipeline reference): TEST_LTO = $(LTO_LINK)

$(O)/tests/%: tests/%.c $(TEST_LIBRARY) $(LIBRARY)
	$(say) TEST $<
	mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_LTO) -Itests $< $(TEST_LIBRARY) $(LIBRARY) $(TEST_LIBS) $(LIBS) -o $@

# the same fuzz target with a main() that feeds it the corpus: no libFuzzer needed
$(O)/tests/fuzz/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(TEST_LIBRARY) \
		$(LIBRARY)
	$(say) TEST $<
	mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -fno-lto -Itests $^ $(LIBS) -o $@

$(O)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(TEST_LIBRARY) $(LIBRARY)
	$(say) FUZZ $<
	mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -fsanitize=fuzzer $< $(TEST_LIBRARY) $(LIBRARY) $(LIBS) -o $@

test-programs: $(UNIT_TESTS) $(BPF_TESTS) $(NET_TOOLS) $(BENCH_PROGRAMS)
sanitized-programs: $(UNIT_TESTS) $(FUZZ_REPLAYS)
fuzzers: $(FUZZERS)

SANITIZED := SANITIZE=address,undefined O=$(O)/asan

test: deps ## build and run every test (root; T=net or T=test_seq: only those)
	+$(MAKE) --no-print-directory -j$(JOBS) all test-programs
	+$(MAKE) --no-print-directory -j$(JOBS) $(SANITIZED) sanitized-programs
	O=$(O) tests/run $(T)

test-unit: ## the tests that need no root
	+$(MAKE) --no-print-directory -j$(JOBS) test-programs
	O=$(O) tests/run unit/

test-vm: deps ## every network test that can, on the kernels 6.1 and 6.12 in virtual machines
	+$(MAKE) --no-print-directory -j$(JOBS) all test-programs
	VM=$(or $(T),all) O=$(O) tests/run vm/

asan: ## unit tests and fuzz corpus under the address and undefined-behaviour sanitizers
	+$(MAKE) --no-print-directory -j$(JOBS) $(SANITIZED) sanitized-programs
	O=$(O) tests/run asan/

# warnings are gcc's to give: clang's -Wextra has other opinions
fuzz: ## run libFuzzer on every target, T seconds each (T=60 FUZZ=decode: only that one)
	+$(MAKE) --no-print-directory -j$(JOBS) O=$(O)/fuzz CC=$(CLANG) WARNINGS= \
		SANITIZE=address,undefined,fuzzer-no-link FUZZ_NAMES='$(or $(FUZZ),$(FUZZ_NAMES))' fuzzers
	for name in $(or $(FUZZ),$(FUZZ_NAMES)); do \
		mkdir -p $(O)/fuzz/corpus/$$name tests/fuzz/corpus/$$name && \
		$(O)/fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(or $(T),30) -timeout=5 \
			-artifact_prefix=$(O)/fuzz/ $(O)/fuzz/corpus/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

lint: ## formatting, include rules, cppcheck, shellcheck, promtool
	O=$(O) tests/run lint/

format: ## clang-format every C file in place
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i --style=file

deps-bench: ## install the Debian packages that make bench compares with
	.ci/deps $(PACKAGES_BENCH)

bench: ## measure (root): one table (B=NAME: only that; QUICK=1: a try; RECORD=1: for README too)
	+$(MAKE) --no-print-directory -j$(JOBS) all test-programs
	O=$(O) tests/bench/run $(if $(QUICK),--quick) $(if $(RECORD),--record) $(B)

soak: ## 10 M ordinary connections, 1,000 faults: all found, nothing else (CONNECTIONS=N RECORD=1)
	+$(MAKE) --no-print-directory -j$(JOBS) all test-programs
	O=$(O) tests/bench/soak.py $(if $(RECORD),--record) $(CONNECTIONS)

# ---- housekeeping ---------------------------------------------------------------------------

install: all ## install the program under $(DESTDIR)$(PREFIX)
	install -D -m 0755 $(O)/tcpwitness $(DESTDIR)$(PREFIX)/sbin/tcpwitness
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/tcpwitness/LICENSE

uninstall: ## remove what install installed
	rm -f $(DESTDIR)$(PREFIX)/sbin/tcpwitness
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/tcpwitness

clean: ## remove what was built
	rm -rf $(O)

FORCE:

-include $(O)/bpf/witness.d $(LIB_OBJECTS:.o=.d) $(TEST_OBJECTS:.o=.d) $(O)/daemon/main.d
-include $(addsuffix .d,$(UNIT_TESTS) $(BPF_TESTS) $(NET_TOOLS) $(BENCH_PROGRAMS) $(FUZZERS))
