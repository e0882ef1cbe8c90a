"""Labels that look swapped: a model whose predictions fit the gold classes well under other names."""

from collections.abc import Sequence

import numpy as np

_DRAWS = 1000
_LEVEL = 0.01


def swapped(confusion: np.ndarray, names: Sequence[str], seed: int = 0) -> list[tuple[str, str]]:
    """Predicted classes that look like other classes, in a result whose score lies below chance.

    The one-to-one renaming of the predicted classes that makes most rows right is compared with what the best renaming
    reaches by luck: on random tables with the same gold and predicted frequencies, which is a permutation test.
    Whether a score is low enough to ask is for the caller to say.

    Args:
        confusion: `(classes, classes)`, rows of each gold class (first axis) and predicted class (second axis).
        names: The classes in the order of their ids.
        seed: Same seed, same random tables.

    Returns:
        Pairs of a predicted class and the gold class that it looks like. Empty where the classes as they are fit best,
        or where luck reaches as much in 1 of 100 tables or more. A class that stands under its new name no more often
        than luck puts it there, at the same level, is left out.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.stats import hypergeom, random_table

    def best(table: np.ndarray) -> tuple[int, np.ndarray]:
        gold, predicted = linear_sum_assignment(table, maximize=True)
        return int(table[gold, predicted].sum()), predicted

    confusion = np.asarray(confusion).astype(int)
    right, renamed = best(confusion)
    if right == np.trace(confusion):
        return []
    of_gold, of_predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    tables = random_table(of_gold, of_predicted, seed=np.random.default_rng(seed))
    as_good = sum(best(tables.rvs().astype(int))[0] >= right for _ in range(_DRAWS))
    if (1 + as_good) / (1 + _DRAWS) >= _LEVEL:
        return []
    found = []
    for gold, predicted in enumerate(renamed):
        together = confusion[gold, predicted]
        luck = hypergeom.sf(together - 1, confusion.sum(), of_gold[gold], of_predicted[predicted])
        if gold != predicted and luck < _LEVEL:
            found.append((names[predicted], names[gold]))
    return found
