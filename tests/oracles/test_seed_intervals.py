"""Intervals over seeds and rows: held against closed forms, brute force and simulated experiments."""

import numpy as np
import pytest
import scipy.stats

from finetune.statistics import seeds
from finetune.statistics.seeds import all_pseudo_values, interval, pseudo_values
from finetune.statistics.variation import Variation
from finetune.statistics.verdicts import judge
from tests.support.simulated import ACCURACY, right_rows

TRIALS = 1500
POINT = 0.01
MANY = 10**6


def f1(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Gold and predicted 0 or 1, `(rows, 2)`."""
    gold, predicted = statistics.T
    return {"f1": float(2 * weights @ (gold * predicted) / (weights @ (gold + predicted)))}


def mean(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    return {"mean": float(weights @ statistics[:, 0] / weights.sum())}


def ratio(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    above, below = weights @ statistics
    return {"ratio": float(above / below)}


def labelled(generator: np.random.Generator, right: np.ndarray) -> np.ndarray:
    """Gold and predicted classes, two of three gold ones 1, where these rows are right: `(*right.shape, 2)`."""
    gold = np.broadcast_to(generator.random(right.shape[-1]) < 2 / 3, right.shape)
    return np.stack([gold, gold == right], axis=-1).astype(float)


# One value for each row


def test_the_values_of_an_accuracy_are_1_and_0():
    right = np.random.default_rng(0).integers(0, 2, (60, 1)).astype(float)
    assert pseudo_values(right, mean, "mean") == pytest.approx(right[:, 0])


def test_the_values_of_a_score_that_is_no_mean_are_those_of_a_plain_jackknife_less_its_bias():
    statistics = np.random.default_rng(1).integers(0, 2, (50, 2)).astype(float)
    rows, whole = np.ones(50), f1(statistics, np.ones(50))["f1"]
    without = np.array([f1(statistics, rows - np.eye(50)[row])["f1"] for row in range(50)])
    plain = 50 * whole - 49 * without
    assert pseudo_values(statistics, f1, "f1") == pytest.approx(plain - plain.mean() + whole)


@pytest.mark.parametrize("levels", [2, 10**6], ids=["rows alike", "rows all different"])
@pytest.mark.parametrize("rows", [300, 2500], ids=["by row", "by block"])
def test_their_mean_is_the_score_and_their_variance_that_of_the_score(rows: int, levels: int):
    statistics = np.random.default_rng(2).integers(1, 1 + levels, (rows, 2)).astype(float)
    values = pseudo_values(statistics, ratio, "ratio")
    assert values.shape == (rows,)
    assert values.mean() == pytest.approx(ratio(statistics, np.ones(rows))["ratio"])
    above, below = statistics.T
    linear = (above - values.mean() * below) / below.mean()  # the delta method's
    assert values.std() == pytest.approx(linear.std(), rel=0.1)  # of 400 blocks, three standard errors


def test_blocks_hold_the_same_rows_for_every_seed():
    """Else what rows do to all seeds alike would vanish."""
    first = np.random.default_rng(3).normal(10, 1, (2500, 2))
    second = first + np.random.default_rng(4).normal(0, 0.1, (2500, 2))
    values = [pseudo_values(statistics, ratio, "ratio") for statistics in (first, second)]
    assert np.corrcoef(*values)[0, 1] > 0.95


def test_a_slow_score_is_computed_once_for_each_block(monkeypatch):
    monkeypatch.setattr(seeds, "ROWS", 100)
    monkeypatch.setattr(seeds, "BLOCKS", 20)
    calls = []

    def counted(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        calls.append(len(statistics))
        return mean(statistics, weights)

    pseudo_values(np.random.default_rng(5).normal(size=(1000, 1)), counted, "mean")
    assert len(calls) == 21


def test_all_scores_come_of_one_pass():
    statistics = np.random.default_rng(6).integers(0, 2, (40, 2)).astype(float)
    both = all_pseudo_values(statistics, lambda rows, weights: f1(rows, weights) | mean(rows, weights))
    assert both["f1"] == pytest.approx(pseudo_values(statistics, f1, "f1"))
    assert both["mean"] == pytest.approx(statistics[:, 0])


def test_a_single_row_is_its_score():
    assert pseudo_values(np.array([[3.0]]), mean, "mean") == pytest.approx([3.0])


# Closed forms


def test_of_one_seed_the_interval_is_that_of_a_mean_over_rows():
    values = np.random.default_rng(7).normal(size=30)
    found = interval(values[None])
    expected = scipy.stats.t.interval(0.95, 29, values.mean(), scipy.stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.spread is found.seed_variance is None


def test_seeds_that_are_all_alike_are_as_one():
    values = np.random.default_rng(8).normal(size=30)
    many, one = interval(np.tile(values, (4, 1))), interval(values[None])
    assert (many.low, many.high, many.spread) == pytest.approx((one.low, one.high, 0))


def test_rows_that_are_all_alike_leave_the_interval_of_a_mean_over_seeds():
    scores = np.array([0.7, 0.8, 0.84, 0.9])
    found = interval(np.repeat(scores[:, None], 50, axis=1))
    expected = scipy.stats.t.interval(0.95, 3, scores.mean(), scipy.stats.sem(scores))
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_variance_of_the_mean_is_that_of_two_way_random_effects():
    """From the mean squares: (rows + seeds - rest) / (seeds * rows)."""
    values = np.random.default_rng(9).normal(size=(3, 20)) + np.random.default_rng(10).normal(size=20)
    by_seed, by_row = values.mean(axis=1), values.mean(axis=0)
    of_seeds, of_rows = 20 * by_seed.var(ddof=1), 3 * by_row.var(ddof=1)
    total = ((values - values.mean()) ** 2).sum()
    rest = (total - 2 * of_seeds - 19 * of_rows) / (2 * 19)
    found = interval(values)
    assert found.seed_variance + found.row_variance == pytest.approx((of_rows + of_seeds - rest) / 60)
    assert found.seed_variance == pytest.approx(by_seed.var(ddof=1) / 3)
    assert found.spread == pytest.approx(by_seed.std(ddof=1))


def test_perfect_scores_give_a_point():
    found = interval(np.ones((3, 20)))
    assert (found.mean, found.low, found.high, found.df) == (1, 1, 1, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_has_no_interval(bad: float):
    values = np.ones((2, 5))
    values[1] = bad
    assert set(vars(interval(values)).values()) == {None}


def test_one_row_has_a_score_and_no_interval():
    found = interval(np.array([[1.0], [0.0]]))
    assert (found.mean, found.low, found.high) == (0.5, None, None)


def test_a_p_value_is_the_level_at_which_the_interval_ends_at_0():
    variation = Variation.of(np.random.default_rng(11).normal(0.3, 1, (3, 40)))
    p = variation.p_value(0.25)
    assert variation.half_width(1 - p) == pytest.approx(0.25, rel=1e-4)


def test_so_few_rows_cannot_show_more_than_chance_gives():
    for noise in (0, 1e-6):
        values = 1 + noise * np.random.default_rng(12).normal(size=(2, 3))
        assert interval(values).low == pytest.approx(1, abs=1e-3)
        assert Variation.of(values).p_value(1.0) == 0.25


# Experiments


def errs(seeds: int, level: float, interaction: float, ratio: float) -> float:
    """How often an interval errs, as a share of what it may, where the rows' variance is known.

    `interaction` is its share in the variance of the rows, `ratio` that of the seeds to that of the rows. Normal
    values; what the seeds' mean square turns out to be is integrated over.
    """
    own = seeds - 1
    chances = scipy.stats.chi2.ppf((np.arange(500) + 0.5) / 500, own) / own
    expected = interaction + ratio
    deviation = np.sqrt(expected + 1 - interaction)
    widths = [
        Variation(seeds, MANY, seeds * expected * chance, MANY * (1 - interaction), 0.0).half_width(level)
        for chance in chances
    ]
    return float(2 * scipy.stats.norm.sf(np.array(widths) / deviation).mean() / (1 - level))


@pytest.mark.parametrize("level", [0.95, 0.975, 0.9875, 0.995])
@pytest.mark.parametrize(("seeds", "most"), [(2, 1.3), (3, 1.2), (5, 1.05), (10, 1.05)])
def test_an_interval_errs_about_as_often_as_it_may_whatever_seeds_and_rows_bring(seeds: int, most: float, level: float):
    found = [errs(seeds, level, share, ratio) for share in (0, 0.5, 0.9) for ratio in (0.01, 0.3, 1, 4, 30)]
    assert max(found) < most
    if level == 0.95 and seeds > 2:
        assert min(found) > 0.6


def coverage(seeds: int, spread: float, accuracy: float = ACCURACY) -> float:
    right, expected = right_rows(np.random.default_rng(seeds), TRIALS, 1, seeds, spread, accuracy=accuracy)
    found = [interval(values[0].astype(float)) for values in right]
    return float(np.mean([one.low <= expected <= one.high for one in found]))


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [0, POINT, 3 * POINT], ids=["no spread", "1 point", "3 points"])
def test_an_interval_over_seeds_covers_the_expected_accuracy_as_often_as_it_says(seeds: int, spread: float):
    assert 0.93 < coverage(seeds, spread) < 0.97


@pytest.mark.parametrize("spread", [0, POINT, 3 * POINT], ids=["no spread", "1 point", "3 points"])
def test_an_interval_over_two_seeds_covers_at_least_as_often_and_at_times_more(spread: float):
    assert 0.93 < coverage(2, spread) < 0.99


def test_where_seeds_are_far_from_normal_an_interval_covers_less_than_it_says():
    """Near a perfect score, seeds that differ much fall in one direction: a limit, shown so that nobody forgets it."""
    assert 0.88 < coverage(3, 3 * POINT, accuracy=0.95) < 0.93


def test_an_interval_of_f1_covers_its_expected_value_as_often_as_it_says():
    generator = np.random.default_rng(21)
    right, _ = right_rows(generator, 700, 1, 3, POINT)
    tables = [[pseudo_values(one, f1, "f1") for one in labelled(generator, trial[0])] for trial in right]
    found = [interval(np.array(table)) for table in tables]
    expected = np.mean([one.mean for one in found])  # its error is a fiftieth of an interval's width
    assert 0.93 < np.mean([one.low <= expected <= one.high for one in found]) < 0.97


def told_apart(methods: int, seeds: int, spread: float, alike: float, trials: int) -> float:
    """How often any of some methods is called better or worse than a reference that is expected to score the same."""
    right, _ = right_rows(np.random.default_rng(31 + methods), trials, methods + 1, seeds, spread, alike)
    wrong = 0
    for table in right.astype(float):
        verdicts = judge({str(method): values for method, values in enumerate(table)}, "0", True, 0.0)
        wrong += any(verdict.p_holm < 0.05 for verdict in verdicts.values())
    return wrong / trials


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("spread", "alike"), [(0, 1.0), (POINT, 0.95), (3 * POINT, 0.95)])
def test_equal_methods_are_told_apart_in_at_most_6_of_100_experiments(seeds: int, spread: float, alike: float):
    assert told_apart(1, seeds, spread, alike, 700) <= 0.06


@pytest.mark.parametrize("seeds", [2, 3])
def test_any_of_four_equal_methods_is_told_apart_in_at_most_6_of_100_experiments(seeds: int):
    assert told_apart(4, seeds, POINT, 0.95, 400) <= 0.06


def test_a_difference_of_eight_points_is_found_more_often_than_not_and_one_of_a_point_seldom():
    """Three seeds of 400 rows are not many."""
    right, _ = right_rows(np.random.default_rng(41), 300, 2, 3, POINT, 0.95)
    found = {}
    for loss in (0.01, 0.08):
        kept = np.random.default_rng(42).random(right[:, 1].shape) > loss / ACCURACY
        worse = right[:, 1] & kept
        verdicts = [
            judge({"full": one.astype(float), "other": two.astype(float)}, "full", True, 0.0)["other"].verdict
            for one, two in zip(right[:, 0], worse, strict=True)
        ]
        found[loss] = verdicts.count("worse") / len(verdicts)
    assert found[0.08] > 0.5
    assert found[0.01] < 0.25
