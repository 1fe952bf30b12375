"""Read responses and expansions, collect, give each a demand, write the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lengthen.augment.contamination import Contamination
from lengthen.augment.demands.answers import facts, text_column
from lengthen.augment.demands.collect import held_out, same_text, uncollected
from lengthen.augment.demands.draw import drawn
from lengthen.augment.demands.reading import read
from lengthen.augment.demands.weave import Asking, Query, woven
from lengthen.augment.demands.wording import Phrasing, all_phrasings
from lengthen.common.benchmark import BenchmarkFile, read_benchmark
from lengthen.common.demand import Demand
from lengthen.common.engine.protocol import Engine, Prompt
from lengthen.common.errors import UserError
from lengthen.common.flaws import flaw_of
from lengthen.common.ids import attempt_seed, row_id, row_random, text_digest
from lengthen.common.job import Job
from lengthen.common.progress import say
from lengthen.common.promptfile import load_prompt
from lengthen.common.report import yield_figures
from lengthen.common.rows import Rejection, Work, check_languages, run_rows
from lengthen.common.store.calls import Calls
from lengthen.common.store.reader import Dataset, open_any, open_dataset
from lengthen.common.store.writer import DatasetWriter
from lengthen.common.tables import DATASET, EXPANSIONS, RESPONSES, SCORES
from lengthen.common.text.check import Refusal, unfit
from lengthen.common.text.words import count_words

METHOD = 2  # raise it when the same settings give other rows than before


def demands(job: Job, folders: list[Path], score_folders: list[Path], benchmark_files: list[Path]) -> None:
    """The stage. See `__main__`."""
    datasets = _chosen(job, folders)
    scores = [open_dataset(folder, SCORES) for folder in score_folders]
    benchmarks = [read_benchmark(file) for file in (None, *benchmark_files)]
    model, phrasings = job.open_model(), all_phrasings()
    asking = {language: load_asking(language) for language in phrasings}
    prompts = {f"{name}.{language}": prompt for language, asked in asking.items() for name, prompt in asked._asdict().items()}
    origin = job.origin(METHOD, model, ["release"], _inputs(job, datasets, scores, benchmarks, phrasings), prompts)
    if job.is_complete(origin):
        return
    for dataset in datasets:
        check_languages(job, dataset)
    rows_in = sum(min(job.limit or dataset.manifest.rows_out, dataset.manifest.rows_out) for dataset in datasets)
    if job.dry_run:
        settings = job.config.release
        job.say_plan(rows=rows_in, at_most_tokens=rows_in * settings.attempts * settings.sampling.max_tokens)
        return
    unused = uncollected(datasets, job.config, Contamination(benchmarks), _grades(scores))
    test = _test_instructions(job, datasets, unused)
    with job.writer(DATASET, origin) as writer:

        def work(engine: Engine) -> None:
            async def make(item: Work[dict[str, Any]]) -> dict[str, Any] | Rejection:
                outcome = await demanded(item, engine, job, writer.calls, phrasings, asking)
                if isinstance(outcome, Rejection):
                    return outcome
                split = "test" if same_text(item.source["instruction"]) in test else "train"
                return outcome | {"split": split, "model": model.name}

            run_rows(job, _works(job, datasets, unused), rows_in, make, writer)

        job.with_engine(work, [Prompt(prompt.fill(instruction="", demand="")) for prompt in prompts.values()])
        job.say_result(writer.commit(rows_in, _figures(writer)))


async def demanded(
    work: Work[dict[str, Any]], engine: Engine, job: Job, calls: Calls, phrasings: dict[str, Phrasing], asking: dict[str, Asking]
) -> dict[str, Any] | Rejection:
    """A row of `dataset` without its constants, or why there is none."""
    answer = work.source
    instruction, text, language = answer["instruction"], answer["text"], answer["language"]
    if bad := unfit(instruction + text, engine.control_tokens):
        return Rejection(bad.reason, bad.detail)
    words = count_words(text)
    row = {name: answer[name] for name in ("language", "instruction_id", "source", "source_id", "iteration")} | {
        "response": text, "words": words, "digest": text_digest(text), "seed": attempt_seed(job.config.seed, work.id, 0)
    }  # fmt: skip
    if own := read(instruction, language):
        phrase = instruction[own[0].start : own[0].end]
        return row | _asked(own[0].demand, Query(instruction, phrase, "instruction", 0, 0))
    dice = row_random(job.config.seed, work.id, "demand")
    demand = drawn(words, job.config.release, dice)
    if demand is None:
        return row | _asked(None, Query(instruction, "", "", 0, 0))
    query = await woven(calls.of(engine, work.id), instruction, demand, phrasings[language], asking[language], job, dice)
    return Rejection(*query) if isinstance(query, Refusal) else row | _asked(demand, query)


def load_asking(language: str) -> Asking:
    weave = load_prompt("lengthen.augment", f"weave.{language}.txt", {"instruction", "demand"})
    return Asking(weave, load_prompt("lengthen.augment", f"insert.{language}.txt", set()))


def _asked(demand: Demand | None, query: Query) -> dict[str, Any]:
    """The columns that say what the query asks for."""
    return {
        "query": query.text,
        "kind": demand.kind if demand else "none",
        "lower": demand.lower if demand else None,
        "upper": demand.upper if demand else None,
        "demand": query.phrase or None,
        "demand_by": query.by or None,
        "attempts": query.attempts,
        "tokens": query.tokens,
    }


def _chosen(job: Job, folders: list[Path]) -> list[Dataset]:
    """The inputs, those of other iterations than `release.iterations` aside.

    Raises:
        UserError: one holds neither responses nor expansions, or stands there twice.
    """
    found: dict[str, Dataset] = {}
    wanted = job.config.release.iterations
    for folder in folders:
        dataset = open_any(folder)
        if dataset.table not in (RESPONSES, EXPANSIONS):
            raise UserError(f"--input {folder} holds {dataset.table.name}; give responses and expansions")
        if dataset.manifest.content_digest in found:
            raise UserError(f"--input {folder} and {found[dataset.manifest.content_digest].folder} hold the same rows; give one of them")
        if wanted is None or dataset.manifest.fingerprint.get("iteration") in wanted:
            found[dataset.manifest.content_digest] = dataset
        else:
            say(f"{job.stage}: {folder} is of none of release.iterations and not used")
    if not found:
        raise UserError(f"release.iterations: no input is of iteration {', '.join(map(str, wanted or []))}; change it, or give others")
    return list(found.values())


def _inputs(
    job: Job, datasets: list[Dataset], scores: list[Dataset], benchmarks: list[BenchmarkFile], phrasings: dict[str, Phrasing]
) -> dict[str, str]:
    """What decides the rows beside the config, as digests; what the selections of expand and finetune went by belongs to it."""
    inputs = {f"{n}": job.note_input(f"{n}", dataset) for n, dataset in enumerate(datasets, start=1)}
    inputs |= {f"scores-{n}": job.note_input(f"scores-{n}", dataset) for n, dataset in enumerate(scores, start=1)}
    inputs["benchmarks"] = text_digest("\n".join(sorted({benchmark.digest for benchmark in benchmarks})))
    inputs |= {f"phrasing.{language}": phrasing.digest for language, phrasing in phrasings.items()}
    selections = [(section.length_biased_selection, section.max_similarity) for section in (job.config.expand, job.config.finetune)]
    return inputs | {"selections": str([*selections, job.config.augment.max_benchmark_overlap])}


def _grades(scores: list[Dataset]) -> dict[str, float]:
    """Of the training data that a judge has read (`evaluate --input`): id of the row -> its mean grade."""
    columns = ["part", "prompt_id", "quality"]
    rows = (row for dataset in scores for row in dataset.rows(columns))
    return {row["prompt_id"]: row["quality"] for row in rows if row["part"] == "data" and row["quality"] is not None}


def _test_instructions(job: Job, datasets: list[Dataset], unused: dict[str, Refusal]) -> set[str]:
    collected = {same_text(answer.instruction) for dataset in datasets for answer in facts(dataset) if answer.id not in unused}
    return held_out(collected, job.config.release.test_share, job.config.seed)


def _works(job: Job, datasets: list[Dataset], unused: dict[str, Refusal]) -> Iterator[Work[dict[str, Any]]]:
    """Every row of every input. Its id is that of its answer alone: a later release gives it the same demand again."""
    for dataset in datasets:
        text = text_column(dataset)
        for row in islice(dataset.rows(), job.limit):
            flaw = flaw_of(dataset.table, row, job.config.model.context_tokens) or unused.get(row["id"])
            answer = row | {"text": row[text], "source": dataset.table.name, "source_id": row["id"]}
            yield Work(row_id(job.stage, 0, row["id"], 0), row["id"], 0, answer, flaw)


def _figures(writer: DatasetWriter) -> dict[str, Any]:
    """How long the answers are, and how many rows there are of each sort."""
    words, attempts = writer.column("words").to_pylist(), [number for number in writer.column("attempts").to_pylist() if number]
    figures = yield_figures(words, writer.tokens_spent(), attempts)
    figures.pop("tokens_per_word")  # the tokens went into queries, the words are the answers'
    for name in ("kind", "demand_by", "split", "source", "language"):
        figures[name] = dict(sorted(Counter(value or "none" for value in writer.column(name).to_pylist()).items()))
    return figures
