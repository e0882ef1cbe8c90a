"""Labels that look swapped: found where they are, and not where luck suffices."""

import numpy as np
import pytest

from finetune.metrics.swapped import swapped


def table(gold: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Rows of each gold and predicted class."""
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (gold, predicted), 1)
    return confusion


def names(classes: int) -> list[str]:
    return [f"class {position}" for position in range(classes)]


def test_two_swapped_classes_are_found() -> None:
    assert set(swapped(np.array([[4, 40], [35, 6]]), ["no", "yes"])) == {("no", "yes"), ("yes", "no")}


def test_a_pair_names_the_predicted_class_first() -> None:
    # what is called "b" is gold "a", what is called "c" is gold "b", what is called "a" is gold "c"
    confusion = np.array([[0, 30, 0], [0, 0, 40], [50, 0, 0]])
    assert set(swapped(confusion, ["a", "b", "c"])) == {("b", "a"), ("c", "b"), ("a", "c")}


def test_only_the_swapped_of_several_classes_are_named() -> None:
    confusion = np.array([[2, 30, 1, 0], [25, 3, 0, 1], [1, 0, 20, 2], [0, 1, 3, 30]])
    assert set(swapped(confusion, ["a", "b", "c", "d"])) == {("b", "a"), ("a", "b")}


@pytest.mark.parametrize("classes", [2, 3, 119])
def test_classes_under_their_own_names_are_not_suspicious(classes: int) -> None:
    assert swapped(np.eye(classes, dtype=int) * 20 + 1, names(classes)) == []


@pytest.mark.parametrize(
    "confusion",
    [np.zeros((2, 2)), np.array([[20, 0], [30, 0]]), np.array([[0, 20], [0, 30]])],
    ids=["no", "one", "all"],
)
def test_a_table_that_says_nothing_is_not_suspicious(confusion: np.ndarray) -> None:
    assert swapped(confusion, ["a", "b"]) == []


def test_few_rows_are_not_suspicious() -> None:
    assert swapped(np.array([[0, 2], [2, 0]]), ["a", "b"]) == []


def test_many_rows_of_the_same_shares_are() -> None:
    assert swapped(np.array([[0, 20], [20, 0]]), ["a", "b"]) != []


@pytest.mark.parametrize(("classes", "rows"), [(2, 60), (2, 2000), (5, 200), (30, 600)])
def test_guesses_are_suspicious_no_more_often_than_the_level_says(classes: int, rows: int) -> None:
    generator = np.random.default_rng(classes + rows)
    trials = 60
    suspicious = sum(
        swapped(table(*generator.integers(0, classes, (2, rows)), classes), names(classes), seed=trial) != []
        for trial in range(trials)
    )
    assert suspicious <= 4  # of 60 at a level of 0.01, more happen less than once in 2,000 times


def test_renamed_classes_are_found_among_119() -> None:
    generator = np.random.default_rng(0)
    classes, rows = 119, 1749
    gold = generator.integers(0, classes, rows)
    renamed = generator.permutation(classes)
    predicted = np.where(generator.random(rows) < 0.4, renamed[gold], generator.integers(0, classes, rows))
    found = swapped(table(gold, predicted, classes), names(classes))
    moved = {(f"class {renamed[one]}", f"class {one}") for one in range(classes) if renamed[one] != one}
    assert set(found) <= moved
    assert len(found) > 100


def test_classes_without_a_row_are_not_named() -> None:
    confusion = np.zeros((5, 5), int)
    confusion[:2, :2] = [[2, 40], [35, 1]]
    assert {name for pair in swapped(confusion, list("abcde")) for name in pair} == {"a", "b"}


def test_a_pair_that_luck_puts_together_is_not_named() -> None:
    # a and b are swapped; of c and d, which nearly nothing is called, the one row under the other name is no sign
    confusion = np.array([[1, 40, 0, 0], [35, 2, 0, 0], [4, 4, 0, 1], [4, 4, 1, 0]])
    assert set(swapped(confusion, list("abcd"))) == {("b", "a"), ("a", "b")}


def test_where_other_names_fit_as_well_as_their_own_none_is_suspicious() -> None:
    confusion = np.array([[33, 0, 11, 0], [11, 11, 33, 33], [11, 11, 33, 0], [22, 0, 0, 22]])
    # 99 rows are right, and 99 are where b and d change names
    assert swapped(confusion, list("abcd")) == []


def test_random_tables_that_are_as_good_speak_against_a_renaming() -> None:
    # 20 of 26 rows are right under other names; with these sums 1.7 % of random tables reach 20, and 0.1 % more than 20
    assert swapped(np.array([[3, 10], [10, 3]]), ["a", "b"]) == []


def test_the_same_seed_gives_the_same_answer() -> None:
    confusion = np.array([[4, 12], [12, 5]])
    assert swapped(confusion, ["a", "b"], seed=3) == swapped(confusion, ["a", "b"], seed=3)


def test_counts_may_be_floats() -> None:
    assert swapped(np.array([[4.0, 40.0], [35.0, 6.0]]), ["no", "yes"]) != []
