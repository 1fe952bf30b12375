"""The schemas of all tables: the only definition of their columns.

A table's name and version are in the metadata of the Parquet schema, so that a reader can check them.
"""

from __future__ import annotations

import pyarrow as pa
from lengthen.common.tables.schema import Table


def _table(name: str, version: int, **columns: pa.DataType) -> Table:
    fields = [pa.field(column, kind, nullable=column in _NULLABLE or column.startswith("quality")) for column, kind in columns.items()]
    return Table(name, version, pa.schema(fields, {"lengthen.table": name, "lengthen.version": str(version)}))


_NULLABLE = {"adapter", "eval_loss", "loss", "learning_rate", "grad_norm", "tokens_per_second", "suitability", "lower",
             "upper", "asked", "length_score", "s_l", "judge", "adapter_sha256_before", "parent_id", "kept_headings", "kept_names",
             "judge_note", "judge_cost", "demand", "demand_by"}  # fmt: skip
_S, _I, _F = pa.string(), pa.int64(), pa.float64()

INSTRUCTIONS = _table(
    "instructions", 3, id=_S, instruction=_S, language=_S, category=_S, source=_S, parents=pa.list_(_S), suitability=_F,
    attempts=_I, tokens=_I, digest=_S, iteration=_I, model=_S, seed=_I,
)  # fmt: skip

# `trimmed`: what was cut off before and after the text: the model's words to the user.
RESPONSES = _table(
    "responses", 2, id=_S, instruction_id=_S, instruction=_S, language=_S, response=_S, trimmed=_S, words=_I, tokens=_I,
    finish_reason=_S, attempts=_I, sample=_I, digest=_S, adapter=_S, iteration=_I, model=_S, seed=_I,
)  # fmt: skip

EXPANSIONS = _table(
    "expansions", 3, id=_S, sample=_I, finish_reason=_S, response_id=_S, instruction_id=_S, instruction=_S,
    language=_S, response=_S, expansion=_S, trimmed=_S, response_words=_I, expansion_words=_I, growth=_F, kept_headings=_F,
    kept_names=_F, rounds=_I, attempts=_I,
    tokens=_I, digest=_S, adapter=_S, iteration=_I, model=_S, seed=_I,
)  # fmt: skip

ADAPTERS = _table(
    "adapters", 1, id=_S, role=_S, base_model=_S, path=_S, sha256=_S, adapter_sha256_before=_S, rows=_I,
    rejected_rows=_I, tokens=_I, steps=_I, train_loss=_F, eval_loss=_F, iteration=_I, seed=_I,
)  # fmt: skip

TRAIN_LOG = _table(
    "train_log", 1, step=_I, epoch=_F, loss=_F, eval_loss=_F, learning_rate=_F, grad_norm=_F, tokens_per_second=_F,
)  # fmt: skip

QUALITIES = ("relevance", "coherence", "accuracy", "consistency", "clarity", "creativity", "engagement")  # the paper's seven

SCORES = _table(
    "scores", 3, id=_S, part=_S, benchmark=_S, format=_S, prompt_id=_S, category=_S, language=_S, kind=_S, range=_S,
    asked=_I, lower=_I, upper=_I, prompt=_S, response=_S, words=_I, words_latin_runs=_I, tokens=_I, finish_reason=_S,
    length_score=_F, s_l=_F, repetition=_F, repetition_by_tenth=pa.list_(_F), distinct_2=_F, distinct_4=_F, loss=_F,
    quality=_F, **{f"quality_{name}": _F for name in QUALITIES}, quality_by_tenth=pa.list_(_F), judge=_S, judge_note=_S,
    judge_input_tokens=_I, judge_output_tokens=_I, judge_cost=_F, adapter=_S, iteration=_I, model=_S, sample=_I, seed=_I,
)  # fmt: skip

# The release. If the query has no length demand, `kind` is "none", and lower, upper, demand and demand_by are null.
# `demand_by`: "model" (it rewrote the instruction), "inserted" (at a position that the model chose), "template" (an appended
# sentence), "instruction" (it had one already). `source`: the table of `source_id`.
DATASET = _table(
    "dataset", 1, id=_S, query=_S, response=_S, language=_S, words=_I, kind=_S, lower=_I, upper=_I, demand=_S, demand_by=_S,
    split=_S, instruction_id=_S, source=_S, source_id=_S, attempts=_I, tokens=_I, digest=_S, iteration=_I, model=_S, seed=_I,
)  # fmt: skip

REJECTED = _table(
    "rejected", 1, id=_S, parent_id=_S, reason=_S, detail=_S, text=_S, attempts=_I, tokens=_I,
)  # fmt: skip

TABLES = {t.name: t for t in (INSTRUCTIONS, RESPONSES, EXPANSIONS, ADAPTERS, TRAIN_LOG, SCORES, DATASET, REJECTED)}
