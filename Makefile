# Everything a person or CI does with weakly. Needs python3 >= 3.11 (or PYTHON=...), make and a
# C compiler; each target makes what it needs, in $(VENV), and makes it again when it is stale.

PYTHON ?= python3
VENV ?= .venv
PYTEST_FLAGS ?=
# What `make test` sets WEAKLY_PURE to: 0 is the C core, 1 the Python tables.
PURE ?= 0 1
# For `make debug`, and for `make free-threaded` (any 3.13 or later, with its headers).
DEBUG_PYTHON ?= $(firstword $(shell command -v python3-dbg python3.13-dbg python3.12-dbg python3.11-dbg))
HEADERS_PYTHON ?= python3.13

python := $(VENV)/bin/python
pip := $(python) -W ignore -m pip --disable-pip-version-check -qq
tests := $(python) -m tests.suite -q $(PYTEST_FLAGS)
core := $(wildcard src/core/*)
metadata := pyproject.toml setup.py
say = @echo "==> $(1)"
# The tests start an interpreter hundreds of times: each would compile weakly anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tour: $(VENV)/.test ## Show what weakly does, with timings on this machine
	@$(python) -m weakly tour

test: $(VENV)/.test ## Run the tests, on the C core and on the Python tables
	@failed=; for pure in $(PURE); do \
		echo "==> tests on the $$(test $$pure = 0 && echo C core || echo Python tables)"; \
		WEAKLY_PURE=$$pure $(tests) || failed=yes; \
	done; test -z "$$failed"

conformance: $(VENV)/.test ## Run the interpreter's own tests of weakref on weakly
	@$(python) -m tests.conformance

bench: $(VENV)/.bench ## Time every operation against dict, set and the stdlib
	@$(python) -m benchmarks

lint: $(VENV)/.lint ## Run ruff, mypy and pyright
	@failed=; for check in "ruff check" "ruff format --check" mypy "pyright --pythonpath $(python)"; do \
		echo "==> $$check"; $(python) -m $$check || failed=yes; \
	done; test -z "$$failed"

# The sanitizers' runtime must come first in the process, which the interpreter is not linked to.
asan_lib := build/asan/lib
asan_flags := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined
asan_flags += -fno-sanitize-recover=undefined
asan_run = env LD_PRELOAD=$$(gcc -print-file-name=libasan.so) PYTHONMALLOC=malloc WEAKLY_PURE=0 \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	PYTHONPATH=$(CURDIR)/$(asan_lib)

asan: $(VENV)/.test ## Run the tests with the C core under Address- and UBSanitizer (gcc)
	$(call say,building the C core with the sanitizers)
	@rm -rf $(asan_lib)
	@CC=gcc WEAKLY_REQUIRE_C=1 WEAKLY_CFLAGS="$(asan_flags)" WEAKLY_LDFLAGS="$(asan_flags)" \
		$(python) setup.py -q build --build-temp build/asan/temp --build-lib $(asan_lib)
	@$(asan_run) $(python) -c 'import weakly._core as c; assert "/$(asan_lib)/" in c.__file__, c'
	$(call say,tests on the C core with the sanitizers)
	@$(asan_run) $(tests)

debug: ## Run the tests on the C core in a debug interpreter (DEBUG_PYTHON=...)
	@test -n "$(DEBUG_PYTHON)" || { echo "no debug interpreter: say DEBUG_PYTHON=..."; exit 1; }
	@$(DEBUG_PYTHON) -c 'import sys; sys.gettotalrefcount()'
	@$(MAKE) --no-print-directory test PURE=0 \
		PYTHON=$(DEBUG_PYTHON) VENV=build/debug-venv

free-threaded: ## Check that the C core compiles for a build without the GIL (HEADERS_PYTHON=...)
	@gcc -fsyntax-only -DPy_GIL_DISABLED=1 -std=c11 -Wall -Wextra -Wconversion -Werror -isystem \
		"$$($(HEADERS_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')" \
		src/core/module.c

dist: $(VENV)/.dist ## Build the sdist, and the wheel from it
	@rm -rf dist
	@WEAKLY_REQUIRE_C=1 $(python) -m build

clean: ## Remove all that was made
	rm -rf $(VENV) build dist src/*.egg-info src/weakly/*.so .*_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.tools: pyproject.toml
	$(call say,making $(VENV) with $(PYTHON))
	@$(PYTHON) -m venv $(VENV)
	@$(pip) install --upgrade 'pip>=25.1' 'setuptools>=77'
	@touch $@

# The C core is built in place, beside the Python files, so only a change in C needs a new build.
$(VENV)/.weakly: $(VENV)/.tools $(metadata) $(core)
	$(call say,building weakly)
	@WEAKLY_REQUIRE_C=1 $(pip) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.test $(VENV)/.bench $(VENV)/.lint: $(VENV)/.weakly
	$(call say,installing what $(subst .,,$(@F)) needs)
	@$(pip) install --group $(subst .,,$(@F))
	@touch $@

$(VENV)/.dist: $(VENV)/.tools
	@$(pip) install --group dist
	@touch $@

# What the checkers read, they must find installed.
$(VENV)/.lint: $(VENV)/.test $(VENV)/.bench

.PHONY: help tour test conformance bench lint asan debug free-threaded dist clean
