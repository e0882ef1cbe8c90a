"""What is said of methods beside a reference, of tests made at once, and of two given models."""

import numpy as np
import pytest
import scipy.stats

from finetune.statistics.holm import holm
from finetune.statistics.paired import bootstrap_p_values, compared, mcnemar, paired_bootstrap, right_rows
from finetune.statistics.seeds import interval, pseudo_values
from finetune.statistics.variation import Variation
from finetune.statistics.verdicts import judge

SEEDS, ROWS, MARGIN = 3, 200, 0.01


def values(gain: float = 0.0, noise: float = 0.02, seeds: int = SEEDS, rows: int = ROWS) -> dict[str, np.ndarray]:
    """A reference and a method that is better by `gain`, seeds and rows differing by `noise` each."""
    generator = np.random.default_rng(1)
    reference = 0.8 + generator.normal(0, 0.1, rows) + np.zeros((seeds, rows))
    own = generator.normal(0, noise, (seeds, 1)) + generator.normal(0, noise, (seeds, rows))
    return {"full": reference, "lora": reference + gain + own - own.mean()}


def verdict(gain: float = 0.0, noise: float = 0.02, higher_is_better: bool = True, **sizes):
    return judge(values(gain, noise, **sizes), "full", higher_is_better, MARGIN)["lora"]


# Verdicts


@pytest.mark.parametrize(
    ("gain", "noise", "expected", "words"),
    [
        (0.1, 0.005, "better", "better"),
        (-0.1, 0.005, "worse", "worse"),
        (-0.005, 0.0005, "worse but within the margin", "worse, but by less than 1 point"),
        (0.0, 0.0005, "no worse", "no worse than 1 point"),
    ],
)
def test_a_method_is_judged_by_where_the_interval_lies(gain: float, noise: float, expected: str, words: str):
    found = verdict(gain, noise)
    assert (found.verdict, found.words) == (expected, words)
    assert found.difference == pytest.approx(gain)
    assert found.low < gain < found.high


def test_where_the_interval_leaves_all_open_it_cannot_tell():
    found = verdict(0.0, 0.05)
    assert found.verdict == "cannot tell"
    assert found.words.startswith("cannot tell; ")


@pytest.mark.parametrize(("gain", "expected"), [(0.1, "worse"), (-0.1, "better")])
def test_the_direction_of_a_score_turns_the_verdict_and_not_the_difference(gain: float, expected: str):
    found = verdict(gain, 0.005, higher_is_better=False)
    assert found.verdict == expected
    assert found.difference == pytest.approx(gain)


def test_an_error_that_is_no_larger_by_more_than_the_margin_is_no_worse():
    assert verdict(0.0, 0.0005, higher_is_better=False).verdict == "no worse"
    assert verdict(0.02, 0.0005, higher_is_better=False).verdict == "worse"


def test_the_interval_is_that_of_the_differences():
    table = values(0.02)
    found, expected = judge(table, "full", True, MARGIN)["lora"], interval(table["lora"] - table["full"])
    assert (found.low, found.high, found.df) == (expected.low, expected.high, expected.df)


def test_the_reference_has_no_verdict():
    assert set(judge(values(), "full", True, MARGIN)) == {"lora"}


def test_p_values_are_corrected_for_all_methods_together():
    """A difference that one method alone would show is none among ten."""
    table = values(0.06, 0.01)
    alone = judge(table, "full", True, MARGIN)["lora"]
    others = {f"other {n}": values(0.0, 0.05)["lora"] for n in range(9)}
    among = judge({**table, **others}, "full", True, MARGIN)["lora"]
    assert alone.p == alone.p_holm == among.p
    assert alone.verdict == "better"
    assert among.p_holm == pytest.approx(10 * alone.p)
    assert among.verdict == "no worse"


def test_the_margin_is_said_in_points_of_the_score():
    table = {name: 100 * each for name, each in values(0.0, 0.0005).items()}
    assert judge(table, "full", True, 0.5, point=1.0)["lora"].words == "no worse than 0.5 points"


def test_equal_predictions_cannot_be_told_apart():
    same = np.random.default_rng(2).random((3, 20))
    found = judge({"full": same, "lora": same.copy()}, "full", True, MARGIN)["lora"]
    assert (found.verdict, found.words) == ("cannot tell", "cannot tell; the same on every row and seed")
    assert found.p == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.full((3, 5), np.nan), "cannot tell; a score is no number"),
        (np.ones((3, 1)), "cannot tell from one row"),
    ],
)
def test_what_has_no_interval_says_why(bad: np.ndarray, words: str):
    found = judge({"full": np.zeros_like(bad), "lora": bad}, "full", True, MARGIN)["lora"]
    assert (found.verdict, found.words, found.p) == ("cannot tell", words, None)


def test_a_score_that_is_no_number_does_not_count_in_the_correction_of_others():
    table = {**values(0.1, 0.005), "broken": np.full((SEEDS, ROWS), np.nan)}
    found = judge(table, "full", True, MARGIN)
    assert found["lora"].p_holm == found["lora"].p
    assert found["broken"].p_holm is None


def test_of_one_seed_the_rows_alone_judge_and_it_is_said():
    found = verdict(0.1, 0.005, seeds=1)
    assert found.verdict == "better"
    assert found.words == "better (one seed: what others would change is not known)"


# What would help


def test_the_rows_that_it_asks_for_would_settle_it():
    table = values(0.002, 0.002)
    table["lora"] = table["lora"] + np.random.default_rng(3).normal(0, 0.2, ROWS)
    found = judge(table, "full", True, MARGIN)["lora"]
    assert found.verdict == "cannot tell"
    assert found.more_rows is not None
    variation = Variation.of(table["lora"] - table["full"])
    gap = abs(found.difference) if abs(found.difference) > MARGIN else found.difference + MARGIN
    assert variation.scaled(SEEDS, ROWS + found.more_rows).half_width(0.95) < gap
    assert variation.scaled(SEEDS, ROWS + int(0.8 * found.more_rows)).half_width(0.95) > gap
    assert f"{found.more_rows:,} more rows" in found.words


def test_where_seeds_differ_too_much_it_asks_for_seeds_and_not_for_rows():
    found = verdict(0.03, 0.03)
    assert (found.verdict, found.more_rows) == ("cannot tell", None)
    assert found.words == f"cannot tell; needs about {found.more_seeds} more seeds"
    assert 2 <= found.more_seeds <= 30


def test_the_seeds_that_it_asks_for_settle_it_after_the_correction_for_the_number_of_methods():
    table, generator = values(-0.1, 0.02), np.random.default_rng(5)
    for other in range(5):
        table[f"other {other}"] = (
            table["full"] + generator.normal(0, 0.02, (SEEDS, 1)) + generator.normal(0, 0.02, ROWS)
        )
    found = judge(table, "full", True, MARGIN)["lora"]
    assert (found.high < 0, found.p < 0.05, found.verdict) == (True, True, "cannot tell")
    variation = Variation.of(table["lora"] - table["full"])
    strict = 1 - 0.05 / (found.p_holm / found.p)
    assert variation.scaled(SEEDS + found.more_seeds, ROWS).half_width(strict) < 0.1
    assert variation.scaled(SEEDS + found.more_seeds - 1, ROWS).half_width(strict) > 0.1


def test_where_nothing_would_help_no_number_is_given():
    found = verdict(-MARGIN, 0.05)
    assert (found.more_rows, found.more_seeds) == (None, None)
    assert found.words == "cannot tell; neither more rows nor more seeds alone would settle it"


def test_numbers_that_it_asks_for_have_two_digits():
    found = judge({n: each[:, :30] for n, each in values(0.012, 0.06, rows=400).items()}, "full", True, MARGIN)["lora"]
    numbers = [number for number in (found.more_rows, found.more_seeds) if number]
    assert numbers
    assert all(len(str(number).rstrip("0")) <= 2 for number in numbers)


# Holm


def test_holms_correction_is_that_of_his_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_test_that_was_not_made_does_not_count():
    assert holm([0.01, None, 0.04]) == [pytest.approx(0.02), None, pytest.approx(0.04)]


def test_corrected_p_values_end_at_1():
    assert holm([0.9, 0.8]) == [1, 1]


# Two given models


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 5), (1, 8), (30, 14)])
def test_mcnemars_test_is_the_exact_binomial_one(gained: int, lost: int):
    first = np.array([True] * gained + [False] * lost + [True] * 20 + [False] * 7)
    second = np.array([False] * gained + [True] * lost + [True] * 20 + [False] * 7)
    expected = scipy.stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(first, second) == (pytest.approx(expected), gained, lost)


def mean(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    return {"mean": float(weights @ statistics[:, 0] / weights.sum())}


def test_the_paired_bootstrap_agrees_with_a_paired_t_test_of_means():
    generator = np.random.default_rng(5)
    first = generator.normal(size=(300, 1))
    second = first + generator.normal(0.1, 1, (300, 1))
    expected = scipy.stats.ttest_rel(first[:, 0], second[:, 0]).pvalue
    found = bootstrap_p_values(first, second, mean, resamples=4000)["mean"]
    assert found == pytest.approx(expected, abs=0.02)  # three standard errors


def test_a_bootstrap_p_value_is_never_0():
    first = np.random.default_rng(6).normal(size=(100, 1))
    assert bootstrap_p_values(first, first + 5, mean, resamples=99) == {"mean": 0.01}


def test_equal_models_have_a_p_value_of_1():
    first = np.random.default_rng(7).normal(size=(100, 1))
    assert paired_bootstrap(first, first, mean, "mean") == 1


def test_a_score_that_is_no_number_has_no_p_value():
    first = np.full((10, 1), np.nan)
    assert paired_bootstrap(first, first, mean, "mean") is None


def test_a_share_of_right_rows_is_tested_by_mcnemar_and_other_scores_by_the_bootstrap():
    generator = np.random.default_rng(8)
    first, second = (generator.integers(0, 2, (40, 1)).astype(float) for _ in range(2))
    right = compared(first, second, mean, "mean")
    assert (right.test, right.p) == ("McNemar", mcnemar(first[:, 0] == 1, second[:, 0] == 1)[0])
    assert right.difference == pytest.approx((right.gained - right.lost) / 40)
    other = compared(first / 2, second / 2, mean, "mean")
    assert (other.test, other.gained, other.lost) == ("paired bootstrap", None, None)


def test_a_score_of_0s_and_1s_that_is_no_share_has_no_right_rows():
    """F1 of a single row is 0 or 1 too."""

    def f1(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        gold, predicted = statistics.T
        both = weights @ (gold + predicted)
        return {"f1": float(2 * weights @ (gold * predicted) / both) if both else 0.0}

    statistics = np.random.default_rng(9).integers(0, 2, (50, 2)).astype(float)
    assert right_rows(statistics, f1) == {}


def test_a_score_that_some_rows_do_not_have_is_tested_all_the_same():
    """As F1 of questions with an answer, of which a single row or a resample may hold none."""

    def of_some(statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        asked, score = statistics.T
        return {"some": float(np.average(score, weights=weights * asked))} if weights @ asked else {}

    generator = np.random.default_rng(10)
    asked = np.arange(30) % 3 == 0
    first, second = (np.stack([asked, generator.random(30)], axis=1) for _ in range(2))
    found = compared(first, second, of_some, "some")
    assert found.test == "paired bootstrap"
    assert 0 < found.p < 1
    assert pseudo_values(first, of_some, "some").mean() == pytest.approx(first[asked, 1].mean())
