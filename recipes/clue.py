"""Chinese: seven subsets of FewCLUE (few rows each) and the entities of CLUENER2020.

finetune run recipes/clue.py:tnews data.path=FOLDER/fewclue         FOLDER from github.com/CLUEbenchmark/FewCLUE
finetune run recipes/clue.py:cluener data.path=FOLDER/cluener2020   FOLDER from github.com/CLUEbenchmark/CLUENER2020
finetune suite recipes/clue.py --only tnews,csl data.path=FOLDER/fewclue
finetune run recipes/clue.py:tnews data.path=... data.train=train_0 data.validation=dev_0    one sample of the five

Published (README of FewCLUE: chinese-roberta-wwm-ext fine-tuned on one sample of 32 or so rows, accuracy on
test_public): eprstmt .737, bustm .611, ocnli .340, tnews .436, iflytek .296, csl .501, chid .150.
Measured, the path and not the score, for no Chinese checkpoint was at hand: a character-level BERT of 2 layers from
nothing (1.3M parameters, tuning.learning_rate=1e-3, seed 0): cluener, 3 epochs, entity F1 .340 (.322 to .358) as
conlleval counts and .421 as strict IOB2 [most frequent tag of the character: .075, .120]; tnews, 5 epochs, .331 (.302
to .359) [.068]. The others: not measured.
No copy of these files on the Hub is known to keep their names and columns, so data.path is needed.
"""

from finetune import Classification, Data, Full, MultipleChoice, Recipe, TokenClassification, Training
from finetune.tasks.base import Task

BERT = "google-bert/bert-base-chinese"


def _recipe(name: str, task: Task, data: Data, epochs: int = 10) -> Recipe:
    return Recipe(
        name=f"clue-{name}",
        task=task,
        data=data,
        model=BERT,
        tuning=Full(learning_rate=3e-5),
        training=Training(epochs=epochs, batch_size=16),
    )


def _few(name: str, task: Task) -> Recipe:
    return _recipe(name, task, Data.hub("CLUEbenchmark/FewCLUE", name, reader="fewclue"))


def _classes(*columns: str, max_length: int = 128) -> Task:
    return Classification(text=columns, score=("accuracy",), max_length=max_length)


recipes = {
    "tnews": _few("tnews", _classes("sentence", "keywords")),
    "iflytek": _few("iflytek", _classes("sentence", max_length=256)),
    "ocnli": _few("ocnli", _classes("sentence1", "sentence2")),
    "bustm": _few("bustm", _classes("sentence1", "sentence2")),
    "csl": _few("csl", _classes("abst", "keywords", max_length=320)),
    "eprstmt": _few("eprstmt", _classes("sentence", max_length=256)),
    "chid": _few(
        "chid",
        MultipleChoice(text="content", choices="candidates", label="answer", placeholder="#idiom#", max_length=128),
    ),
    "cluener": _recipe(
        "cluener",
        TokenClassification(text="text", max_length=128),
        Data.hub("CLUEbenchmark/CLUENER2020", reader="cluener"),
        epochs=3,
    ),
}
