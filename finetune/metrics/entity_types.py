"""Types of entities whose boundaries are right."""

from collections.abc import Sequence

import numpy as np

from finetune.metrics import classification
from finetune.metrics.entities import Entity


def confusion(gold: Sequence[Entity], predicted: Sequence[Entity], types: Sequence[str]) -> np.ndarray:
    """How often each gold type (first axis) was predicted as each type, `(types, types)`, at the same start and end.

    Args:
        gold: The entities of one sentence.
        predicted: The entities found in it; no two have the same start and end.
        types: The types that are counted; entities of other types are left out.
    """
    ids = {name: position for position, name in enumerate(types)}
    said = {(entity.start, entity.end): ids[entity.type] for entity in predicted if entity.type in ids}
    pairs = [(ids[e.type], said[e.start, e.end]) for e in gold if e.type in ids and (e.start, e.end) in said]
    table = np.array(pairs, dtype=int).reshape(-1, 2)
    return classification.confusion(table[:, 0], table[:, 1], len(types))
