"""Tokens drawn at random, for each row from a stream of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.generation.settings import Generation


class Sampler:
    """Draws the next tokens. What a row gets depends on its seed and scores, never on the rows beside it."""

    def __init__(self, settings: Generation, seeds: Sequence[int]):
        import torch
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.warpers = [TemperatureLogitsWarper(settings.temperature)] if settings.temperature != 1 else []
        self.warpers += [TopKLogitsWarper(settings.top_k)] if settings.top_k else []
        self.warpers += [TopPLogitsWarper(settings.top_p)] if settings.top_p < 1 else []

    def draw(self, scores: Tensor, rows: Sequence[int]) -> Tensor:
        """One token for each place.

        Args:
            scores: Logits, `(places, vocabulary)`.
            rows: The row in each place.

        Returns:
            Token ids, `(places,)`.
        """
        import torch

        device = scores.device
        if torch.are_deterministic_algorithms_enabled():
            scores = scores.cpu()  # a GPU has no deterministic cumulative sum
        for warper in self.warpers:
            scores = warper(None, scores)
        reached = scores.softmax(-1).double().cumsum(-1)
        shares = torch.cat([torch.rand(1, generator=self.streams[row], dtype=torch.float64) for row in rows])
        wanted = shares.to(scores.device)[:, None] * reached[:, -1:]
        drawn = torch.searchsorted(reached, wanted, right=True).squeeze(1)
        return drawn.clamp(max=scores.shape[1] - 1).to(device)
