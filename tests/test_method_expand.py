"""What an expansion retains of its draft: headings in their order, names and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import response_row, rows, succeed, write
from lengthen.common.store.manifest import read_manifest
from lengthen.common.tables.definitions import RESPONSES
from lengthen.expand.retention import headings, kept_headings, kept_names, names
from test_method import Scripted, expand_one, paragraphs


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# The Sea\n\ntext\n\n## 2. Ships and Sails ##\n\ntext", ["the sea", "ships and sails"]),
        ("**Trade routes:**\n\ntext\n\n1. **Goods**\n\nA **bold** word is none.", ["trade routes", "goods"]),
        ("第一章 春天\n\n文字。\n\n二、来历\n\n三、这一句话是正文,不是标题。", ["春天", "来历"]),
        ("No heading here.\n\n#hashtag\n\n1. An item", []),
    ],
)
def test_headings_are_found_without_markdown_and_numbering(text: str, found: list[str]) -> None:
    assert headings(text) == found


def test_only_headings_in_the_drafts_order_count() -> None:
    draft = "# One\n\n# Two\n\n# Three\n\n# Four"
    assert kept_headings(draft, "# One\n\n# Two\n\n## More\n\n# 3. Three\n\n**Four**") == 1.0
    assert kept_headings(draft, "# Four\n\n# One\n\n# Two") == 0.5
    assert kept_headings(draft, "One, two, three and four without headings.") == 0.0
    assert kept_headings("No headings.", draft) is None


def test_names_are_capitalised_words_titles_and_numbers() -> None:
    english = "The Bank of England was founded in 1694. William Paterson had 3 ideas; 4.5% was one. He said so."
    assert names(english, "en") == {"Bank of England", "1694", "William Paterson", "4.5%"}
    assert names("他在1920年读《红楼梦》,想起“山河”。", "zh") == {"1920", "红楼梦", "山河"}


def test_each_name_counts_once_anywhere_in_the_text() -> None:
    draft = "William Paterson came in 1694. William Paterson left for the New World in 1698."
    assert kept_names(draft, "In 1694, William Paterson saw the New World.", "en") == pytest.approx(3 / 4)
    assert kept_names("nothing here", draft, "en") is None
    assert kept_names("他读《红楼梦》和《西游记》。", "《红楼梦》很长。", "zh") == 0.5


def test_an_expansion_has_both_shares_and_the_manifest_their_means(config: Path, tmp_path: Path) -> None:
    draft = "# Ships\n\nIn 1694 the Royal Fleet sailed.\n\n# Harbours\n\nThey were many."
    opening = "# Ships\n\nIn 1694 they sailed out to sea.\n\n" + paragraphs(3, "a")
    row = expand_one(Scripted(opening, paragraphs(6, "b")), draft=draft, rounds=1, attempts=1)
    assert isinstance(row, dict)
    assert (row["kept_headings"], row["kept_names"]) == (0.5, 0.5)
    words = " ".join(f"word{n}" for n in range(30))
    content = [response_row(n, f"# Title {n}\n\nNumber {n} {words}.") for n in range(3)]
    folder = write(tmp_path / "r", RESPONSES, content)
    arguments = ("--config", config, "--engine", "echo", "--input", folder, "--output", tmp_path / "e")
    succeed("expand", *arguments, "--set", "expand.length_biased_selection=false", "--set", "expand.max_similarity=1.0")
    manifest = read_manifest(tmp_path / "e")
    assert manifest is not None and manifest.summary["kept_headings"] == 0.0 and manifest.summary["kept_names"] is None
    assert {row["kept_names"] for row in rows(tmp_path / "e", "expansions")} == {None}
