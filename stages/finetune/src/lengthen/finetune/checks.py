"""What is refused before any row is read: inputs and adapters that don't fit, and ranks that can't divide the work."""

from __future__ import annotations

import json
from pathlib import Path

from lengthen.common.model.folder import ModelFolder
from lengthen.common.process.errors import UserError
from lengthen.common.stage.job import Job
from lengthen.common.store.reader import Dataset
from lengthen.finetune.machines import machine_count


def check_inputs(datasets: list[Dataset], role: str) -> None:
    """Each row once; and one release only, so that no row of its test split is another one's training row.

    Raises:
        UserError: duplicate inputs, or several releases.
    """
    if role == "writer" and len(datasets) > 1:
        raise UserError("--input: the writer learns one release, whose test split it never sees; give one dataset")
    found: dict[str, Dataset] = {}
    for dataset in datasets:
        twin = found.setdefault(dataset.manifest.content_digest, dataset)
        if twin is not dataset:
            raise UserError(f"--input {dataset.folder} and {twin.folder} hold the same rows; give one of them")


def check_adapter(job: Job) -> None:
    """Training continues with the shape that an adapter has.

    Raises:
        UserError: it has another shape than the config's, or one that can't be trained or served.
    """
    if job.adapter is None:
        return
    found, wanted = json.loads((job.adapter.path / "adapter_config.json").read_text()), job.config.finetune.lora
    if found.get("use_dora"):
        raise UserError(f"{job.adapter.path} is a DoRA adapter, which vLLM can't serve; give a LoRA one")
    if found.get("use_rslora"):
        raise UserError(f"{job.adapter.path} is an rsLoRA adapter, which is not supported; give a LoRA one, or train a new one")
    if (found["r"], found["lora_alpha"]) != (wanted.r, wanted.lora_alpha):
        raise UserError(
            f"finetune.lora: r {wanted.r}, lora_alpha {wanted.lora_alpha}, but {job.adapter.path} has r {found['r']}, lora_alpha "
            f"{found['lora_alpha']}; training continues with an adapter's own shape: set the config to it"
        )
    if isinstance(wanted.target_modules, list) and set(wanted.target_modules) != set(found["target_modules"]):
        raise UserError(
            f"finetune.lora.target_modules: {', '.join(sorted(wanted.target_modules))}, but {job.adapter.path} has "
            f"{', '.join(sorted(found['target_modules']))}; training continues with an adapter's own: set the config to them"
        )


def check_ranks(job: Job) -> None:
    """The config knows the ranks of one machine; here the number of machines and the model's heads are known too.

    Raises:
        UserError: a step's rows, or a row's attention heads, can't be divided among the ranks, or the machines share no folder.
    """
    settings, runtime = job.config.finetune, job.config.finetune.runtime
    machines, processes, sharing = machine_count(), runtime.nproc_per_node, runtime.sequence_parallel_size
    if machines > 1 and not isinstance(job.output, Path):
        raise UserError(f"--output {job.output}: several machines need a folder that all of them see; give one, not a bucket")
    ranks = processes * machines
    if ranks % sharing:
        raise UserError(
            f"finetune.runtime.sequence_parallel_size: {ranks} ranks (nproc_per_node x machines) can't be divided into groups of {sharing}"
        )
    rows_at_once = runtime.per_device_train_batch_size * ranks // sharing
    if settings.train_batch_size % rows_at_once:
        raise UserError(
            f"finetune.train_batch_size: {settings.train_batch_size} is not a multiple of per_device_train_batch_size x nproc_per_node x "
            f"machines / sequence_parallel_size ({runtime.per_device_train_batch_size} x {processes} x {machines} / {sharing}); "
            f"set it to a multiple of {rows_at_once}"
        )
    if sharing > 1:
        _check_heads(job.model, sharing)


def _check_heads(model: ModelFolder, sharing: int) -> None:
    """Each rank that shares a row computes some of its heads. DeepSpeed-Ulysses ignores masks such as a sliding window's."""
    shape = json.loads((model.path / "config.json").read_text())
    shape = shape.get("text_config", shape)
    layers = set(shape.get("layer_types") or [])
    window = shape.get("sliding_window") and shape.get("use_sliding_window", True)
    if layers - {"full_attention"} or (window and not layers):
        raise UserError(f"finetune.runtime.sequence_parallel_size: {model.path} doesn't attend to all tokens in every layer; set it to 1")
    heads = shape.get("num_attention_heads", 0)
    keys = shape.get("num_key_value_heads") or heads
    possible = [n for n in range(1, heads + 1) if heads % n == 0 and (keys % n == 0 or n % keys == 0)]
    if sharing not in possible:
        raise UserError(
            f"finetune.runtime.sequence_parallel_size: {sharing} ranks can't share {heads} attention heads and {keys} of keys and values; "
            f"for {model.path} it may be {', '.join(map(str, possible)) or 1}"
        )
