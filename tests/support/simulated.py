"""Simulated experiments: methods with several seeds on the same rows, whose expected scores are known."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

ROWS, ACCURACY = 400, 0.85
DIFFICULTY = 4.0
"""Standard deviation of the rows' difficulty, in logits: two seeds then agree on about 89 % of the rows."""
NODES = np.linspace(-6, 6, 241)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


def right_rows(
    generator: np.random.Generator,
    trials: int,
    methods: int,
    seeds: int,
    spread: float,
    alike: float = 1.0,
    accuracy: float = ACCURACY,
) -> tuple[np.ndarray, float]:
    """Which rows are right, `(trials, methods, seeds, ROWS)`, and the accuracy that is expected of every method.

    In logits, a row is right by its difficulty plus what its seed brings; then each seed flips a coin of its own.
    `spread` is about the standard deviation of the seeds' expected accuracies, `alike` how far the methods find the
    same rows difficult; `accuracy` is that of the mean seed.
    """
    ease = brentq(lambda logit: WEIGHTS @ expit(logit + DIFFICULTY * NODES) - accuracy, -20, 20)
    chance = expit(ease + DIFFICULTY * NODES)
    seed_spread = spread / (WEIGHTS @ (chance * (1 - chance)))
    expected = WEIGHTS @ expit(ease + DIFFICULTY * NODES[:, None] + seed_spread * NODES[None, :]) @ WEIGHTS
    common, own = generator.standard_normal((trials, 1, 1, ROWS)), generator.standard_normal((trials, methods, 1, ROWS))
    difficulty = DIFFICULTY * (np.sqrt(alike) * common + np.sqrt(1 - alike) * own)
    shift = seed_spread * generator.standard_normal((trials, methods, seeds, 1))
    flips = generator.random((trials, methods, seeds, ROWS))
    return flips < expit(ease + difficulty + shift), float(expected)
