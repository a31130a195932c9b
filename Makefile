# srbuild's own tasks; `make help` lists them.

FS ?= gfs2
BLK ?= iscsi
CLUSTER ?=
ROW ?=
N ?= 10
SECONDS ?= 60
WORKERS ?= 3

ROOT = --fs $(FS) $(if $(BLK),--blk $(BLK))
SYSROOT := build/sysroot
VENV := .venv
SRBUILD := $(VENV)/bin/srbuild
PYTEST := $(VENV)/bin/pytest
SOURCES := builder tests modules

# Debian packages: to build an image; to test (compilers and other tools are oracles); to lint.
IMAGE_PACKAGES = $(if $(PYTHON),,python3-venv) kmod libarchive13 mmdebstrap
LINT_PACKAGES = busybox-static dash shellcheck
TEST_PACKAGES = $(IMAGE_PACKAGES) $(LINT_PACKAGES) binutils bzip2 cpio csync2 e2fsprogs fdisk gcc gfs2-utils iproute2 \
	gzip ipmitool libarchive-tools libc6-dev lz4 mtools musl-dev musl-tools openipmi openssl \
	procps python3 qemu-system-x86 squashfs-tools util-linux xz-utils zstd
MATRIX_PACKAGES = $(TEST_PACKAGES) ovmf qemu-system-arm
BENCH_PACKAGES = $(IMAGE_PACKAGES) cpio util-linux zstd

# The first Python that is new enough and can make a virtual environment; empty when there is none.
PYTHONS := python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11
CAN_VENV := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell { for it in $(PYTHONS); do "$$it" -c '$(CAN_VENV)' && break; it=; done; } >/dev/null 2>&1; echo "$$it")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help image test lint bench bench-boot matrix fuzz docs lock clean

help: ## List these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

image: build/.image-packages $(VENV)/.complete ## Build build/FS-BLK.img: FS=gfs2 BLK=iscsi [CLUSTER=cluster.toml], or FS=nfs BLK=
	@$(SRBUILD) sysroot create $(SYSROOT) $(ROOT)
	@$(SRBUILD) $(ROOT) --sysroot $(SYSROOT) $(if $(CLUSTER),--cluster '$(CLUSTER)') -o build/$(FS)$(BLK:%=-%).img

test: build/.test-packages $(VENV)/.complete ## Run all tests but the full matrix, [WORKERS=3] at once
	@$(SRBUILD) sysroot create $(SYSROOT) --every-module
	@$(PYTEST) -q -m 'not matrix' -n $(WORKERS) --no-loadscope-reorder

lint: build/.lint-packages $(VENV)/.complete ## Check the sources without running them
	@$(PYTEST) -q tests/unit/test_project.py tests/shell/test_lint.py

bench: build/.bench-packages $(VENV)/.complete ## Measure against the other tools, as root: [N=10 rounds] [ONLY=bookworm|sid]
	@$(VENV)/bin/python -m tests.bench -n $(N) $(if $(ONLY),--only $(ONLY))
	@$(SRBUILD) sysroot create $(SYSROOT) --every-module
	@$(VENV)/bin/python -m tests.bench.scale

bench-boot: build/.test-packages $(VENV)/.complete ## Time boots beside a minimal init made by hand: [N=10 rounds] [ONLY=iscsi|nfs]
	@$(SRBUILD) sysroot create $(SYSROOT) --every-module
	@$(VENV)/bin/python -m tests.bench.boot -n $(N) $(if $(ONLY),--only $(ONLY))

matrix: build/.matrix-packages $(VENV)/.complete ## Run every boot test, or those of one row: [ROW=gfs2-iscsi]; write docs/rows.md
	@$(SRBUILD) sysroot create $(SYSROOT) --every-module
	@ran=0; $(PYTEST) -q -m 'matrix or boot' -p support.resume --resume build/matrix.json \
		$(if $(ROW),-k '$(ROW)') || ran=$$?; \
	$(VENV)/bin/python tests/support/rows.py build/matrix.json > build/rows.md && mv build/rows.md docs/ && exit $$ran

fuzz: $(VENV)/.fuzz ## Fuzz every parser, for a minute or [SECONDS=600]
	@cd tests && ../$(VENV)/bin/python -m fuzz --seconds '$(SECONDS)'

docs: $(VENV)/.complete ## Write what of docs/ follows from the boot modules, their list of host-specific paths and the record of boots
	@$(VENV)/bin/python tests/support/pages.py > build/options.md
	@$(VENV)/bin/python tests/support/pages.py host-files > build/host-files.md
	@$(VENV)/bin/python tests/support/combinations.py > build/combinations.md
	@$(VENV)/bin/python tests/support/rows.py > build/rows.md
	@$(SRBUILD) cluster schema > build/cluster.schema.json
	@mv build/options.md build/combinations.md build/host-files.md build/rows.md \
		build/cluster.schema.json docs/

lock: $(VENV)/.complete ## Pin the newest versions that pyproject.toml allows in requirements.lock
	@$(VENV)/bin/python -m venv --clear build/lock
	@build/lock/bin/pip --disable-pip-version-check install -q pip-tools
	@sed -n '/^#/p' requirements.lock > build/requirements.lock
	@build/lock/bin/pip-compile -q --upgrade --extra dev --build-deps-for editable --generate-hashes \
		--allow-unsafe --strip-extras --no-header --no-annotate --no-emit-options --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host -o - pyproject.toml >> build/requirements.lock
	@mv build/requirements.lock requirements.lock
	@sed -n '/^#/p' requirements-fuzz.lock > build/requirements-fuzz.lock
	@sed -n 's/^fuzz = \["\(.*\)"\]$$/\1/p' pyproject.toml | build/lock/bin/pip-compile -q --upgrade \
		--generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate --no-emit-options \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o - - >> build/requirements-fuzz.lock
	@mv build/requirements-fuzz.lock requirements-fuzz.lock

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.complete
	@$(VENV)/bin/pip --disable-pip-version-check install -q --require-hashes -r requirements-fuzz.lock
	@touch $@

clean: ## Remove all that was made, the virtual environment too
	@rm -rf build $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf '{}' +

build/.%-packages: Makefile .ci/need
	@mkdir -p $(@D)
	@.ci/need $($(shell echo '$*' | tr a-z A-Z)_PACKAGES)
	@touch $@

$(VENV)/.complete: requirements.lock pyproject.toml | build/.image-packages
	@$(if $(PYTHON),,echo 'no Python 3.11 or newer with the venv module' >&2; exit 1)
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip --disable-pip-version-check install -q --require-hashes -r requirements.lock
	@$(VENV)/bin/pip --disable-pip-version-check install -q --no-deps --no-build-isolation -e .
	@touch $@
