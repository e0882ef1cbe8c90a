"""Regression scores against SciPy and scikit-learn called directly, from their definitions, and by hand."""

import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.metrics.regression import LOWER, SCORES, scores

CLOSE = 1e-9
DIRECT = {
    "pearson": lambda gold, predicted: scipy.stats.pearsonr(gold, predicted).statistic,
    "spearman": lambda gold, predicted: scipy.stats.spearmanr(gold, predicted).statistic,
    "mse": sklearn.metrics.mean_squared_error,
    "mae": sklearn.metrics.mean_absolute_error,
    "rmse": sklearn.metrics.root_mean_squared_error,
}


def by_definition(name: str, gold: np.ndarray, predicted: np.ndarray) -> float:
    if name == "spearman":
        gold, predicted = ranks(gold), ranks(predicted)
    if name in ("pearson", "spearman"):
        first, second = gold - gold.mean(), predicted - predicted.mean()
        return float(first @ second / np.sqrt(first @ first * (second @ second)))
    errors = np.abs(gold - predicted)
    return {"mae": errors.mean(), "mse": (errors**2).mean(), "rmse": (errors**2).mean() ** 0.5}[name]


def ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value, from 0; equal ones share the mean of their places."""
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values])


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Gold and predicted numbers, neither all equal; quarters, so that there are ties."""
    number = st.integers(-20, 20).map(lambda quarters: quarters / 4)
    pairs = draw(
        st.lists(st.tuples(number, number), min_size=2, max_size=40).filter(
            lambda pairs: all(len(set(column)) > 1 for column in zip(*pairs, strict=True))
        )
    )
    gold, predicted = np.array(pairs).T
    return gold, predicted


def score(name: str, gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    return scores([name], gold, predicted, np.ones(len(gold)) if weights is None else weights)[name]


@pytest.mark.parametrize("name", sorted(SCORES))
@given(case=cases())
@settings(deadline=None, max_examples=200)
def test_a_score_is_that_of_its_library(name: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    assert score(name, *case) == pytest.approx(DIRECT[name](*case), abs=CLOSE)


@pytest.mark.parametrize("name", sorted(SCORES))
@given(case=cases())
@settings(deadline=None, max_examples=200)
def test_a_score_is_what_its_definition_says(name: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    assert score(name, *case) == pytest.approx(by_definition(name, *case), abs=CLOSE)


@pytest.mark.parametrize("name", sorted(SCORES))
@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_weight_counts_as_that_many_rows(name: str, case: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    gold, predicted = case
    # the first two different rows of each column count, else a correlation would not be defined
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(gold), max_size=len(gold))))
    for column in case:
        counts[[0, int(np.argmax(column != column[0]))]] += 1
    repeated = np.repeat(np.arange(len(gold)), counts)
    expected = DIRECT[name](gold[repeated], predicted[repeated])
    assert score(name, gold, predicted, counts.astype(float)) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", sorted(LOWER & {"mse", "mae"}))
@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=100)
def test_a_weighted_error_is_scikit_learns_weighted_error(
    name: str, case: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weights = np.array(data.draw(st.lists(st.integers(1, 3), min_size=len(case[0]), max_size=len(case[0]))), float)
    assert score(name, *case, weights) == pytest.approx(DIRECT[name](*case, sample_weight=weights), abs=CLOSE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pearson", 14 / 227.5**0.5), ("spearman", 0.8), ("mse", 1.75), ("mae", 1.25), ("rmse", 1.75**0.5)],
)
def test_a_score_computed_by_hand(name: str, expected: float) -> None:
    gold, predicted = np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.0, 3.0, 2.0, 7.0])
    assert score(name, gold, predicted) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
@pytest.mark.parametrize(
    ("gold", "predicted"),
    [([1, 2, 3], [0.1, 0.1, 0.1]), ([2, 2, 2], [1, 2, 3]), ([2, 2], [1, 1]), ([1], [2])],
    ids=["predicted", "gold", "both", "one row"],
)
def test_a_correlation_with_what_never_changes_is_zero_and_no_warning(
    name: str, gold: list[float], predicted: list[float]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(name, np.array(gold, float), np.array(predicted, float)) == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_correlation_with_what_hardly_changes_gives_no_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert -1 <= score(name, np.array([1, 2, 3.0]), np.array([1, 1, 1 + 1e-15])) <= 1


def test_warnings_of_other_code_are_left_as_they_were() -> None:
    score("pearson", np.array([1, 2, 3.0]), np.array([1, 1, 1 + 1e-15]))
    with pytest.warns(scipy.stats.NearConstantInputWarning):
        scipy.stats.pearsonr([1, 2, 3.0], [1, 1, 1 + 1e-15])


def test_the_errors_are_better_when_lower_and_the_correlations_when_higher() -> None:
    gold = np.array([1.0, 2.0, 4.0])
    good, bad = gold + np.array([0.1, 0.0, -0.1]), gold[::-1]
    assert {name for name in SCORES if score(name, gold, good) < score(name, gold, bad)} == LOWER


def test_the_scores_asked_for_come_in_their_order() -> None:
    column = np.array([0.0, 1.0])
    assert list(scores(["rmse", "pearson"], column, column, np.ones(2))) == ["rmse", "pearson"]
