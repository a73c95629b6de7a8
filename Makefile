#  quota.so, a Redis module. ./scripts/run and ./scripts/test do their own set-up; make offers the same words.
#
#  make               build ./quota.so
#  make run           build, start a server with the module, show a guided session
#  make test          style check, unit tests, seeds, integration tests, zones (JOBS, WORKERS: how many at a time)
#  make unit          the tests of src/ under ASan and UBSan (UNIT=test_x: only that one)
#  make integration   pytest against real servers (PYTEST_FLAGS="-k name -x")
#  make seeds         every fuzz target on its kept inputs
#  make zones         the zone reader against Python's zoneinfo, every zone, 1900 to 2100
#  make fuzz          every fuzz target for FUZZ_SECONDS (60) each
#  make bench         compare with the server's own commands, scripts, PEERS; with a replica, an AOF; docs/bench/
#  make bench-instructions   count instructions (callgrind) and write docs/bench/instructions.json
#  make bench-check   count them again: fails when a command takes a tenth more of them than that file says
#  make bench-memory, bench-scale, bench-latency   what values weigh; how cost grows; percentiles, longest commands
#  make bench-waiting  impatient clients against patient ones; what it costs when a line leaves
#  make bench-all     all of these but bench-check (ROUNDS, REQUESTS, KEYS, PEERS, BIG: scripts/bench/settings.py)
#  make model         OPERATIONS (300000) of random accounts, plans, credits and families against the models
#  make soak          kill a primary under load CYCLES (200) times, count every acknowledged unit
#  make servers       build the servers that this distribution lacks beside the project, run the tests on each
#  make python        the Python distribution: types (mypy), style (ruff) and its tests against real servers
#  make clients       build and run the programs of docs/clients (Python, Go, TypeScript, Java) against a server
#  make docs          write what docs/ has from a running server and from those programs
#  make tidy          style check, clang-format, cppcheck, clang-tidy, exported symbols
#  make coverage      lines and branches reached by unit and integration tests
#  make sanitize      the integration tests with ASan and UBSan inside the server
#  make valgrind      unit tests, and the integration tests' servers, under valgrind's memcheck
#  make install       quota.so into the distribution's Redis module folder, quotactl into bin (PREFIX, MODULEDIR, DESTDIR)
#  make clean         remove what was built (.deps and .venv stay)
#
#  REDISMODULE_H=folder/redismodule.h   take this header of Redis 7.0 or 7.2 instead of fetching one
#  WERROR=1, CI=true    warnings are errors
#  CC, CFLAGS, LDFLAGS  as usual
help:
	@sed -n '/^help:/q; s/^# \{0,2\}//p' Makefile
.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

# ---- settings -------------------------------------------------------------------------------------------------
CC             = gcc
CLANG         ?= clang
CFLAGS        ?= -O2 -g
REDISMODULE_H ?= .deps/redismodule.h
PREFIX        ?= /usr
MODULEDIR     ?= $(PREFIX)/lib/redis/modules
FUZZ_SECONDS  ?= 60
UNIT          ?= test_*
PYTHON        ?= .venv/bin/python
JOBS          ?= $(shell nproc)
# Tests that talk to servers wait a part of their time. A worker that has nothing left takes tests from another one.
WORKERS       ?= $(shell expr $(JOBS) \* 3 / 2)
PYTEST        := $(PYTHON) -m pytest -q -n $(WORKERS) --dist worksteal
# For a make within a recipe: as many jobs as this one has been given, else JOBS. By the second one nothing is shown of
# a target until it is done, so that what several say does not mix.
PARALLEL       = --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
APART          = $(PARALLEL) --output-sync=target

WARNINGS      := -Wall -Wextra -Wshadow $(if $(filter true 1,$(CI) $(WERROR)),-Werror)
STRICT        := $(WARNINGS) -Wconversion
# Rows of tests leave out the fields that are zero.
OF_TESTS      := $(WARNINGS) -Wno-missing-field-initializers
CODE          := -std=gnu11 -fPIC -fvisibility=hidden -Iinclude
# src/ is compiled without the Redis header in reach: that it does not include it is checked by the compiler.
# The header is a system header to us: its own warnings are not ours.
REDIS         := -isystem $(dir $(REDISMODULE_H))
# A visible global of ours could be taken for one of the server's thousands: -Bsymbolic binds ours to ours, and
# -z defs proves that nothing is left to be found by chance (the module API arrives in variables of the header).
MODULE_LINK   := -shared -Wl,-Bsymbolic -Wl,-z,defs

src           := $(patsubst %.c,%.o,$(wildcard src/*/*.c))
module        := $(patsubst %.c,%.o,$(wildcard module/*.c))
unit_tests    := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
unit_helpers  := $(patsubst %.c,%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))
fuzz_targets  := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# The Python distribution's files, below scripts/python.
package        = $(sort $(patsubst scripts/python/%,%,$(shell find scripts/python/redis_quota -name '*.py' -o -name py.typed)))
c_files        = $(wildcard src/*/*.c module/*.[ch] include/quota/*/*.h tests/unit/*.[ch] tests/fuzz/*.[ch])

all: quota.so

quota.so: build/release/quota.so
	install -m 0755 $< $@

# ---- how things are built: each kind in a folder of its own, build/<kind>/ ---------------------------------------
# $(call kind,folder,compiler,flags)
define kind
build/$1/src/%.o: src/%.c Makefile
	@mkdir -p $$(@D)
	$2 $$(CPPFLAGS) $$(CODE) $$(STRICT) $$(CFLAGS) $3 -MMD -MP -c $$< -o $$@
build/$1/module/%.o: module/%.c Makefile $$(REDISMODULE_H)
	@mkdir -p $$(@D)
	$2 $$(CPPFLAGS) $$(CODE) $$(REDIS) $$(STRICT) $$(CFLAGS) $3 -MMD -MP -c $$< -o $$@
build/$1/tests/%.o: tests/%.c Makefile
	@mkdir -p $$(@D)
	$2 $$(CPPFLAGS) $$(CODE) $$(OF_TESTS) $$(CFLAGS) $3 -MMD -MP -c $$< -o $$@
build/$1/quota.so: $$(addprefix build/$1/,$$(src) $$(module))
	$2 $$(CFLAGS) $3 $$(MODULE_LINK) $$(LDFLAGS) $$^ -o $$@
build/$1/unit/%: build/$1/tests/unit/%.o $$(addprefix build/$1/,$$(src) $$(unit_helpers))
	@mkdir -p $$(@D)
	$2 $$(CFLAGS) $3 $$(LDFLAGS) $$^ -lcmocka -o $$@
# Runs the program, whether it has passed before or not; what it says is shown if it fails.
build/$1/unit/%.passed: build/$1/unit/% always
	@$$< >$$<.log 2>&1 || { cat $$<.log; echo "FAILED $$*"; exit 1; }
	@sed -n 's/^.*PASSED *\] \([0-9]* test\)/$$*: passed \1/p' $$<.log && touch $$@
endef
# Undefined behaviour ends the program: the runtime cannot see its options inside redis-server, which overwrites the
# memory of /proc/self/environ with its title, and would only print a line.
SANITIZE      := -DQUOTA_EXPECT_FATAL -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
COVERAGE      := -DQUOTA_EXPECT_FATAL -O0 --coverage -fprofile-update=atomic
FUZZ          := -DQUOTA_EXPECT_FATAL -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
# What is called in another file is inlined, too; with other compilers this needs other linkers.
RELEASE       := $(if $(filter %gcc gcc,$(CC)),-flto=auto)
$(eval $(call kind,release,$$(CC),$$(RELEASE)))
# As released but for that: of more than a hundred unit programs it would take long to link each.
$(eval $(call kind,memcheck,$$(CC)))
$(eval $(call kind,sanitize,$$(CC),$$(SANITIZE)))
$(eval $(call kind,coverage,$$(CC),$$(COVERAGE)))
$(eval $(call kind,fuzz,$$(CLANG),$$(FUZZ)))
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o $(addprefix build/fuzz/,$(src))
	$(CLANG) $(CFLAGS) -fsanitize=fuzzer,address,undefined -rtlib=compiler-rt -lgcc_s $(LDFLAGS) $^ -o $@
build/sanitize/fuzz_%: build/sanitize/tests/fuzz/fuzz_%.o build/sanitize/tests/fuzz/replay.o \
    $(addprefix build/sanitize/,$(src))
	$(CC) $(CFLAGS) $(SANITIZE) $(LDFLAGS) $^ -o $@
.SECONDARY:

-include $(wildcard build/*/src/*/*.d build/*/module/*.d build/*/tests/*/*.d)

# What is not there yet is fetched by the one script that knows how.
.deps/redismodule.h:
	scripts/setup header
.venv/made-from: tests/requirements.txt
	scripts/setup test

# ---- tests ------------------------------------------------------------------------------------------------------
# Every program that UNIT names, also when one of them fails; $(call passes,folder)
passes = $(patsubst tests/unit/%.c,build/$1/unit/%.passed,$(wildcard tests/unit/$(UNIT).c))

# One after another, each as parallel as it can be; all of them, also when one fails.
test:
	@failed=; for part in style all types unit seeds servers-and-zones; do \
	    $(MAKE) $(PARALLEL) $$part || failed="$$failed $$part"; done; \
	[ -z "$$failed" ] || { echo "test: failed:$$failed"; exit 1; }

unit:
	@UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) $(APART) -k $(call passes,sanitize)

# The fuzzers' seeds, and what they once found, without libFuzzer.
seeds:
	@$(MAKE) $(PARALLEL) $(addprefix build/sanitize/,$(fuzz_targets))
	@set -e; for name in $(fuzz_targets:fuzz_%=%); do build/sanitize/fuzz_$$name tests/fuzz/seeds/$$name/*; done

integration: quota.so .venv/made-from
	$(PYTEST) tests/integration $(PYTEST_FLAGS)

zones: .venv/made-from
	$(PYTEST) tests/zones

# Together, so that no worker is idle.
servers-and-zones: quota.so .venv/made-from
	$(PYTEST) -rs tests/integration tests/python tests/clients tests/zones $(PYTEST_FLAGS)

# ASan writes a file for each process that has something to say, and the test fixtures send the servers' standard
# error to files beside them (UBSan's findings): none may have anything in it.
sanitize: LOGS = $(CURDIR)/build/sanitize/logs
sanitize: build/sanitize/quota.so quota.so .venv/made-from
	rm -rf "$(LOGS)" && mkdir -p "$(LOGS)"
	QUOTA_MODULE="$(CURDIR)/$<" QUOTA_SANITIZE_LOGS="$(LOGS)" \
	QUOTA_PRELOAD="$$(readlink -f "$$($(CC) -print-file-name=libasan.so)"):$$(readlink -f "$$($(CC) -print-file-name=libubsan.so)")" \
	ASAN_OPTIONS="log_path=$(LOGS)/asan" $(PYTEST) tests/integration $(PYTEST_FLAGS); result=$$?; \
	if find "$(LOGS)" -type f -size +0 -exec cat {} + | grep .; then echo "sanitize: findings above"; exit 1; fi; \
	[ $$result = 0 ] && echo "sanitize: nothing found"

# Memcheck follows a server's blocks where its malloc is in a library (Debian's jemalloc) or is libc's own. Read are the
# files: a server ends as it likes. Its forked children are left alone: they end without giving anything back.
VALGRIND      := valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --suppressions=tests/integration/valgrind.supp
valgrind: LOGS = $(CURDIR)/build/memcheck/logs
# A server is many times slower: models draw fewer commands. It takes hours on two cores.
valgrind: export QUOTA_OPERATIONS = 800
valgrind: export QUOTA_WAITS = 300
valgrind: export QUOTA_PATIENCE_S = 600
valgrind: tools quota.so .venv/made-from
	@$(MAKE) $(PARALLEL) $(addprefix build/memcheck/unit/,$(unit_tests))
	printf '%s\n' $(addprefix build/memcheck/unit/,$(unit_tests)) | xargs -P 2 -n 1 $(VALGRIND) --error-exitcode=1
	rm -rf "$(LOGS)" && mkdir -p "$(LOGS)"
	QUOTA_WRAPPER="$(VALGRIND) --child-silent-after-fork=yes --log-file=$(LOGS)/%p" \
	$(PYTEST) tests/integration $(PYTEST_FLAGS); result=$$?; \
	if find "$(LOGS)" -type f -size +0 -exec cat {} + | grep .; then echo "valgrind: findings above"; exit 1; fi; \
	[ $$result = 0 ] && echo "valgrind: nothing found"

fuzz-programs: $(addprefix build/fuzz/,$(fuzz_targets))

fuzz: tools
	@$(MAKE) --no-print-directory fuzz-programs
	@set -e; for name in $(fuzz_targets:fuzz_%=%); do \
	    mkdir -p build/corpus/$$name; seeds=tests/fuzz/seeds/$$name; [ -d $$seeds ] || seeds=; \
	    echo "-- fuzz_$$name for $(FUZZ_SECONDS) s"; \
	    build/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/found- \
	        -print_final_stats=1 -verbosity=0 build/corpus/$$name $$seeds; done; echo "fuzz: nothing found"

coverage: tools quota.so build/coverage/quota.so .venv/made-from
	@$(MAKE) $(PARALLEL) $(addprefix build/coverage/unit/,$(unit_tests))
	find build/coverage -name '*.gcda' -delete
	@$(MAKE) $(APART) -k $(call passes,coverage)
	QUOTA_MODULE="$(CURDIR)/build/coverage/quota.so" $(PYTEST) tests/integration $(PYTEST_FLAGS)
	gcovr --root . --filter src/ --filter module/ --filter include/ build/coverage

# Random accounts, plans, credits and families against the models in exact fractions, and the wait of every denial; make
# test does 20,000 operations and 6,000 requests.
OPERATIONS ?= 300000
model: quota.so .venv/made-from
	QUOTA_OPERATIONS=$(OPERATIONS) QUOTA_WAITS=$(OPERATIONS) \
	$(PYTEST) tests/integration -k "account_model or credits_model or family_model or plan_properties or waits" $(PYTEST_FLAGS)

# Kills a primary under load again and again; CYCLES=200 by default. The integration tests do three.
CYCLES ?= 200
soak: quota.so .venv/made-from
	$(PYTHON) tests/soak/crash.py --cycles $(CYCLES)

# Newer servers, from source packages of other suites; scripts/servers says where they come from and where they stay.
servers: quota.so .venv/made-from
	PYTHON=$(PYTHON) WORKERS=$(WORKERS) PYTEST_FLAGS="$(PYTEST_FLAGS)" scripts/servers

# The Python distribution: its types and style need no server.
types: .venv/made-from
	cd scripts/python && ../../$(PYTHON) -m mypy
	$(PYTHON) -m ruff check scripts/python tests/python

python: types quota.so
	$(PYTEST) tests/python $(PYTEST_FLAGS)

# The packages of each language come by its own tool. A language without its tool or its packages is skipped by name.
.PHONY: clients docs types python
clients: quota.so .venv/made-from
	$(PYTHON) -m pytest tests/clients -rs $(PYTEST_FLAGS)

docs: quota.so .venv/made-from
	$(PYTHON) scripts/docs.py

# ---- benchmarks: scripts/bench/__main__.py is their map ---------------------------------------------------------------
BENCH         := PYTHONPATH=scripts $(PYTHON) -m bench
bench_parts   := bench-aims bench-instructions bench-check bench-memory bench-scale bench-latency bench-waiting \
                 bench-plots bench-figures

.venv/made-for-bench: scripts/bench/requirements.txt .venv/made-from
	scripts/setup bench

bench: quota.so .venv/made-for-bench
	$(BENCH) aims
	$(BENCH) throughput

$(bench_parts): bench-%: quota.so .venv/made-for-bench
	$(BENCH) $*

bench-all: bench-instructions
	@for part in aims throughput memory scale latency waiting figures; do $(BENCH) $$part || exit 1; done

# ---- order ------------------------------------------------------------------------------------------------------
tidy: tools
	@$(MAKE) --no-print-directory style format lint symbols
	@echo "tidy: nothing found"

tools:
	@scripts/setup tools

style:
	python3 scripts/tidy.py

format:
	clang-format --dry-run -Werror $(c_files)

# clang-tidy takes one file at a time: given several, version 14 imagines faults. Its standard error only counts.
lint: $(REDISMODULE_H)
	cppcheck --quiet -j 2 --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --library=posix -Iinclude src module
	printf '%s\0' $(wildcard src/*/*.c module/*.c) | xargs -0 -P 2 -n 1 \
	    sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$1" -- $(CODE) $(REDIS) 2>/dev/null' sh

symbols: quota.so
	@names=$$(nm -D --defined-only $< | awk '{ print $$3 }'); \
	[ "$$names" = RedisModule_OnLoad ] || { echo "$<: must export RedisModule_OnLoad alone, exports:" $$names; exit 1; }
	@strange=$$(readelf -d $< | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libm)\.so\.6$$'); \
	[ -z "$$strange" ] || { echo "$<: must need libc and libm alone, needs:" $$strange; exit 1; }
	@echo "symbols: exports RedisModule_OnLoad alone, needs libc and libm at most"

# ---- the rest ---------------------------------------------------------------------------------------------------
run:
	scripts/run

install: quota.so
	install -d "$(DESTDIR)$(MODULEDIR)"
	install -m 0755 quota.so "$(DESTDIR)$(MODULEDIR)/quota.so"
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 0755 scripts/quotactl "$(DESTDIR)$(PREFIX)/bin/quotactl"
	cd scripts/python && for file in $(package); do \
	    install -D -m 0644 "$$file" "$(DESTDIR)$(PREFIX)/lib/quotactl/$$file" || exit 1; done

clean:
	rm -rf build quota.so

.PHONY: help always all test model unit seeds integration zones servers-and-zones sanitize valgrind fuzz fuzz-programs coverage bench \
	$(bench_parts) bench-all soak servers tidy tools style format lint symbols run install clean
