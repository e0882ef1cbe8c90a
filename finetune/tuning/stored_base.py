"""The checkpoint that something saved apart belongs to: found again, or it is said what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import hub, warm_start
from finetune.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


def load_base(folder: Path, auto: Any, place: str, revision: str | None, named_in: str, **loading: Any) -> nn.Module:
    """The checkpoint with the head that `folder/config.json` describes, in fp32; its fresh parameters are random.

    Args:
        folder: Where the adapter was saved.
        auto: The auto class of the head.
        place: Folder or Hub name of the checkpoint.
        revision: Its commit on the Hub.
        named_in: The file and field that say so, for messages.
        loading: What else `from_pretrained` must know.

    Raises:
        ModelError: The checkpoint is gone or cannot be loaded.
    """
    import torch
    from transformers import AutoConfig

    remedy = f"Put it back, or change {named_in}."
    if Path(place).is_absolute() and not Path(place).is_dir():
        raise ModelError(f"the adapter in {folder} belongs to {place}, which is gone. {remedy}")
    if not Path(place).is_dir():
        hub.find("checkpoint", place, revision, f"{folder} is an adapter of it")
    config = AutoConfig.from_pretrained(folder)
    fixed = {"revision": revision, "dtype": torch.float32, "ignore_mismatched_sizes": True}
    try:
        base: nn.Module = warm_start.base_of(auto, place, config, **fixed, **loading)
    except OSError as error:
        raise ModelError(
            f"the adapter in {folder} belongs to {place}, which cannot be loaded any more "
            f"({str(error).splitlines()[0]}). {remedy}"
        ) from error
    return base
