"""The base of every section of the configuration: strict, frozen, and with each setting described where it is defined.

A setting's description says what it means, with its unit, and what the paper used (Self-Lengthen, arXiv 2410.23933) where
the paper says it. `docs/configuration.md` and the JSON schema for editors are generated from these descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Language = Literal["en", "zh"]  # the rows of `text.languages.LANGUAGES`

_RUNTIME = "decides_no_row"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def setting(default: Any, description: str, **options: Any) -> Any:
    """A setting that decides which rows a stage makes: part of the fingerprint of its datasets."""
    return Field(default, description=description, **options)


def runtime_setting(default: Any, description: str, **options: Any) -> Any:
    """A setting that changes how rows are made, not which: a stopped stage resumes with another value too."""
    return Field(default, description=description, json_schema_extra={_RUNTIME: True}, **options)


def decides_rows(section: type[BaseModel], name: str) -> bool:
    """Whether a setting of a section is part of the fingerprint."""
    extra = section.model_fields[name].json_schema_extra
    return not (isinstance(extra, dict) and extra.get(_RUNTIME))


def check_url(url: str) -> str:
    """Raises: ValueError: not an HTTP URL, or one that contains a password."""
    if not url.startswith(("http://", "https://")) or "@" in url:
        raise ValueError("url must begin with http:// or https:// and must not contain a password")
    return url
