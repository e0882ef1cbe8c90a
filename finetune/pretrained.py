"""A checkpoint before its weights are loaded: where it is, what it is, how it cuts texts, how long they may be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import hub, vocabulary
from finetune.architectures import kind_of
from finetune.data import cache
from finetune.data.table import Rows
from finetune.errors import FinetuneError, ModelError, RecipeError, nearest, unknown
from finetune.recipe import ARCHITECTURE, Model, TrainedTokenizer
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
READS_LAST = {"xlnet"}
"""Model types whose heads for whole texts read the last position, a pad token's or not."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint before its weights are loaded.

    Attributes:
        path: Local folder or Hub id; `architecture:TYPE` where there is no checkpoint.
        config: Its configuration.
        tokenizer: Its tokenizer, with a pad token.
        found: What it is on the Hub; None for a folder on this machine and without a checkpoint.
        digest: Of configuration and weights; of the configuration alone where weights are random.
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
        return str(folder_path.absolute()), True  # what an adapter remembers of it must hold from everywhere
    if folder_path.is_absolute() or path.startswith((".", "~")) or path.count("/") > 1:
        parent = folder_path.parent
        beside = [item.name for item in parent.iterdir() if item.is_dir()] if parent.is_dir() else []
        raise ModelError(
            f"model: the folder {path} does not exist. {nearest(folder_path.name, beside) if beside else ''}".strip()
        )
    return path, False


def open_checkpoint(model: Model, rows: Rows | None = None, columns: Sequence[str] = ()) -> Checkpoint:
    """Configuration, tokenizer and digests of a checkpoint; no weights yet.

    Args:
        model: What the recipe says.
        rows: The training split, from which a tokenizer is trained where the recipe says so.
        columns: Whose texts it learns from.

    Raises:
        ModelError: It does not exist, cannot be reached, or needs code of its own.
        RecipeError: `model.config` does not fit.
    """
    bare = model.path.startswith(ARCHITECTURE)
    path, local = (model.path, True) if bare else locate(model.path)
    remedy = f"there is no folder {Path(path).absolute()} either; give one with model=PATH"
    found = None if local else hub.find("checkpoint", path, model.revision, remedy)
    commit = found.commit if found else None
    source = path
    try:
        config = _configuration(model, path, {"revision": commit, "local_files_only": local})
        if isinstance(model.tokenizer, TrainedTokenizer):
            assert rows is not None, "a tokenizer is trained on rows"
            tokenizer = vocabulary.trained(model.tokenizer, kind_of(config), rows, columns)
            source, tokenizer_digest = rows.origin, _tokenizer_digest(tokenizer)
        else:
            source, inside = locate(model.tokenizer) if model.tokenizer else (path, local)
            tokenizer, tokenizer_digest = tokenizer_of(source, inside, None if model.tokenizer else commit)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, FinetuneError):
            raise
        raise ModelError(
            (found and found.offline) or f"model: {path!r} cannot be loaded: {first_sentence(error)}"
        ) from error
    if model.initialize == "random" and model.tokenizer is not None:
        vocabulary.fit(config, tokenizer, model.config)
        if isinstance(model.tokenizer, TrainedTokenizer) and (most := positions(config)):
            tokenizer.model_max_length = most
    known = [half.vocab_size for half in _readers(config) if getattr(half, "vocab_size", None) is not None]
    if known and len(tokenizer) > min(known):
        raise ModelError(
            f"model: the tokenizer of {source} has {len(tokenizer)} tokens, the model only {min(known)}: "
            "they do not belong together."
        )
    if model.initialize == "random" and (model.tokenizer is not None or model.config):
        digest = _config_digest(config)
    else:
        digest = commit or _folder_digest(Path(path), weights=model.initialize == "pretrained")
    set_padding(tokenizer, config)
    return Checkpoint(path, config, tokenizer, found, digest, tokenizer_digest)


def _configuration(model: Model, path: str, where: dict[str, Any]) -> PretrainedConfig:
    """The configuration of a checkpoint or of an architecture, with the recipe's changes.

    Raises:
        ModelError: There is no such architecture.
        RecipeError: It has no such field, or the field takes no such value.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    bare = path.startswith(ARCHITECTURE)
    try:
        if bare:
            config = _architecture(path.removeprefix(ARCHITECTURE), model.config)
        else:
            config = AutoConfig.from_pretrained(path, trust_remote_code=False, **where)
        _check_names(config, model.config)
        if model.config and not bare:
            _change(config, model.config)
            config.validate()
    except (StrictDataclassError, ArithmeticError) as error:  # a division by a number of heads that is 0
        said = first_sentence(error)
        reason = said.partition("Error: ")[2].partition(" Errors: ")[0] or said
        if not model.config:
            raise ModelError(f"model: {path!r} cannot be loaded: {reason}") from error
        raise RecipeError(f"model.config does not fit {path}: {reason}") from error
    heads, shared = (getattr(config, f"num_{name}_heads", None) for name in ("attention", "key_value"))
    if model.config and heads and shared and heads % shared:
        raise RecipeError(
            f"model.config: num_key_value_heads = {shared} must divide num_attention_heads = {heads}; set both."
        )
    return config


def _architecture(kind: str, changes: dict[str, Any]) -> PretrainedConfig:
    """The configuration that a model type of transformers has by default, but for some fields."""
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING:
        near = nearest(kind, CONFIG_MAPPING).partition("Known:")[0]
        raise ModelError(f"model: transformers knows no architecture {kind!r}. {near}".strip())
    _check_names(CONFIG_MAPPING[kind], changes)
    config = AutoConfig.for_model(kind, **changes)
    if "decoder" in vocabulary.halves(config):  # it would not look at what the encoder reads
        config.decoder.is_decoder = config.decoder.add_cross_attention = True
    if not any(hasattr(half, "vocab_size") for half in _readers(config)):
        raise ModelError(f"model: the architecture {kind!r} has no vocabulary: it reads no texts.")
    return config


def _check_names(
    config: PretrainedConfig | type[PretrainedConfig], changes: dict[str, Any], prefix: str = "model.config."
) -> None:
    """Look that a configuration has fields of these names: it would take any other as well, and not heed it.

    Raises:
        RecipeError: It has not.
    """
    from transformers import PretrainedConfig

    common = {field.name for field in dataclasses.fields(PretrainedConfig)}  # the task, or nobody, decides on these
    known = ({field.name for field in dataclasses.fields(config)} - common) | set(config.attribute_map)
    names = [f"{prefix}{name}" for name in known]
    problems = [unknown("field", f"{prefix}{name}", names) for name in changes if name not in known]
    if problems:
        raise RecipeError(*problems)
    for name, half in vocabulary.halves(config).items():
        inner = {field: value for field, value in (changes.get(name) or {}).items() if field != "model_type"}
        _check_names(half, inner, f"{prefix}{name}.")


def _change(config: PretrainedConfig, changes: dict[str, Any]) -> None:
    halves = vocabulary.halves(config)
    for name, value in changes.items():
        if name in halves:
            _change(halves[name], value)
        else:
            setattr(config, name, value)


def _readers(config: PretrainedConfig) -> list[PretrainedConfig]:
    """The configurations that say how many tokens a model knows: its own, or those of its encoder and decoder."""
    return list(vocabulary.halves(config).values()) or [config]


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


def set_padding(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> None:
    """Have rows filled up on the side that the architecture's heads do not read: XLNet's read the last position.

    What a checkpoint's own tokenizer says of it is meant for writing, which decides by itself.
    """
    tokenizer.padding_side = "left" if config.model_type in READS_LAST else "right"


def _folder_digest(folder: Path, weights: bool) -> str:
    names = ["config.json", *(("*.safetensors", "*.bin") if weights else ())]
    files = sorted(path for name in names for path in folder.glob(name))
    return cache.digest(*(f"{path.name} {cache.file_digest(path)}" for path in files))


def _config_digest(config: PretrainedConfig) -> str:
    aside = ("transformers_version", "dtype", "_name_or_path")  # say nothing of what is computed
    fields = {name: value for name, value in config.to_dict().items() if name not in aside}
    return cache.digest(json.dumps(fields, sort_keys=True, default=str))


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
    """Most tokens that the architecture takes, of what it reads; None: any number, as T5 and XLNet do."""
    config = _readers(config)[0]
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
