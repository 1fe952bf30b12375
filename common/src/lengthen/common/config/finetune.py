"""Settings of finetune, in two parts: what is learned (`finetune`), and on which devices (`finetune.runtime`)."""

from __future__ import annotations

from typing import Literal

from lengthen.common.config.section import Count, NotNegative, Positive, Section, Share, runtime_setting, setting
from pydantic import model_validator


class Lora(Section):
    """The adapter's shape; the names are PEFT's."""

    r: Count = setting(8, "Rank. Paper: not set, so its trainer's default of 8.")
    lora_alpha: Count = setting(16, "Scaling: the adapter's output is multiplied by lora_alpha / r. Paper: its trainer's default of 16.")
    lora_dropout: Share = setting(
        0.0, "Dropout on the adapter's input. Above 0 its masks depend on per_device_train_batch_size and sequence_parallel_size."
    )
    target_modules: Literal["all-linear"] | list[str] = setting("all-linear", "Layers with an adapter. Paper: all linear layers.")


class Runtime(Section):
    """On which devices a training runs: memory and speed. A training resumes from its checkpoints with other values too."""

    nproc_per_node: Count = runtime_setting(1, "Processes on each machine, one per GPU; torchrun's `nproc_per_node`.")
    per_device_train_batch_size: Count = runtime_setting(1, "Rows in one forward pass of one process.")
    sequence_parallel_size: Count = runtime_setting(
        1, "Processes that each row is split over, if one has too little memory (DeepSpeed-Ulysses)."
    )
    deepspeed: Literal["zero2", "zero3", "zero3_offload"] = runtime_setting(
        "zero3_offload", "DeepSpeed's ZeRO stage, with or without offload to the CPU. Paper: ZeRO-3 with offload."
    )
    gradient_checkpointing: bool = runtime_setting(True, "Recompute activations in the backward pass: less memory, about a third slower.")
    deterministic: bool = runtime_setting(
        True,
        "Repeated and resumed trainings end with the same bits, on a GPU too. false: attention's backward pass on a GPU is faster, and its "
        "rounding differs each time.",
    )
    save_steps: Count = runtime_setting(50, "Steps between two checkpoints.")

    @model_validator(mode="after")
    def _processes_can_share_rows(self) -> Runtime:
        sharing, processes = self.sequence_parallel_size, self.nproc_per_node
        if max(sharing, processes) % min(sharing, processes):
            raise ValueError("sequence_parallel_size must divide nproc_per_node, or be a multiple of it on several machines")
        return self

    @property
    def rows_at_once(self) -> int:
        """Rows in one forward pass of all of a machine's processes."""
        return self.per_device_train_batch_size * max(1, self.nproc_per_node // self.sequence_parallel_size)


class Finetune(Section):
    """What the adapters are trained on, and how. Settings of Transformers and DeepSpeed have the names they have there."""

    length_biased_selection: bool = setting(True, "Remove short expansions, with higher probability the shorter they are. Paper: yes.")
    max_similarity: Share = setting(0.8, "Of two expansions that are more similar than this, one is removed; 1: none.")
    earlier_share: Share = setting(
        0.0, "Share of the rows of earlier iterations that is trained on again, to reduce forgetting. Paper: none."
    )
    short_share: Share = setting(
        0.0,
        "Share of rows that train the generator on the short answer instead, to keep short answers possible. Paper: none.",
    )
    drop_lines: Share = setting(0.2, "Share of the lines of the extender's draft that are removed. Paper: 0.2.")
    max_tokens_generator: Count = setting(
        32768,
        "Longest row of generator and writer in tokens; longer rows are rejected, never cut. An expansion can have twice "
        "expand.sampling.max_tokens. Paper: 16,384, cut.",
    )
    max_tokens_extender: Count = setting(32768, "Longest row of the extender in tokens: draft and expansion together. Paper: 16,384, cut.")
    max_over_long_share: Share = runtime_setting(0.05, "Stop when a larger share of the rows is too long.")
    lora: Lora = setting(Lora(), "The adapter.")
    num_train_epochs: Positive = setting(4.0, "Passes over the rows. Paper: 4.")
    learning_rate: Positive = setting(1e-4, "Peak learning rate of AdamW. Paper: 1e-4.")
    warmup_ratio: Share = setting(0.1, "Share of the steps in which the learning rate rises. Paper: 0.1.")
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = setting("cosine", "Learning rate after the warm-up. Paper: cosine.")
    max_grad_norm: NotNegative = setting(1.0, "Gradients are scaled down to this norm; 0: no clipping.")
    train_batch_size: Count = setting(8, "Rows in one step, over all devices. Paper: 1 per GPU on 8 GPUs.")
    validation_share: float = setting(
        0.05, "Share of the instructions whose rows are used for the validation loss instead of training.", ge=0, lt=1
    )
    runtime: Runtime = runtime_setting(Runtime(), "Devices, memory and speed.")

    @model_validator(mode="after")
    def _step_is_a_multiple(self) -> Finetune:
        if self.train_batch_size % self.runtime.rows_at_once:
            raise ValueError(
                "train_batch_size must be a multiple of runtime.per_device_train_batch_size x nproc_per_node / sequence_parallel_size"
            )
        return self
