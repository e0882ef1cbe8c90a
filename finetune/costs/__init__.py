"""What tuning costs: memory, time, disk, speed of answers, and what the model forgets."""

from finetune.costs.figures import costs_of
from finetune.costs.forgetting import forgetting
from finetune.costs.latency import latency

__all__ = ["costs_of", "forgetting", "latency"]
