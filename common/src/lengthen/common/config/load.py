"""Load a run's configuration: one YAML file, read by every stage.

    config = load_config(Path("configs/laptop.yaml"), ["expand.rounds=2"])

Unknown keys, wrong types and values out of range are errors. All of them are reported at once, each with its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from lengthen.common.config.engine import Echo, Engine, Model, Store
from lengthen.common.config.finetune import Finetune
from lengthen.common.config.renamed import REMOVED, RENAMED
from lengthen.common.config.section import Language, Section, decides_rows, setting
from lengthen.common.config.stages import Augment, Check, Evaluate, Expand, Generate, Release
from lengthen.common.process.errors import UserError
from pydantic import BaseModel, Field, ValidationError


class Config(Section):
    """The whole configuration of a run."""

    languages: Annotated[list[Language], Field(min_length=1)] = setting(["en"], "Languages of the instructions, in equal shares.")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of all random choices.")
    model: Model = Field(description="The base model.")
    engine: Engine = setting(Engine(), "How the engine runs.")
    echo: Echo = setting(Echo(), "Texts of `--engine echo`.")
    store: Store = setting(Store(), "How datasets are written.")
    check: Check = setting(Check(), "When a generated text is rejected.")
    augment: Augment = setting(Augment(), "seeds -> instructions")
    generate: Generate = setting(Generate(), "instructions -> responses")
    expand: Expand = setting(Expand(), "responses -> expansions")
    finetune: Finetune = setting(Finetune(), "expansions -> adapters")
    evaluate: Evaluate = setting(Evaluate(), "prompts -> scores")
    release: Release = setting(Release(), "responses and expansions -> dataset")

    def fingerprint(self, *sections: str) -> dict[str, Any]:
        """The settings that decide a stage's rows, of the named sections: `section.key` -> value."""
        values: dict[str, Any] = {"seed": self.seed, "languages": self.languages}
        values |= {"model.max_model_len": self.model.max_model_len, "model.dtype": self.model.dtype}
        for section in sections:
            values |= _deciding(section, getattr(self, section))
        return values


def load_config(path: Path, overrides: list[str] | None = None, seed: int | None = None) -> Config:
    """Read a YAML file, apply `key.path=value` overrides, and validate everything.

    Raises:
        UserError: the file is missing or not valid YAML, or values are invalid; the message lists every problem with its path.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"config {path} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"config {path} is empty or not a YAML mapping; start from configs/laptop.yaml")
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
        raise UserError(f"--set {override!r}: the value is not valid YAML") from error


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "top level"
    if item["type"] != "extra_forbidden":
        return f"{where}: {item['msg'][0].lower()}{item['msg'][1:]}"
    if where in RENAMED:
        return f"{where}: renamed to {RENAMED[where]}"
    return f"{where}: {REMOVED.get(where, 'no such key')}"


def _deciding(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {prefix: value}
    kind = type(value)
    inner = {name: getattr(value, name) for name in kind.model_fields if decides_rows(kind, name)}
    return {path: leaf for name, child in inner.items() for path, leaf in _deciding(f"{prefix}.{name}", child).items()}
