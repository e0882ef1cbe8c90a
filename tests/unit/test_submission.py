"""What gluebenchmark.com takes: names, header, spellings, order; and the average as its leaderboard counts it."""

import io
import zipfile

import pytest

from finetune.errors import DataError
from finetune.suites.base import archive, remarks
from finetune.suites.glue import Glue

SUITE = Glue()
FILES = {file.name: file for file in SUITE.files}
NINE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")


def score(value: float) -> dict[str, float]:
    return {"value": value, "low": value, "high": value, "baseline": 0.0}


def all_scores() -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """The nine tasks; every score is another number."""
    return {
        "cola": {"validation": {"matthews": score(0.5), "accuracy": score(0.99)}},
        "sst2": {"validation": {"accuracy": score(0.9)}},
        "mrpc": {"validation": {"accuracy": score(0.8), "f1": score(0.9)}},
        "stsb": {"validation": {"pearson": score(0.7), "spearman": score(0.6)}},
        "qqp": {"validation": {"accuracy": score(0.9), "f1": score(0.8)}},
        "mnli": {
            "validation": {"accuracy": score(0.8)},
            "validation_mismatched": {"accuracy": score(0.7)},
            "ax": {"accuracy": score(0.1)},
        },
        "qnli": {"validation": {"accuracy": score(0.85)}},
        "rte": {"validation": {"accuracy": score(0.6)}},
        "wnli": {"validation": {"accuracy": score(0.55)}},
    }


AVERAGE = (0.5 + 0.9 + 0.85 + 0.65 + 0.85 + 0.75 + 0.85 + 0.6 + 0.55) / 9

# The files


def test_the_files_are_the_official_ones_with_the_published_numbers_of_rows():
    assert {name: file.rows for name, file in FILES.items()} == {
        "CoLA.tsv": 1063,
        "SST-2.tsv": 1821,
        "MRPC.tsv": 1725,
        "STS-B.tsv": 1379,
        "QQP.tsv": 390965,
        "MNLI-m.tsv": 9796,
        "MNLI-mm.tsv": 9847,
        "QNLI.tsv": 5463,
        "RTE.tsv": 3000,
        "WNLI.tsv": 146,
        "AX.tsv": 1104,
    }


@pytest.mark.parametrize(
    ("name", "predicted", "spelled"),
    [
        ("CoLA.tsv", ["unacceptable", "acceptable"], ["0", "1"]),
        ("SST-2.tsv", ["negative", "positive"], ["0", "1"]),
        ("MRPC.tsv", ["not_equivalent", "equivalent"], ["0", "1"]),
        ("QQP.tsv", ["not_duplicate", "duplicate"], ["0", "1"]),
        ("WNLI.tsv", ["not_entailment", "entailment"], ["0", "1"]),
        ("QNLI.tsv", ["not_entailment", "entailment"], ["not_entailment", "entailment"]),
        ("RTE.tsv", ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("STS-B.tsv", [3.14159, -0.2, 5.3, -0.0001], ["3.142", "0.000", "5.000", "0.000"]),
        *(
            (name, ["neutral", "contradiction", "entailment"], ["neutral", "contradiction", "entailment"])
            for name in ("MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv")
        ),
    ],
)
def test_a_file_has_a_header_and_the_official_spelling(name, predicted, spelled):
    text = SUITE.text(FILES[name], range(len(predicted)), predicted)
    assert text == "index\tprediction\n" + "".join(f"{row}\t{value}\n" for row, value in enumerate(spelled))


def test_rows_stand_in_the_order_of_their_index():
    text = SUITE.text(FILES["WNLI.tsv"], [10, 0, 9], ["entailment", "not_entailment", "not_entailment"])
    assert text == "index\tprediction\n0\t0\n9\t0\n10\t1\n"


def test_a_prediction_without_an_official_spelling_is_refused():
    with pytest.raises(DataError, match=r"RTE\.tsv: 'maybe' is no class of rte; it has entailment, not_entailment"):
        SUITE.text(FILES["RTE.tsv"], [0], ["maybe"])


def test_the_published_rows_need_no_remark():
    assert remarks(FILES["WNLI.tsv"], list(reversed(range(146)))) == []


def test_another_number_of_rows_is_said():
    assert remarks(FILES["WNLI.tsv"], range(145)) == ["WNLI.tsv has 145 rows, the published split has 146"]


@pytest.mark.parametrize("indices", [range(1, 147), [0, *range(145)]], ids=["from 1", "one twice"])
def test_indices_that_are_not_0_to_n_are_said(indices):
    assert remarks(FILES["WNLI.tsv"], indices) == ["the indices of WNLI.tsv are not 0 to 145, each once"]


# The zip file


def unpacked(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_the_zip_file_holds_the_texts_at_its_top():
    texts = {"RTE.tsv": "index\tprediction\n0\tentailment\n", "AX.tsv": "index\tprediction\n"}
    assert unpacked(archive(texts, [])) == texts


def test_equal_texts_give_equal_bytes(monkeypatch):
    texts = {"RTE.tsv": "index\tprediction\n0\tentailment\n"}
    first = archive(texts, ["AX.tsv"])
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert archive(texts, ["AX.tsv"]) == first


@pytest.mark.parametrize(("missing", "comment"), [([], b""), (["QQP.tsv", "AX.tsv"], b"QQP.tsv, AX.tsv")])
def test_the_zip_file_says_what_it_lacks(missing, comment):
    with zipfile.ZipFile(io.BytesIO(archive({"RTE.tsv": ""}, missing))) as file:
        assert file.comment == (b"incomplete: without " + comment if missing else b"")


# The average


def test_the_average_is_the_mean_over_nine_tasks_of_the_mean_of_their_scores():
    found = SUITE.summary(all_scores())
    assert found.values["average"] == pytest.approx(AVERAGE)
    assert found.values["missing"] == []
    assert found.text == f"GLUE average of the nine tasks, validation rows: {AVERAGE:.4f}"


@pytest.mark.parametrize("absent", NINE)
def test_without_one_task_the_average_is_not_called_that_of_glue(absent):
    found = SUITE.summary({name: value for name, value in all_scores().items() if name != absent})
    assert "average of the nine" not in found.text
    assert found.text.startswith("Average of the 8 present (")
    assert found.text.endswith(f"Not GLUE's average: without {absent}")
    assert found.values["missing"] == [absent]
    assert found.values["average"] == pytest.approx(sum(found.values["tasks"].values()) / 8)


def test_mnli_without_its_mismatched_rows_does_not_count():
    scores = all_scores()
    del scores["mnli"]["validation_mismatched"]
    assert SUITE.summary(scores).values["missing"] == ["mnli"]


def test_without_any_task_there_is_no_average():
    assert SUITE.summary({"quickstart": {"validation": {"accuracy": score(1.0)}}}) is None
