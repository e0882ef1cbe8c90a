"""Which features form which step: every feature once, and never changed by memory or processes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.batching import PlannedStep, cut, plan, steps_per_epoch, tokens_of

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=150).map(np.array)
PLANS = st.fixed_dictionaries(
    {
        "lengths": LENGTHS,
        "seed": st.integers(0, 2**31),
        "epoch": st.integers(0, 5),
        "batch_size": st.integers(1, 12),
        "batch_tokens": st.integers(1, 300),
        "processes": st.integers(1, 4),
    }
)
USUAL: dict[str, Any] = {"seed": 0, "epoch": 0, "batch_size": 8, "batch_tokens": 200, "processes": 2}


def members(step: PlannedStep) -> list[int]:
    return sorted(int(index) for share in step for piece in share for index in piece)


def order(steps: list[PlannedStep]) -> list[list[int]]:
    return [members(step) for step in steps]


def some_lengths(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(3, 60, count)


@given(arguments=PLANS)
@settings(deadline=None, max_examples=60)
def test_every_feature_is_in_exactly_one_step_of_an_epoch(arguments: dict[str, Any]) -> None:
    found = [index for step in plan(**arguments) for index in members(step)]
    assert sorted(found) == list(range(len(arguments["lengths"])))


@given(arguments=PLANS)
@settings(deadline=None, max_examples=60)
def test_every_process_has_the_same_number_of_micro_batches(arguments: dict[str, Any]) -> None:
    for step in plan(**arguments):
        assert len(step) == arguments["processes"]
        assert len({len(share) for share in step}) == 1


@given(arguments=PLANS)
@settings(deadline=None, max_examples=60)
def test_a_micro_batch_with_its_padding_fits_or_is_a_single_feature(arguments: dict[str, Any]) -> None:
    lengths = arguments["lengths"]
    pieces = [piece for step in plan(**arguments) for share in step for piece in share if len(piece) > 1]
    assert all(len(piece) * lengths[piece].max() <= arguments["batch_tokens"] for piece in pieces)


@given(arguments=PLANS)
@settings(deadline=None, max_examples=60)
def test_no_micro_batch_is_cut_smaller_than_memory_asks(arguments: dict[str, Any]) -> None:
    lengths, most = arguments["lengths"], arguments["batch_tokens"]
    for step in plan(**arguments):
        for share in step:
            filled = [piece for piece in share if len(piece)]
            for piece in filled[:-1]:
                assert (len(piece) + 1) * lengths[piece].max() > most


@given(arguments=PLANS, batch_tokens=st.integers(1, 300), processes=st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_memory_and_processes_never_change_what_a_step_holds(
    arguments: dict[str, Any], batch_tokens: int, processes: int
) -> None:
    other = {**arguments, "batch_tokens": batch_tokens, "processes": processes}
    assert order(plan(**arguments)) == order(plan(**other))


@given(arguments=PLANS)
@settings(deadline=None, max_examples=60)
def test_all_steps_are_full_but_one(arguments: dict[str, Any]) -> None:
    sizes = sorted((len(members(step)) for step in plan(**arguments)), reverse=True)
    features, size = len(arguments["lengths"]), arguments["batch_size"]
    rest = [features % size] if features % size else []
    assert sizes == [size] * (features // size) + rest


@given(arguments=PLANS)
@settings(deadline=None, max_examples=30)
def test_the_number_of_steps_is_known_beforehand(arguments: dict[str, Any]) -> None:
    assert len(plan(**arguments)) == steps_per_epoch(len(arguments["lengths"]), arguments["batch_size"])


@given(arguments=PLANS)
@settings(deadline=None, max_examples=30)
def test_the_same_arguments_give_the_same_plan(arguments: dict[str, Any]) -> None:
    first, second = plan(**arguments), plan(**arguments)
    assert [[list(map(list, share)) for share in step] for step in first] == [
        [list(map(list, share)) for share in step] for step in second
    ]


@given(arguments=PLANS)
@settings(deadline=None, max_examples=30)
def test_the_tokens_of_the_steps_are_those_of_all_features(arguments: dict[str, Any]) -> None:
    lengths = arguments["lengths"]
    assert sum(tokens_of(step, lengths) for step in plan(**arguments)) == lengths.sum()


@pytest.mark.parametrize("changes", [{"epoch": 1}, {"seed": 1}], ids=["epoch", "seed"])
def test_another_epoch_or_seed_gives_other_steps(changes: dict[str, int]) -> None:
    lengths = some_lengths(1000)
    steps, others = (order(plan(lengths, **arguments)) for arguments in (USUAL, {**USUAL, **changes}))
    assert len({tuple(step) for step in steps} & {tuple(step) for step in others}) < len(steps) / 10


def test_steps_of_long_and_short_features_are_mixed() -> None:
    lengths = some_lengths(2000)
    means = [lengths[members(step)].mean() for step in plan(lengths, **USUAL)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_a_step_holds_features_of_like_length() -> None:
    lengths = some_lengths(2000)
    spreads = [np.ptp(lengths[members(step)]) for step in plan(lengths, **USUAL)]
    assert np.mean(spreads) < np.ptp(lengths) / 5


def test_a_single_feature_longer_than_memory_is_alone_in_its_micro_batch() -> None:
    pieces = cut(np.arange(4), np.array([500, 5, 5, 5]), batch_tokens=20, processes=1)[0]
    assert [list(piece) for piece in pieces] == [[0], [1, 2, 3]]


def test_a_process_without_features_gets_empty_micro_batches() -> None:
    step = cut(np.arange(2), np.array([5, 5]), batch_tokens=100, processes=3)
    assert [[list(piece) for piece in share] for share in step] == [[[0]], [[1]], [[]]]


def test_processes_get_like_numbers_of_features() -> None:
    lengths = some_lengths(1001)
    for step in plan(lengths, **{**USUAL, "processes": 3, "batch_size": 10}):
        counts = [sum(map(len, share)) for share in step]
        assert max(counts) - min(counts) <= 1


def test_there_are_no_steps_without_features() -> None:
    assert plan(np.array([], dtype=int), **USUAL) == []


@pytest.mark.parametrize(("features", "steps"), [(0, 0), (1, 1), (8, 1), (9, 2), (16, 2)])
def test_the_last_partial_step_counts(features: int, steps: int) -> None:
    assert steps_per_epoch(features, 8) == steps
