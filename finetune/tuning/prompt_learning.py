"""What the methods share that put virtual tokens before a text: vectors that are learned, as if they were words."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveInt

from finetune.architectures import kind_of
from finetune.errors import RecipeError
from finetune.tuning.through_peft import ThroughPeft

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

JOINED = "encoder-decoder"
"""Model type of two models joined into one."""
SCALED_LATER = ("blenderbot-small", "marian", "mvp", "pegasus")
"""Model types that scale the embeddings of tokens, if they do, but not those that they are given."""
PADDED_LEFT = ("xlnet",)
"""Encoders that read a text up to its last place, so that padding stands between virtual tokens and text."""
OF_TOKENS = ("logits", "start_logits", "end_logits")
"""What heads that score every token call their scores, `(batch, length, ...)`."""


class PromptLearning(ThroughPeft):
    """A method of virtual tokens. The checkpoint stays as it is."""

    unmergeable: ClassVar[str] = "virtual tokens stand beside the weights and cannot become part of them"
    note: ClassVar[str] = (
        "With PEFT alone a model that answers questions is not told which tokens are the question's: PEFT passes no "
        "token types on."
    )
    embeds: ClassVar[bool] = False
    """Whether the model gets embeddings instead of tokens."""
    answering: ClassVar[str | None] = "QUESTION_ANS"  # without it PEFT drops token types where they could be kept

    tokens: PositiveInt = 20
    """How many virtual tokens; each takes one of the model's positions."""

    def virtual_tokens(self) -> int:
        """`tokens`."""
        return self.tokens

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Two models joined into one, and encoder-decoders that do not write."""
        writes = auto == "AutoModelForSeq2SeqLM"
        if writes and (not config.is_encoder_decoder or config.model_type == JOINED):
            return "it finds no place for virtual tokens in an encoder-decoder made of two encoders"
        tags = self.embeds and auto == "AutoModelForTokenClassification"  # T5's encoder alone
        if config.is_encoder_decoder and not writes and not tags:
            return f"with {config.model_type}, an encoder-decoder, it works for writing texts alone"
        return None

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's; the fresh modules are trained whole and saved with the virtual tokens.

        Raises:
            RecipeError: The architecture is not as PEFT takes it to be.
        """
        # PEFT puts one level less around a model with virtual tokens than around one with updates
        inside = {f"base_model.{name}".removeprefix("base_model.model.") for name in fresh}
        wrapped = super().apply(model, peft_task, fresh | inside, steps)
        keep_types(wrapped)
        _try(wrapped, self.embeds)
        return wrapped

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """The base and the virtual tokens."""
        return keep_types(super().load(folder, auto))


class EmbeddedPrompt(PromptLearning):
    """Virtual tokens that have embeddings only, and pass through the model as those of the text do."""

    embeds: ClassVar[bool] = True
    note: ClassVar[str] = (
        f"{PromptLearning.note} A head that scores every token scores the virtual ones, too: leave out as many scores "
        "at the start. Texts that are written at once must be of one length, since padding on the left is counted as "
        "positions."
    )

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Architectures whose results would depend on padding, or that read embeddings otherwise than tokens."""
        refusal = super().refuse(auto, peft_task, config, gradient_checkpointing)
        kind = config.model_type
        if refusal:
            return refusal
        if auto == "AutoModelForSequenceClassification" and kind_of(config) == "decoder":
            return f"{kind} classifies at the last token of a text, which it does not find behind virtual tokens"
        if kind in PADDED_LEFT and auto == "AutoModelForSequenceClassification":
            return f"{kind} would have padding between virtual tokens and text, on which its results would depend"
        if kind in SCALED_LATER and config.scale_embedding:
            return f"{kind} does not scale embeddings that it is given as it scales those of tokens"
        return None

    def embedded(self, model: Any) -> dict[str, int]:
        """PEFT's names of the embeddings' width, which it takes for that of the hidden states, and of what it asks."""
        width = {"token_dim": model.get_input_embeddings().weight.shape[1], "num_transformer_submodules": 1}
        return {**shape(model.config), **width}

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's, and leave out the scores of virtual tokens."""
        return self._hooked(super().apply(model, peft_task, fresh, steps))

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """The base, the virtual tokens, and no scores of them."""
        return self._hooked(super().load(folder, auto))

    def _hooked(self, wrapped: Any) -> nn.Module:
        """The model with scores as long as the input, and positions that do not depend on padding."""
        from peft import TaskType

        def of_the_text(model: Any, _: Any, output: Any) -> Any:
            """The scores of what follows the virtual tokens."""
            for name in OF_TOKENS if model.has_active_enabled_adapter else ():
                if name in output:
                    output[name] = output[name][:, self.tokens :]
            return output

        kind = wrapped.active_peft_config.task_type
        if kind not in (TaskType.SEQ_CLS, TaskType.SEQ_2_SEQ_LM):
            wrapped.register_forward_hook(of_the_text)
        base = wrapped.get_base_model()
        if kind == TaskType.CAUSAL_LM and "position_ids" in inspect.signature(base.forward).parameters:
            base.register_forward_pre_hook(_count_no_padding, with_kwargs=True)
        model: nn.Module = wrapped
        return model


def keep_types(wrapped: Any) -> nn.Module:
    """The model, its token types brought to where PEFT's own class for answering questions does not pass them on."""
    from peft import TaskType
    from torch.nn.functional import pad

    given: dict[str, Any] = {}

    def hear(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given["types"] = kwargs.get("token_type_ids")

    def say(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        types, first = given.get("types"), args[0] if args else kwargs.get("input_ids")
        if types is None or kwargs.get("token_type_ids") is not None:
            return args, kwargs
        length = (kwargs["inputs_embeds"] if first is None else first).shape[1]
        return args, {**kwargs, "token_type_ids": pad(types, (length - types.shape[1], 0))}  # 0 for virtual tokens

    if wrapped.active_peft_config.task_type == TaskType.QUESTION_ANS:
        wrapped.register_forward_pre_hook(hear, with_kwargs=True)
        wrapped.get_base_model().base_model.register_forward_pre_hook(say, with_kwargs=True)
    model: nn.Module = wrapped
    return model


def task_type(peft_task: str | None) -> str:
    """PEFT's name of a head's task; without one PEFT would put no virtual token anywhere."""
    return peft_task or "FEATURE_EXTRACTION"


def shape(config: Any) -> dict[str, int]:
    """PEFT's names of the layers that get a prefix, their heads of keys and values, and the width of these together.

    Of an encoder-decoder these are the decoder's. PEFT itself takes the encoder's, and the width of the hidden states,
    which is another in T5 v1.1, mT5 and Flan-T5.
    """
    heads = getattr(config, "decoder_attention_heads", None) or config.num_attention_heads
    layers = [getattr(config, name, None) for name in ("num_decoder_layers", "decoder_layers", "num_hidden_layers")]
    widths = [getattr(config, name, None) for name in ("d_kv", "head_dim")]
    width = next((width for width in widths if width), config.hidden_size // heads)
    shared = getattr(config, "num_key_value_heads", None) or heads
    return {
        "num_layers": next(count for count in layers if count),
        "num_attention_heads": shared,
        "token_dim": shared * width,
    }


def _count_no_padding(_: Any, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Positions as the attention mask counts them: PEFT drops those that the library prepares for padded prompts."""
    mask, given = named.get("attention_mask"), named.get("input_ids")
    given = named.get("inputs_embeds") if given is None else given
    if mask is not None and mask.dim() == 2 and given is not None and named.get("position_ids") is None:
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        named["position_ids"] = positions[:, -given.shape[1] :]
    return arguments, named


def _try(wrapped: Any, by_embeddings: bool) -> None:
    """Read three tokens: not every architecture is as PEFT takes it to be.

    Raises:
        RecipeError: That fails, or embeddings, in whose place PEFT puts tokens, give other results than these.
    """
    import torch

    base = wrapped.get_base_model()
    training = base.training
    some = [token for token in range(4) if token != base.config.pad_token_id]  # RoBERTa gives padding no position
    tokens = torch.tensor([some], device=base.device)
    reader = base.get_encoder() if base.config.is_encoder_decoder else base
    writing = {"decoder_input_ids": tokens} if base.config.is_encoder_decoder else {}
    wrapped.eval()
    try:
        with torch.no_grad():
            wrapped(input_ids=tokens, attention_mask=torch.ones_like(tokens), **writing)
            if by_embeddings:
                embedded = reader(inputs_embeds=wrapped.word_embeddings(tokens))[0]
                same = torch.allclose(embedded, reader(input_ids=tokens)[0], rtol=1e-4, atol=1e-5)
    except Exception as error:  # whatever an architecture that PEFT does not know fails with
        said = str(error).partition("\n")[0]
        raise RecipeError(f"virtual tokens do not fit {base.config.model_type}: {said}") from error
    finally:
        wrapped.train(training)
    if by_embeddings and not same:
        raise RecipeError(
            f"virtual tokens do not fit {base.config.model_type}: embeddings give other results than the tokens they "
            "are of."
        )
