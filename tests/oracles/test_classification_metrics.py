"""Classification scores against scikit-learn called directly and by hand; intervals against a plain bootstrap."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.metrics.classification import SCORES, scores
from finetune.statistics.resampling import bootstrap

CLOSE = 1e-12


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Gold and predicted ids, and how many classes there are; some classes may never occur."""
    classes = draw(st.integers(2, 12))
    used = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes, unique=True))
    pairs = draw(st.lists(st.tuples(st.sampled_from(used), st.integers(0, classes - 1)), min_size=1, max_size=60))
    gold, predicted = np.array(pairs).T
    return gold, predicted, classes


def score(name: str, gold: np.ndarray, predicted: np.ndarray, positive: int = 0, weights=None) -> float:
    weights = np.ones(len(gold)) if weights is None else weights
    return scores([name], gold, predicted, weights, positive)[name]


def by_hand(gold: np.ndarray, predicted: np.ndarray, positive: int) -> dict[str, float]:
    """Precision, recall and f1 of one class, from their definitions."""
    hits = int(((gold == positive) & (predicted == positive)).sum())
    found, wanted = int((predicted == positive).sum()), int((gold == positive).sum())
    precision, recall = hits / found if found else 0.0, hits / wanted if wanted else 0.0
    both = precision + recall
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / both if both else 0.0}


@given(case=cases())
@settings(deadline=None, max_examples=40)
def test_accuracy_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    gold, predicted, _classes = case
    assert score("accuracy", gold, predicted) == pytest.approx(
        sklearn.metrics.accuracy_score(gold, predicted), abs=CLOSE
    )


@given(case=cases())
@settings(deadline=None, max_examples=40)
def test_matthews_correlation_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    gold, predicted, _classes = case
    assert score("matthews", gold, predicted) == pytest.approx(
        sklearn.metrics.matthews_corrcoef(gold, predicted), abs=CLOSE
    )


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(case=cases())
@settings(deadline=None, max_examples=25)
def test_an_averaged_score_is_that_of_scikit_learn_over_classes_in_use(
    name: str, average: str, case: tuple[np.ndarray, np.ndarray, int]
) -> None:
    gold, predicted, _classes = case
    direct = getattr(sklearn.metrics, f"{name}_score")
    expected = direct(gold, predicted, average=average, zero_division=0)
    assert score(f"{name}_{average}", gold, predicted) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(case=cases())
@settings(deadline=None, max_examples=25)
def test_a_macro_score_is_the_mean_over_classes_in_use_by_hand(
    name: str, case: tuple[np.ndarray, np.ndarray, int]
) -> None:
    gold, predicted, _classes = case
    expected = np.mean([by_hand(gold, predicted, positive)[name] for positive in np.union1d(gold, predicted)])
    assert score(f"{name}_macro", gold, predicted) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(case=cases(), position=st.integers(0, 11))
@settings(deadline=None, max_examples=25)
def test_a_score_of_the_positive_class_sees_only_that_class(
    name: str, case: tuple[np.ndarray, np.ndarray, int], position: int
) -> None:
    gold, predicted, classes = case
    positive = position % classes
    expected = by_hand(gold, predicted, positive)[name]
    assert score(name, gold, predicted, positive) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
@settings(deadline=None, max_examples=25)
def test_a_score_of_the_positive_class_is_scikit_learns_binary_score(name: str, pairs: list[tuple[int, int]]) -> None:
    gold, predicted = np.array(pairs).T
    direct = getattr(sklearn.metrics, f"{name}_score")
    expected = direct(gold, predicted, average="binary", pos_label=1, zero_division=0)
    assert score(name, gold, predicted, positive=1) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("name", sorted(SCORES))
@given(case=cases(), data=st.data())
@settings(deadline=None, max_examples=15)
def test_a_weight_counts_as_that_many_rows(
    name: str, case: tuple[np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    gold, predicted, _classes = case
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(gold), max_size=len(gold)).filter(any)))
    repeated = np.repeat(np.arange(len(gold)), counts)
    weighted = score(name, gold, predicted, weights=counts.astype(float))
    assert weighted == pytest.approx(score(name, gold[repeated], predicted[repeated]), abs=CLOSE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 5 / 8),
        ("precision", 3 / 4),
        ("recall", 3 / 5),
        ("f1", 2 / 3),
        ("f1_macro", (2 / 3 + 4 / 7) / 2),
        ("f1_weighted", (5 * 2 / 3 + 3 * 4 / 7) / 8),
        ("f1_micro", 5 / 8),
        ("matthews", (3 * 2 - 1 * 2) / (4 * 5 * 3 * 4) ** 0.5),
    ],
)
def test_a_score_computed_by_hand(name: str, expected: float) -> None:
    gold = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    predicted = np.array([1, 1, 1, 0, 0, 1, 0, 0])
    assert score(name, gold, predicted, positive=1) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize(("name", "expected"), [("f1_macro", 1.0), ("recall_macro", 1.0), ("matthews", 0.0)])
def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count(name: str, expected: float) -> None:
    gold, predicted = np.array([0, 0, 0]), np.array([0, 0, 0])
    assert score(name, gold, predicted) == pytest.approx(expected, abs=CLOSE)


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    ids = np.array([0, 1, 2, 2, 1, 0])
    assert scores(sorted(SCORES), ids, ids, np.ones(6), 0) == dict.fromkeys(sorted(SCORES), 1.0)


def test_the_scores_asked_for_come_in_their_order() -> None:
    ids = np.array([0, 1])
    assert list(scores(["matthews", "accuracy"], ids, ids, np.ones(2), 0)) == ["matthews", "accuracy"]


# Intervals


def mean(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    return {"mean": float(statistics[:, 0] @ weights / weights.sum())}


def plain_bootstrap(statistics: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Scores of resamples drawn row by row."""
    generator = np.random.default_rng(seed)
    rows = len(statistics)
    return np.array(
        [mean(statistics[generator.integers(0, rows, rows)], np.ones(rows))["mean"] for _ in range(resamples)]
    )


@pytest.mark.parametrize("levels", [2, 5, 1000], ids=["two values", "five values", "all different"])
def test_an_interval_is_that_of_a_plain_bootstrap(levels: int) -> None:
    generator = np.random.default_rng(levels)
    statistics = generator.integers(0, levels, (200, 1)).astype(float)
    low, high = bootstrap(statistics, mean, resamples=8000, seed=1)["mean"]
    plain = plain_bootstrap(statistics, 8000, seed=2)
    # The end of a percentile interval of 8,000 resamples is off by about 0.03 of their standard deviation.
    assert np.array([low, high]) == pytest.approx(np.percentile(plain, [2.5, 97.5]), abs=0.15 * plain.std())


def test_an_interval_of_several_columns_draws_them_together() -> None:
    generator = np.random.default_rng(3)
    first = generator.normal(size=(60, 1))
    statistics = np.hstack([first, -first])

    def total(found: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        return {"total": float((found.sum(axis=1) * weights).sum())}

    assert bootstrap(statistics, total, resamples=50)["total"] == pytest.approx((0, 0), abs=1e-9)


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(4)
    truth, trials, covered = 0.7, 300, 0
    for trial in range(trials):
        statistics = (generator.random((150, 1)) < truth).astype(float)
        low, high = bootstrap(statistics, mean, resamples=300, seed=trial)["mean"]
        covered += low <= truth <= high
    assert covered / trials == pytest.approx(0.95, abs=0.04)  # three standard errors


def test_a_lower_level_gives_a_narrower_interval() -> None:
    statistics = np.random.default_rng(5).normal(size=(100, 1))
    wide, narrow = (bootstrap(statistics, mean, level=level)["mean"] for level in (0.95, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_same_seed_gives_the_same_interval() -> None:
    statistics = np.random.default_rng(6).normal(size=(50, 1))
    assert bootstrap(statistics, mean, seed=7) == bootstrap(statistics, mean, seed=7)


def test_another_seed_gives_another_interval() -> None:
    statistics = np.random.default_rng(6).normal(size=(50, 1))
    assert bootstrap(statistics, mean, seed=7) != bootstrap(statistics, mean, seed=8)


def test_the_order_of_the_rows_does_not_change_an_interval() -> None:
    statistics = np.random.default_rng(8).integers(0, 4, (50, 1)).astype(float)
    assert bootstrap(statistics[::-1], mean) == bootstrap(statistics, mean)


def test_rows_that_are_all_alike_give_a_point() -> None:
    assert bootstrap(np.full((20, 1), 0.25), mean) == {"mean": (0.25, 0.25)}
