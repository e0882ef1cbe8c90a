"""SQuAD, questions about a text: v1 (each has an answer there) and v2 (some have none).

finetune run recipes/squad.py:v1                                        from the Hub, BERT-base
finetune run recipes/squad.py:v1 data.path=FOLDER/squad_v1.1            the published json files instead
accelerate launch -m finetune run recipes/squad.py:v2                   every GPU of this machine
finetune run recipes/squad.py:v1 tuning=lora                            adapters only, at LoRA's own rate
"""

from finetune import Data, Full, QuestionAnswering, Recipe, Training


def _recipe(version: str, dataset: str) -> Recipe:
    return Recipe(
        name=f"squad-{version}",
        task=QuestionAnswering(max_length=384, stride=128),
        data=Data.hub(dataset, reader="squad"),
        model="google-bert/bert-base-uncased",
        tuning=Full(learning_rate=3e-5),
        training=Training(epochs=2, batch_size=12),
    )


recipes = {
    "v1": _recipe("v1", "rajpurkar/squad"),
    "v2": _recipe("v2", "rajpurkar/squad_v2"),
}
