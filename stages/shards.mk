# The shards of one stage side by side on this machine, then their seal. The Makefile runs it for a stage with SHARDS=2 or more:
#   OUTPUT=DIR COMMAND='.venv/bin/python -m lengthen.generate …' make -f stages/shards.mk --jobs 8 --keep-going SHARDS=8
# A file of its own, because there one stage runs after the other (.NOTPARALLEL), and Make has no parallel part of a file.
SHELL := /bin/bash
.SUFFIXES:
TARGETS := $(patsubst %,shard-%,$(shell seq 0 $(SHARDS) | head -n -1))

.PHONY: sealed $(TARGETS)
ifneq ($(wildcard $(OUTPUT)/.manifest.json),)
# Sealed, or made without shards: the stage itself says whether it is the dataset that is wanted.
sealed:
	@$(COMMAND)
else
sealed: $(TARGETS)
	@.venv/bin/python -m lengthen.common.dataset seal $(OUTPUT)
endif

$(TARGETS): shard-%:
	@LENGTHEN_PROGRESS=lines .venv/bin/python stages/own_devices.py $*/$(SHARDS) $(COMMAND)
