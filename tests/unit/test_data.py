"""Data: file formats and their traps, splits, row ids and hashes, the caches."""

import csv
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from finetune import Classification, Data, DataError, Full, Recipe, Training, catalog, run
from finetune.data import features, formats, nested, table
from finetune.data.base import Column, hold_out
from finetune.data.formats import Options
from finetune.data.official import reader as official_reader
from finetune.evaluation import Encoder
from finetune.pretrained import tokenizer_of

ROWS = [
    {"text": "plain", "label": "yes"},
    {"text": "a, comma", "label": "no"},
    {"text": "it's naïve, 中文 😀", "label": "yes"},
    {"text": "NA", "label": "null"},
    {"text": "", "label": "1"},
]
FORMATS = [f"{name}{packed}" for name in ("csv", "tsv", "json", "jsonl", "parquet") for packed in ("", ".gz")]
LABEL = (Column("label", "task.label"),)
TEXT = (Column("text", "task.text"),)


def content(name: str, rows: list[dict[str, Any]]) -> bytes:
    """Rows as the bytes of a file."""
    if name == "json":
        return json.dumps(rows).encode()
    if name == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name == "parquet":
        memory = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(rows), memory)
        return memory.getvalue()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if name == "tsv" else ",", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def save(folder: Path, suffix: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    """Rows as a file of one of `FORMATS`."""
    path = folder / f"rows.{suffix}"
    data = content(suffix.removesuffix(".gz"), rows)
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    return path


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def records(path: Path, **options: Any) -> list[tuple[int, dict[str, Any]]]:
    return list(formats.read(path, Options(**options)))


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row for _, row in records(path, **options)]


def read_train(data: Data) -> table.Rows:
    return data.read()["train"]


# Formats


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    assert values(save(tmp_path, suffix)) == ROWS


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_table(tmp_path: Path, suffix: str) -> None:
    rows = read_train(Data.files(train=str(save(tmp_path, suffix))))
    expected = read_train(Data.rows(ROWS))
    assert (rows.columns, rows.digest) == (expected.columns, expected.digest)


@pytest.mark.parametrize(
    ("suffix", "first"), [("csv", 2), ("tsv", 2), ("csv.gz", 2), ("jsonl", 1), ("json", 1), ("parquet", 1)]
)
def test_a_row_knows_its_line(tmp_path: Path, suffix: str, first: int) -> None:
    lines = [line for line, _ in records(save(tmp_path, suffix))]
    assert lines == list(range(first, first + len(ROWS)))


def test_a_quoted_line_break_does_not_shift_the_lines_after_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,label\n"one\ntwo\n",a\n\nthree,b\n"four\r\n",c\nfive,d\n')
    assert [line for line, _ in records(path)] == [2, 6, 7, 9]


def test_blank_lines_of_jsonl_are_counted_and_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '\n{"a": 1}\n\n{"a": 2}\n')
    assert records(path) == [(2, {"a": 1}), (4, {"a": 2})]


def test_a_message_names_a_row_by_file_and_line(tmp_path: Path) -> None:
    assert read_train(Data.files(train=str(save(tmp_path, "csv")))).where(2) == "rows.csv line 4"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SPITEFUL = st.text("\",\n\r\t';|\\ a\N{LINE SEPARATOR}\N{NEXT LINE}\N{ZERO WIDTH NO-BREAK SPACE}", max_size=12)


@given(rows=st.lists(st.tuples(TEXTS | SPITEFUL, TEXTS | SPITEFUL), max_size=8))
@settings(deadline=None, max_examples=150)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    assert [(row["text"], row["label"]) for row in values(path)] == rows


@given(rows=st.lists(st.fixed_dictionaries({"text": TEXTS | SPITEFUL, "n": st.integers()}), max_size=8))
@settings(deadline=None, max_examples=60)
def test_what_is_written_as_json_lines_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    path.write_bytes(b"\n" + content("jsonl", rows))
    assert values(path) == rows


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, suffix: str) -> None:
    assert values(write(tmp_path, f"a.{suffix}", b"\xef\xbb\xbf" + content(suffix, ROWS))) == ROWS


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_ending_is_read(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, "a.csv", ending.join(["text,label", "one,a", "two,b", ""]))
    assert values(path) == [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.csv", "text\none")) == [{"text": "one"}]


def test_quotes_of_a_tsv_are_text(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'text\tlabel\n"open\tx\nhe said "so"\ty\n')
    assert [row["text"] for row in values(path)] == ['"open', 'he said "so"']


def test_quotes_of_a_tsv_quote_where_asked(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.tsv", 'text\tlabel\n"a\tb"\tx\n'), quoting=True)[0]["text"] == "a\tb"


def test_quotes_of_a_csv_are_text_where_asked(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.csv", 'text,label\n"open,x\n'), quoting=False)[0]["text"] == '"open'


def test_another_delimiter_is_used_where_given(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text;label\none, two;x\n")
    assert values(path, delimiter=";") == [{"text": "one, two", "label": "x"}]


def test_a_header_given_makes_the_first_line_data(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "one,x\ntwo,y\n")
    assert records(path, header=("text", "label"))[0] == (1, {"text": "one", "label": "x"})


def test_a_json_file_may_hold_one_list_under_any_name(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.json", json.dumps({"version": 1, "rows": ROWS}))) == ROWS


def test_a_json_file_with_several_lists_needs_a_field(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"rows": ROWS, "tags": []}))
    with pytest.raises(DataError, match=r"data\.field must name the list of rows\. Lists here: rows, tags"):
        values(path)


def test_the_field_of_a_json_file_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"rows": ROWS, "tags": []}))
    assert values(path, field="rows") == ROWS


def test_a_field_that_a_json_file_lacks_names_the_lists_it_has(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps({"rows": ROWS, "tags": []}))
    with pytest.raises(DataError, match=r"row\b.*rows, tags"):
        values(path, field="row")


def test_json_lines_under_the_name_of_json_are_read(tmp_path: Path) -> None:
    assert values(write(tmp_path, "a.json", content("jsonl", ROWS))) == ROWS


def test_a_row_that_lacks_a_column_has_none_there(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": "one"}\n{"text": "two", "label": "x"}\n')
    assert read_train(Data.files(train=str(path))).column("label") == [None, "x"]


def test_several_files_follow_one_another(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", "text,label\none,x\n")
    second = write(tmp_path, "b.jsonl", '{"label": "y", "text": "two"}\n')
    rows = read_train(Data.files(train=[str(first), str(second)]))
    assert (rows.column("text"), rows.ids) == (["one", "two"], ["a.csv:2", "b.jsonl:1"])


# What is wrong with a file


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "text,label\none,x\ntwo\n", r"a\.csv line 3: 1 fields, but 2 columns \(text, label\)"),
        ("a.csv", "text,label\none,x,y\n", r"a\.csv line 2: 3 fields, but 2 columns"),
        ("a.csv", 'text,label\none,x\n"open,y\nthree,z\n', r"a\.csv line 3: .*data\.quoting=false"),
        ("a.csv", b"text,label\ncaf\xe9,x\n", r"a\.csv is not UTF-8: byte 0xe9.*iconv"),
        ("a.csv", "text,label,text\none,x,y\n", r"the header names 'text' twice"),
        ("a.csv", "", r"the file .*a\.csv is empty"),
        ("a.docx", "hello", r"has no known format\. Known: \.csv, \.tsv, \.json, \.jsonl, \.parquet, \.txt"),
        ("a.jsonl", '{"a": 1}\n{"a": 2\n', r"a\.jsonl line 2: no JSON: .* at character"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl line 2: a row is an object .* list"),
        ("a.json", '[{"a": 1},\n{"a": }]', r"a\.json line 2: no JSON"),
        ("a.json", "3", r"a list of rows is needed, there is int"),
        ("a.json", '[{"a": 1}, 3]', r"a\.json row 2: a row is an object .* int"),
        ("a.parquet", "not parquet at all", r"a\.parquet is not a readable parquet file"),
        ("a.csv.gz", "text,label\n", r"a\.csv\.gz is not a whole gzip file"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, name: str, text: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        values(write(tmp_path, name, text))


def test_a_gzip_file_that_was_cut_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(content("csv", ROWS * 50))
    with pytest.raises(DataError, match="is not a whole gzip file"):
        values(write(tmp_path, "a.csv.gz", whole[: len(whole) // 2]))


def test_a_gzip_file_that_was_damaged_is_told(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(content("csv", ROWS * 50)))
    whole[20:40] = b"\xff" * 20
    with pytest.raises(DataError, match="is not a whole gzip file"):
        values(write(tmp_path, "a.csv.gz", bytes(whole)))


def test_five_wrong_lines_are_told_at_once_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        values(write(tmp_path, "a.csv", "text,label\n" + "one\n" * 20))
    assert [problem.split(":")[0].rpartition(" ")[2] for problem in error.value.problems] == ["2", "3", "4", "5", "6"]


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "tickets.csv", "x")
    with pytest.raises(DataError, match=r"ticket\.csv does not exist\. Did you mean 'tickets\.csv'"):
        values(tmp_path / "ticket.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(DataError, match="is a folder; a file is needed"):
        values(tmp_path / "rows.csv")


def test_every_file_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    data = Data.files(train=str(tmp_path / "a.csv"), validation=str(tmp_path / "b.csv"))
    with pytest.raises(DataError) as error:
        data.read()
    assert len(error.value.problems) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"a": 1}', '{"a": 2}', '{"a": "three"}'], r"a\.jsonl line 3: column 'a' is 'three' \(str\).*it is int"),
        (['{"a": "x"}', '{"a": "y"}', '{"a": null}', '{"a": 4}'], r"line 4: column 'a' is 4 \(int\).*it is str"),
        (['{"a": [1]}', '{"a": [2]}', '{"a": ["x"]}'], r"a\.jsonl line 3: column 'a'"),
        (['{"a": {"b": 1}}', '{"a": {"b": 1}}', '{"a": {"b": "x"}}'], r"a\.jsonl line 3: column 'a'"),
        (['{"a": 1}', '{"a": 1180591620717411303424}'], r"a\.jsonl line 2: column 'a'"),
        (['{"a": "x"}', '{"a": "\\ud800"}'], r"a\.jsonl line 2: column 'a'"),
    ],
    ids=["number then text", "text then number", "lists", "objects", "huge number", "half a character"],
)
def test_a_value_that_fits_no_column_is_named_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    path = write(tmp_path, "a.jsonl", "\n".join(lines))
    with pytest.raises(DataError, match=words):
        Data.files(train=str(path)).read()


def test_a_type_that_changes_far_into_a_file_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "CHUNK", 2)
    path = write(tmp_path, "a.jsonl", "".join(f'{{"far": {value}}}\n' for value in (1, 2, 3, 4, '"x"', '"y"')))
    with pytest.raises(DataError, match=r"a\.jsonl line 5: column 'far'"):
        Data.files(train=str(path)).read()


def test_whole_and_broken_numbers_far_apart_make_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CHUNK", 2)
    path = write(tmp_path, "a.jsonl", "".join(f'{{"n": {value}}}\n' for value in (1, 2, 3.5, "null", 5)))
    assert read_train(Data.files(train=str(path))).column("n") == [1, 2, 3.5, None, 5]


# Columns and splits


def load(data: Data) -> dict[str, table.Rows]:
    return data.load(TEXT, LABEL)


def many(count: int) -> list[dict[str, str]]:
    return [{"text": f"text {number}", "label": "abc"[number % 3]} for number in range(count)]


def test_a_missing_column_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"has no column 'text' \(task\.text\)\. Did you mean 'texts'\? Known: label"):
        load(Data.rows([{"texts": "a", "label": "x"}] * 3))


def test_all_missing_columns_are_told_at_once() -> None:
    with pytest.raises(DataError) as error:
        load(Data.rows([{"a": "x"}] * 3))
    assert len(error.value.problems) == 2


def test_a_test_split_may_lack_the_label() -> None:
    assert len(load(Data.rows(many(30), test=[{"text": "a"}]))["test"]) == 1


def test_a_validation_split_may_not_lack_the_label() -> None:
    with pytest.raises(DataError, match="validation has no column 'label'"):
        load(Data.rows(many(30), validation=[{"text": "a"}]))


def test_a_header_without_rows_is_told_as_that_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load(Data.files(train=str(write(tmp_path, "a.csv", "text,label\n"))))
    assert list(error.value.problems) == ["a.csv holds no rows."]


def test_without_a_validation_split_a_tenth_is_kept_aside() -> None:
    splits = load(Data.rows(many(300)))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 270, "validation": 30}


def test_a_holdout_takes_the_place_of_a_validation_split() -> None:
    splits = load(Data.rows(many(100), validation=many(3), holdout=0.4))
    assert (len(splits["train"]), len(splits["validation"])) == (60, 40)


def test_rows_kept_aside_are_disjoint_from_the_others_and_complete() -> None:
    splits = load(Data.rows(many(50), holdout=0.3))
    train, validation = splits["train"].ids, splits["validation"].ids
    assert sorted(train + validation) == sorted(read_train(Data.rows(many(50))).ids)


def test_too_few_rows_to_keep_some_aside_are_refused() -> None:
    with pytest.raises(DataError, match="1 rows are too few"):
        load(Data.rows([{"text": "a", "label": "x"}]))


LABELS = st.lists(st.integers(1, 30), min_size=1, max_size=8).flatmap(
    lambda counts: st.permutations([f"class {n}" for n, count in enumerate(counts) for _ in range(count)])
)
SHARES = st.floats(0.02, 0.9)


@given(labels=LABELS, share=SHARES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_a_holdout_is_disjoint_complete_and_in_order(labels: list[str], share: float, seed: int) -> None:
    kept, aside = hold_out(labels, share, seed)
    assert sorted(kept + aside) == list(range(len(labels)))
    assert (kept, aside) == (sorted(kept), sorted(aside))


@given(labels=LABELS, share=SHARES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_a_holdout_leaves_every_class_a_row_to_train_on(labels: list[str], share: float, seed: int) -> None:
    kept, _ = hold_out(labels, share, seed)
    if len(set(labels)) <= len(labels) / 2:
        assert {labels[position] for position in kept} == set(labels)


@given(labels=LABELS, share=SHARES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=200)
def test_a_holdout_takes_of_every_class_its_share_within_a_row(labels: list[str], share: float, seed: int) -> None:
    _, aside = hold_out(labels, share, seed)
    counts, taken = Counter(labels), Counter(labels[position] for position in aside)
    if len(counts) <= len(labels) / 2:
        assert {label: taken[label] for label in counts if abs(taken[label] - counts[label] * share) > 1 + 1e-9} == {}


def test_many_classes_of_one_row_take_nothing_from_a_class_of_many() -> None:
    labels = [f"single {number}" for number in range(40)] + ["the others"] * 60
    _, aside = hold_out(labels, 0.3, seed=0)
    assert len(aside) == 18


def test_labels_that_are_all_different_give_a_plain_share() -> None:
    assert len(hold_out(range(100), 0.2, seed=0)[1]) == 20


def test_the_same_seed_keeps_the_same_rows_aside() -> None:
    labels = ["a", "b"] * 50
    assert hold_out(labels, 0.2, 1) == hold_out(labels, 0.2, 1)


def test_another_seed_keeps_other_rows_aside() -> None:
    labels = ["a", "b"] * 50
    assert hold_out(labels, 0.2, 1) != hold_out(labels, 0.2, 2)


def test_a_limit_cuts_the_training_split_only() -> None:
    splits = load(Data.rows(many(50), validation=many(40), test=many(30), limit=10))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 10, "validation": 40, "test": 30}


def test_a_limit_does_not_change_which_rows_are_kept_aside() -> None:
    whole, cut = load(Data.rows(many(50), holdout=0.2)), load(Data.rows(many(50), holdout=0.2, limit=5))
    assert cut["validation"].ids == whole["validation"].ids


def test_a_limit_above_the_number_of_rows_keeps_all() -> None:
    assert len(load(Data.rows(many(20), validation=many(3), limit=1000))["train"]) == 20


def test_a_limit_is_drawn_by_the_seed_of_the_data() -> None:
    drawn = [load(Data.rows(many(50), validation=many(3), limit=10, seed=seed))["train"].ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


# Fields within columns

GERMAN = (Column("translation.de", "task.source"),)
ENGLISH = (Column("translation.en", "task.target"),)


def translated(count: int = 12) -> list[dict[str, Any]]:
    return [{"id": n, "translation": {"de": f"deutsch {n}", "en": f"english {n}"}} for n in range(count)]


@pytest.mark.parametrize("suffix", ["json", "jsonl", "jsonl.gz", "parquet"])
def test_a_field_within_a_column_is_asked_for_by_its_dotted_name(tmp_path: Path, suffix: str) -> None:
    data = Data.files(train=str(save(tmp_path, suffix, translated())), holdout=0.25)
    splits = data.load(GERMAN, ENGLISH)
    texts = [text for split in splits.values() for text in split.column("translation.de")]
    assert sorted(texts) == sorted(row["translation"]["de"] for row in translated())
    assert [record["translation.en"] for record in splits["train"].records()] == splits["train"].column(
        "translation.en"
    )


def test_a_field_within_a_column_is_found_in_rows_in_memory_and_as_they_are_stored(tmp_path: Path) -> None:
    data = Data.rows(translated(), validation=translated(3))
    for source in (data, data.stored(tmp_path)):
        splits = source.load(GERMAN, ENGLISH)
        assert splits["validation"].column("translation.en") == ["english 0", "english 1", "english 2"]


def test_stored_rows_with_fields_have_the_same_hashes(tmp_path: Path) -> None:
    data = Data.rows(translated())
    splits = [source.load(GERMAN, ENGLISH)["train"] for source in (data, data.stored(tmp_path))]
    assert splits[0].digest == splits[1].digest


def test_a_field_may_lie_deeper() -> None:
    rows = Data.rows([{"a": {"b": {"c": str(n)}}} for n in range(20)]).load((Column("a.b.c", "task.text"),), ())
    assert rows["train"].column("a.b.c")[0].isdecimal()


def test_a_real_column_with_a_dot_in_its_name_goes_before_a_field() -> None:
    rows = [{"translation.de": "real", **row} for row in translated()]
    assert set(Data.rows(rows).load(GERMAN, ENGLISH)["train"].column("translation.de")) == {"real"}


def test_a_field_whose_name_has_a_dot_is_found() -> None:
    rows = [{"a": {"b.c": f"text {n}"}} for n in range(20)]
    assert Data.rows(rows).load((Column("a.b.c", "task.text"),), ())["train"].column("a.b.c")[0].startswith("text")


def test_columns_and_fields_that_nobody_asked_for_stay_as_they_are() -> None:
    assert Data.rows(translated()).load(GERMAN, ())["train"].columns == ["id", "translation", "translation.de"]


@pytest.mark.parametrize("hole", [None, {"en": "only"}, {"de": None}], ids=["column", "key", "value"])
def test_a_row_without_the_field_is_named(hole: Any) -> None:
    rows = [*translated(), {"id": 99, "translation": hole}]
    with pytest.raises(DataError, match=r"1 rows have no 'translation\.de': train line 13"):
        Data.rows(rows).load(GERMAN, ())


def test_a_field_may_be_absent_from_the_targets_of_a_test_split() -> None:
    hidden = [{"translation": {"de": row["translation"]["de"]}} for row in translated(2)]
    assert Data.rows(translated(), test=hidden).load(GERMAN, ENGLISH)["test"].columns == [
        "translation",
        "translation.de",
    ]


def test_a_field_that_any_split_may_lack_is_found_where_it_is() -> None:
    data = Data.rows(translated(), validation=[{"translation": {"de": "deutsch"}}])
    splits = data.load(GERMAN, (), optional=ENGLISH)
    assert ["translation.en" in rows.columns for rows in splits.values()] == [True, False]


def test_a_missing_field_names_the_nearest_of_all_columns_and_fields() -> None:
    wanted = r"no column 'translation\.ge' \(task\.source\)\. Did you mean 'translation\.\w+'\? "
    with pytest.raises(DataError, match=wanted + r"Known: id, translation, translation\.de, translation\.en\."):
        Data.rows(translated()).load((Column("translation.ge", "task.source"),), ())


def test_a_name_below_a_column_of_texts_is_no_field() -> None:
    with pytest.raises(DataError, match=r"no column 'id\.de'"):
        Data.rows(translated()).load((Column("id.de", "task.source"),), ())


def test_a_field_of_selected_rows_belongs_to_them() -> None:
    rows = read_train(Data.rows(translated())).select([7, 2]).unfolded(["translation.de"])
    assert rows.column("translation.de") == ["deutsch 7", "deutsch 2"]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"translation": {"de": "x"}}, "x"),
        ({"translation.de": "x"}, "x"),
        ({"translation.de": "x", "translation": {"de": "y"}}, "x"),
        ({"translation": {"en": "x"}}, None),
        ({"translation": "x"}, None),
        ({"translation": None, "translation.de": "x"}, "x"),
    ],
)
def test_a_plain_row_may_hold_a_field_nested_or_by_its_name(row: dict[str, Any], value: Any) -> None:
    assert nested.value(row, "translation.de") == value


def test_the_names_of_a_plain_row_are_those_of_its_columns_and_fields() -> None:
    assert nested.names({"id": 1, "a": {"b": {"c": 1}}}) == ["id", "a", "a.b", "a.b.c"]


def test_a_run_on_fields_is_certified_and_predicts_rows_nested_or_not(tmp_path: Path, tiny_bert: str) -> None:
    rows = [{"review": {"text": f"{word} film", "stars": word}} for word in ("good", "bad") * 8]
    recipe = Recipe(
        name="nested",
        task=Classification(text="review.text", label="review.stars"),
        data=Data.rows(rows, validation=rows[:6]),
        model=tiny_bert,
        tuning=Full(),
        training=Training(steps=1, batch_size=8, precision="fp32"),
    )
    done = run(recipe, tmp_path)
    assert done.complete
    nested_row, by_name, text = done.predict([{"review": {"text": "a film"}}, {"review.text": "a film"}, "a film"])
    assert nested_row == by_name == text
    with pytest.raises(DataError, match=r"row 1 has no 'review\.text'\. .*Known: review, review\.texts"):
        done.predict([{"review": {"texts": "a film"}}])


# Rows in memory, ids, hashes


def as_dataset() -> Dataset:
    return Dataset.from_list(ROWS)


@pytest.mark.parametrize(
    "given_rows",
    [tuple(ROWS), {"text": [row["text"] for row in ROWS], "label": [row["label"] for row in ROWS]}, as_dataset()],
    ids=["tuple", "dictionary", "dataset"],
)
def test_rows_in_memory_are_the_same_however_they_are_held(given_rows: Any) -> None:
    rows, expected = read_train(Data.rows(given_rows)), read_train(Data.rows(ROWS))
    assert list(rows.records()) == list(expected.records())


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="different lengths"):
        Data.rows({"text": ["a", "b"], "label": ["x"]}).read()


def test_a_row_in_memory_that_is_no_dictionary_is_named() -> None:
    with pytest.raises(DataError, match="train row 2 is str"):
        Data.rows([{"text": "a"}, "b"]).read()


def test_rows_in_memory_are_stored_as_files_of_the_same_rows(tmp_path: Path) -> None:
    data = Data.rows(many(20), test=many(3), holdout=0.2, limit=5, seed=3)
    stored, plain = load(data.stored(tmp_path / "data")), load(data)
    assert {name: rows.digest for name, rows in stored.items()} == {name: rows.digest for name, rows in plain.items()}


def test_a_row_id_is_made_of_file_and_line(tmp_path: Path) -> None:
    assert read_train(Data.files(train=str(save(tmp_path, "csv")))).ids[:2] == ["rows.csv:2", "rows.csv:3"]


def test_row_ids_are_all_different() -> None:
    assert len(set(read_train(Data.rows(many(30))).ids)) == 30


def test_the_hash_of_a_row_does_not_depend_on_the_order_of_its_columns() -> None:
    assert table.content_hash({"a": 1, "b": "x"}) == table.content_hash({"b": "x", "a": 1})


@pytest.mark.parametrize("other", [{"a": "12", "b": ""}, {"a": 1, "b": "2"}, {"b": "1", "a": "2"}, {"a": "1"}])
def test_rows_of_other_content_have_other_hashes(other: dict[str, Any]) -> None:
    assert table.content_hash(other) != table.content_hash({"a": "1", "b": "2"})


def test_a_hash_takes_text_that_is_no_whole_character() -> None:
    assert table.content_hash({"a": "\ud800"}) != table.content_hash({"a": "?"})


@given(row=st.integers(0, 9), column=st.sampled_from(["text", "label"]), value=TEXTS.map(lambda text: f"{text}!"))
@settings(deadline=None, max_examples=20)
def test_the_digest_changes_with_any_value(row: int, column: str, value: str) -> None:
    rows = many(10)
    changed = [{**item, column: value} if number == row else item for number, item in enumerate(rows)]
    assert read_train(Data.rows(changed)).digest != read_train(Data.rows(rows)).digest


def test_the_digest_changes_with_the_order_of_the_rows() -> None:
    assert read_train(Data.rows(many(5)[::-1])).digest != read_train(Data.rows(many(5))).digest


def test_a_selection_keeps_ids_and_lines() -> None:
    rows = read_train(Data.rows(many(9))).select([7, 2], "validation")
    assert (rows.ids, rows.split, rows.where(0)) == (["train:8", "train:3"], "validation", "train line 8")


def test_records_are_whole_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CHUNK", 4)
    rows = read_train(Data.rows(many(10)))
    assert [record["text"] for record in rows.records()] == [row["text"] for row in many(10)]


# Caches


def test_a_file_with_other_content_of_the_same_size_and_time_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\none,x\n")
    stamp = path.stat()
    before = read_train(Data.files(train=str(path))).column("text")
    write(tmp_path, "a.csv", "text,label\ntwo,x\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    after = read_train(Data.files(train=str(path)))
    assert (before, after.column("text"), path.stat().st_size) == (["one"], ["two"], stamp.st_size)


def test_other_options_read_a_file_anew(tmp_path: Path) -> None:
    path = str(write(tmp_path, "a.csv", "a;b,c\nd;e,f\n"))
    comma, semicolon = Data.files(train=path), Data.files(train=path, delimiter=";")
    assert [read_train(data).columns for data in (comma, semicolon)] == [["a;b", "c"], ["a", "b,c"]]


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data.files(train=str(write(tmp_path, "once.csv", "text,label\nread once,x\n")))
    read_train(data)
    monkeypatch.setattr(formats, "read", lambda *_: pytest.fail("read twice"))
    assert read_train(data).column("text") == ["read once"]


def test_a_file_that_could_not_be_read_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError):
        Data.files(train=str(write(tmp_path, "a.csv", "text,label\none\n"))).read()
    assert list((tmp_path / "cache").iterdir()) == []


class Counting(Classification):
    """Counts how often it encodes."""

    def encode(self, rows: dict[str, Any], tokenizer: Any, limit: int, mode: Any) -> dict[str, list[Any]]:
        ENCODED.append(len(rows["text"]))
        return super().encode(rows, tokenizer, limit, mode)


ENCODED: list[int] = []


@pytest.fixture
def make_encoder(tiny_bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Encoder]:
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / "cache"))
    ENCODED.clear()
    tokenizer, digest = tokenizer_of(tiny_bert, local=True)

    def make(**changes: Any) -> Encoder:
        usual = {"task": Counting(labels=("a", "b", "c")), "tokenizer_digest": digest, "limit": 16, "seed": 0}
        return Encoder(tokenizer=tokenizer, **{**usual, **changes})

    return make


def test_features_are_made_once(make_encoder: Callable[..., Encoder]) -> None:
    rows = read_train(Data.rows(many(6)))
    for _ in range(2):
        make_encoder().features(rows, "train")
    assert ENCODED == [6]


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": 8},
        {"tokenizer_digest": "another"},
        {"task": Counting(labels=("c", "b", "a"))},
        {"task": Counting(labels=("a", "b", "c"), class_weights={"a": 2.0})},
    ],
    ids=["limit", "tokenizer", "labels", "weights"],
)
def test_features_are_made_anew_when_what_they_depend_on_changes(
    make_encoder: Callable[..., Encoder], changes: dict[str, Any]
) -> None:
    rows = read_train(Data.rows(many(6)))
    make_encoder().features(rows, "train")
    make_encoder(**changes).features(rows, "train")
    assert ENCODED == [6, 6]


def test_features_are_made_anew_for_another_purpose(make_encoder: Callable[..., Encoder]) -> None:
    rows = read_train(Data.rows(many(6)))
    columns = {mode: make_encoder().features(rows, mode).table.column_names for mode in ("train", "predict")}
    assert "target" in columns["train"] and "target" not in columns["predict"]


def test_features_are_made_anew_when_a_row_changes(make_encoder: Callable[..., Encoder]) -> None:
    make_encoder().features(read_train(Data.rows(many(6))), "train")
    make_encoder().features(read_train(Data.rows([*many(5), {"text": "other", "label": "a"}])), "train")
    assert ENCODED == [6, 6]


OWN_TASK = """
from finetune import Classification

class Own(Classification):
    def encode(self, rows, tokenizer, limit, mode):
        return super().encode({{**rows, "text": ["{word}"] * len(rows["text"])}}, tokenizer, limit, mode)
"""


def test_features_are_made_anew_when_the_code_of_an_own_task_changes(
    make_encoder: Callable[..., Encoder], tmp_path: Path
) -> None:
    rows, path = read_train(Data.rows(many(6))), tmp_path / "own_task.py"
    lengths = []
    for word in ("good", "good good good"):
        path.write_text(OWN_TASK.format(word=word), "utf-8")
        task = catalog.execute(path).Own(labels=("a", "b", "c"))
        lengths.append(int(make_encoder(task=task).features(rows, "train").lengths[0]))
    assert lengths == [3, 5]


def test_features_of_rows_in_chunks_know_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CHUNK", 4)
    rows = read_train(Data.rows(many(10)))

    def twice(part: dict[str, list[Any]]) -> dict[str, list[Any]]:
        count = len(part["text"])
        numbers = [int(text.split()[1]) for text in part["text"]]
        return {
            "row": list(range(count)) * 2,
            "window": [0] * count + [1] * count,
            "length": [1] * 2 * count,
            "number": numbers * 2,
        }

    made = features.encode(rows, twice, ("chunks",))
    assert (made.rows == made.table.data.column("number").to_numpy()).all() and np.bincount(made.rows).tolist() == [
        2
    ] * 10


def test_rows_that_give_no_feature_are_refused() -> None:
    def nothing(_: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"row": [], "window": [], "length": []}

    with pytest.raises(DataError, match="no row of train gives anything to learn from"):
        features.encode(read_train(Data.rows(many(3))), nothing, ("nothing",))


# Published layouts


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown data\.reader 'glu'\. Did you mean 'glue'"):
        official_reader("glu")


def test_plain_files_take_the_place_of_the_hub(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "text,label\na,x\n")
    write(tmp_path, "validation.jsonl", '{"text": "b", "label": "x"}\n')
    splits = Data.hub("some/rows", path=str(tmp_path)).read()
    assert {name: rows.column("text") for name, rows in splits.items()} == {"train": ["a"], "validation": ["b"]}


def test_a_split_that_is_not_there_names_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "text,label\na,x\n")
    with pytest.raises(DataError, match=r"has no split 'validation' \(data\.validation\).* Known: train"):
        Data.hub("some/rows", path=str(tmp_path)).read()
