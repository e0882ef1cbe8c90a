"""What tuning made a model forget: how well it tells the tokens of a plain text, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from finetune.compute import Compute
from finetune.costs.prose import PROSE
from finetune.data.sources.rows import as_rows
from finetune.errors import FinetuneError
from finetune.evaluation import Encoder, evaluate
from finetune.model import auto_class
from finetune.predict import Predictor, load
from finetune.pretrained import Checkpoint, open_checkpoint, token_limit
from finetune.quiet import quiet_libraries
from finetune.tasks.language_modeling import LanguageModeling
from finetune.text.objectives import objective_of
from finetune.tuning.full import Full

DRAWS = 6
"""How often the text's masks are drawn for a masked model: about two thirds of its tokens are hidden once or more."""
BATCH_TOKENS = 4096
TAKEN_AWAY = "unchanged: the method trains what stands before a text, and without it the model is the checkpoint"


class _Without(Exception):
    """There is nothing to measure; the message says why."""


@dataclass(frozen=True)
class _Language:
    """A checkpoint with its own head for tokens, and what is asked of it."""

    module: Any
    encoder: Encoder
    kind: str

    def loss(self, module: nn.Module, here: Compute) -> float:
        """Nats by scored token of the plain text."""
        times = DRAWS if self.kind == "masked" else 1
        rows = as_rows([{"text": " ".join(PROSE)}] * times, "prose")
        done = evaluate(module, self.encoder, rows, here, BATCH_TOKENS, keep=False)
        assert done.statistics is not None
        nats, scored, *_ = done.statistics.sum(axis=0).tolist()
        return float(nats / scored)


def forgetting(run: str | Path) -> dict[str, Any]:
    """Loss of the checkpoint's own language-modelling head on a plain text, before and after.

    After: with the tuned backbone in the place of the checkpoint's, adapters active, prompts taken away. The head stays
    the checkpoint's, tied to the tuned embeddings where it is tied; a tuned language model is taken as it is. In fp32;
    masks are drawn from a fixed seed, the same before and after and for every method. The text is English.

    Args:
        run: A finished run.

    Returns:
        `forgetting`, with `kind` (masked or causal) and the mean nats of a token, `before` and `after`, or None; and
        `forgetting_reason`, why there is none, or why nothing can have changed.

    Raises:
        RunError: The run is not finished.
    """
    predictor = load(run)
    here = predictor.compute.alone("fp32")
    try:
        with quiet_libraries():
            language = _language(predictor)
            language.module.to(here.device)
            before = language.loss(language.module, here)
            after = language.loss(_tuned(language.module, predictor.module), here)
    except (_Without, FinetuneError) as error:
        return {"forgetting": None, "forgetting_reason": " ".join(getattr(error, "problems", [str(error)]))}
    reason = TAKEN_AWAY if predictor.recipe.tuning.virtual_tokens() else ""
    return {"forgetting": {"kind": language.kind, "before": before, "after": after}, "forgetting_reason": reason}


def _language(predictor: Predictor) -> _Language:
    """The checkpoint that a run started from, as a language model."""
    model = predictor.recipe.model
    if model.initialize == "random":
        raise _Without("the run started from random weights")
    checkpoint = open_checkpoint(model)
    kind = objective_of(checkpoint.config)
    if kind is None:
        raise _Without(f"{checkpoint.config.model_type} tells neither next nor masked tokens of a text")
    rows = as_rows([{"text": " ".join(PROSE)}], "prose")
    task = LanguageModeling().resolve(rows, checkpoint.tokenizer).aligned(checkpoint.config)
    limit = token_limit(task, Full(), checkpoint.config)
    encoder = Encoder(task, checkpoint.tokenizer, checkpoint.tokenizer_digest, limit, seed=0)
    return _Language(_with_its_head(checkpoint, auto_class(task.head(checkpoint.config))), encoder, kind)


def _with_its_head(checkpoint: Checkpoint, auto: Any) -> nn.Module:
    """The checkpoint's language model; its weights must all be there."""
    import torch

    module: nn.Module
    module, info = auto.from_pretrained(
        checkpoint.path,
        revision=checkpoint.revision,
        dtype=torch.float32,
        output_loading_info=True,
        local_files_only=checkpoint.found is None,
        trust_remote_code=False,
    )
    if info["missing_keys"]:
        raise _Without(f"the checkpoint has no language-modelling head: {sorted(info['missing_keys'])[0]} is missing")
    return module.eval()


def _tuned(language: Any, loaded: Any) -> nn.Module:
    """The language model with the tuned backbone in its own one's place."""
    plain: Any = loaded.get_base_model() if hasattr(loaded, "get_base_model") else loaded
    if type(plain) is type(language):
        found: nn.Module = plain
        return found
    backbone = plain.base_model
    if type(backbone) is not type(language.base_model):
        raise _Without(f"{type(plain).__name__} has another backbone than {type(language).__name__}")
    setattr(language, language.base_model_prefix, backbone)
    language.tie_weights()
    tuned: nn.Module = language.eval()
    return tuned
