"""Settings of earlier versions, for error messages that name the replacement."""

from __future__ import annotations

RENAMED = {
    "model.context_tokens": "model.max_model_len",
    "engine.sequences": "engine.max_num_seqs",
    "engine.eager": "engine.enforce_eager",
    "engine.cpu_cache_gib": "engine.cpu_kvcache_space_gib",
    "engine.gpu_memory_share": "engine.gpu_memory_utilization",
    "engine.tensor_parallel": "engine.tensor_parallel_size",
    "engine.endpoint.retries": "engine.endpoint.max_retries",
    "evaluate.guard": "evaluate.forgetting",
    "evaluate.judge.retries": "evaluate.judge.max_retries",
    "finetune.lora.rank": "finetune.lora.r",
    "finetune.lora.alpha": "finetune.lora.lora_alpha",
    "finetune.lora.dropout": "finetune.lora.lora_dropout",
    "finetune.epochs": "finetune.num_train_epochs",
    "finetune.scheduler": "finetune.lr_scheduler_type",
    "finetune.rows_per_step": "finetune.train_batch_size",
    "finetune.rows_per_device": "finetune.runtime.per_device_train_batch_size",
    "finetune.processes": "finetune.runtime.nproc_per_node",
    "finetune.sequence_parallel": "finetune.runtime.sequence_parallel_size",
    "finetune.deepspeed": "finetune.runtime.deepspeed",
    "finetune.gradient_checkpointing": "finetune.runtime.gradient_checkpointing",
    "finetune.checkpoint_steps": "finetune.runtime.save_steps",
}
REMOVED = {
    "finetune.lora.rslora": "removed; set lora_alpha for the wanted scaling",
    "release.prefer": "removed; the longest answers to an instruction are used",
    "release.iterations": "removed; give the folders of the wanted iterations with --input",
}
