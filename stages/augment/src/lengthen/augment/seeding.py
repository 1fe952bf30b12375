"""The seed instructions: the built-in ones (package data), or the user's file."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from lengthen.common.config.section import Language
from lengthen.common.process.errors import UserError


class Example(NamedTuple):
    """An instruction that prompts may show to the model."""

    id: str
    language: str
    category: str  # "" if unknown
    instruction: str


def load_seeds(languages: list[Language], file: Path | None) -> list[Example]:
    """The seeds of the run's languages, in the order of the file.

    Raises:
        UserError: a missing file, an invalid line, a duplicate id, or a language with fewer than two seeds.
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
            raise UserError(
                f"{file or 'built-in seeds'}: fewer than two seeds in language {language!r}; add seeds, or change `languages` in the config"
            )
    return [seed for seed in seeds if seed.language in languages]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--seeds {file} cannot be read: {error}") from error


def _parse(text: str, where: str) -> list[Example]:
    seeds = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            seeds.append(Example(str(raw["id"]), str(raw["language"]), str(raw.get("category", "")), str(raw["instruction"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{where}, line {number}: not a JSON object with id, language and instruction ({error})") from error
    if duplicates := [name for name, count in Counter(seed.id for seed in seeds).items() if count > 1]:
        raise UserError(f"{where}: duplicate id {duplicates[0]!r}; give each seed its own id")
    return seeds
