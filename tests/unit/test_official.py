"""Published folders: SQuAD, XQuAD, CoNLL-2003, WNUT-17, FewCLUE, CLUENER, AESLC, SAMSum, Multi30k, WikiText-2, PTB."""

import gzip
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from finetune import Data, DataError, catalog
from finetune.data import formats, official
from finetune.data.official import aeslc, cluener, conll2003, fewclue, multi30k, ptb, samsum, squad, wikitext2, wnut17
from finetune.data.table import Rows

READERS = {
    "aeslc": aeslc,
    "cluener": cluener,
    "conll2003": conll2003,
    "multi30k": multi30k,
    "ptb": ptb,
    "samsum": samsum,
    "squad": squad,
    "wikitext2": wikitext2,
    "wnut17": wnut17,
}
"""Readers that need no subset."""
TASKS = ("tnews", "iflytek", "ocnli", "bustm", "eprstmt", "csl", "chid", "cluewsc")


def save(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", newline="")
    return path


def save_lines(folder: Path, name: str, *values: Any) -> Path:
    return save(folder, name, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def plain(rows: Rows) -> list[dict[str, Any]]:
    return [{name: record[name] for name in rows.columns} for record in rows.records()]


def counts(splits: Any, names: Iterable[str] = ("train", "validation", "test")) -> dict[str, int]:
    return {name: len(splits[name]) for name in names}


# Every reader


def test_every_reader_has_a_name() -> None:
    assert set(catalog.names(official.__name__)) >= {*READERS, "fewclue", "glue"}


@pytest.mark.parametrize("name", [*READERS, "fewclue"])
def test_a_reader_is_found_by_its_name(name: str) -> None:
    assert official.reader(name) is {**READERS, "fewclue": fewclue}[name].read


def test_an_unknown_reader_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown data\.reader 'conll'\. Did you mean 'conll2003'"):
        official.reader("conll")


@pytest.mark.parametrize(
    ("name", "config", "wanted"),
    [
        ("squad", None, r"of SQuAD \(train-v1\.1\.json, dev-v1\.1\.json\)"),
        ("squad", "v2.0", r"of SQuAD \(train-v2\.0\.json, dev-v2\.0\.json\)"),
        ("conll2003", None, r"of CoNLL-2003 \(train\.txt, eng\.train, valid\.txt"),
        ("wnut17", None, r"of WNUT-17 \(wnut17train\.conll, emerging\.dev\.conll, emerging\.test\.annotated\)"),
        ("cluener", None, r"of CLUENER \(train\.json, dev\.json, test\.json\)"),
        ("fewclue", "csl", r"of FewCLUE csl \(train_few_all\.json, train_0\.json"),
        ("aeslc", None, r"of AESLC \(train\.jsonl, dev\.jsonl, test\.jsonl\)"),
        ("samsum", None, r"of SAMSum \(train\.json, train\.jsonl, val\.json"),
        ("multi30k", None, r"of Multi30k \(train\.de, train\.en, val\.de"),
        ("wikitext2", None, r"of WikiText-2 \(train\.txt, wiki\.train\.tokens"),
        ("ptb", None, r"of PTB \(ptb\.train\.txt, ptb\.valid\.txt, ptb\.test\.txt\)"),
    ],
)
def test_a_folder_without_its_files_says_what_it_wants_and_what_it_has(
    tmp_path: Path, name: str, config: str | None, wanted: str
) -> None:
    save(tmp_path, "notes.md", "nothing")
    with pytest.raises(DataError, match=rf"has no files {wanted}.*It has: notes\.md\."):
        official.reader(name)(tmp_path, config)


@pytest.mark.parametrize("name", ["conll2003", "wnut17", "cluener", "aeslc", "samsum", "multi30k", "ptb"])
def test_a_subset_is_refused_where_there_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"has no subsets; leave data\.config out \(it is 'english'\)"):
        official.reader(name)(tmp_path, "english")


@pytest.mark.parametrize(
    ("reader", "wrong", "right"),
    [(squad, "v1.2", "v1.1"), (fewclue, "tnew", "tnews"), (wikitext2, "wikitext-2", "wikitext-2-v1")],
)
def test_an_unknown_subset_names_the_nearest(tmp_path: Path, reader: Any, wrong: str, right: str) -> None:
    with pytest.raises(DataError, match=rf"'{wrong}'\. Did you mean '{right}'"):
        reader.read(tmp_path, wrong)


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "train.txt", "Once NNP B-NP O\n")
    first = conll2003.read(tmp_path, None)["train"]
    monkeypatch.setattr(formats, "read", lambda *_: pytest.fail("read twice"))
    assert conll2003.read(tmp_path, None)["train"].ids == first.ids


def test_a_file_that_nobody_asks_for_does_no_harm(tmp_path: Path) -> None:
    save(tmp_path, "train.txt", "EU NNP B-NP B-ORG\n")
    save(tmp_path, "valid.txt", "broken\nEU NNP\n")
    assert len(conll2003.read(tmp_path, None)["train"]) == 1


def test_the_same_content_under_another_name_keeps_its_own_name(tmp_path: Path) -> None:
    for name in ("train.txt", "test.txt"):
        save(tmp_path, name, "Twice NNP B-NP O\n")
    splits = conll2003.read(tmp_path, None)
    assert [splits[name].ids for name in ("train", "test")] == [["train.txt:1"], ["test.txt:1"]]


# SQuAD


def article(*ids: str) -> str:
    questions = [{"id": name, "question": "When?", "answers": [{"text": "six", "answer_start": 3}]} for name in ids]
    return json.dumps({"data": [{"title": "Mill", "paragraphs": [{"context": "At six.", "qas": questions}]}]})


def ids(splits: Any, split: str) -> list[str]:
    return splits[split].column("id")


@pytest.mark.parametrize("config", [None, "v1.1"])
def test_the_standard_files_of_squad_are_train_and_validation(tmp_path: Path, config: str | None) -> None:
    save(tmp_path, "dev-v1.1.json", article("b"))
    (tmp_path / "train-v1.1.json.gz").write_bytes(gzip.compress(article("a").encode()))
    splits = squad.read(tmp_path, config)
    assert (ids(splits, "train"), ids(splits, "validation")) == (["a"], ["b"])


def test_squad_has_the_columns_of_the_hub(tmp_path: Path) -> None:
    save(tmp_path, "dev-v1.1.json", article("b"))
    columns = squad.read(tmp_path, None)["validation"].columns
    assert columns == ["id", "title", "context", "question", "answers"]


def test_every_json_file_of_a_folder_is_a_split_under_its_name(tmp_path: Path) -> None:
    save(tmp_path, "xquad.de.json", article("a"))
    (tmp_path / "xquad.zh.json.gz").write_bytes(gzip.compress(article("b").encode()))
    save(tmp_path, "notes.jsonl", "")
    splits = squad.read(tmp_path, None)
    assert {name: ids(splits, name) for name in splits} == {"xquad.de": ["a"], "xquad.zh": ["b"]}


def test_splits_of_squad_may_be_named_by_their_files(tmp_path: Path) -> None:
    save(tmp_path, "dev-v2.0-first.json", article("a"))
    save(tmp_path, "dev-v2.0-last.json", article("b"))
    data = Data.hub(
        "rajpurkar/squad_v2", path=str(tmp_path), reader="squad", train="dev-v2.0-first", validation="dev-v2.0-last"
    )
    assert {name: rows.column("id") for name, rows in data.read().items()} == {"train": ["a"], "validation": ["b"]}


def test_the_whole_file_of_squad_goes_before_its_parts(tmp_path: Path) -> None:
    save(tmp_path, "dev-v2.0-a.json", article("part"))
    save(tmp_path, "dev-v2.0.json", article("whole"))
    assert ids(squad.read(tmp_path, None), "validation") == ["whole"]


def test_a_part_of_squad_stands_for_the_whole_where_it_is_alone(tmp_path: Path) -> None:
    save(tmp_path, "train-v2.0-10articles.json", article("part"))
    assert ids(squad.read(tmp_path, None), "train") == ["part"]


def test_of_several_parts_of_squad_none_is_guessed(tmp_path: Path) -> None:
    save(tmp_path, "train-v2.0-a.json", article("a"))
    save(tmp_path, "train-v2.0-b.json", article("b"))
    data = Data.hub("rajpurkar/squad_v2", path=str(tmp_path), reader="squad")
    with pytest.raises(DataError, match=r"has no split 'train'.*train-v2\.0-a, train-v2\.0-b"):
        data.read()


def test_a_root_of_several_versions_of_squad_is_entered(tmp_path: Path) -> None:
    save(tmp_path, "squad_v1.1/dev-v1.1.json", article("one"))
    save(tmp_path, "squad_v2.0/dev-v2.0.json", article("two"))
    save(tmp_path, "xquad/xquad.de.json", article("x"))
    found = [list(squad.read(tmp_path, config)) for config in ("v1.1", "v2.0", "xquad")]
    assert found == [["dev-v1.1", "validation"], ["dev-v2.0", "validation"], ["xquad.de"]]


def test_a_root_of_one_version_of_squad_needs_no_subset(tmp_path: Path) -> None:
    save(tmp_path, "squad_v2.0/dev-v2.0.json", article("two"))
    assert ids(squad.read(tmp_path, None), "validation") == ["two"]


@pytest.mark.parametrize("below", ["squad_v1.1/|squad_v2.0/", "|"], ids=["below a root", "in one folder"])
def test_one_of_several_versions_of_squad_must_be_named(tmp_path: Path, below: str) -> None:
    first, second = below.split("|")
    save(tmp_path, f"{first}dev-v1.1.json", article("one"))
    save(tmp_path, f"{second}dev-v2.0.json", article("two"))
    with pytest.raises(DataError, match=r"holds v1\.1 and v2\.0; data\.config must say which"):
        squad.read(tmp_path, None)


@pytest.mark.parametrize(("config", "expected"), [("v1.1", ["one"]), ("v2.0", ["two"])])
def test_the_version_named_is_read_from_a_folder_of_both(tmp_path: Path, config: str, expected: list[str]) -> None:
    save(tmp_path, "dev-v1.1.json", article("one"))
    save(tmp_path, "dev-v2.0.json", article("two"))
    assert ids(squad.read(tmp_path, config), "validation") == expected


def test_xquad_is_scored_beside_squad(tmp_path: Path) -> None:
    save(tmp_path, "squad_v1.1/train-v1.1.json", article("a"))
    save(tmp_path, "squad_v1.1/dev-v1.1.json", article("b"))
    save(tmp_path, "xquad/xquad.de.json", article("c"))
    more = {"german": "xquad/xquad.de"}
    data = Data.hub("rajpurkar/squad", "v1.1", path=str(tmp_path), reader="squad", more=more)
    assert data.read()["german"].column("id") == ["c"]


def test_a_file_of_another_kind_is_no_split_of_squad(tmp_path: Path) -> None:
    save(tmp_path, "predictions.json", json.dumps({"rows": [{"id": "a", "answer": "six"}]}))
    with pytest.raises(DataError, match=r"predictions\.json is no SQuAD file"):
        len(squad.read(tmp_path, None)["predictions"])


# CoNLL-2003 and WNUT-17


@pytest.mark.parametrize(
    "names", [("train.txt", "valid.txt", "test.txt"), ("eng.train", "eng.testa", "eng.testb")], ids=["txt", "eng"]
)
def test_conll_is_read_under_both_of_its_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for count, name in enumerate(names, start=1):
        save(tmp_path, name, "-DOCSTART- -X- O O\n\n" + "EU NNP B-NP B-ORG\n\n" * count)
    assert counts(conll2003.read(tmp_path, None)) == {"train": 1, "validation": 2, "test": 3}


def test_a_gzipped_file_takes_the_place_of_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress(b"EU NNP B-NP B-ORG\n"))
    assert conll2003.read(tmp_path, None)["train"].ids == ["train.txt.gz:1"]


def test_the_columns_of_conll_have_names(tmp_path: Path) -> None:
    save(tmp_path, "train.txt", "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n")
    assert plain(conll2003.read(tmp_path, None)["train"]) == [
        {
            "tokens": ["EU", "rejects"],
            "pos_tags": ["NNP", "VBZ"],
            "chunk_tags": ["B-NP", "B-VP"],
            "ner_tags": ["B-ORG", "O"],
        }
    ]


def test_the_three_files_of_wnut_are_found(tmp_path: Path) -> None:
    names = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
    for count, name in enumerate(names, start=1):
        save(tmp_path, name, "Mill\tB-location\n\t\n" * count)
    assert counts(wnut17.read(tmp_path, None)) == {"train": 1, "validation": 2, "test": 3}


def test_words_of_wnut_may_hold_anything_but_a_tab(tmp_path: Path) -> None:
    save(tmp_path, "wnut17train.conll", 'a b\tO\n"\tO\n#\tO\n\t\nLil\tB-person\n')
    assert plain(wnut17.read(tmp_path, None)["train"]) == [
        {"tokens": ["a b", '"', "#"], "ner_tags": ["O", "O", "O"]},
        {"tokens": ["Lil"], "ner_tags": ["B-person"]},
    ]


# CLUENER


def test_the_end_of_a_span_is_the_character_after_it(tmp_path: Path) -> None:
    save_lines(tmp_path, "train.json", {"text": "我在台湾见彭小军", "label": {"name": {"彭小军": [[5, 7]]}}})
    (row,) = plain(cluener.read(tmp_path, None)["train"])
    (span,) = row["spans"]
    assert (row["text"][span["start"] : span["end"]], span["type"]) == ("彭小军", "name")


def test_spans_stand_in_their_order(tmp_path: Path) -> None:
    label = {"name": {"乙": [[2, 2], [0, 0]]}, "address": {"甲乙": [[1, 2]], "甲": [[1, 1]]}}
    save_lines(tmp_path, "train.json", {"text": "乙甲乙", "label": label})
    (row,) = plain(cluener.read(tmp_path, None)["train"])
    assert [(span["start"], span["end"]) for span in row["spans"]] == [(0, 1), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("hidden", [{}, {"label": None}])
def test_a_test_file_without_entities_has_no_spans(tmp_path: Path, hidden: dict[str, Any]) -> None:
    save_lines(tmp_path, "test.json", {"id": 0, "text": "甲", **hidden})
    assert plain(cluener.read(tmp_path, None)["test"]) == [{"text": "甲"}]


def test_a_text_without_entities_has_an_empty_list(tmp_path: Path) -> None:
    save_lines(tmp_path, "train.json", {"text": "甲", "label": {}})
    assert plain(cluener.read(tmp_path, None)["train"]) == [{"text": "甲", "spans": []}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"label": {}}, r"train\.json line 2 has no text 'text'\. Its columns: label"),
        ({"text": "甲乙", "label": ["name"]}, r"line 2: 'label' is not {type: {entity"),
        ({"text": "甲乙", "label": {"name": {"甲": [[0]]}}}, r"line 2: 'label' is not {type: {entity"),
        ({"text": "甲乙", "label": {"name": {"甲": [[0, 1]]}}}, r"line 2: '甲' is said to stand at 0 to 1"),
        ({"text": "甲乙", "label": {"name": {"乙": [[0, 0]]}}}, r"line 2: '乙' is said to stand at 0 to 0"),
    ],
)
def test_a_wrong_line_of_cluener_is_named(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    save_lines(tmp_path, "train.json", {"text": "甲", "label": {}}, values)
    with pytest.raises(DataError, match=words):
        len(cluener.read(tmp_path, None)["train"])


# FewCLUE

SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tnews": (
        {"label": 103, "label_desc": "news_sports", "sentence": "甲", "keywords": "乙,丙", "id": 1},
        {"sentence": "甲", "keywords": "乙,丙", "label": "news_sports"},
    ),
    "iflytek": (
        {"label": 8, "label_des": "公共交通", "sentence": "甲", "id": 1},
        {"sentence": "甲", "label": "公共交通"},
    ),
    "ocnli": (
        {"level": "easy", "sentence1": "甲", "sentence2": "乙", "label": "neutral", "label0": None, "id": 1},
        {"sentence1": "甲", "sentence2": "乙", "label": "neutral"},
    ),
    "bustm": (
        {"id": 1, "sentence1": "甲", "sentence2": "乙", "label": "1"},
        {"sentence1": "甲", "sentence2": "乙", "label": "1"},
    ),
    "eprstmt": ({"id": 1, "sentence": "甲", "label": "Negative"}, {"sentence": "甲", "label": "Negative"}),
    "csl": (
        {"id": 1, "abst": "甲", "keyword": ["乙", "丙"], "label": "0"},
        {"abst": "甲", "keywords": "乙\N{FULLWIDTH SEMICOLON}丙", "label": "0"},
    ),
    "chid": (
        {"id": 1, "candidates": ["甲", "乙"], "content": "丙#idiom#丁", "answer": 1},
        {"content": "丙#idiom#丁", "candidates": ["甲", "乙"], "answer": 1},
    ),
    "cluewsc": (
        {
            "target": {"span1_index": 1, "span1_text": "小军", "span2_index": 4, "span2_text": "他"},
            "idx": 1,
            "label": "true",
            "text": "彭小军说他来",
        },
        {"text": "彭小军说他来", "marked": "彭[小军]说_他_来", "span1": "小军", "span2": "他", "label": "true"},
    ),
}
"""Subset -> a line as published, and its row."""


@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_fewclue_has_texts_and_the_name_of_its_label(tmp_path: Path, task: str) -> None:
    published, row = SAMPLES[task]
    save_lines(tmp_path, "train_0.json", published)
    assert plain(fewclue.read(tmp_path, task)["train"]) == [row]


@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_fewclue_without_its_label_has_no_such_column(tmp_path: Path, task: str) -> None:
    published, row = SAMPLES[task]
    targets = ("label", "label_desc", "label_des", "answer")
    save_lines(tmp_path, "test_public.json", {k: v for k, v in published.items() if k not in targets})
    expected = {k: v for k, v in row.items() if k not in targets}
    assert plain(fewclue.read(tmp_path, task)["test"]) == [expected]


def test_a_pronoun_before_its_noun_is_marked_as_well(tmp_path: Path) -> None:
    target = {"span1_index": 3, "span1_text": "小军", "span2_index": 0, "span2_text": "他"}
    save_lines(tmp_path, "train_0.json", {"target": target, "label": "true", "text": "他是彭小军"})
    assert fewclue.read(tmp_path, "cluewsc")["train"].column("marked") == ["_他_是彭[小军]"]


def sentences(folder: Path, **files: str) -> None:
    for name, text in files.items():
        save_lines(folder, f"{name}.json", {"sentence": text, "label": "Positive"})


def test_the_union_of_the_samples_goes_before_the_first(tmp_path: Path) -> None:
    sentences(tmp_path, train_0="a", train_few_all="b", dev_0="c", dev_few_all="d", test_public="e")
    splits = fewclue.read(tmp_path, "eprstmt")
    texts = [splits[name].column("sentence") for name in ("train", "validation", "test")]
    assert texts == [["b"], ["d"], ["e"]]


def test_the_first_sample_serves_where_there_is_no_union(tmp_path: Path) -> None:
    sentences(tmp_path, train_0="a", train_1="b", dev_0="c", dev_1="d")
    splits = fewclue.read(tmp_path, "eprstmt")
    assert (splits["train"].column("sentence"), splits["validation"].column("sentence")) == (["a"], ["c"])


def test_every_file_of_fewclue_is_a_split_under_its_name(tmp_path: Path) -> None:
    sentences(tmp_path, train_0="a", train_3="b", dev_3="c", test="d", unlabeled="e", label_index2en2zh="f")
    assert set(fewclue.read(tmp_path, "eprstmt")) == {"train", "train_0", "train_3", "dev_3", "test", "unlabeled"}


def test_the_root_of_all_subsets_is_entered(tmp_path: Path) -> None:
    sentences(tmp_path / "eprstmt", train_0="a")
    assert len(fewclue.read(tmp_path, "eprstmt")["train"]) == 1


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        ("tnews", {"sentence": "甲"}, r"line 1 has no 'keywords'\. Its columns: sentence"),
        ("csl", {"abst": "甲", "keyword": None}, r"line 1 is not as published"),
        ("csl", {"abst": "甲", "keyword": [1]}, r"line 1 is not as published"),
        (
            "cluewsc",
            {**SAMPLES["cluewsc"][0], "text": "他说彭小军来"},
            r"line 1 is not as published: '他' does not stand at character 4",
        ),
    ],
)
def test_a_wrong_line_of_fewclue_is_named(tmp_path: Path, task: str, values: dict[str, Any], words: str) -> None:
    save_lines(tmp_path, "train_0.json", values)
    with pytest.raises(DataError, match=rf"train_0\.json {words}"):
        len(fewclue.read(tmp_path, task)["train"])


# AESLC and SAMSum


def mail(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "email_body": "The lift is out of order.", "subject_line": "Lift", **fields}


def test_the_three_files_of_aeslc_are_found(tmp_path: Path) -> None:
    for count, name in enumerate(("train.jsonl", "dev.jsonl", "test.jsonl"), start=1):
        save_lines(tmp_path, name, *[mail()] * count)
    assert counts(aeslc.read(tmp_path, None)) == {"train": 1, "validation": 2, "test": 3}


def test_a_mail_without_further_subjects_has_an_empty_list(tmp_path: Path) -> None:
    save_lines(tmp_path, "train.jsonl", mail())
    assert plain(aeslc.read(tmp_path, None)["train"]) == [mail(subject_annotations=[])]


def test_further_subjects_of_a_mail_are_kept_in_order(tmp_path: Path) -> None:
    save_lines(tmp_path, "dev.jsonl", mail(subject_annotations=["Out of order", "Broken lift"]))
    assert aeslc.read(tmp_path, None)["validation"].column("subject_annotations") == [["Out of order", "Broken lift"]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id": "a", "subject_line": "Lift"}, r"has no text 'email_body'\. Its columns: id, subject_line"),
        (mail(subject_line=3), r"has no text 'subject_line'"),
        (mail(subject_annotations="Broken lift"), r"'subject_annotations' is no list of texts"),
        (mail(subject_annotations=[1]), r"'subject_annotations' is no list of texts"),
    ],
)
def test_a_wrong_line_of_aeslc_is_named(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    save_lines(tmp_path, "train.jsonl", mail(), values)
    with pytest.raises(DataError, match=rf"train\.jsonl line 2:? {words}"):
        len(aeslc.read(tmp_path, None)["train"])


CHAT = {"id": "13", "dialogue": "Ann: tea?\nBo: please", "summary": "Bo wants tea."}


@pytest.mark.parametrize("name", ["val.json", "val.jsonl", "validation.jsonl", "dev_subsample.jsonl"])
def test_validation_rows_of_samsum_are_read_under_any_of_their_names(tmp_path: Path, name: str) -> None:
    save(tmp_path, name, json.dumps([CHAT] if name.endswith(".json") else CHAT))
    assert plain(samsum.read(tmp_path, None)["validation"]) == [CHAT]


def test_a_sample_of_samsum_serves_only_where_the_whole_is_absent(tmp_path: Path) -> None:
    save_lines(tmp_path, "dev_subsample.jsonl", CHAT)
    save_lines(tmp_path, "val.jsonl", CHAT, CHAT)
    assert len(samsum.read(tmp_path, None)["validation"]) == 2


def test_chats_may_have_no_id(tmp_path: Path) -> None:
    save_lines(tmp_path, "train.jsonl", {name: CHAT[name] for name in ("dialogue", "summary")})
    assert samsum.read(tmp_path, None)["train"].columns == ["dialogue", "summary"]


def test_a_wrong_row_of_samsum_is_named(tmp_path: Path) -> None:
    save(tmp_path, "train.json", json.dumps([CHAT, {"dialogue": "Ann: tea?", "summary": None}]))
    with pytest.raises(DataError, match=r"train\.json row 2 has no text 'summary'\. Its columns: dialogue, summary"):
        len(samsum.read(tmp_path, None)["train"])


# Multi30k


def parallel(folder: Path, *names: str) -> None:
    for name in names:
        save(folder, name, f"{name} one\n{name} two\n")


def test_the_files_of_multi30k_are_columns_beside_each_other(tmp_path: Path) -> None:
    parallel(tmp_path, "train.de", "train.en")
    assert plain(multi30k.read(tmp_path, None)["train"]) == [
        {"de": f"train.de {word}", "en": f"train.en {word}"} for word in ("one", "two")
    ]


def test_the_splits_of_multi30k_are_called_as_those_of_the_others(tmp_path: Path) -> None:
    names = ("train", "val", "test_2016_flickr", "test_2017_mscoco")
    parallel(tmp_path, *(f"{name}.{language}" for name in names for language in ("de", "en")), "notes.de", "train.py")
    splits = multi30k.read(tmp_path, None)
    assert {name: splits[name].column("de")[0] for name in splits} == {
        "train": "train.de one",
        "validation": "val.de one",
        "test": "test_2016_flickr.de one",
        "test_2017_mscoco": "test_2017_mscoco.de one",
    }


def test_a_split_has_the_languages_of_its_files(tmp_path: Path) -> None:
    parallel(tmp_path, "train.fr", "train.de", "train.cs", "train.en", "val.de", "val.en")
    splits = multi30k.read(tmp_path, None)
    assert (splits["train"].columns, splits["validation"].columns) == (["cs", "de", "en", "fr"], ["de", "en"])


def test_gzipped_files_of_multi30k_are_read_where_there_are_no_plain_ones(tmp_path: Path) -> None:
    parallel(tmp_path, "train.en")
    for name in ("train.de.gz", "train.en.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"packed one\npacked two\n"))
    assert plain(multi30k.read(tmp_path, None)["train"])[0] == {"de": "packed one", "en": "train.en one"}


def test_blank_lines_and_odd_line_breaks_keep_sentences_beside_each_other(tmp_path: Path) -> None:
    save(tmp_path, "train.de", "ein\rs\n\ndrei\n")
    save(tmp_path, "train.en", "one\r\ntwo\N{LINE SEPARATOR}\nthree")
    assert plain(multi30k.read(tmp_path, None)["train"]) == [
        {"de": "ein\rs", "en": "one"},
        {"de": "", "en": "two\N{LINE SEPARATOR}"},
        {"de": "drei", "en": "three"},
    ]


def test_a_message_names_a_sentence_by_its_files_and_line(tmp_path: Path) -> None:
    parallel(tmp_path, "train.de", "train.en")
    assert multi30k.read(tmp_path, None)["train"].where(1) == "train.de, train.en line 2"


def test_files_of_unequal_length_are_refused_with_both_counts(tmp_path: Path) -> None:
    save(tmp_path, "train.de", "ein\n" * 1001)
    save(tmp_path, "train.en", "one\n" * 1000)
    with pytest.raises(DataError, match=r"train\.de has 1,001 lines, train\.en has 1,000 lines\."):
        len(multi30k.read(tmp_path, None)["train"])


def test_a_change_in_any_language_is_seen(tmp_path: Path) -> None:
    parallel(tmp_path, "train.de", "train.en")
    before = multi30k.read(tmp_path, None)["train"].digest
    save(tmp_path, "train.en", "other one\nother two\n")
    assert multi30k.read(tmp_path, None)["train"].digest != before


# WikiText-2 and PTB

ARTICLES = " \n = First = \n \n one \n \n = = Section = = \n \n two \n \n = Second = \n \n three \n"


def test_no_row_of_wikitext_holds_parts_of_two_articles(tmp_path: Path) -> None:
    save(tmp_path, "test.txt", ARTICLES)
    rows = wikitext2.read(tmp_path, None)["test"]
    assert [text.split("=")[1] for text in rows.column("text")] == [" First ", " Second "]
    assert ("".join(rows.column("text")), rows.column("before")) == (ARTICLES, ["", ""])


def test_a_long_article_goes_on_in_further_rows(tmp_path: Path) -> None:
    save(tmp_path, "test.txt", ARTICLES + " and so on \n" * 400)
    texts, before = (wikitext2.read(tmp_path, None)["test"].column(name) for name in ("text", "before"))
    assert len(texts) > 3
    assert before == ["", "", *texts[1:-1]]


def test_a_formula_that_looks_like_a_heading_begins_no_article(tmp_path: Path) -> None:
    save(tmp_path, "test.txt", " \n = Filter = \n \n The impedance is R \n = 1 and C = \n 1 . \n")
    assert len(wikitext2.read(tmp_path, None)["test"]) == 1


@pytest.mark.parametrize(
    "names", [("train.txt", "valid.txt", "test.txt"), ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens")]
)
def test_wikitext_is_read_under_both_of_its_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    for count, name in enumerate(names, start=1):
        save(tmp_path, name, ARTICLES * count)
    splits = wikitext2.read(tmp_path, "wikitext-2-v1")
    assert counts(splits) == {"train": 2, "validation": 4, "test": 6}


def test_without_a_training_file_of_wikitext_its_validation_file_is_trained_on_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, "valid.txt", ARTICLES)
    with caplog.at_level(logging.WARNING):
        splits = wikitext2.read(tmp_path, None)
    assert sorted(splits) == ["train", "valid"]
    assert splits["train"].column("text") == splits["valid"].column("text")
    assert "has no training file" in caplog.text and "valid.txt is what to train on" in caplog.text


def test_with_a_training_file_of_wikitext_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, "train.txt", ARTICLES)
    save(tmp_path, "valid.txt", ARTICLES)
    with caplog.at_level(logging.WARNING):
        assert sorted(wikitext2.read(tmp_path, None)) == ["train", "valid", "validation"]
    assert caplog.text == ""


def test_rows_of_a_lone_validation_file_are_kept_aside_where_asked(tmp_path: Path) -> None:
    save(tmp_path, "valid.txt", ARTICLES * 10)
    data = Data.hub("Salesforce/wikitext", path=str(tmp_path), reader="wikitext2", holdout=0.1)
    assert counts(data.load((), ()), ("train", "validation")) == {"train": 18, "validation": 2}


def test_a_missing_validation_split_has_a_remedy(tmp_path: Path) -> None:
    save(tmp_path, "valid.txt", ARTICLES)
    data = Data.hub("Salesforce/wikitext", path=str(tmp_path), reader="wikitext2")
    with pytest.raises(DataError, match=r"has no split 'validation'.* Or keep training rows aside: data\.holdout=0\.1"):
        data.read()


def test_the_files_of_ptb_are_each_one_running_text(tmp_path: Path) -> None:
    for count, name in enumerate(("train", "valid", "test"), start=1):
        save(tmp_path, f"ptb.{name}.txt", " no it was n't black monday \n" * 100 * count)
    splits = ptb.read(tmp_path, None)
    assert counts(splits) == {"train": 2, "validation": 3, "test": 5}
    assert splits["test"].column("before") == ["", *splits["test"].column("sentence")[:-1]]


# The published files


def test_conll_has_its_published_numbers_of_sentences_and_words(real_data: Path) -> None:
    splits = conll2003.read(real_data / "conll2003", None)
    assert {name: (len(rows), sum(map(len, rows.column("tokens")))) for name, rows in splits.items()} == {
        "train": (14041, 203621),
        "validation": (3250, 51362),
        "test": (3453, 46435),
    }


def test_conll_has_its_published_numbers_of_entities(real_data: Path) -> None:
    tags = conll2003.read(real_data / "conll2003", None)["test"].column("ner_tags")
    starts = Counter(tag for sentence in tags for tag in sentence if tag.startswith("B-"))
    assert starts == {"B-LOC": 1668, "B-ORG": 1661, "B-PER": 1617, "B-MISC": 702}


def test_the_lines_of_conll_lead_to_its_words(real_data: Path) -> None:
    lines = (real_data / "conll2003" / "valid.txt").read_text("utf-8").split("\n")
    for record in conll2003.read(real_data / "conll2003", None)["validation"].records():
        first = record["__line__"] - 1
        assert [line.split(" ")[0] for line in lines[first : first + len(record["tokens"])]] == record["tokens"]


def test_squad_v1_has_its_published_numbers_of_questions(real_data: Path) -> None:
    splits = squad.read(real_data, "v1.1")
    assert counts(splits, ("train", "validation")) == {"train": 87599, "validation": 10570}


def test_every_answer_of_squad_stands_where_it_says(real_data: Path) -> None:
    for record in squad.read(real_data, "v1.1")["validation"].records():
        for text, start in zip(*(record["answers"][key] for key in ("text", "answer_start")), strict=True):
            assert record["context"][start : start + len(text)] == text


def test_squad_v2_has_its_published_numbers_of_questions_without_an_answer(real_data: Path) -> None:
    answers = squad.read(real_data, "v2.0")["validation"].column("answers")
    assert (len(answers), sum(not answer["text"] for answer in answers)) == (11873, 5945)


def test_xquad_has_its_published_numbers_of_questions(real_data: Path) -> None:
    names = ("xquad.en", "xquad.de", "xquad.zh")
    assert counts(squad.read(real_data, "xquad"), names) == dict.fromkeys(names, 1190)


def test_cluener_has_its_published_numbers_of_texts(real_data: Path) -> None:
    splits = cluener.read(real_data / "cluener2020", None)
    assert counts(splits) == {"train": 10748, "validation": 1343, "test": 1345}


def test_cluener_has_its_ten_types(real_data: Path) -> None:
    spans = cluener.read(real_data / "cluener2020", None)["validation"].column("spans")
    assert {span["type"] for row in spans for span in row} == {
        *("address", "book", "company", "game", "government"),
        *("movie", "name", "organization", "position", "scene"),
    }


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("tnews", (240, 240, 1185, 1098, 2010)),
        ("iflytek", (928, 690, 3024, 1373, 1749)),
        ("ocnli", (32, 32, 160, 160, 2520)),
        ("bustm", (32, 32, 160, 160, 1772)),
        ("eprstmt", (32, 32, 160, 160, 610)),
        ("csl", (32, 32, 160, 160, 2838)),
        ("cluewsc", (32, 32, 160, 159, 976)),
        ("chid", (42, 42, 202, 202, 2002)),
    ],
)
def test_fewclue_has_its_published_numbers_of_rows(real_data: Path, task: str, expected: tuple[int, ...]) -> None:
    splits = fewclue.read(real_data / "fewclue", task)
    names = ("train_0", "dev_0", "train", "validation", "test")
    assert tuple(counts(splits, names).values()) == expected


def test_aeslc_has_its_published_numbers_of_mails(real_data: Path) -> None:
    splits = aeslc.read(real_data / "aeslc", None)
    assert counts(splits) == {"train": 14436, "validation": 1960, "test": 1906}


def test_only_scored_mails_have_further_subjects(real_data: Path) -> None:
    splits = aeslc.read(real_data / "aeslc", None)
    assert [{*map(len, splits[name].column("subject_annotations"))} for name in ("train", "test")] == [{0}, {3}]


def test_the_samples_of_samsum_have_their_numbers_of_chats(real_data: Path) -> None:
    splits = samsum.read(real_data / "samsum", None)
    assert {name: len(splits[name]) for name in splits} == {"train": 64, "validation": 256}


def test_multi30k_has_its_published_numbers_of_captions(real_data: Path) -> None:
    splits = multi30k.read(real_data / "multi30k", None)
    assert counts(splits) == {"train": 29000, "validation": 1014, "test": 1000}
    assert splits["train"].columns == ["de", "en"]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_wikitext_has_its_published_sixty_articles(real_data: Path, split: str) -> None:
    assert wikitext2.read(real_data / "wikitext2", None)[split].column("before").count("") == 60


@pytest.mark.parametrize(("split", "tokens"), [("valid", 217646), ("test", 245569)])
def test_wikitext_has_its_published_numbers_of_words_and_line_ends(real_data: Path, split: str, tokens: int) -> None:
    text = "".join(wikitext2.read(real_data / "wikitext2", None)[split].column("text"))
    assert len(text.split()) + text.count("\n") == tokens


def test_ptb_has_its_published_numbers_of_lines_and_words(real_data: Path) -> None:
    splits = ptb.read(real_data / "ptb", None)
    texts = {name: "".join(splits[name].column("sentence")) for name in splits}
    assert {name: (text.count("\n"), len(text.split())) for name, text in texts.items()} == {
        "train": (42068, 887521),
        "validation": (3370, 70390),
        "test": (3761, 78669),
    }
