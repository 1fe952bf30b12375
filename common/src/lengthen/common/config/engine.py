"""Settings of the model, the engine that generates with it, and the store: `model`, `engine`, `echo`, `store`, `sampling`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lengthen.common.config.section import Count, NotNegative, Positive, Section, Share, check_url, runtime_setting, setting
from pydantic import Field, field_validator


class Model(Section):
    """The base model."""

    path: Path = Field(strict=False, description="Folder of the base model: safetensors, tokenizer and chat template.")
    max_model_len: int = setting(
        32768, "Context length in tokens, prompt and answer together; vLLM's `max_model_len`. Paper: 32,768.", ge=16
    )
    dtype: Literal["bfloat16", "float16", "float32"] = setting("bfloat16", "Precision of the weights in generation and training.")


class Endpoint(Section):
    """An OpenAI-compatible API that serves `model.path` (`--engine openai`)."""

    url: str = runtime_setting(..., "Base URL, such as http://localhost:8000/v1.")
    model: str = runtime_setting(..., "The model's name at the endpoint.")
    api_key_variable: str | None = runtime_setting(None, "NAME of the environment variable that holds the API key; never the key itself.")
    timeout_seconds: Positive = runtime_setting(600.0, "Read timeout of a request, in seconds.")
    max_retries: int = runtime_setting(5, "Retries of a request that timed out, broke off, or reached a failing server.", ge=0)

    _url_holds_no_password = field_validator("url")(check_url)


class Engine(Section):
    """How the engine runs: speed and memory, not which text is generated. The names are vLLM's."""

    rows_in_flight: Count = runtime_setting(256, "Rows processed at the same time; each has one request in the engine at a time.")
    max_num_seqs: Count = runtime_setting(256, "Requests that vLLM decodes at the same time.")
    attempts_ahead: bool = runtime_setting(
        True,
        "When no row waits, free places get further attempts of the rows that are left. The last rows are done sooner, and are the "
        "same; attempts that turn out unneeded cost tokens. false where each token is paid for, and on a CPU.",
    )
    enforce_eager: bool = runtime_setting(True, "false compiles the model: a start of about a minute, then more tokens per second.")
    cpu_kvcache_space_gib: Count = runtime_setting(4, "KV cache on a CPU, in GiB; vLLM's VLLM_CPU_KVCACHE_SPACE.")
    gpu_memory_utilization: Share = runtime_setting(0.9, "Share of each GPU's memory that vLLM may use.")
    tensor_parallel_size: Count = runtime_setting(1, "GPUs that the model's weights are split over.")
    endpoint: Endpoint | None = runtime_setting(None, "The server for `--engine openai`.")


class Echo(Section):
    """Properties of the texts of `--engine echo`, which needs no model."""

    words: Count = setting(120, "Words of an answer, plus or minus 30 %.")
    growth: NotNegative = setting(0.9, "Additional words of an answer for each word of the prompt.")
    loop_share: Share = setting(0.0, "Share of answers that repeat themselves until the end.")
    cut_share: Share = setting(0.0, "Share of answers that end in mid-sentence.")
    latency_seconds: NotNegative = setting(0.0, "Seconds that each request takes.")


class Store(Section):
    """How datasets are written."""

    flush_seconds: Positive = runtime_setting(10.0, "Seconds after which finished work is saved: the most work that SIGKILL can lose.")
    flush_rows: Count = runtime_setting(1000, "Finished work is saved when this number of rows or calls is unsaved.")
    grace_seconds: NotNegative = runtime_setting(10.0, "Seconds that in-flight requests may take to finish after SIGTERM.")
    lease_seconds: Positive = runtime_setting(60.0, "Seconds without a heartbeat after which another process may take over a dataset.")


class Sampling(Section):
    """How the engine samples; the names are vLLM's. Paper: temperature 0.7, top_p 0.8, top_k 20, repetition_penalty 1.1."""

    temperature: NotNegative = setting(0.7, "Sampling temperature; 0 is greedy. Paper: 0.7.")
    top_p: float = setting(0.8, "Nucleus sampling: the smallest set of tokens with this total probability. Paper: 0.8.", gt=0, le=1)
    top_k: int = setting(20, "Sample among the k most likely tokens; 0: all. Paper: 20.", ge=0)
    repetition_penalty: Positive = setting(1.1, "Above 1 it makes tokens of prompt and answer less likely. Paper: 1.1.")
    max_tokens: Count = setting(16384, "Maximum tokens of one answer. Paper: 16,384.")
