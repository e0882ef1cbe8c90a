"""Holm's correction of several tests made at once: a pure function."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values such that calling those below a level significant errs at all in at most that share of cases.

    Holm (1979): the smallest is multiplied by the number of tests, the next by one less and so on, never falling.

    Args:
        p_values: One for each test; None for one that could not be made, which stays None and does not count.
    """
    order = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, position) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[position] = largest
    return adjusted
