"""From a checkpoint to a model with a head, of which a tuning method trains a part."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from finetune import hub
from finetune.data import cache
from finetune.errors import ModelError, RecipeError, nearest
from finetune.randomness import derive
from finetune.recipe import Model
from finetune.tasks.base import DEFAULT_LENGTH, Head, Task
from finetune.tuning.base import Tuning

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

POSITIONS_AFTER_PADDING = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "longformer",
    "mpnet",
    "data2vec-text",
}
"""Model types that count positions from the pad token's id + 1, so that they take fewer tokens than positions."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint before its weights are loaded.

    Attributes:
        path: Local folder or Hub id.
        config: Its configuration.
        tokenizer: Its tokenizer, with a pad token.
        found: What it is on the Hub; None for a folder on this machine.
        digest: Of configuration and weights.
        tokenizer_digest: Of everything that decides how a text is cut into tokens.
    """

    path: str
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    found: hub.Revision | None
    digest: str
    tokenizer_digest: str

    @property
    def revision(self) -> str | None:
        """The Hub's commit; None for a folder."""
        return self.found.commit if self.found else None


@dataclass(frozen=True)
class Built:
    """A model ready to train.

    Attributes:
        module: The model, its parameters trainable or not as the tuning method left them.
        fresh: Names of the parameters that the checkpoint did not have, and of the head's, before tuning was applied.
        trainable, total: Numbers of parameters; the total is that of the model without what the method added.
    """

    module: nn.Module
    fresh: set[str]
    trainable: int
    total: int


def locate(path: str) -> tuple[str, bool]:
    """Where a checkpoint is: a path or Hub id, and whether it is a folder on this machine.

    Raises:
        ModelError: A folder or package that does not exist.
    """
    if path.startswith("package:"):
        package, _, folder = path.removeprefix("package:").partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(
                f"model: the Python package {package!r} is not installed: pip install {package.replace('_', '-')}."
            )
        return str(Path(spec.submodule_search_locations[0]) / folder), True
    folder_path = Path(path).expanduser()
    if folder_path.is_dir():
        if not (folder_path / "config.json").exists():
            raise ModelError(f"model: the folder {path} has no config.json, so it is no checkpoint.")
        return str(folder_path), True
    if folder_path.is_absolute() or path.startswith((".", "~")) or path.count("/") > 1:
        parent = folder_path.parent
        beside = [item.name for item in parent.iterdir() if item.is_dir()] if parent.is_dir() else []
        raise ModelError(
            f"model: the folder {path} does not exist. {nearest(folder_path.name, beside) if beside else ''}".strip()
        )
    return path, False


def open_checkpoint(model: Model) -> Checkpoint:
    """Configuration, tokenizer and digests of a checkpoint; no weights yet.

    Raises:
        ModelError: It does not exist, cannot be reached, or needs code of its own.
    """
    from transformers import AutoConfig

    path, local = locate(model.path)
    found = None if local else hub.find("checkpoint", path, model.revision, "give a folder with model=PATH")
    commit = found.commit if found else None
    common: dict[str, Any] = {"revision": commit, "trust_remote_code": False, "local_files_only": local}
    try:
        config = AutoConfig.from_pretrained(path, **common)
        source, inside = locate(model.tokenizer) if model.tokenizer else (path, local)
        tokenizer, tokenizer_digest = tokenizer_of(source, inside, None if model.tokenizer else commit)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            (found and found.offline) or f"model: {path!r} cannot be loaded: {_first_sentence(error)}"
        ) from error
    digest = commit or _folder_digest(Path(path), weights=model.initialize == "pretrained")
    return Checkpoint(path, config, tokenizer, found, digest, tokenizer_digest)


def tokenizer_of(path: str, local: bool, revision: str | None = None) -> tuple[PreTrainedTokenizerBase, str]:
    """A tokenizer with a pad token, and the digest of all that decides how it cuts.

    GPT-2 and Llama have no pad token: their end token serves, it stands in no text and is masked where it pads.

    Raises:
        ModelError: It has no words, or no token that could pad.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, local_files_only=local, trust_remote_code=False)
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ModelError(f"model: {path} has no vocabulary: its tokenizer files are missing.")
    if tokenizer.pad_token_id is None:
        token = tokenizer.eos_token or tokenizer.unk_token
        if token is None:
            raise ModelError(
                f"model: the tokenizer of {path} has no pad, end or unknown token to fill batches up with."
            )
        tokenizer.pad_token = token
    return tokenizer, _tokenizer_digest(tokenizer)


def _folder_digest(folder: Path, weights: bool) -> str:
    names = ["config.json", *(("*.safetensors", "*.bin") if weights else ())]
    files = sorted(path for name in names for path in folder.glob(name))
    return cache.digest(*(f"{path.name} {cache.file_digest(path)}" for path in files))


def _tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        content = repr(sorted(tokenizer.get_vocab().items()))
    else:
        backend.no_truncation()  # set by whoever used it last; no part of what it is
        backend.no_padding()
        content = backend.to_str()
    return cache.digest(type(tokenizer).__name__, content, tokenizer.pad_token_id)


def positions(config: PretrainedConfig) -> int | None:
    """Most tokens that the architecture takes; None: any number."""
    if config.model_type in ("t5", "mt5", "xlnet"):
        return None
    found = getattr(config, "max_position_embeddings", None)
    if found is None or found <= 0:
        return None
    return int(found) - (config.pad_token_id + 1 if config.model_type in POSITIONS_AFTER_PADDING else 0)


def token_limit(task: Task, tuning: Tuning, config: PretrainedConfig) -> int:
    """Most tokens of a feature.

    Raises:
        RecipeError: `task.max_length` is more than the model and the tuning method leave.
    """
    most = positions(config)
    virtual = tuning.virtual_tokens()
    if most is None:
        return task.max_length or DEFAULT_LENGTH
    if task.max_length is not None and task.max_length > most - virtual:
        taken = f", of which tuning={tuning.kind()} takes {virtual}" if virtual else ""
        raise RecipeError(
            f"task.max_length = {task.max_length}: this model takes {most} tokens{taken}; at most {most - virtual}."
        )
    return task.max_length or min(DEFAULT_LENGTH, most - virtual)


def head_config(checkpoint: Checkpoint, head: Head) -> PretrainedConfig:
    """The checkpoint's configuration with the head's changes."""
    config = copy.deepcopy(checkpoint.config)
    for name, value in head.changes.items():
        setattr(config, name, value)
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = checkpoint.tokenizer.pad_token_id
    return config


def auto_class(head: Head) -> Any:
    """The auto class of transformers that a head names."""
    import transformers

    return getattr(transformers, head.auto)


def load_weights(
    model: Model, checkpoint: Checkpoint, head: Head, tuning: Tuning, seed: int
) -> tuple[nn.Module, set[str]]:
    """The model with its head, in eval mode, and the names of its fresh parameters.

    The head has a seed of its own, and is made before any tuning method is applied: compared methods start equal.

    Raises:
        ModelError: The weights are missing, damaged, or belong to another architecture.
    """
    config = head_config(checkpoint, head)
    dtype = getattr(torch, model.dtype)
    attention = {} if model.attention == "auto" else {"attn_implementation": model.attention}
    torch.manual_seed(derive(seed, "head"))
    try:
        if model.initialize == "random":
            module = auto_class(head).from_config(config, dtype=dtype, **attention)
            return module, {name for name, _ in module.named_parameters()}
        module, info = auto_class(head).from_pretrained(
            checkpoint.path,
            config=config,
            revision=checkpoint.revision,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=checkpoint.found is None,
            trust_remote_code=False,
            **attention,
            **tuning.loading(),
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError) as error:
        offline = checkpoint.found.offline if checkpoint.found else None
        reason = offline or f"model: {checkpoint.path} cannot be loaded: {_first_sentence(error)}"
        raise ModelError(reason) from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise ModelError(f"model: the weights of {checkpoint.path} are damaged: {error}.") from error
        raise
    module.config._commit_hash = checkpoint.revision  # the library no longer says it; what saves adapters asks for it
    own = head_parameters(module)
    names = {name for name, _ in module.named_parameters()}
    mismatched = {item if isinstance(item, str) else item[0] for item in info["mismatched_keys"]}
    if mismatched - own:
        raise ModelError(
            f"model: {sorted(mismatched - own)[0]} of {checkpoint.path} does not have the shape its config.json says."
        )
    missing = (set(info["missing_keys"]) | mismatched) & names
    if len(missing - own) > len(names - own) / 2:
        raise ModelError(
            f"model: {checkpoint.path} lacks most weights of {type(module).__name__} "
            f"({len(missing - own)} of {len(names - own)}): it was saved from another architecture."
        )
    return module, own | missing


def head_parameters(module: nn.Module) -> set[str]:
    """Names of the parameters outside the checkpoint's base model; a matrix shared with it is not among them."""
    base = getattr(module, "base_model", module)
    if base is module:
        return set()
    inner = {id(parameter) for parameter in base.parameters()}
    return {name for name, parameter in module.named_parameters() if id(parameter) not in inner}


def build(
    model: Model,
    checkpoint: Checkpoint,
    head: Head,
    tuning: Tuning,
    seed: int,
    steps: int,
    gradient_checkpointing: bool,
) -> Built:
    """Load the weights and apply the tuning method.

    Args:
        model: What the recipe says.
        checkpoint: What it was found to be.
        head: The task's.
        tuning: The method.
        seed: Of the run.
        steps: Optimizer steps of the run.
        gradient_checkpointing: Whether activations are computed again in the backward pass.

    Raises:
        ModelError: The checkpoint does not fit.
        RecipeError: The tuning method does not fit.
    """
    refusal = tuning.refuse(head.auto, checkpoint.config, gradient_checkpointing)
    if refusal:
        raise RecipeError(f"tuning={tuning.kind()}: {refusal}")
    module, fresh = load_weights(model, checkpoint, head, tuning, seed)
    total = sum(parameter.numel() for parameter in module.parameters())
    if gradient_checkpointing:
        checkpointing: Any = module.gradient_checkpointing_enable
        checkpointing()
    torch.manual_seed(derive(seed, "tuning"))
    module = tuning.apply(module, head.peft_task, fresh, steps)
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Built(module, fresh, trainable, total)


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
