"""`make check-texts`: the check on a user's own files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from lengthen.generate.check_texts import main

GOOD = "The river was high that spring, and the men of the village carried their boats over the bridge in the dark. " * 1 + " ".join(
    f"House {n} had a lamp of its own." for n in range(12)
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_each_refused_or_cut_text_has_a_line_with_its_place_and_reason(tmp_path: Path) -> None:
    texts = [GOOD, f"Sure! Here's the story:\n\n{GOOD}", f"{GOOD}\n\nTo be continued", "Too short."]
    jsonl, parquet, text = tmp_path / "a.jsonl", tmp_path / "b.parquet", tmp_path / "c.md"
    jsonl.write_text("\n".join(json.dumps({"id": n, "text": text}) for n, text in enumerate(texts)))
    pq.write_table(pa.table({"answer": [GOOD, f"{GOOD}\n\nUser: More.\n\nAssistant: No."]}), parquet)
    text.write_text(f"{GOOD}\n\n## The bridge\n")
    found = run(tmp_path, "--language", "en")
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[:5] == [
        f"{jsonl}, row 2: cut off: Sure! Here's the story:",
        f"{jsonl}, row 3: incomplete: To be continued",
        f"{jsonl}, row 4: too_short: 2 words < 50",
        f"{parquet}, row 2: role_turn: User: … Assistant:",
        f"{text}: unfinished: a heading with nothing under it: ## The bridge",
    ]
    assert "7 texts: 4 refused (57.1%), 1 cut (14.3%)" in found.output


def test_the_limits_are_those_of_the_config(tmp_path: Path) -> None:
    config, text = tmp_path / "config.yaml", tmp_path / "a.txt"
    config.write_text("model: {path: m}\ncheck: {min_words: 2}\n")
    text.write_text("Too short.")
    assert "1 texts: 0 refused" in run(text, "--config", config, "--language", "en").output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "One."}\n{"text": ', "can't be read as jsonl"),
        ("a.jsonl", '{"story": "One."}', "row 1 has no text in expansion or response"),
        ("a.jsonl", "[1]", "row 1 has no text in"),
        ("a.parquet", "no parquet", "can't be read as parquet"),
        ("a.txt", b"\xff\xfe\xfa", "can't be read as a text in UTF-8"),
    ],
)
def test_an_invalid_file_ends_with_one_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = run(file)
    assert found.exit_code == 2 and message in found.output and "Traceback" not in found.output


def test_control_characters_of_a_text_do_not_reach_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"Here's a story\x1b[31m for you:\n\n{GOOD}")
    assert "\x1b" not in run(file, "--language", "en").output
