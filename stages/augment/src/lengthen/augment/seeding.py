"""The seed instructions: ours, as package data, or the user's own file."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from lengthen.common.errors import UserError
from lengthen.common.settings import Language


class Example(NamedTuple):
    """An instruction that may be shown to the model."""

    id: str
    language: str
    category: str  # "" where nobody said
    instruction: str


def load_seeds(languages: list[Language], file: Path | None) -> list[Example]:
    """The seeds of the run's languages, in the order of the file.

    Raises:
        UserError: a file that is missing, or a line that is no seed; a language with fewer than two.
    """
    seeds: list[Example] = []
    if file:
        seeds = _parse(_read(file), str(file))
    else:
        for language in languages:
            name = f"seeds/{language}.jsonl"
            seeds += _parse((resources.files("lengthen.augment") / name).read_text(encoding="utf-8"), name)
    for language in languages:
        if sum(seed.language == language for seed in seeds) < 2:
            raise UserError(f"{file}: fewer than two seeds in language {language}; add some, or change `languages`")
    return [seed for seed in seeds if seed.language in languages]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--seeds {file} can't be read: {error}") from error


def _parse(text: str, where: str) -> list[Example]:
    seeds = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            seeds.append(Example(str(raw["id"]), str(raw["language"]), str(raw.get("category", "")), str(raw["instruction"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{where}, line {number}: no seed with id, language and instruction ({error})") from error
    if repeated := {seed.id for seed in seeds if sum(other.id == seed.id for other in seeds) > 1}:
        raise UserError(f"{where}: id {sorted(repeated)[0]} stands twice")
    return seeds
