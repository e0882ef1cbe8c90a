"""A checkpoint before its weights are loaded: where it is, what it is, how it cuts texts, how long they may be."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import hub
from finetune.data import cache
from finetune.errors import ModelError, RecipeError, nearest
from finetune.recipe import Model
from finetune.tasks.base import DEFAULT_LENGTH, Task
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
    remedy = f"there is no folder {Path(path).absolute()} either; give one with model=PATH"
    found = None if local else hub.find("checkpoint", path, model.revision, remedy)
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
            (found and found.offline) or f"model: {path!r} cannot be loaded: {first_sentence(error)}"
        ) from error
    words = getattr(config, "vocab_size", None)
    if words is not None and len(tokenizer) > words:
        raise ModelError(
            f"model: the tokenizer of {source} has {len(tokenizer)} tokens, the model only {words}: "
            "they do not belong together."
        )
    digest = commit or _folder_digest(Path(path), weights=model.initialize == "pretrained")
    return Checkpoint(path, config, tokenizer, found, digest, tokenizer_digest)


def tokenizer_of(path: str, local: bool, revision: str | None = None) -> tuple[PreTrainedTokenizerBase, str]:
    """A tokenizer with a pad token, and the digest of all that decides how it cuts.

    GPT-2 and Llama have no pad token: their end token serves, it stands in no text and is masked where it pads.
    An unknown token would not do: texts end with it, and a classifier would take that end for padding.

    Raises:
        ModelError: It has no words, or no token that could pad.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, local_files_only=local, trust_remote_code=False)
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ModelError(f"model: {path} has no vocabulary: its tokenizer files are missing.")
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"model: the tokenizer of {path} has no pad token and no end token to fill batches up with."
            )
        tokenizer.pad_token = tokenizer.eos_token
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
    sides = (tokenizer.truncation_side, tokenizer.padding_side)
    return cache.digest(type(tokenizer).__name__, content, tokenizer.pad_token_id, tokenizer.model_input_names, sides)


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


def first_sentence(error: Exception) -> str:
    """What a library's error begins with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
