"""What is refused before any row is read: inputs and adapters that don't fit, and ranks that can't share the work."""

from __future__ import annotations

import json
from pathlib import Path

from lengthen.common.errors import UserError
from lengthen.common.job import Job
from lengthen.common.model import ModelFolder
from lengthen.common.store.reader import Dataset
from lengthen.finetune.launch import machines


def check_inputs(datasets: list[Dataset], role: str) -> None:
    """Each row once; and one release, whose test split no other one may train on.

    Raises:
        UserError: the same rows twice, or several releases.
    """
    if role == "writer" and len(datasets) > 1:
        raise UserError("--input: the writer learns one release, whose test split it never sees; give one dataset")
    found: dict[str, Dataset] = {}
    for dataset in datasets:
        twin = found.setdefault(dataset.manifest.content_digest, dataset)
        if twin is not dataset:
            raise UserError(f"--input {dataset.folder} and {twin.folder} hold the same rows; give one of them")


def check_adapter(job: Job) -> None:
    """An adapter goes on training with the shape it has.

    Raises:
        UserError: it has another shape, or one that vLLM can't serve.
    """
    if job.adapter is None:
        return
    found, wanted = json.loads((job.adapter.path / "adapter_config.json").read_text()), job.config.finetune.lora
    if found.get("use_dora"):
        raise UserError(f"{job.adapter.path} is a DoRA adapter, which vLLM can't serve; give a LoRA one")
    theirs = (found["r"], found["lora_alpha"], found.get("use_rslora", False))
    if theirs != (wanted.rank, wanted.alpha, wanted.rslora):
        raise UserError(
            f"finetune.lora: rank {wanted.rank}, alpha {wanted.alpha}, rslora {wanted.rslora}, but {job.adapter.path} has "
            f"{theirs[0]}, {theirs[1]}, {theirs[2]}; training goes on with an adapter's own shape: set the config to it"
        )
    if isinstance(wanted.target_modules, list) and set(wanted.target_modules) != set(found["target_modules"]):
        raise UserError(
            f"finetune.lora.target_modules: {', '.join(sorted(wanted.target_modules))}, but {job.adapter.path} has "
            f"{', '.join(sorted(found['target_modules']))}; training goes on with an adapter's own: set the config to them"
        )


def check_ranks(job: Job, model: ModelFolder) -> None:
    """The config knows the ranks of one machine; here is how many machines there are, and the model's heads.

    Raises:
        UserError: a step's rows, or a row's attention heads, can't be divided among them, or they share no folder.
    """
    settings = job.config.finetune
    if machines() > 1 and not isinstance(job.output, Path):
        raise UserError(f"--output {job.output}: several machines meet in a folder that all of them see; give one, not a bucket")
    sharing, ranks = settings.sequence_parallel, settings.processes * machines()
    if ranks % sharing:
        raise UserError(f"finetune.sequence_parallel: {ranks} ranks (processes x machines) can't be divided into groups of {sharing}")
    at_once = settings.rows_per_device * ranks // sharing
    if settings.rows_per_step % at_once:
        raise UserError(
            f"finetune.rows_per_step: {settings.rows_per_step} is no multiple of rows_per_device x processes x machines / "
            f"sequence_parallel ({settings.rows_per_device} x {settings.processes} x {machines()} / {sharing}); "
            f"set it to a multiple of {at_once}"
        )
    if sharing > 1:
        _check_heads(model, sharing)


def _check_heads(model: ModelFolder, sharing: int) -> None:
    """The ranks that share a row have some heads each; DeepSpeed's exchange drops the masks that only some tokens see."""
    shape = json.loads((model.path / "config.json").read_text())
    shape = shape.get("text_config", shape)
    layers = set(shape.get("layer_types") or [])
    window = shape.get("sliding_window") and shape.get("use_sliding_window", True)
    if layers - {"full_attention"} or (window and not layers):
        raise UserError(f"finetune.sequence_parallel: {model.path} doesn't attend to all tokens in every layer; set it to 1")
    heads = shape.get("num_attention_heads", 0)
    keys = shape.get("num_key_value_heads") or heads
    possible = [n for n in range(1, heads + 1) if heads % n == 0 and (keys % n == 0 or n % keys == 0)]
    if sharing not in possible:
        raise UserError(
            f"finetune.sequence_parallel: {sharing} ranks can't share {heads} attention heads and {keys} of keys and values; "
            f"for {model.path} it may be {', '.join(map(str, possible)) or 1}"
        )
