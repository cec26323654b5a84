# Usher. `make help` lists the targets.
#
# Everything is built under build/. A variant (asan, tsan) builds the same tree with other flags
# under build/<variant>. Sources are found by wildcard: a new file needs no line here.

CC ?= gcc
VARIANT ?=
BUILD ?= build$(if $(VARIANT),/$(VARIANT))
PREFIX ?= /usr/local

WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
	-Wno-missing-field-initializers $(if $(CI),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIE \
	-ftrivial-auto-var-init=zero $(if $(findstring clang,$(CC)),\
	-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
BASE_FLAGS := -std=gnu17 -g -O2 -fno-omit-frame-pointer -fno-strict-aliasing -D_GNU_SOURCE \
	-Iinclude -Isrc -Iapp -I$(BUILD) -DUSHER_VERSION='"$(shell cat VERSION)"' $(WARN)
ifeq ($(VARIANT),asan)
BASE_FLAGS += -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1
else ifeq ($(VARIANT),tsan)
BASE_FLAGS += -fsanitize=thread -O1
else ifeq ($(VARIANT),fuzz)
BASE_FLAGS += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1
fuzzer := -fsanitize=fuzzer
else
BASE_FLAGS += $(HARDEN)
endif
PKGS := sqlite3 libpq libcurl jansson hiredis libsodium libqrencode libpng zlib
ALL_CFLAGS = $(BASE_FLAGS) $(shell pkg-config --cflags $(PKGS)) $(CPPFLAGS) $(CFLAGS)
LIBS = $(shell pkg-config --libs $(PKGS)) -lm -pthread
ALL_LDFLAGS = $(BASE_FLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

ARCH := $(shell uname -m)
lib_src := $(sort $(wildcard src/*/*.c)) $(wildcard src/task/switch_$(ARCH).S)
app_src := $(sort $(filter-out app/main.c,$(wildcard app/*.c app/*/*.c)))
lib_obj := $(patsubst %,$(BUILD)/%.o,$(lib_src))
app_obj := $(patsubst %,$(BUILD)/%.o,$(app_src))
examples := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
bench := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c))
unit := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/*/*_test.c tests/sim/*_test.c)))
fuzz := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))

ifeq ($(V),)
say = @printf '  %-6s %s\n' $(1) $(2);
endif

.PHONY: all install deps deps-test deps-bench run stack test test-unit test-e2e test-asan test-tsan test-valgrind fuzz fault \
	lint bench screenshots clean help format examples
.DEFAULT_GOAL := all
# All cores, unless the caller said how many.
jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
MAKEFLAGS += --no-builtin-rules

# Generated sources: SQL, migrations, pages and assets become C.
-include tools/generate.mk
-include tests/tests.mk

all: deps ## build/usher, build/libusher.a and build/examples/*
	@$(MAKE) --no-print-directory $(jobs) build-all
.PHONY: build-all
build-all: $(BUILD)/libusher.a $(BUILD)/usher $(examples)

deps: ## install missing Debian packages for building
	@tools/deps build
deps-test:
	@tools/deps test
deps-bench:
	@tools/deps bench

to = $(DESTDIR)$(PREFIX)
install: all ## the program, its manual, and the library, into PREFIX (/usr/local)
	install -d $(to)/bin $(to)/lib/pkgconfig $(to)/include/usher $(to)/share/man/man1 $(to)/share/usher/down
	install -m 755 $(BUILD)/usher $(to)/bin
	install -m 644 $(BUILD)/libusher.a $(to)/lib
	install -m 644 include/usher/*.h $(to)/include/usher
	install -m 644 deploy/down/* $(to)/share/usher/down
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(shell cat VERSION)|; s|@PKGS@|$(PKGS)|' deploy/libusher.pc.in \
		>$(to)/lib/pkgconfig/libusher.pc
	tools/man $(BUILD)/usher >$(to)/share/man/man1/usher.1

run: all ## build, make a sample fest in usher.db and serve it on http://127.0.0.1:8080
	@tools/run

stack: all ## the same on PostgreSQL, Redis, nginx and a mail sink of its own; Ctrl-C stops all
	@tools/deps stack
	@tools/stack

# Only what may include a generated header waits for it; who does include it, the .d files know.
$(app_obj) $(BUILD)/app/main.c.o $(foreach t,$(unit),$(if $(findstring /app_,$t),$t.c.o)): | $(generated)
$(BUILD)/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(BUILD)/gen/%.c.o: $(BUILD)/gen/%.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/gen/%.S.o: $(BUILD)/gen/%.S
	$(call say,AS,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libusher.a: $(lib_obj)
	@mkdir -p $(@D); rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^
$(BUILD)/libapp.a: $(app_obj) $(gen_obj)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^
$(BUILD)/usher: $(BUILD)/app/main.c.o $(BUILD)/libapp.a $(BUILD)/libusher.a
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/examples/%: $(BUILD)/examples/%.c.o $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/bench/%: $(BUILD)/bench/%.c.o $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
# Objects that tests.mk adds come behind the libraries in $^ and need them.
objects_first = $(filter %.o,$^) $(filter %.a,$^)
# Tests of the application link it; tests of the library must do without.
$(BUILD)/tests/unit/app_%: $(BUILD)/tests/unit/app_%.c.o $(BUILD)/libapp.a $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(objects_first) $(shell pkg-config --libs check) $(LIBS)
$(BUILD)/tests/sim/app_%: $(BUILD)/tests/sim/app_%.c.o $(BUILD)/libapp.a $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(objects_first) $(shell pkg-config --libs check) $(LIBS)
# libFuzzer drives a target in the variant fuzz (tools/fuzz), replay.c in all others. A static
# pattern: else make may prefer the pattern of other tests.
replay := $(if $(fuzzer),,$(BUILD)/tests/fuzz/replay.c.o)
$(fuzz): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.c.o $(replay) $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $(fuzzer) -o $@ $(objects_first) $(LIBS)
$(BUILD)/tests/%: $(BUILD)/tests/%.c.o $(BUILD)/libusher.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(objects_first) $(shell pkg-config --libs check) $(LIBS)
.SECONDARY:

.PHONY: build-tests
build-tests: $(unit) $(fuzz)

test: deps-test ## set up and run every test
	@$(MAKE) --no-print-directory $(jobs) build-all build-tests $(bench)
	@tools/test $(BUILD)
test-unit: deps-test ## the C tests only
	@$(MAKE) --no-print-directory $(jobs) build-tests
	@tools/test $(BUILD) --unit
test-e2e: deps-test ## the tests of the whole program only
	@$(MAKE) --no-print-directory $(jobs) build-all $(bench)
	@tools/test $(BUILD) --e2e
test-asan: deps-test ## the C tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory $(jobs) VARIANT=asan build-tests
	@tools/test build/asan --unit
test-tsan: deps-test ## the C tests under ThreadSanitizer
	@$(MAKE) --no-print-directory $(jobs) VARIANT=tsan build-tests
	@tools/test build/tsan --unit
test-valgrind: deps-test ## the C tests under Valgrind
	@$(MAKE) --no-print-directory $(jobs) build-tests
	@tools/test $(BUILD) --unit --valgrind

fault: deps-test ## the whole stack on PostgreSQL, 300 kills, an independent checker
	@$(MAKE) --no-print-directory $(jobs) build-all $(bench)
	@tests/fault/run

fuzz: deps-test ## look for new inputs that break a parser, 20 s for each
	@tools/fuzz

lint: deps-test ## floors, format, file and function sizes, warnings as errors
	@tools/lint

format: ## rewrite the sources in the house form
	@git ls-files '*.c' '*.h' | xargs clang-format -i

bench: deps-bench ## measure, print one table
	@$(MAKE) --no-print-directory $(jobs) build-all $(bench) $(BUILD)/tests/sim/app_desk_test
	@bench/run

screenshots: deps-test ## pictures of the main pages, in docs/pictures
	@$(MAKE) --no-print-directory $(jobs) build-all
	@tools/screenshots

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
