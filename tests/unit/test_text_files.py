"""Plain text files: a running text cut into rows that follow one another, and a text on each line."""

import gzip
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finetune import Data, DataError
from finetune.data.base import Column
from finetune.data.layouts.text import ROW, read
from finetune.data.table import Rows

LEAST = 24
"""Characters of a row in most of these tests; those of a file have `ROW`."""


def cut(text: str, least: int = LEAST, starts: Any = None) -> list[dict[str, str]]:
    """The rows of a running text."""
    return [values for _, values in read(io.StringIO(text, newline="\n"), "a.txt", starts, least)]


def texts(text: str, least: int = LEAST, starts: Any = None) -> list[str]:
    return [row["text"] for row in cut(text, least, starts)]


def save(folder: Path, content: str | bytes, name: str = "a.txt") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def rows(folder: Path, content: str | bytes, name: str = "a.txt", **options: Any) -> Rows:
    return Data.files(train=save(folder, content, name), **options).read()["train"]


def story(count: int) -> str:
    """So many lines of about 70 characters, all different."""
    return "".join(
        f"Sentence {number} says what the one before it left out, and nothing more.\n" for number in range(count)
    )


# How a running text is cut

CHARACTERS = st.text(st.sampled_from("ab \t.中\N{NO-BREAK SPACE}\N{LINE SEPARATOR}\x0b\r"), max_size=70)
LINES = st.lists(st.tuples(CHARACTERS, st.sampled_from(["\n", "\n\n", "\n \n\n"])), min_size=1, max_size=12)
TEXTS = st.builds(
    lambda lines, end: "".join(map("".join, lines)).replace("\r\n", "\n") + end,
    LINES,
    st.sampled_from(["", ".", ".\n"]),
).filter(str.strip)


@given(text=TEXTS, least=st.integers(1, 60))
@example(text="a" * 200, least=10)
@example(text="\n" * 50 + "a", least=10)
@settings(deadline=None, max_examples=300)
def test_the_rows_joined_are_the_text(text: str, least: int) -> None:
    assert "".join(texts(text, least)) == text.replace("\r\n", "\n")


@given(text=TEXTS, least=st.integers(1, 60))
@settings(deadline=None, max_examples=300)
def test_only_the_last_row_is_shorter_than_asked(text: str, least: int) -> None:
    assert [row for row in texts(text, least)[:-1] if len(row) < least] == []


@given(text=TEXTS, least=st.integers(8, 60))
@settings(deadline=None, max_examples=300)
def test_no_row_is_as_long_as_three(text: str, least: int) -> None:
    assert [row for row in texts(text, least) if len(row.strip()) >= 3 * least] == []


@given(text=TEXTS, least=st.integers(1, 60))
@settings(deadline=None, max_examples=100)
def test_before_each_row_stands_the_one_above(text: str, least: int) -> None:
    found = cut(text, least)
    assert found[0]["before"] == ""
    assert all(below["before"] == above["text"] for above, below in pairwise(found))


@given(lines=st.lists(st.text("ab .", max_size=LEAST - 1), min_size=1, max_size=40))
@settings(deadline=None, max_examples=100)
def test_rows_of_short_lines_end_at_line_ends(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in [*lines, "."])
    assert all(row.endswith("\n") for row in texts(text))


def test_a_row_ends_at_the_first_line_end_after_enough_characters() -> None:
    assert texts("0123456789\n" * 6) == ["0123456789\n" * 3] * 2


def test_a_row_ends_at_a_paragraph_where_one_is_near() -> None:
    assert texts("0123456789\n" * 2 + "01\n34\n\nnext\n" + "0123456789\n" * 2) == [
        "0123456789\n" * 2 + "01\n34\n\n",
        "next\n" + "0123456789\n" * 2,
    ]


def test_a_paragraph_far_away_changes_nothing() -> None:
    assert texts("0123456789\n" * 4 + "\nnext\n")[0] == "0123456789\n" * 3


def test_blank_lines_stay_with_the_paragraph_above_them() -> None:
    assert texts("0123456789\n" * 3 + "\n \n\n" + "next\n") == ["0123456789\n" * 3 + "\n \n\n", "next\n"]


def test_a_line_longer_than_a_row_is_cut_at_white_space() -> None:
    found = texts("word " * 40 + "end\n")
    assert len(found) > 3
    assert all(row.endswith("word ") for row in found[:-1])


def test_a_long_line_without_white_space_is_cut_nevertheless() -> None:
    assert max(map(len, texts("中" * 200))) <= 2 * LEAST


def test_a_text_begins_anew_where_it_is_told_to() -> None:
    text = "= a =\n\none\n\n= b =\n\ntwo\n"
    found = cut(text, starts=lambda line: line.startswith("="))
    assert [(row["text"][:5], row["before"]) for row in found] == [("= a =", ""), ("= b =", "")]


def test_a_text_begins_only_below_a_blank_line() -> None:
    assert len(texts("= a =\n\nwhere\n= b =\n", starts=lambda line: line.startswith("="))) == 1


def test_a_text_that_begins_anew_is_cut_and_goes_on_as_any() -> None:
    text = "one\n\n= b =\n" + "0123456789\n" * 4
    found = cut(text, starts=lambda line: line.startswith("="))
    assert [row["before"] for row in found] == ["", "", found[1]["text"]]


def test_blank_lines_above_the_first_text_are_no_text() -> None:
    assert len(cut(" \n\n= a =\n", starts=lambda line: line.startswith("="))) == 1


def test_nothing_stands_before_a_text_even_below_many_blank_lines() -> None:
    assert [row["before"] for row in cut("one" + "\n" * 99 + "= b =\n", starts=lambda line: line == "= b =\n")][
        -1
    ] == ""


# Files


def test_a_text_file_has_rows_of_about_the_same_size(tmp_path: Path) -> None:
    found = rows(tmp_path, story(200))
    assert found.columns == ["text", "before"]
    assert "".join(found.column("text")) == story(200)
    assert [len(text) for text in found.column("text")[:-1] if not ROW <= len(text) < ROW + 80] == []


def test_a_gzipped_text_file_gives_the_same_rows(tmp_path: Path) -> None:
    packed = rows(tmp_path, gzip.compress(story(90).encode()), "a.txt.gz")
    assert packed.digest == rows(tmp_path, story(90)).digest


def test_a_short_file_is_one_row(tmp_path: Path) -> None:
    assert list(rows(tmp_path, "One line").column("text")) == ["One line"]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfone\r\ntwo\r\n", b"one\ntwo\n"], ids=["windows", "unix"])
def test_carriage_returns_and_a_byte_order_mark_are_no_text(tmp_path: Path, content: bytes) -> None:
    assert rows(tmp_path, content).column("text") == ["one\ntwo\n"]


@pytest.mark.parametrize("name", ["a.md", "a.tsv", "a.json", "corpus"])
def test_a_running_text_may_have_any_name(tmp_path: Path, name: str) -> None:
    assert rows(tmp_path, '{"a": 1}\tb\n', name, layout="text").column("text") == ['{"a": 1}\tb\n']


def test_a_message_names_the_line_in_which_a_row_begins(tmp_path: Path) -> None:
    text = "\n\n" + story(200).replace("7", "7\n\n")
    found, lines = rows(tmp_path, text), text.split("\n")
    for position, row in enumerate(found.column("text")):
        file, _, number = found.where(position).partition(" line ")
        assert (file, row.split("\n")[0]) == ("a.txt", lines[int(number) - 1])
    assert len(found) > 5


def test_rows_that_begin_in_the_same_line_have_names_of_their_own(tmp_path: Path) -> None:
    found = rows(tmp_path, "first\n" + "word " * 1000)
    assert found.ids == ["a.txt:1", "a.txt:2", "a.txt:2 part 2"]
    assert found.where(2) == "a.txt line 2 part 2"


def test_no_row_holds_parts_of_two_files(tmp_path: Path) -> None:
    paths = [save(tmp_path, "one\n", "a.txt"), save(tmp_path, "two\n", "b.txt")]
    found = Data.files(train=paths).read()["train"]
    assert (found.column("text"), found.column("before")) == (["one\n", "two\n"], ["", ""])


def test_a_part_of_the_rows_is_kept_aside_where_there_is_no_other_split(tmp_path: Path) -> None:
    splits = Data.files(train=save(tmp_path, story(570))).load((Column("text", "task.text"),), ())
    assert {name: len(found) for name, found in splits.items()} == {"train": 18, "validation": 2}


@pytest.mark.parametrize("layout", ["text", "lines"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b" \n\n\t\n", r"a\.txt holds nothing but white space"),
        (b"", r"a\.txt is empty"),
        (b"caf\xe9\n", r"a\.txt is not UTF-8: byte 0xe9.*iconv"),
    ],
)
def test_a_file_without_readable_text_is_refused(tmp_path: Path, layout: str, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rows(tmp_path, content, layout=layout)


def test_a_gzipped_text_that_was_cut_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a whole gzip file"):
        rows(tmp_path, gzip.compress(story(500).encode())[:-40], "a.txt.gz")


def test_a_column_that_a_text_file_lacks_points_to_the_layouts(tmp_path: Path) -> None:
    data = Data.files(train=save(tmp_path, "EU B-ORG\n"))
    with pytest.raises(DataError, match=r"no column 'words'.*Known: before, text\. .*data\.layout=conll"):
        data.load((Column("words", "task.words"),), ())


# A text on each line


def test_each_line_with_text_is_a_row_that_stands_alone(tmp_path: Path) -> None:
    found = rows(tmp_path, " one\r\n\n \t\ntwo \nthree", layout="lines")
    assert (found.column("text"), found.column("before")) == ([" one", "two ", "three"], ["", "", ""])
    assert [found.where(row) for row in range(3)] == ["a.txt line 1", "a.txt line 4", "a.txt line 5"]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    text = "a\rb\N{LINE SEPARATOR}c\N{NEXT LINE}d\x0be\x0cf\x1cg"
    assert rows(tmp_path, f"{text}\n", layout="lines").column("text") == [text]


@pytest.mark.parametrize("name", ["a.md", "a.en", "a.csv"])
def test_lines_may_stand_under_any_name(tmp_path: Path, name: str) -> None:
    assert rows(tmp_path, "one, two\n", name, layout="lines").column("text") == ["one, two"]


# Real texts


def test_the_rows_of_a_real_text_joined_are_its_file(real_data: Path) -> None:
    path = real_data / "tinyshakespeare" / "input.txt"
    found = Data.files(train=str(path)).read()["train"].column("text")
    assert "".join(found) == path.read_text("utf-8")
    assert len(found) == 525
