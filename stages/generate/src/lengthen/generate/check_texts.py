"""Try the check on your own texts, to tune its settings: what would be cut off, what would be refused, and where.

python -m lengthen.generate.check_texts answers.jsonl chapter.txt --config configs/laptop.yaml
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from lengthen.common.process.errors import UserError
from lengthen.common.process.exit_codes import with_exit_codes
from lengthen.common.stage.command import FILE

if TYPE_CHECKING:
    from lengthen.common.text.rejection import Rejection

COLUMNS = ("expansion", "response", "output", "completion", "answer", "text", "content")  # the first that a row has


@click.command(context_settings={"max_content_width": 110})
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--config", type=FILE, help="Whose section `check` has the limits, such as configs/laptop.yaml. Default: the built-in limits."
)
@click.option("--language", type=click.Choice(["en", "zh"]), help="Of all the texts. Default: the one that is detected in each.")
@click.option("--column", help=f"The column or field that holds the text. Default: the first of {', '.join(COLUMNS)}.")
def main(files: tuple[Path, ...], config: Path | None, language: str | None, column: str | None) -> None:
    """Print which of the texts in FILES generate and expand would refuse, for what reason and at which words, and what they would cut off.

    A .parquet or .jsonl file has one text a row, any other file is one text; of a folder, its .parquet, .jsonl, .txt and .md files
    are read. The texts count as ended by the model itself. Control tokens of your model's own tokenizer are not known here.
    """
    with_exit_codes(lambda: check_files(list(_files(files)), config, language, column))


def check_files(files: list[Path], config: Path | None, language: str | None, column: str | None) -> None:
    """Print a line for each refused or cut text, and the counts by reason.

    Raises:
        UserError: a file that can't be read, or without the column.
    """
    from lengthen.common.config.load import load_config
    from lengthen.common.config.stages import Check
    from lengthen.common.text.check import check_text
    from lengthen.common.text.languages import LANGUAGES, detect
    from lengthen.common.text.talk import trim_talk

    limits = load_config(config).check if config else Check()
    reasons: Counter[str] = Counter()
    count = trimmed = 0
    for file in files:
        for place, text in texts(file, column):
            spoken = language or detect(text) or "en"
            kept = trim_talk(text.strip(), spoken) if spoken in LANGUAGES else None
            if kept and kept.removed:
                trimmed += 1
                click.echo(f"{place}: cut off: {_line(kept.removed)}")
            rejection = check_text(kept.text, "stop", limits, language=spoken) if kept else _other_language(spoken)
            if rejection:
                reasons[rejection.reason] += 1
                click.echo(f"{place}: {rejection.reason}: {_line(rejection.detail)}")
            count += 1
    if not count:
        raise UserError(f"no texts in {', '.join(map(str, files)) or 'these folders'}; give .parquet, .jsonl or text files")
    refused = reasons.total()
    click.echo(f"\n{count:,} texts: {refused:,} refused ({refused / count:.1%}), {trimmed:,} cut ({trimmed / count:.1%})")
    for reason, number in reasons.most_common():
        click.echo(f"  {reason:<15}{number:>7,}  {number / count:.1%}")


def texts(file: Path, column: str | None) -> Iterator[tuple[str, str]]:
    """The texts of a file, each with its place: the file, and the row's number from 1 on.

    Raises:
        UserError: the file can't be read, is invalid, or a row has no text in the column.
    """
    if file.suffix not in (".parquet", ".jsonl"):
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{file} can't be read as a text in UTF-8: {error}") from error
        return
    for number, row in enumerate(_rows(file), start=1):
        place = f"{file}, row {number}"
        names = [column] if column else COLUMNS
        name = next((name for name in names if isinstance(row, dict) and isinstance(row.get(name), str)), None)
        if name is None:
            known = ", ".join(map(str, row)) if isinstance(row, dict) else "no object"
            raise UserError(f"{place} has no text in {' or '.join(names)}, but {known}; name the column with --column")
        yield place, row[name]


def _rows(file: Path) -> Iterator[Any]:
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if file.suffix == ".parquet":
            for batch in pq.ParquetFile(file).iter_batches(batch_size=256):
                yield from batch.to_pylist()
        else:
            with file.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{file} can't be read as {file.suffix[1:]}: {error}") from error


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.iterdir() if file.suffix in (".parquet", ".jsonl", ".txt", ".md"))
        else:
            yield path


def _other_language(language: str) -> Rejection:
    from lengthen.common.text.rejection import Rejection

    return Rejection("language", f"the text is {language}; the check knows en and zh")


def _line(text: str) -> str:
    """A text on one line, at most 160 characters, without characters that control a terminal."""
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "�" for character in line[:160])


if __name__ == "__main__":
    main()
