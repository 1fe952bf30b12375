"""One YAML file a run, read by every stage.

    config = load_config(Path("configs/laptop.yaml"), ["expand.rounds=2"])

Unknown keys, wrong types and values out of range are refused, all at once, each with its path. What can be set, and to what:
`lengthen.common.settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from lengthen.common.errors import UserError
from lengthen.common.settings import (
    Augment,
    Check,
    Echo,
    Engine,
    Evaluate,
    Expand,
    Finetune,
    Generate,
    Language,
    Model,
    Release,
    Section,
    Store,
)
from pydantic import Field, ValidationError

# They stop a run, make it safe or say how a judge is reached, but decide no row: with another value the same dataset goes on.
_NO_MATTER = {"max_rejected_share", "max_over_long_share", "checkpoint_steps", "timeout_seconds", "retries", "api_key_variable"}


class Config(Section):
    languages: list[Language] = Field(["en"], min_length=1)
    seed: Annotated[int, Field(ge=0)] = 0
    model: Model
    engine: Engine = Engine()
    echo: Echo = Echo()
    store: Store = Store()
    check: Check = Check()
    augment: Augment = Augment()
    generate: Generate = Generate()
    expand: Expand = Expand()
    finetune: Finetune = Finetune()
    evaluate: Evaluate = Evaluate()
    release: Release = Release()

    def fingerprint(self, *sections: str) -> dict[str, Any]:
        """The part of the configuration that decides a stage's rows: the named sections, flat, as `section.key`."""
        values: dict[str, Any] = {"seed": self.seed, "languages": self.languages}
        values |= {"model.context_tokens": self.model.context_tokens, "model.dtype": self.model.dtype}
        for section in sections:
            values |= _flat(section, getattr(self, section).model_dump(mode="json"))
        return {name: value for name, value in values.items() if name.rpartition(".")[2] not in _NO_MATTER}


def load_config(path: Path, overrides: list[str] | None = None, seed: int | None = None) -> Config:
    """Read a YAML file, apply `key.path=value` overrides, and check everything.

    Raises:
        UserError: the file is missing or no YAML, or some values are wrong: every problem with its path.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"config {path} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"config {path} is empty or no mapping; start from configs/laptop.yaml")
    for override in overrides or []:
        _override(raw, override)
    if seed is not None:
        raw["seed"] = seed
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"config {path}: " + "; ".join(_problem(item) for item in error.errors())) from error


def _override(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UserError(f"--set {override!r} is not of the form section.key=value")
    section = raw
    for name in names[:-1]:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise UserError(f"--set {override!r}: {name} is a value, not a section")
    try:
        section[names[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is no YAML") from error


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "top level"
    if item["type"] == "extra_forbidden":
        return f"{where}: no such key"
    return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flat(f"{prefix}.{key}", inner).items()}
