"""Digests of all files that make or check a stage's rows. They are found by following imports, so no list can be out of date.

The digest of a Python module is of its parsed code, without docstrings, type annotations, messages to the user (`say(...)`, the
message of a `raise`) and imports of modules that are not followed. So comments, formatting and messages can change, and existing
datasets stay valid. The data files of a package (prompts, phrases, seeds, DeepSpeed settings) are digested when one of its modules
is; comment lines of phrase files are ignored.

The modules in `EXCLUDED` are not followed: they decide how rows are made, displayed and stored. Where their settings or formats
matter, the fingerprint contains the values (the config, a table's version).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import lengthen

# Of `stage`, only `tasks` is followed: it decides which rows there are, and checks the source rows.
EXCLUDED = (
    "lengthen.common.config",
    "lengthen.common.engine",
    "lengthen.common.model",
    "lengthen.common.process",
    *(f"lengthen.common.stage.{module}" for module in ("code_digest", "command", "describe", "fingerprint", "job", "rows", "run")),
    *(f"lengthen.common.stage.{module}" for module in ("signals", "yields")),
    "lengthen.common.store",
    "lengthen.common.tables",
)
_MESSAGE_FUNCTIONS = {"say", "_say"}  # their arguments are messages to the user


def code_digests(roots: Sequence[str], excluded: Sequence[str] = ()) -> dict[str, str]:
    """Digests of 16 hex digits by file, such as `code.common/text/check.py`.

    Args:
        roots: modules where the search begins; included even if they are in `excluded`.
        excluded: modules and packages that are not followed, in addition to `EXCLUDED`.
    """
    excluded = (*EXCLUDED, *excluded)
    modules = modules_of(roots, excluded)
    found = {_label(file): _code_digest(_read(file), excluded) for file in modules.values()}
    for folder in {file.parent for file in modules.values()}:
        found |= {_label(file): _hex(_content(file)) for file in data_files(folder)}
    return dict(sorted(found.items()))


def modules_of(roots: Sequence[str], excluded: tuple[str, ...]) -> dict[str, Path]:
    """The modules reached from `roots` by imports, with their files."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found and (file := _file(module)):
            found[module] = file
            waiting += [name for name in _imported(_read(file)) if not _is_below(name, excluded)]
    return found


def data_files(folder: Path) -> Iterator[Path]:
    """A package's data files: all but Python files, the files of packages inside it, and what editors and systems leave (.x, x~)."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from data_files(path)
        elif path.is_file() and path.suffix not in (".py", ".pyc", ".typed"):
            yield path


def _file(module: str) -> Path | None:
    """The source file of one of our modules, found without importing it; None for a package or another name."""
    name = f"{module.partition('.')[2].replace('.', '/')}.py"
    return next((file for root in lengthen.__path__ if (file := Path(root) / name).is_file()), None)


@cache
def _imported(source: bytes) -> tuple[str, ...]:
    """Our modules that a module imports, also within functions. `from package import name` may import a module or a name: both."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
            found += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if _is_ours(alias.name)]
    return tuple(found)


@cache
def _code_digest(source: bytes, excluded: tuple[str, ...]) -> str:
    """Of the parsed code as text. It is the same in all Python versions with the same syntax."""
    return _hex("\n".join(_lines(ast.parse(source), excluded)).encode("utf-8", "surrogatepass"))


def _lines(node: object, excluded: Sequence[str], depth: int = 0) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield f"{depth}{type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if name in _IGNORED_FIELDS or value is None or value == []:  # newer Python versions add fields, which are empty
                continue
            yield f"{depth}.{name}"
            if isinstance(node, ast.Raise) and isinstance(value, ast.Call):
                value = value.func
            yield from _lines(_deciding_statements(value, excluded) if isinstance(value, list) else value, excluded, depth + 1)
    elif isinstance(node, list):
        for item in node:
            yield from _lines(item, excluded, depth)
    else:
        yield f"{depth}{node!r}"


_IGNORED_FIELDS = {"annotation", "returns", "type_comment", "kind", "ctx", "type_params", "type_ignores"}


def _deciding_statements(nodes: list[ast.AST], excluded: Sequence[str]) -> list[ast.AST]:
    """All statements but docstrings, messages and imports of modules that are not followed."""
    return [node for node in nodes if not (_is_string(node) or _is_message(node) or _is_import_from(node, excluded))]


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_message(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    called = node.value.func
    return (called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")) in _MESSAGE_FUNCTIONS


def _is_import_from(node: ast.AST, excluded: Sequence[str]) -> bool:
    if isinstance(node, ast.If):  # if TYPE_CHECKING
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.ImportFrom) and _is_below(node.module or "", (*excluded, "__future__"))


def _content(file: Path) -> bytes:
    content = _read(file)
    if file.parent.name != "phrases":
        return content
    return b"\n".join(line for line in content.splitlines() if line.strip() and not line.startswith(b"#"))


def _read(file: Path) -> bytes:
    return file.read_bytes()


def _label(file: Path) -> str:
    """The path below the namespace package, such as `code.common/text/check.py`: the same in every installation."""
    parts = file.parts
    return "code." + "/".join(parts[len(parts) - parts[::-1].index("lengthen") :])


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _is_ours(module: str | None) -> bool:
    return module is not None and module.startswith("lengthen.")


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
