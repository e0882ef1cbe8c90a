"""Run by the launcher in two processes: gradients and evaluations, for comparison with one process."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from finetune.compute import compute
from finetune.evaluation import evaluate
from tests.support import gradients
from tests.support.cases import CASES


def main(folder: Path, checkpoints: dict[str, str]) -> None:
    torch.set_num_threads(1)
    here = compute("fp32")
    assert here.processes == 2
    for number, (case, architecture, tuning) in enumerate(gradients.SITUATIONS):
        made = gradients.setting(case, architecture, checkpoints[architecture], tuning)
        made.trainee.wrapped = here.accelerator.prepare(made.trainee.module)
        for name, members in gradients.MEMBERS.items():
            found = gradients.of_step(made, here, members, 24)
            if here.first:
                save_file(
                    {key: value.contiguous() for key, value in found.items()}, folder / f"{number}-{name}.safetensors"
                )
    for number, (case, members) in enumerate(CASES.items()):
        made = gradients.setting(case, members.architectures[0], checkpoints[members.architectures[0]])
        rows = made.recipe.data.load(made.recipe.task.inputs(), made.recipe.task.targets())["validation"]
        done = evaluate(made.trainee.module, made.encoder, rows, here, 24)
        (folder / f"evaluation-{number}-{here.process}.json").write_text(
            json.dumps([done.predictions, done.statistics.tolist()])
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
