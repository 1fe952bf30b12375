"""Settings of the stages that generate and evaluate text: `check`, `augment`, `generate`, `expand`, `evaluate`, `release`."""

from __future__ import annotations

from typing import Annotated

from lengthen.common.config.engine import Sampling
from lengthen.common.config.section import Count, NotNegative, Section, Share, check_url, runtime_setting, setting
from pydantic import Field, model_validator

_REJECTED = "Stop the stage when more than this share of its rows is rejected."


class Check(Section):
    """When a generated text is rejected (`lengthen.common.text.check`)."""

    max_repetition: Share = setting(
        0.05, "Maximum share of the prose's words in an n-gram that occurred before. Paper: no repeated n-gram at all."
    )
    max_repeated_lines: Share = setting(
        0.1, "Maximum share of the prose's characters in repeated lines, ignoring list markers and numbers."
    )
    loop_words: Count = setting(
        40,
        "This many words in a row that repeat the same words a third time are a loop; in Chinese 1.3 times as many characters, and in any "
        "language at least 1 % of the text so far.",
    )
    max_foreign: Share = setting(0.3, "Maximum share of words in another script than that of the instruction's language.")
    min_words: Count = setting(50, "Minimum words of a text.")


class Augment(Section):
    """The pool of instructions."""

    instructions: Count = setting(5000, "New instructions of an iteration. Paper: 5,000.")
    examples: Count = setting(2, "Example instructions shown in a prompt. Paper: 2.")
    wave: Count = setting(
        256,
        "Instructions that are proposed with examples from the same pool; those accepted are examples for the next ones. Fewer give "
        "more varied prompts; fewer than engine.rows_in_flight leave the engine idle.",
    )
    attempts: Count = setting(10, "Attempts at one instruction. Paper: 10.")
    min_words: Count = setting(4, "Minimum words of an instruction. Paper: 4.")
    max_words: Count = setting(499, "Maximum words of an instruction. Paper: 499.")
    min_suitability: Share = setting(
        0.5,
        "Minimum p(yes) / (p(yes) + p(no)) of the base model's answer to: can it guide a long text? Paper: yes or no.",
    )
    max_similarity: Share = setting(0.7, "Maximum Jaccard similarity to any other instruction, estimated by MinHash.")
    max_benchmark_overlap: Share = setting(0.5, "Maximum overlap with any benchmark prompt: share of the shorter one's word 3-grams.")
    grow_pool: bool = setting(True, "Use accepted instructions as examples too, as in the paper's Chinese variant; false: seeds only.")
    max_rejected_share: Share = runtime_setting(1.0, _REJECTED)
    sampling: Sampling = setting(Sampling(max_tokens=512), "Sampling of proposals.")


class Generate(Section):
    """Answers to the instructions."""

    responses: Count = setting(2, "Answers to an instruction. Paper: 2.")
    attempts: Count = setting(20, "Attempts at one answer. Paper: 20.")
    max_rejected_share: Share = runtime_setting(1.0, _REJECTED)
    sampling: Sampling = setting(Sampling(), "Sampling of answers.")


class Expand(Section):
    """Longer answers from the answers."""

    extensions: Count = setting(2, "Extensions of one response. Paper: 2.")
    rounds: Count = setting(3, "Rounds of two calls in an attempt. Paper: 3.")
    attempts: Count = setting(20, "Attempts at one extension. Paper: 20.")
    min_growth: float = setting(1.2, "Minimum of words of the expansion / words of the response. Paper: 1.2.", gt=1)
    target_growth: Annotated[float, Field(gt=1)] | None = setting(
        None,
        "End an attempt's rounds when the text has grown by this factor; null: all rounds, as in the paper. For small models, whose "
        "later rounds rarely make a text longer but cost as much as the first.",
    )
    length_biased_selection: bool = setting(True, "Remove short responses, with higher probability the shorter they are. Paper: yes.")
    max_similarity: Share = setting(0.8, "Of two responses that are more similar than this, one is removed; 1: none.")
    max_rejected_share: Share = runtime_setting(1.0, _REJECTED)
    sampling: Sampling = setting(
        Sampling(repetition_penalty=1.0), "Sampling of extensions; no repetition penalty: the draft's words have to be repeated."
    )


class Judge(Section):
    """Who judges quality: the base model in this process (`model: self`), or a model behind an OpenAI-compatible endpoint."""

    model: str = setting("self", "The judge's name at its endpoint; self: the base model.")
    url: str | None = setting(None, "Base URL of the judge's endpoint, such as http://localhost:8000/v1.")
    api_key_variable: str | None = runtime_setting(None, "NAME of the environment variable that holds the API key; never the key itself.")
    context_tokens: int = setting(
        32768, "The judge's context length in tokens; longer answers are judged in sections. For self at most model.max_model_len.", ge=512
    )
    analysis_words: Count = setting(60, "Maximum words that the judge writes before its grades.")
    attempts: Count = setting(3, "Attempts at a reply with the requested format.")
    by_tenth: bool = setting(
        False, "Judge each tenth of a text too, to measure whether quality falls towards the end; ten more calls per answer."
    )
    timeout_seconds: Annotated[float, Field(gt=0)] = runtime_setting(120.0, "Read timeout of a request, in seconds.")
    max_retries: int = runtime_setting(5, "Retries of a request that timed out or reached an overloaded or failing server.", ge=0)
    input_price: NotNegative = setting(0.0, "Price of a million input tokens.")
    output_price: NotNegative = setting(0.0, "Price of a million output tokens.")

    @model_validator(mode="after")
    def _endpoint_is_complete(self) -> Judge:
        if (self.model == "self") != (self.url is None):
            raise ValueError("give `model: self` without a url, or the url of an endpoint and its model's name")
        if self.url is not None:
            check_url(self.url)
        return self


class Evaluate(Section):
    """Prompts with a length demand, and measurements of the answers."""

    lengths: Annotated[list[list[Count]], Field(min_length=3, max_length=3)] = setting(
        [[2000, 4000], [4000, 6000], [6000, 8000]],
        "Words that the built-in benchmark asks for: short, middle and long range. LonGen: 2-4k, 4-6k, 6-8k.",
    )
    samples: Count = setting(1, "Answers to a prompt.")
    ruler: list[Count] = setting(
        [500, 1000, 2000, 4000, 8000, 16000],
        "Requested lengths in words, compared with the written lengths as in LongWrite-Ruler; []: none.",
    )
    forgetting: bool = setting(True, "Measure the loss on a few short answers that no stage trains on, to detect forgetting.")
    data_rows: Count = setting(500, "Rows of a dataset given with --input that are scored.")
    judge: Judge | None = setting(None, "The model that grades quality; null: none.")
    sampling: Sampling = setting(Sampling(), "Sampling of answers.")

    @model_validator(mode="after")
    def _ranges_rise(self) -> Evaluate:
        if any(len(ends) != 2 or ends[0] >= ends[1] for ends in self.lengths):
            raise ValueError("lengths must be three pairs [from, to] with from < to")
        return self


class Kinds(Section):
    """Shares of the kinds of length demands; their sum is 1. Paper: 40, 25, 10 and 25 %."""

    about: Share = setting(0.40, "About L words.")
    range: Share = setting(0.25, "L1 to L2 words.")
    above: Share = setting(0.10, "More than L words.")
    below: Share = setting(0.25, "Fewer than L words.")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Kinds:
        if abs(sum(self.model_dump().values()) - 1) > 1e-6:
            raise ValueError("the shares of about, range, above and below must add up to 1")
        return self


class Release(Section):
    """The dataset with length demands that comes after the last iteration (`make release`)."""

    instructions: Count = setting(5000, "New instructions for the final generator. Paper: 10 x 500.")
    min_words: int = setting(2000, "Minimum words of an answer. Paper: 2,000.", ge=2)
    answers: Count = setting(2, "Maximum answers to one instruction; the longest are used.")
    max_similarity: Share = setting(0.8, "Of two answers, or two instructions, that are more similar than this, one is removed; 1: none.")
    min_quality: float = setting(6.0, "Minimum mean grade by a judge, for rows that have one.", ge=1, le=10)
    without_demand: Share = setting(0.1, "Share of rows without a length demand, so that the writer learns plain instructions too.")
    kinds: Kinds = setting(Kinds(), "Shares of the kinds of demands.")
    attempts: int = setting(3, "Attempts at rewriting an instruction with its demand; then the demand is inserted or appended.", ge=0)
    test_share: float = setting(0.02, "Share of the instructions, at least one, in the test split.", gt=0, lt=1)
    sampling: Sampling = setting(
        Sampling(repetition_penalty=1.0, max_tokens=1024),
        "Sampling of rewritten instructions; no repetition penalty: their words have to be repeated.",
    )
