"""Writes what is generated from the settings: docs/configuration.md, and configs/schema.json for editors.

python docs/generate.py            (make docs)
python docs/generate.py --check    (make check: exit 1 if a file is not what would be written)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from lengthen.common.config.load import Config
from lengthen.common.config.renamed import REMOVED, RENAMED
from lengthen.common.config.section import decides_rows
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parent.parent
HEAD = """# Configuration

One YAML file a run, read by every stage; `--set section.key=value` overrides one value. `configs/` holds files to start from,
and `configs/schema.json` is the same information as a JSON schema for editors. Unknown keys, wrong types and values out of
range are refused, all at once, each with its path.

This page is generated from the settings' definitions (`common/src/lengthen/common/config/`) by `make docs`. "Paper" is
Self-Lengthen, arXiv 2410.23933. The last column says whether a setting decides which rows a stage makes (or what an adapter
learns): with another value of such a setting, a dataset that exists is refused until `--overwrite` is given. The others change
speed, memory or where a stage stops, and a stopped stage resumes with another value.
"""


def main() -> None:
    wanted = {ROOT / "docs" / "configuration.md": markdown(), ROOT / "configs" / "schema.json": schema()}
    if "--check" in sys.argv[1:]:
        if stale := [str(path.relative_to(ROOT)) for path, text in wanted.items() if not path.exists() or path.read_text() != text]:
            sys.exit(f"error: {', '.join(stale)} is not up to date with the settings; run `make docs`")
        return
    for path, text in wanted.items():
        path.write_text(text)


def schema() -> str:
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(_without_marks(found), indent=1, ensure_ascii=False) + "\n"


def _without_marks(value: Any) -> Any:
    """Our own mark of a setting that decides no row is nothing for an editor."""
    if isinstance(value, dict):
        return {key: _without_marks(inner) for key, inner in value.items() if key != "decides_no_row"}
    return [_without_marks(inner) for inner in value] if isinstance(value, list) else value


def markdown() -> str:
    parts = [HEAD, *_section("", Config)]
    parts.append("\n## Settings of earlier versions\n\nThey are refused, with the new name in the message.\n\n| earlier | now |\n|---|---|")
    parts += [f"| `{old}` | `{new}` |" for old, new in RENAMED.items()]
    parts += [f"| `{old}` | {said} |" for old, said in REMOVED.items()]
    return "\n".join(parts) + "\n"


def _section(path: str, section: type[BaseModel]) -> Iterator[str]:
    """A table of a section's own settings, then its subsections."""
    inner = {name: found for name, field in section.model_fields.items() if (found := _subsection(field))}
    own = {name: field for name, field in section.model_fields.items() if name not in inner}
    yield f"\n## {f'`{path}`' if path else 'Top level'}\n\n{' '.join((section.__doc__ or '').split())}\n"
    if own:
        yield "| setting | default | meaning | decides rows |\n|---|---|---|---|"
        yield from (f"| `{name}` | {_default(field)} | {_cell(field)} | {_decides(section, name)} |" for name, field in own.items())
    for name, found in inner.items():
        yield from _section(f"{path}.{name}" if path else name, found)


def _subsection(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or field.default is ...:
        return "required"
    value = field.default
    return "`null`" if value is None else f"`{json.dumps(value)}`"


def _cell(field: FieldInfo) -> str:
    kind = field.annotation
    choices = [item for item in get_args(kind) if isinstance(item, str)]
    said = (field.description or "").replace("|", "\\|")
    return f"{said} One of {', '.join(f'`{item}`' for item in choices)}." if choices else said


def _decides(section: type[BaseModel], name: str) -> str:
    return "yes" if decides_rows(section, name) else "no"


if __name__ == "__main__":
    main()
