"""Modules of `evaluate` over this package's scores: the same values, in one piece, in pieces and combined."""

import subprocess
import sys

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.errors import DataError, RecipeError
from finetune.metrics import classification, entities, multilabel, regression, squad
from finetune.modules.own import MODULES, module

CLOSE = 1e-12
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXTS = ("", "the", "cat", "black cat", "the Cat.", "dog")
SEVERAL = settings(deadline=None, max_examples=20)


def pairs(value):
    """Predictions and references of the same length, at least one row."""
    return st.lists(st.tuples(value, value), min_size=1, max_size=12).map(
        lambda rows: [list(c) for c in zip(*rows, strict=True)]
    )


def tag_pairs():
    sentence = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=6)
    both = sentence.map(lambda words: tuple(list(tags) for tags in zip(*words, strict=True)))
    return st.lists(both, min_size=1, max_size=6).map(lambda rows: [list(column) for column in zip(*rows, strict=True)])


def questions(fewest):
    """A text, accepted answers and a probability of each question."""
    row = st.tuples(
        st.sampled_from(TEXTS), st.lists(st.sampled_from(TEXTS), min_size=fewest, max_size=3), st.integers(0, 8)
    )
    return st.lists(row, min_size=1, max_size=10)


def references(golds):
    answers = [{"text": texts, "answer_start": [0] * len(texts)} for texts in golds]
    return [{"id": str(number), "answers": each} for number, each in enumerate(answers)]


def predictions(texts):
    return [{"id": str(number), "prediction_text": text} for number, text in enumerate(texts)]


def once(rows):
    return np.ones(len(rows))


# The same values as the functions


@given(case=pairs(st.integers(0, 3)), positive=st.integers(0, 3))
@SEVERAL
def test_classification_is_that_of_the_functions(case, positive):
    names = tuple(classification.SCORES)
    found = module("classification", scores=names, positive=positive).compute(predictions=case[0], references=case[1])
    assert found == classification.scores(names, np.array(case[1]), np.array(case[0]), once(case[0]), positive)


@given(case=pairs(st.lists(st.integers(0, 1), min_size=3, max_size=3)))
@SEVERAL
def test_multi_label_is_that_of_the_functions(case):
    names = tuple(multilabel.SCORES)
    found = module("multi_label", scores=names).compute(predictions=case[0], references=case[1])
    assert found == multilabel.scores(names, np.array(case[1]), np.array(case[0]), once(case[0]))


@given(case=pairs(st.floats(-10, 10)))
@SEVERAL
def test_regression_is_that_of_the_functions(case):
    case = [[round(value, 3) for value in column] for column in case]
    if len(case[0]) < 2:
        case = [column * 2 for column in case]
    names = tuple(regression.SCORES)
    found = module("regression", scores=names).compute(predictions=case[0], references=case[1])
    assert found == regression.scores(names, np.array(case[1]), np.array(case[0]), once(case[0]))


@given(case=tag_pairs())
@SEVERAL
def test_entities_are_those_of_the_functions(case):
    found = module("entities").compute(predictions=case[0], references=case[1])
    for prefix, read in (("", entities.read), ("strict_", entities.strict)):
        counts = [entities.counts(read(gold), read(tags), ("LOC", "PER")) for tags, gold in zip(*case, strict=True)]
        for name, value in entities.scores(np.sum(counts, axis=0)).items():
            assert found.pop(prefix + name) == pytest.approx(value, abs=CLOSE)
    assert found == {}


@given(rows=questions(1))
@SEVERAL
def test_squad_is_that_of_the_functions(rows):
    texts, golds, _ = zip(*rows, strict=True)
    found = module("squad").compute(predictions=predictions(texts), references=references(golds))
    expected = {
        "exact": np.mean([squad.exact(text, gold) for text, gold in zip(texts, golds, strict=True)]),
        "f1": np.mean([squad.f1(text, gold) for text, gold in zip(texts, golds, strict=True)]),
    }
    assert found == pytest.approx(expected, abs=CLOSE)


@given(rows=questions(0), threshold=st.integers(0, 8))
@SEVERAL
def test_squad_v2_is_that_of_the_functions(rows, threshold):
    texts, golds, eighths = zip(*rows, strict=True)
    margin = np.array(eighths) / 8
    given_ = [
        {**p, "no_answer_probability": share} for p, share in zip(predictions(texts), margin.tolist(), strict=True)
    ]
    found = module("squad_v2").compute(
        predictions=given_, references=references(golds), no_answer_threshold=threshold / 8
    )
    empty = np.array([float(not gold) for gold in golds])
    for name, function in (("exact", squad.exact), ("f1", squad.f1)):
        answered = np.array([function(text, gold) for text, gold in zip(texts, golds, strict=True)])
        said = ["" if share > threshold / 8 else text for text, share in zip(texts, margin, strict=True)]
        kept = np.array([function(text, gold) for text, gold in zip(said, golds, strict=True)])
        # an answer withdrawn is wrong wherever there is one, also where nothing is left of the accepted ones
        kept = np.where((margin > threshold / 8) & (empty == 0), 0.0, kept)
        assert found.pop(name) == pytest.approx(kept.mean(), abs=CLOSE)
        for kind, members in (("HasAns", empty == 0), ("NoAns", empty == 1)):
            if members.any():
                assert found.pop(f"{kind}_{name}") == pytest.approx(kept[members].mean(), abs=CLOSE)
        best = found.pop(f"best_{name}"), found.pop(f"best_{name}_threshold")
        assert best == squad.best_threshold(margin, answered, empty, once(rows))
    assert found == {}


# How they are used

CASES = {
    "classification": ([0, 1, 1, 2], [0, 1, 2, 2]),
    "multi_label": ([[0, 1], [1, 1], [0, 0], [1, 0]], [[0, 1], [1, 0], [0, 1], [1, 0]]),
    "regression": ([1.5, 2.0, 3.0, 2.5], [1.0, 2.0, 3.5, 4.0]),
    "entities": (
        [["B-PER", "I-PER"], ["O"], ["I-LOC"], ["B-LOC"]],
        [["B-PER", "I-PER"], ["B-LOC"], ["B-LOC"], ["B-LOC"]],
    ),
    "squad": (predictions(["cat", "dog", "black cat", ""]), references([["cat"], ["cat"], ["cat"], ["cat"]])),
    "squad_v2": (predictions(["cat", "dog", "black cat", ""]), references([["cat"], [], ["cat"], []])),
}


def test_every_module_has_a_case():
    assert CASES.keys() == MODULES.keys()


@pytest.mark.parametrize("name", sorted(CASES))
def test_rows_added_in_pieces_are_scored_as_all_at_once(name):
    given_, golds = CASES[name]
    pieces = module(name)
    pieces.add_batch(predictions=given_[:2], references=golds[:2])
    pieces.add(prediction=given_[2], reference=golds[2])
    pieces.add_batch(predictions=given_[3:], references=golds[3:])
    assert pieces.compute() == module(name).compute(predictions=given_, references=golds)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_module_forgets_the_rows_it_has_scored(name):
    given_, golds = CASES[name]
    used = module(name)
    first = used.compute(predictions=given_[:2], references=golds[:2])
    used.compute(predictions=given_[2:], references=golds[2:])
    assert used.compute(predictions=given_[:2], references=golds[:2]) == first


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_module_is_called_like_its_name(name):
    assert module(name).name == name


def test_two_modules_are_combined():
    both = evaluate.combine(
        [module("classification", scores=("accuracy", "f1_macro")), module("regression", scores="mae")]
    )
    both.add_batch(predictions=[0, 1], references=[0, 1])
    both.add(prediction=2, reference=0)
    found = both.compute()
    assert found == pytest.approx({"accuracy": 2 / 3, "f1_macro": 5 / 9, "mae": 2 / 3})


def test_two_modules_with_scores_of_one_name_are_combined_under_names():
    both = evaluate.combine({"first": module("squad"), "second": module("squad_v2")})
    found = both.compute(predictions=predictions(["cat", "dog"]), references=references([["cat"], ["cat"]]))
    assert (found["first_exact"], found["second_exact"], found["HasAns_f1"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("kind", [np.array, tuple])
def test_arrays_are_taken(kind):
    found = module("classification").compute(predictions=kind([0, 1]), references=kind([0, 0]))
    assert found == {"accuracy": 0.5}


def test_importing_the_package_and_its_command_imports_no_evaluate():
    named = "finetune, finetune.cli, finetune.metrics.squad, finetune.modules.scoring"
    code = f"import sys, {named}; print('evaluate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


# By hand


def test_strict_entities_begin_with_b():
    found = module("entities").compute(predictions=[["I-PER", "O"]], references=[["B-PER", "O"]])
    assert (found["f1"], found["strict_f1"]) == (1.0, 0.0)


def test_tags_of_other_schemes_are_scored_without_the_strict_scores():
    tags = [["B-PER", "E-PER", "S-LOC"]]
    assert module("entities", strict=False).compute(predictions=tags, references=tags) == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }
    with pytest.raises(
        DataError, match=r"'E-PER' of word 1 is not IOB2(.|\n)*strict=False leaves the strict scores out"
    ):
        module("entities").compute(predictions=tags, references=tags)


def test_questions_and_answers_meet_by_their_ids():
    given_, golds = predictions(["cat", "dog"]), references([["cat"], ["dog"]])
    assert module("squad").compute(predictions=given_[::-1], references=golds)["exact"] == 1.0


def test_rows_side_by_side_may_share_an_id():
    given_, golds = [*predictions(["cat"]), *predictions(["dog"])], references([["cat"]]) * 2
    assert module("squad").compute(predictions=given_, references=golds)["exact"] == 0.5


def test_without_probabilities_there_are_no_thresholds():
    found = module("squad_v2").compute(predictions=predictions(["cat", ""]), references=references([["cat"], []]))
    assert found == dict.fromkeys(["exact", "HasAns_exact", "NoAns_exact", "f1", "HasAns_f1", "NoAns_f1"], 1.0)


# What does not fit


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("clasification", {}, r"unknown module 'clasification'\. Did you mean 'classification'\?"),
        ("regression", {"scores": ("spearmann",)}, r"unknown score 'spearmann'\. Did you mean 'spearman'\?"),
        ("classification", {"score": "f1"}, r"unknown argument of classification 'score'\. Did you mean 'scores'\?"),
        ("squad", {"scores": "f1"}, r"the module squad has no arguments, so no 'scores'\."),
    ],
)
def test_what_is_misspelt_is_refused_with_what_is_near(name, arguments, complaint):
    with pytest.raises(RecipeError, match=complaint):
        module(name, **arguments)


@pytest.mark.parametrize(
    ("name", "given_", "golds", "complaint"),
    [
        ("classification", [0.0, 0.7], [0, 1], r"prediction 1 is 0\.7; the id of a class"),
        ("classification", [0, 1], [0, 0.5], r"reference 1 is 0\.5; the id of a class"),
        ("multi_label", [[0, 1], [0, 0.5]], [[0, 1], [0, 1]], r"prediction 1 is \[0\.0, 0\.5\]; 0 or 1 for each class"),
        ("multi_label", [[0, 1], [0]], [[0, 1], [0, 1]], r"prediction 1 is \[0\.0\]; .*, and the first row has 2"),
        ("multi_label", [[], []], [[], []], r"reference 0 is \[\]"),
        ("regression", [1.0, float("nan")], [1.0, 2.0], "prediction 1 is nan; a finite number is needed"),
        ("regression", [1.0, 2.0], [float("inf"), 2.0], "reference 0 is inf; a finite number is needed"),
        ("entities", [["O"], ["O"]], [["O"], ["O", "O"]], "prediction 1 has 1 tags, its reference 2"),
        ("squad", predictions(["cat"]), references([[]]), "question '0' has no answer; squad_v2 is for such questions"),
        ("squad", predictions(["a", "b"])[1:], references([["a"]]), "question '0' has no prediction"),
        (
            "squad",
            [*predictions(["a", "b"]), *predictions(["a"])],
            [*references([["a"]]) * 2, *references([["a"], ["b"]])[1:]],
            "an id comes twice",
        ),
        (
            "squad_v2",
            [{"id": "0", "prediction_text": "a", "no_answer_probability": 0.5}, *predictions(["a", "b"])[1:]],
            references([["a"], ["b"]]),
            "some predictions have a no_answer_probability, others none",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_words(name, given_, golds, complaint):
    with pytest.raises(DataError, match=complaint):
        module(name).compute(predictions=given_, references=golds)


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_rows_are_refused(name):
    with pytest.raises(DataError, match="no rows were added"):
        module(name).compute(predictions=[], references=[])


def test_a_text_is_no_sequence_of_tags():
    with pytest.raises(ValueError, match="expected a list"):
        module("entities").compute(predictions=["O"], references=["O"])
