"""What two runs differ in: how they were made, their rows, their predictions and their scores."""

from finetune.differences.between import differences_between
from finetune.differences.words import describe

__all__ = ["describe", "differences_between"]
