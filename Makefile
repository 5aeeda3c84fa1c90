# make demo          set everything up, stream a spoken sentence through the pipeline, show it
# make run ARGS=…    start the server (deploy/stt-server ARGS…)
# make observe       the same with Prometheus beside it (deploy/observability)
# make test          check, and every test beside it (WORKERS=3 at a time: most of them wait)
# make check         ruff, mypy --strict, and known vulnerabilities where the service answers
# make audit         known vulnerabilities of every pinned package; make sbom: dist/sbom.json (CycloneDX)
# make bench         the measurements, about half an hour; bench-quick: a minute, without live speech
# make test-containers  the image and the compose file, on a Docker engine of its own (as root)
# make image         the image (CUDA=1 for GPUs), with PIP_CONF= and CA_CERT= as build secrets
# make soak          kills processes for MINUTES=10 while clients stream
# make fuzz          random input for all that a stranger sends, for MINUTES=10 together
# make setup         only the set-up; make clean: start afresh; make lock: pin dependencies again
#
# Each verb makes .venv if it is missing. PYTHON= names an interpreter; TORCH=, TORCH_INDEX= and
# CUDA=1 choose another build of torch, once: see deploy/set-up.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo run observe test suite test-containers image check bench bench-quick soak fuzz \
    setup setup-dev lock audit sbom clean

comma := ,
ARGS ?=
MINUTES ?= 10
PYTEST_ARGS ?=
WORKERS ?= 3
CODE := $(wildcard common gateway verifier transcriber deploy tests)
RUN := .venv/bin/python
export PYTHON TORCH TORCH_INDEX CUDA PIP_ARGS

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup:
	@deploy/set-up runtime

setup-dev:
	@deploy/set-up dev

demo: setup
	@$(RUN) -m deploy.demo $(ARGS)

run: setup
	@deploy/stt-server $(ARGS)

observe: setup
	@deploy/set-up services
	@$(RUN) -m deploy.observe $(ARGS)

check: setup-dev
	@echo "check: ruff check"; $(RUN) -m ruff check $(CODE)
	@echo "check: ruff format"; $(RUN) -m ruff format --check $(CODE)
	@echo "check: mypy --strict"; $(RUN) -m mypy --strict $(CODE)
	@$(RUN) -m deploy.audit || [ $$? = 3 ]

# Hundreds of processes start in a run; each would compile what it imports where nothing may be kept.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup-dev
	@$(MAKE) --no-print-directory -j2 check suite

suite: setup-dev
	@deploy/set-up browser
	@deploy/set-up services
	@$(RUN) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

test-containers: setup-dev
	@deploy/set-up containers
	@$(RUN) -m tests.containers $(ARGS)

image:
	@DOCKER_BUILDKIT=1 docker build -f deploy/Dockerfile -t verified-stt \
	    --build-arg REVISION="$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
	    $(foreach name,BASE TORCH TORCH_INDEX CUDA,$(if $($(name)),--build-arg $(name)=$($(name)))) \
	    $(if $(PIP_CONF),--secret id=pip.conf$(comma)src=$(PIP_CONF)) \
	    $(if $(CA_CERT),--secret id=ca.crt$(comma)src=$(CA_CERT)) .

bench: setup-dev
	@$(RUN) -m tests.bench $(ARGS)

bench-quick: setup-dev
	@$(RUN) -m tests.bench --quick $(ARGS)

soak: setup-dev
	@$(RUN) -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

fuzz:
	@deploy/set-up fuzz
	@$(RUN) -m tests.fuzz --minutes $(MINUTES) $(ARGS)

lock:
	@deploy/lock

audit: setup-dev
	@$(RUN) -m deploy.audit

sbom: setup-dev
	@mkdir -p dist
	@cat deploy/requirements/runtime.txt deploy/requirements/no-deps.txt | $(RUN) -m cyclonedx_py \
	    requirements - --pyproject pyproject.toml --output-reproducible --short-PURLs \
	    --validate --output-file dist/sbom.json
	@echo "sbom: dist/sbom.json (torch, whose build is chosen at the set-up, is $$(cat .venv/.torch))"

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist .fuzz *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
