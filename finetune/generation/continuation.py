"""A batch of texts that a model continues token by token, and whose rows can leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finetune.errors import DIVERGED, RunError

if TYPE_CHECKING:
    from torch import Tensor


class Continuation:
    """Texts that grow, each in a place of the batch, with what the model remembers of them.

    A place's memory is the cache of attention keys and values, the attention mask, the position ids and what the
    encoder said. A learned prefix is in the cache from the first step on, so it needs nothing of its own.
    """

    def __init__(self, model: Any, prompts: Tensor, arguments: dict[str, Any]):
        """Start from prompts.

        Args:
            model: A transformers model.
            prompts: Token ids, `(places, length)`: the prompts, or the decoder's start tokens.
            arguments: What else the model gets, as `generate` prepares it.
        """
        self.model = model
        self.tokens = prompts
        self.arguments = arguments
        self.start = prompts.shape[1]

    @property
    def written(self) -> Tensor:
        """What has been written so far, without the prompt: `(places, tokens)`."""
        return self.tokens[:, self.start :]

    def scores(self) -> Tensor:
        """Logits of the next token, `(places, vocabulary)`, in fp32. Once for each token: it remembers."""
        import torch

        first = self.tokens.shape[1] == self.start
        inputs = self.model.prepare_inputs_for_generation(
            self.tokens,
            next_sequence_length=None if first or not self.arguments["use_cache"] else 1,
            is_first_iteration=first,
            **self.arguments,
        )
        output = self.model(**inputs, return_dict=True)
        self.arguments = self.model._update_model_kwargs_for_generation(
            output, self.arguments, is_encoder_decoder=self.model.config.is_encoder_decoder
        )
        logits: Tensor = output.logits[:, -1].to(torch.float32, copy=True)  # else all positions would stay in memory
        if bool(torch.isnan(logits).any()):
            raise RunError(DIVERGED)
        return logits

    def append(self, tokens: Tensor) -> None:
        """One more token in every place: `(places,)`."""
        import torch

        self.tokens = torch.cat([self.tokens, tokens[:, None]], dim=1)

    def select(self, places: Tensor) -> None:
        """Keep these places, in this order; a place may be named several times, and the others leave."""
        count = len(self.tokens)
        self.tokens = self.tokens[places]
        self.arguments = {name: _selected(value, places, count) for name, value in self.arguments.items()}

    def reorder(self, places: Tensor) -> None:
        """As `select`, where every place gets a text of the same prompt: what the prompt alone says stays as it is."""
        self.tokens = self.tokens[places]
        for value in self.arguments.values():
            if hasattr(value, "reorder_cache"):
                getattr(value, "self_attention_cache", value).reorder_cache(places)


def _selected(value: Any, places: Tensor, count: int) -> Any:
    """What remains of an argument of `count` places."""
    import torch
    from transformers.utils import ModelOutput

    if isinstance(value, torch.Tensor):
        return value.index_select(0, places) if value.ndim and len(value) == count else value
    if hasattr(value, "reorder_cache"):
        value.reorder_cache(places)  # beam search's name for it: it selects, so that places may leave as well
        return value
    if isinstance(value, ModelOutput):
        return type(value)(**{name: _selected(part, places, count) for name, part in value.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(_selected(part, places, count) for part in value)
    return value
