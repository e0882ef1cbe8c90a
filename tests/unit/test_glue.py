"""GLUE as published: every subset's files, read as the Hub gives them."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from finetune import Data
from finetune.catalog import recipes_folder
from finetune.data.official import glue
from finetune.errors import DataError
from finetune.recipe import recipes_of

MNLI = "index\tpromptID\tpairID\tgenre\tsentence1_parse\tsentence2_parse\tsentence1\tsentence2"


def write(folder: Path, **files: str) -> Path:
    """NAME.tsv files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.tsv").write_bytes(text.encode())
    return folder


def rows(folder: Path, subset: str, split: str = "train") -> list[dict[str, Any]]:
    found = glue.read(folder, subset)[split]
    return [{name: record[name] for name in found.columns} for record in found.records()]


# What each subset looks like


def test_cola_has_no_header_but_in_its_test_file(tmp_path):
    write(tmp_path, train="gj04\t0\t*\tFirst line.\n", test="index\tsentence\n0\tHidden.\n")
    assert rows(tmp_path, "cola") == [{"sentence": "First line.", "label": "unacceptable", "idx": 0}]
    assert rows(tmp_path, "cola", "test") == [{"sentence": "Hidden.", "idx": 0}]


def test_sst2_has_one_sentence(tmp_path):
    write(tmp_path, train="sentence\tlabel\nfine \t1\n", test="index\tsentence\n7\tdull\n")
    assert rows(tmp_path, "sst2") == [{"sentence": "fine ", "label": "positive", "idx": 0}]
    assert rows(tmp_path, "sst2", "test") == [{"sentence": "dull", "idx": 7}]


def test_the_string_columns_of_mrpc_get_the_names_of_the_hub(tmp_path):
    strings = "#1 ID\t#2 ID\t#1 String\t#2 String\n"
    write(tmp_path, dev=f"Quality\t{strings}1\t7\t8\tOne.\tTwo.\n", test=f"index\t{strings}3\t7\t8\tOne.\tTwo.\n")
    pair = {"sentence1": "One.", "sentence2": "Two."}
    assert rows(tmp_path, "mrpc", "validation") == [{**pair, "label": "equivalent", "idx": 0}]
    assert rows(tmp_path, "mrpc", "test") == [{**pair, "idx": 3}]


def test_the_label_of_stsb_is_a_number(tmp_path):
    header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"
    line = "5\tmain-news\tMSRpar\t2012test\t0001\tnone\tnone\ta\tb"
    write(tmp_path, train=f"{header}\tscore\n{line}\t3.800\n", test=f"{header}\n{line}\n")
    assert rows(tmp_path, "stsb") == [{"sentence1": "a", "sentence2": "b", "label": 3.8, "idx": 5}]
    assert rows(tmp_path, "stsb", "test") == [{"sentence1": "a", "sentence2": "b", "idx": 5}]


def test_the_id_of_qqp_is_an_index_only_in_its_test_file(tmp_path):
    write(
        tmp_path,
        dev="id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n360472\t1\t2\ta\tb\t0\n",
        test="id\tquestion1\tquestion2\n4\ta\tb\n",
    )
    pair = {"question1": "a", "question2": "b"}
    assert rows(tmp_path, "qqp", "validation") == [{**pair, "label": "not_duplicate", "idx": 0}]
    assert rows(tmp_path, "qqp", "test") == [{**pair, "idx": 4}]


def test_lines_of_qqp_that_a_line_end_has_broken_are_left_out_and_said(tmp_path, caplog):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    broken = "2\t1\t2\ta\tb which\ngoes on\t1\n"
    write(tmp_path, dev=f"{header}1\t1\t2\ta\tb\t0\n{broken}3\t1\t2\tc\td\t1\n")
    with caplog.at_level(logging.WARNING):
        assert [row["question1"] for row in rows(tmp_path, "qqp", "validation")] == ["a", "c"]
    assert "2 broken lines are left out: 3, 4" in caplog.text


def test_a_qqp_file_that_is_not_utf8_is_told(tmp_path):
    (tmp_path / "dev.tsv").write_bytes(b"id\tquestion1\tquestion2\tis_duplicate\n1\tcaf\xe9\tb\t0\n")
    with pytest.raises(DataError, match=r"dev\.tsv is not UTF-8: byte 0xe9"):
        rows(tmp_path, "qqp", "validation")


def test_mnli_has_two_validation_and_two_test_splits(tmp_path):
    line = "\t".join(["9", "1", "1n", "travel", "( a )", "( b )", "a", "b"])
    write(
        tmp_path,
        train=f"{MNLI}\tlabel1\tgold_label\n{line}\tneutral\tneutral\n",
        dev_matched=f"{MNLI}\tlabel1\tlabel2\tgold_label\n{line}\tneutral\tneutral\tentailment\n",
        dev_mismatched=f"{MNLI}\tlabel1\tlabel2\tgold_label\n{line}\tneutral\tneutral\tcontradiction\n",
        test_matched=f"{MNLI}\n{line}\n",
        test_mismatched=f"{MNLI}\n{line}\n",
    )
    pair = {"premise": "a", "hypothesis": "b"}
    labels = {"train": "neutral", "validation_matched": "entailment", "validation_mismatched": "contradiction"}
    for split, label in labels.items():
        assert rows(tmp_path, "mnli", split) == [{**pair, "label": label, "idx": 9}]
    for split in ("test_matched", "test_mismatched"):
        assert rows(tmp_path, "mnli", split) == [{**pair, "idx": 9}]
    assert len(glue.read(tmp_path, "mnli")) == 5


def test_qnli_has_a_question_and_a_sentence(tmp_path):
    write(tmp_path, dev="index\tquestion\tsentence\tlabel\n0\twho\tshe\tnot_entailment\n")
    expected = [{"question": "who", "sentence": "she", "label": "not_entailment", "idx": 0}]
    assert rows(tmp_path, "qnli", "validation") == expected


@pytest.mark.parametrize(
    "place", ["diagnostic/diagnostic.tsv", "AX/AX.tsv", "AX.tsv", "diagnostic.tsv", "MNLI/diagnostic.tsv"]
)
@pytest.mark.parametrize("given", ["", "MNLI"], ids=["the root", "MNLI's folder"])
def test_the_diagnostic_rows_are_found_wherever_they_usually_lie(tmp_path, place, given):
    (tmp_path / "MNLI").mkdir()
    path = tmp_path / place
    write(path.parent, **{path.stem: "index\tsentence1\tsentence2\n2\ta\tb\n"})
    assert rows(tmp_path / given, "ax", "test") == [{"premise": "a", "hypothesis": "b", "idx": 2}]


def test_the_diagnostic_rows_may_be_absent(tmp_path):
    assert list(glue.read(tmp_path, "ax")) == []


@pytest.mark.parametrize(
    ("subset", "header", "names"),
    [
        ("rte", "index\tsentence1\tsentence2\tlabel", ["entailment", "not_entailment"]),
        ("wnli", "index\tsentence1\tsentence2\tlabel", ["not_entailment", "entailment"]),
        ("qnli", "index\tquestion\tsentence\tlabel", ["entailment", "not_entailment"]),
        ("mnli", "index\tsentence1\tsentence2\tgold_label", ["entailment", "neutral", "contradiction"]),
    ],
)
@pytest.mark.parametrize("kind", ["names", "ids"])
def test_labels_are_names_in_the_order_of_the_hub(tmp_path, subset, header, names, kind):
    written = names if kind == "names" else [str(number) for number in range(len(names))]
    lines = "".join(f"{number}\ta\tb\t{label}\n" for number, label in enumerate(written))
    write(tmp_path, train=f"{header}\n{lines}")
    assert [row["label"] for row in rows(tmp_path, subset)] == names
    assert glue.read(tmp_path, subset)["train"].names == {"label": tuple(names)}


def test_unbalanced_quotes_are_text(tmp_path):
    write(tmp_path, train='sentence\tlabel\n"open \t0\nclose" "\t1\n')
    assert [row["sentence"] for row in rows(tmp_path, "sst2")] == ['"open ', 'close" "']


@pytest.mark.parametrize("word", ["NA", "null", "nan", "None", ""])
def test_a_word_that_looks_like_a_missing_value_is_text(tmp_path, word):
    write(tmp_path, train=f"sentence\tlabel\n{word}\t0\n")
    assert rows(tmp_path, "sst2") == [{"sentence": word, "label": "negative", "idx": 0}]


def test_windows_line_ends_and_a_byte_order_mark_are_no_text(tmp_path):
    write(tmp_path, dev="\ufeffid\tquestion1\tquestion2\tis_duplicate\r\n1\ta\tb\t1\r\n")
    assert [row["label"] for row in rows(tmp_path, "qqp", "validation")] == ["duplicate"]


# What is refused


@pytest.mark.parametrize("label", ["2", "-1", "maybe", "", "٣", "²"])
def test_an_unknown_label_is_named_with_its_line(tmp_path, label):
    write(tmp_path, train=f"sentence\tlabel\ngood\t1\nbad\t{label}\n")
    with pytest.raises(DataError, match=r"train\.tsv line 3: the label .* is none of negative, positive"):
        rows(tmp_path, "sst2")


@pytest.mark.parametrize("score", ["5.1", "-1", "high", "", "nan"])
def test_a_score_that_is_none_is_named_with_its_line(tmp_path, score):
    write(tmp_path, train=f"index\tsentence1\tsentence2\tscore\n0\ta\tb\t{score}\n")
    with pytest.raises(DataError, match=r"train\.tsv line 2: the label .* is no number from 0 to 5"):
        rows(tmp_path, "stsb")


def test_an_index_that_is_no_number_is_named_with_its_line(tmp_path):
    write(tmp_path, test="index\tsentence\nzero\ta\n")
    with pytest.raises(DataError, match=r"test\.tsv line 2: the index 'zero' is no whole number"):
        rows(tmp_path, "sst2", "test")


def test_a_file_that_lacks_a_column_is_told(tmp_path):
    write(tmp_path, train="text\tlabel\ngood\t1\n")
    with pytest.raises(DataError, match=r"has no column 'sentence'\. Columns here: text, label"):
        rows(tmp_path, "sst2")


def test_the_folder_of_all_subsets_serves_as_well(tmp_path):
    write(tmp_path / "SST-2", train="sentence\tlabel\ngood\t1\n")
    assert len(rows(tmp_path, "sst2")) == 1


def test_the_folder_of_another_subset_is_refused(tmp_path):
    folder = write(tmp_path / "WNLI", train="index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n")
    with pytest.raises(DataError, match="WNLI is the folder of wnli, not of rte"):
        glue.read(folder, "rte")


def test_a_folder_without_files_is_told_with_what_it_has(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"is it the folder of SST-2\? It has: notes\.txt"):
        glue.read(tmp_path, "sst2")


def test_an_unknown_subset_names_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"unknown GLUE subset 'sst-2'\. Did you mean 'sst2'"):
        glue.read(tmp_path, "sst-2")


# As a recipe's data


def hub(folder: Path, subset: str, **fields: Any) -> Data:
    return Data.hub("nyu-mll/glue", subset, path=str(folder), reader="glue", **fields)


def test_the_official_files_take_the_place_of_the_hub(tmp_path):
    lines = "".join(f"word {number}\t{number % 2}\n" for number in range(10))
    write(tmp_path, train=f"sentence\tlabel\n{lines}", dev="sentence\tlabel\nbad\t0\n")
    splits = hub(tmp_path, "sst2").read()
    assert {name: len(found) for name, found in splits.items()} == {"train": 10, "validation": 1}


def test_without_a_training_file_the_remedy_is_said_with_what_is_there(tmp_path):
    write(tmp_path, dev="index\tquestion\tsentence\tlabel\n0\ta\tb\t1\n", test="index\tquestion\tsentence\n0\ta\tb\n")
    with pytest.raises(DataError) as refused:
        hub(tmp_path, "qnli").read()
    (said,) = refused.value.problems
    assert "has no train.tsv. It has dev.tsv (split validation), test.tsv (split test)." in said
    assert said.endswith("data.train=validation data.holdout=0.5")


def test_that_remedy_works(tmp_path):
    lines = "".join(f"{number}\ta {number}\tb\t{number % 2}\n" for number in range(10))
    write(tmp_path, dev=f"index\tquestion\tsentence\tlabel\n{lines}")
    splits = hub(tmp_path, "qnli", train="validation", holdout=0.5).load((), ())
    assert {name: len(found) for name, found in splits.items()} == {"train": 5, "validation": 5}


def test_a_part_of_a_file_under_another_name_is_a_split_where_the_training_file_is_missing(tmp_path):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    write(tmp_path / "QQP", **{"dev-part": f"{header}1\t1\t2\ta\tb\t0\n2\t1\t2\tc\td\t1\n"})
    assert len(hub(tmp_path, "qqp", train="dev-part", holdout=0.5).read()["train"]) == 2
    with pytest.raises(DataError, match=r"It has dev-part\.tsv .* data\.train=dev-part data\.holdout=0\.5"):
        hub(tmp_path, "qqp").read()


def test_beside_a_training_file_other_files_are_no_splits(tmp_path):
    write(tmp_path, train="sentence\tlabel\ngood\t1\n", notes="something\telse\n")
    assert list(glue.read(tmp_path, "sst2")) == ["train"]


def test_the_recipe_of_mnli_reads_all_its_splits(tmp_path):
    line = "\t".join(["0", "1", "1n", "travel", "( a )", "( b )", "a", "b"])
    labelled = f"{MNLI}\tlabel1\tgold_label\n{line}\tneutral\tneutral\n"
    hidden = f"{MNLI}\n{line}\n"
    names = {"train": labelled, "dev_matched": labelled, "dev_mismatched": labelled}
    write(tmp_path / "MNLI", **names, test_matched=hidden, test_mismatched=hidden)
    write(tmp_path / "diagnostic", diagnostic="index\tsentence1\tsentence2\n0\ta\tb\n")
    recipe = recipes_of(recipes_folder() / "glue.py")["mnli"].override(f"data.path={tmp_path}")
    splits = recipe.data.load(recipe.task.inputs(), recipe.task.targets())
    assert list(splits) == ["train", "validation", "test", "validation_mismatched", "test_mismatched", "ax"]


# The recipes and the real files


def test_every_subset_has_a_recipe_with_the_labels_of_its_files():
    recipes = recipes_of(recipes_folder() / "glue.py")
    assert set(recipes) == set(glue.LAYOUTS) - {"ax"}
    for name, recipe in recipes.items():
        assert getattr(recipe.task, "labels", None) == glue.LAYOUTS[name].names
        assert {column.name for column in recipe.task.inputs()} == set(glue.LAYOUTS[name].columns)


@pytest.mark.parametrize(
    ("subset", "counts"),
    [
        ("cola", {"train": 8551, "validation": 1043, "test": 1063}),
        ("mrpc", {"train": 3668, "validation": 408, "test": 1725}),
        ("stsb", {"train": 5749, "validation": 1500, "test": 1379}),
        ("rte", {"train": 2490, "validation": 277, "test": 3000}),
        ("sst2", {"train": 67349, "validation": 872, "test": 1821}),
        ("wnli", {"train": 635, "validation": 71, "test": 146}),
        ("qnli", {"validation": 5463, "test": 5463}),
        ("qqp", {"dev-part": 23496}),
    ],
)
def test_the_published_files_have_the_published_numbers_of_rows(real_data, subset, counts):
    splits = glue.read(real_data / "glue", subset)
    assert {name: len(found) for name, found in splits.items()} == counts


@pytest.mark.parametrize("subset", ["cola", "mrpc", "stsb", "rte", "sst2", "wnli", "qnli"])
def test_the_indices_of_the_published_test_files_are_0_to_n(real_data, subset):
    found = glue.read(real_data / "glue", subset)["test"].column("idx")
    assert found == list(range(len(found)))


@pytest.mark.parametrize(
    ("subset", "counts"),
    [
        ("cola", {"unacceptable": 2528, "acceptable": 6023}),
        ("mrpc", {"not_equivalent": 1194, "equivalent": 2474}),
        ("rte", {"entailment": 1249, "not_entailment": 1241}),
        ("sst2", {"negative": 29780, "positive": 37569}),
        ("wnli", {"not_entailment": 323, "entailment": 312}),
    ],
)
def test_the_published_files_have_the_published_numbers_of_labels(real_data, subset, counts):
    assert Counter(glue.read(real_data / "glue", subset)["train"].column("label")) == counts


def test_the_part_of_qqp_has_the_counted_labels(real_data):
    found = Counter(glue.read(real_data / "glue", "qqp")["dev-part"].column("label"))
    assert found == {"not_duplicate": 14749, "duplicate": 8747}


def test_the_scores_of_stsb_have_the_counted_mean(real_data):
    scores = glue.read(real_data / "glue", "stsb")["train"].column("label")
    assert sum(scores) / len(scores) == pytest.approx(2.70, abs=0.005)
