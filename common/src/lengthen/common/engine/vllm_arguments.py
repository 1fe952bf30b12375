"""The arguments of vLLM's engine, from the config."""

from __future__ import annotations

from typing import Any

from lengthen.common.config.load import Config
from lengthen.common.model.adapter import Adapter
from lengthen.common.process.errors import UserError


def engine_arguments(config: Config, adapters: list[Adapter], on_cpu: bool) -> dict[str, Any]:
    """For `vllm.EngineArgs`. `adapters` are those that vLLM applies itself, not a merged one."""
    arguments: dict[str, Any] = {
        "model": str(config.model.path),
        "trust_remote_code": False,
        "load_format": "safetensors",
        "use_tqdm_on_load": False,
        "dtype": config.model.dtype,
        "max_model_len": config.model.max_model_len,
        "max_num_seqs": config.engine.max_num_seqs,
        "enforce_eager": config.engine.enforce_eager,
        "gpu_memory_utilization": config.engine.gpu_memory_utilization,
        "tensor_parallel_size": config.engine.tensor_parallel_size,
        "distributed_executor_backend": "uni" if config.engine.tensor_parallel_size == 1 else None,
        "enable_prefix_caching": True,
        # A weak model may generate white space between the parts of a document without end.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    }
    if adapters:
        rank = _max_lora_rank(max(adapter.rank for adapter in adapters))
        arguments |= {"enable_lora": True, "max_loras": len(adapters), "max_lora_rank": rank}
    return arguments | (_on_cpu(config.model.max_model_len) if on_cpu else {})


def _on_cpu(context_tokens: int) -> dict[str, Any]:
    """Our sampling and kernels, and no chunked prefill: after a chunk, vLLM 0.32 resets the offset of the request's seeded generator,
    which a CPU generator does not have ("CPU Generator does not use offset"). Prompts of 8,192 tokens in one step leave the CPU's
    cache: 39,000 tokens took 17 s, with 4,096 or fewer in a step 14 s."""
    from lengthen.common.engine.cpu_kernels import PRIORITY
    from lengthen.common.engine.cpu_sampling import RepetitionPenalty, TopKTopP

    return {
        "logits_processors": [RepetitionPenalty, TopKTopP],
        "ir_op_priority": PRIORITY,
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(context_tokens, 4096),
    }


def _max_lora_rank(rank: int) -> int:
    """The smallest `max_lora_rank` of vLLM for an adapter of this rank."""
    for offered in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= offered:
            return offered
    raise UserError(f"the adapter's rank {rank} is more than vLLM supports (512); train one with a smaller finetune.lora.r")
