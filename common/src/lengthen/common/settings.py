"""The sections of a run's configuration: every setting, its bounds and its default, which are the paper's (arXiv 2410.23933).

`engine` and `store` hold what may change between two runs of the same data: they are no part of a dataset's fingerprint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Language = Literal["en", "zh"]  # the rows of `text.languages.LANGUAGES`


def plain_url(url: str) -> str:
    if not url.startswith(("http://", "https://")) or "@" in url:
        raise ValueError("url must begin with http:// or https:// and hold no password")
    return url


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Model(Section):
    path: Path = Field(strict=False)  # a folder of safetensors with its tokenizer and chat template
    context_tokens: Annotated[int, Field(ge=16)] = 32768  # prompt and answer together
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"


class Endpoint(Section):
    """An OpenAI-compatible API that serves `model.path` (`--engine openai`)."""

    url: str  # such as http://localhost:8000/v1
    model: str  # its name there
    api_key_variable: str | None = None  # the NAME of the environment variable that holds the key
    timeout_seconds: Annotated[float, Field(gt=0)] = 600.0  # without a sign of life
    retries: Annotated[int, Field(ge=0)] = 5  # of a request that timed out, broke off or met a busy or failing server

    @field_validator("url")
    @classmethod
    def _url_holds_no_password(cls, url: str) -> str:
        return plain_url(url)


class Engine(Section):
    """How the engine runs: speed and memory, never which text is wanted."""

    rows_in_flight: Count = 256  # rows worked on at once; each has one request in the engine at a time
    sequences: Count = 256  # requests the engine decodes at once
    eager: bool = True  # False compiles the model: a start of a minute, then more tokens/s
    cpu_cache_gib: Count = 4  # KV cache on a CPU
    gpu_memory_share: Share = 0.9  # of each GPU, on a GPU
    tensor_parallel: Count = 1  # GPUs one engine is spread over
    endpoint: Endpoint | None = None  # for `--engine openai`


class Echo(Section):
    """Dials of the engine without a model (`--engine echo`)."""

    words: Count = 120  # of an answer, +- 30 %
    growth: Annotated[float, Field(ge=0)] = 0.9  # further words for each word of the prompt
    loop_share: Share = 0.0  # answers that fall into a loop
    cut_share: Share = 0.0  # answers that break off
    latency_seconds: Annotated[float, Field(ge=0)] = 0.0


class Store(Section):
    flush_seconds: Annotated[float, Field(gt=0)] = 10.0  # the most finished work that a kill can cost
    flush_rows: Count = 1000
    grace_seconds: Annotated[float, Field(ge=0)] = 10.0  # after SIGTERM, for the engine calls under way; those that end are kept
    lease_seconds: Annotated[float, Field(gt=0)] = 60.0  # a writer that is silent for longer may be replaced


class Sampling(Section):
    temperature: Annotated[float, Field(ge=0)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.8
    top_k: Annotated[int, Field(ge=0)] = 20  # 0: no limit
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.1
    max_tokens: Count = 16384


class Check(Section):
    """When a text is refused (`lengthen.common.text.check`)."""

    max_repetition: Share = 0.05  # share of words inside an n-gram that stood before
    max_repeated_lines: Share = 0.1  # share of characters in lines that stood before, list marks and numbers aside
    loop_words: Count = 40  # a run of so many words that all stood before is a loop; in Chinese 1.3 times as many characters
    max_foreign: Share = 0.3  # share of words in another script than the instruction's language has
    min_words: Count = 50


class Augment(Section):
    instructions: Count = 5000  # new ones an iteration
    examples: Count = 2  # shown in a prompt
    attempts: Count = 10  # for one slot
    min_words: Count = 4
    max_words: Count = 499
    min_suitability: Share = 0.5  # the judge's p(yes) / (p(yes) + p(no))
    max_similarity: Share = 0.7  # to any other instruction: Jaccard similarity, estimated by MinHash
    max_benchmark_overlap: Share = 0.5  # with any benchmark prompt: share of the shorter one's word 3-grams
    grow_pool: bool = True  # accepted instructions become examples too; False: only seeds are shown
    max_rejected_share: Share = 1.0
    sampling: Sampling = Sampling(max_tokens=512)


class Generate(Section):
    responses: Count = 2  # answers an instruction
    attempts: Count = 20
    max_rejected_share: Share = 1.0
    sampling: Sampling = Sampling()


class Expand(Section):
    extensions: Count = 2  # of one response
    rounds: Count = 3  # in an attempt
    attempts: Count = 20
    min_growth: Annotated[float, Field(gt=1)] = 1.2  # words of the expansion / words of the response
    target_growth: Annotated[float, Field(gt=1)] | None = None  # stop an attempt's rounds once it is reached
    length_biased_selection: bool = True
    max_similarity: Share = 0.8  # of two responses: more, and one of them is left out; 1: none is
    max_rejected_share: Share = 1.0
    sampling: Sampling = Sampling(repetition_penalty=1.0)  # the draft's words have to be kept


class Lora(Section):
    rank: Count = 8
    alpha: Count = 16
    dropout: Share = 0.0
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    rslora: bool = False


class Finetune(Section):
    length_biased_selection: bool = True
    max_similarity: Share = 0.8  # of two expansions: more, and one of them is left out; 1: none is
    earlier_share: Share = 0.0  # rows of earlier iterations' expansions (further --input) that take part
    short_share: Share = 0.0  # rows that teach the generator the short answer instead, against forgetting it
    drop_lines: Share = 0.2  # lines of the extender's draft that are left out
    max_tokens_generator: Count = 16384  # of the writer's rows too: they are of the same shape
    max_tokens_extender: Count = 32768  # its rows hold the draft and the expansion
    max_over_long_share: Share = 0.05
    lora: Lora = Lora()
    epochs: Annotated[float, Field(gt=0)] = 4.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    warmup_ratio: Share = 0.1
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    rows_per_step: Count = 8  # over all devices
    rows_per_device: Count = 1
    processes: Count = 1  # on each machine: one a GPU
    sequence_parallel: Count = 1  # processes that share each row, where it is too long for one
    deepspeed: Literal["zero2", "zero3", "zero3_offload"] = "zero3_offload"
    gradient_checkpointing: bool = True
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    checkpoint_steps: Count = 50

    @model_validator(mode="after")
    def _step_is_whole(self) -> Finetune:
        sharing, processes = self.sequence_parallel, self.processes
        if max(sharing, processes) % min(sharing, processes):
            raise ValueError("sequence_parallel must divide processes, or be a multiple of them on several machines")
        if self.rows_per_step % (self.rows_per_device * max(1, processes // sharing)):
            raise ValueError("rows_per_step must be a multiple of rows_per_device x processes / sequence_parallel")
        return self


class Judge(Section):
    """Who judges quality: the base model in this process (`model: self`), or a model behind an OpenAI-compatible endpoint."""

    model: str = "self"
    url: str | None = None  # such as http://localhost:8000/v1
    api_key_variable: str | None = None  # the NAME of the environment variable that holds the key
    context_tokens: Annotated[int, Field(ge=512)] = 32768  # longer answers are judged by section; at most model.context_tokens for `self`
    analysis_words: Count = 60  # that the judge may write before its scores
    attempts: Count = 3  # at a reply that can be read
    by_tenth: bool = False  # judge each tenth of a text too: ten more calls an answer
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0  # of one request
    retries: Annotated[int, Field(ge=0)] = 5  # of a request that timed out or met a busy or failing server
    input_price: Annotated[float, Field(ge=0)] = 0.0  # of a million tokens
    output_price: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> Judge:
        if (self.model == "self") != (self.url is None):
            raise ValueError("give `model: self` alone, or the url of an endpoint with the name that its model has there")
        if self.url is not None:
            plain_url(self.url)
        return self


class Evaluate(Section):
    # Words that the built-in benchmark asks for: its short, middle and long range.
    lengths: Annotated[list[list[Count]], Field(min_length=3, max_length=3)] = [[2000, 4000], [4000, 6000], [6000, 8000]]
    samples: Count = 1  # answers a prompt
    ruler: list[Count] = [500, 1000, 2000, 4000, 8000, 16000]  # words asked for, to see how many are written; []: no ruler
    guard: bool = True  # the loss on a few short answers, so that forgetting shows
    data_rows: Count = 500  # of a dataset given with --input
    judge: Judge | None = None
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _ranges_rise(self) -> Evaluate:
        if any(len(ends) != 2 or ends[0] >= ends[1] for ends in self.lengths):
            raise ValueError("lengths must be three pairs [from, to] with from < to")
        return self


class Kinds(Section):
    """Shares of the kinds of length demands; together 1."""

    about: Share = 0.40
    range: Share = 0.25
    above: Share = 0.10
    below: Share = 0.25

    @model_validator(mode="after")
    def _shares_are_all(self) -> Kinds:
        if abs(sum(self.model_dump().values()) - 1) > 1e-6:
            raise ValueError("the shares of about, range, above and below must add up to 1")
        return self


class Release(Section):
    """The dataset with length demands that comes after the last iteration (`make release`)."""

    instructions: Count = 5000  # new ones, for the final generator; the paper's 10 x 500
    iterations: list[Count] | None = None  # whose rows are collected (the final pass after N counts as N + 1); null: all
    min_words: Annotated[int, Field(ge=2)] = 2000  # of an answer
    answers: Count = 2  # of one instruction, at most
    prefer: Literal["longest", "balanced"] = "longest"  # of several answers; balanced: the length that is rarest so far
    max_similarity: Share = 0.8  # of two answers, and of two instructions: more, and one of them is left out; 1: none is
    min_quality: Annotated[float, Field(ge=1, le=10)] = 6.0  # a judge's mean grade, of the rows that have one
    without_demand: Share = 0.1  # rows that stay without one, so that the writer knows plain instructions too
    kinds: Kinds = Kinds()
    attempts: Annotated[int, Field(ge=0)] = 3  # at rewriting an instruction with its demand; then it is inserted or put beside
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.02  # of the instructions, at least one: kept from training
    sampling: Sampling = Sampling(repetition_penalty=1.0, max_tokens=1024)  # the instruction's words have to be kept
