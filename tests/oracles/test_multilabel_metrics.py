"""Multi-label scores, and scores of each class, against scikit-learn called directly and by hand."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.metrics import classification
from finetune.metrics.multilabel import LOWER, SCORES, per_class, scores

CLOSE = 1e-12
AVERAGED = [f"{name}_{average}" for name in ("f1", "precision", "recall") for average in ("macro", "micro", "weighted")]
Case = tuple[np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn, fewest: int = 1, most: int = 6) -> Case:
    """Gold and predicted classes, `(rows, classes)`; a class may be in use nowhere."""
    classes = draw(st.integers(fewest, most))
    row = st.lists(st.sampled_from([0, 0, 1]), min_size=classes, max_size=classes)
    pairs = draw(st.lists(st.tuples(row, row), min_size=1, max_size=15))
    gold, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    return gold, predicted


def score(name: str, gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return scores([name], gold, predicted, np.ones(len(gold)) if weights is None else weights)[name]


def in_use(gold: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return np.flatnonzero(gold.any(axis=0) | predicted.any(axis=0))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def by_hand(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Precision, recall and f1 of decisions, from their definitions."""
    hits, found, wanted = int((gold & predicted).sum()), int(predicted.sum()), int(gold.sum())
    return {"precision": share(hits, found), "recall": share(hits, wanted), "f1": share(2 * hits, found + wanted)}


@pytest.mark.parametrize("name", AVERAGED)
@given(case=cases(fewest=2))
@settings(deadline=None, max_examples=40)
def test_an_averaged_score_is_that_of_scikit_learn_over_classes_in_use(name: str, case: Case) -> None:
    short, average = name.split("_")
    used = in_use(*case)
    direct = getattr(sklearn.metrics, f"{short}_score")
    expected = direct(*case, labels=used, average=average, zero_division=0) if len(used) else 0.0
    assert score(name, *case) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", AVERAGED)
@given(case=cases(fewest=2))
@settings(deadline=None, max_examples=40)
def test_where_every_class_is_in_use_a_score_is_scikit_learns_default(name: str, case: Case) -> None:
    gold, predicted = (np.vstack([part, np.ones_like(part[:1])]) for part in case)
    short, average = name.split("_")
    expected = getattr(sklearn.metrics, f"{short}_score")(gold, predicted, average=average, zero_division=0)
    assert score(name, gold, predicted) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(case=cases())
@settings(deadline=None, max_examples=80)
def test_a_micro_score_takes_every_decision_for_itself(name: str, case: Case) -> None:
    assert score(f"{name}_micro", *case) == pytest.approx(by_hand(*case)[name], abs=CLOSE)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(case=cases())
@settings(deadline=None, max_examples=80)
def test_a_macro_score_is_the_mean_over_classes_in_use(name: str, case: Case) -> None:
    gold, predicted = case
    each = [by_hand(gold[:, used], predicted[:, used])[name] for used in in_use(*case)]
    assert score(f"{name}_macro", *case) == pytest.approx(np.mean(each) if each else 0.0, abs=CLOSE)


@given(case=cases(fewest=2))
@settings(deadline=None, max_examples=120)
def test_exact_match_is_the_subset_accuracy_of_scikit_learn(case: Case) -> None:
    assert score("exact_match", *case) == pytest.approx(sklearn.metrics.accuracy_score(*case), abs=CLOSE)


@given(case=cases(fewest=2))
@settings(deadline=None, max_examples=120)
def test_hamming_is_the_hamming_loss_of_scikit_learn(case: Case) -> None:
    assert score("hamming", *case) == pytest.approx(sklearn.metrics.hamming_loss(*case), abs=CLOSE)


@given(case=cases())
@settings(deadline=None, max_examples=120)
def test_hamming_and_exact_match_count_wrong_decisions_and_right_rows(case: Case) -> None:
    gold, predicted = case
    assert score("hamming", *case) == pytest.approx((gold != predicted).mean(), abs=CLOSE)
    assert score("exact_match", *case) == pytest.approx((gold == predicted).all(axis=1).mean(), abs=CLOSE)


@pytest.mark.parametrize("name", sorted(SCORES))
@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=25)
def test_a_weight_counts_as_that_many_rows(name: str, case: Case, data: st.DataObject) -> None:
    gold, predicted = case
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(gold), max_size=len(gold)).filter(any)))
    repeated = np.repeat(np.arange(len(gold)), counts)
    weighted = score(name, gold, predicted, counts.astype(float))
    assert weighted == pytest.approx(score(name, gold[repeated], predicted[repeated]), abs=CLOSE)


def any_counts(rows: list[tuple[int, int, int]]) -> bool:
    return any(count for _gold, _predicted, count in rows)


GOLD = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
PREDICTED = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision_micro", 3 / 4),
        ("recall_micro", 3 / 5),
        ("f1_micro", 2 / 3),
        ("precision_macro", (2 / 3 + 1 + 0) / 3),
        ("recall_macro", (1 + 1 / 2 + 0) / 3),
        ("f1_macro", (4 / 5 + 2 / 3 + 0) / 3),
        ("f1_weighted", (2 * 4 / 5 + 2 * 2 / 3 + 0) / 5),
        ("exact_match", 2 / 4),
        ("hamming", 3 / 16),
    ],
)
def test_a_score_computed_by_hand(name: str, expected: float) -> None:
    assert score(name, GOLD, PREDICTED) == pytest.approx(expected, abs=CLOSE)


def test_many_rows_are_counted_right() -> None:
    found = scores(sorted(SCORES), np.tile(GOLD, (300, 1)), np.tile(PREDICTED, (300, 1)), np.ones(1200))
    assert found == pytest.approx(scores(sorted(SCORES), GOLD, PREDICTED, np.ones(4)), abs=CLOSE)


def test_a_class_that_only_uncounted_rows_have_does_not_count() -> None:
    gold = np.array([[1, 0], [0, 1]])
    assert score("f1_macro", gold, np.array([[1, 0], [0, 0]]), np.array([1.0, 0.0])) == 1.0


@pytest.mark.parametrize("classes", [1, 3])
def test_where_no_class_occurs_or_is_predicted_averages_are_zero(classes: int) -> None:
    nothing = np.zeros((2, classes), int)
    assert scores(AVERAGED, nothing, nothing, np.ones(2)) == dict.fromkeys(AVERAGED, 0.0)


@pytest.mark.parametrize("kind", [bool, float, np.int8])
def test_the_type_of_the_numbers_does_not_matter(kind: type) -> None:
    found = scores(sorted(SCORES), GOLD.astype(kind), PREDICTED.astype(kind), np.ones(4))
    assert found == scores(sorted(SCORES), GOLD, PREDICTED, np.ones(4))


def test_a_perfect_prediction_is_best_everywhere() -> None:
    found = scores(sorted(SCORES), GOLD, GOLD, np.ones(4))
    assert found == {name: 0.0 if name in LOWER else 1.0 for name in sorted(SCORES)}


def test_the_scores_asked_for_come_in_their_order() -> None:
    assert list(scores(["hamming", "f1_micro"], GOLD, GOLD, np.ones(4))) == ["hamming", "f1_micro"]


# Each class


@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=120)
def test_scores_of_a_class_by_their_definitions(case: Case, data: st.DataObject) -> None:
    gold, predicted = case
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(gold), max_size=len(gold)).filter(any)))
    names = [f"class {position}" for position in range(gold.shape[1])]
    found = per_class(gold, predicted, counts.astype(float), names)
    assert list(found) == names
    for position, name in enumerate(names):
        rows = np.repeat(gold[:, position], counts), np.repeat(predicted[:, position], counts)
        assert found[name] == pytest.approx({**by_hand(*rows), "support": rows[0].sum()}, abs=CLOSE)


@given(pairs=st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30).filter(any_counts))
@settings(deadline=None, max_examples=120)
def test_scores_of_a_class_among_others_by_their_definitions(pairs: list[tuple[int, int, int]]) -> None:
    gold, predicted, counts = np.array(pairs).T
    found = classification.per_class(gold, predicted, counts.astype(float), list("abcd"))
    assert list(found) == list("abcd")
    for position, name in enumerate("abcd"):
        rows = np.repeat(gold == position, counts), np.repeat(predicted == position, counts)
        assert found[name] == pytest.approx({**by_hand(*rows), "support": rows[0].sum()}, abs=CLOSE)
