"""Named entities: conll2003 (news, four types) and wnut17 (noisy user texts, six types).

finetune run recipes/ner.py:conll2003                                  from the Hub, BERT-base
finetune run recipes/ner.py:conll2003 data.path=FOLDER                 the published column files instead
finetune evaluate runs/ner-conll2003/full-... --split test             the test split
accelerate launch -m finetune run recipes/ner.py:conll2003             every GPU of this machine
"""

from finetune import Data, Full, Recipe, TokenClassification, Training


def _recipe(name: str, dataset: str, tags: str, reader: str) -> Recipe:
    return Recipe(
        name=f"ner-{name}",
        task=TokenClassification(words="tokens", tags=tags),
        data=Data.hub(dataset, reader=reader),
        model="google-bert/bert-base-cased",
        tuning=Full(learning_rate=3e-5),
        training=Training(epochs=3, batch_size=16),
    )


recipes = {
    "conll2003": _recipe("conll2003", "lhoestq/conll2003", "ner_tags", "conll2003"),
    "wnut17": _recipe("wnut17", "leondz/wnut_17", "ner_tags", "wnut17"),
}
