"""GLUE, the single- and two-sentence classification subsets: sst2, mrpc, rte, cola, qnli, wnli.

finetune run recipes/glue.py:mrpc                                          from the Hub, BERT-base
finetune run recipes/glue.py:sst2 data.path=FOLDER/SST-2                   the official tsv files instead
accelerate launch -m finetune run recipes/glue.py:qnli                     every GPU of this machine
finetune run recipes/glue.py:rte tuning=lora                               adapters only, at LoRA's own rate
"""

from finetune import Classification, Data, Full, Recipe, Training

BERT = "google-bert/bert-base-cased"


def _recipe(subset: str, text: str | tuple[str, str], labels: tuple[str, str], score: tuple[str, ...]) -> Recipe:
    return Recipe(
        name=f"glue-{subset}",
        task=Classification(text=text, labels=labels, score=score, max_length=128),
        data=Data.hub("nyu-mll/glue", subset, reader="glue"),
        model=BERT,
        tuning=Full(learning_rate=2e-5),
        training=Training(epochs=3, batch_size=32),
    )


ENTAILMENT = ("entailment", "not_entailment")

recipes = {
    "sst2": _recipe("sst2", "sentence", ("negative", "positive"), ("accuracy",)),
    "mrpc": _recipe("mrpc", ("sentence1", "sentence2"), ("not_equivalent", "equivalent"), ("accuracy", "f1")),
    "rte": _recipe("rte", ("sentence1", "sentence2"), ENTAILMENT, ("accuracy",)),
    "cola": _recipe("cola", "sentence", ("unacceptable", "acceptable"), ("matthews", "accuracy")),
    "qnli": _recipe("qnli", ("question", "sentence"), ENTAILMENT, ("accuracy",)),
    "wnli": _recipe("wnli", ("sentence1", "sentence2"), ("not_entailment", "entailment"), ("accuracy",)),
}
