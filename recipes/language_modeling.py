"""Language models on WikiText-2 and the Penn Treebank: causal, masked, and from nothing. Perplexity, lower is better.

    finetune run recipes/language_modeling.py:wikitext2
    finetune run recipes/language_modeling.py:wikitext2_masked
    finetune run recipes/language_modeling.py:ptb_from_nothing
    finetune run recipes/language_modeling.py:ptb data.path=FOLDER/ptb model=PATH       # files instead of the Hub
    finetune predict RUN "The company said" --generation do_sample=true temperature=0.8 top_p=0.9

A perplexity per token belongs to its tokenizer; between models compare those per word or per byte.

Measured: not yet.
"""

from finetune import Data, Full, LanguageModeling, Model, Recipe, TrainedTokenizer, Training

WIKITEXT = Data.hub("Salesforce/wikitext", "wikitext-2-v1", reader="wikitext2")
PTB = Data.hub("ptb-text-only/ptb_text_only", reader="ptb")

causal = Recipe(
    name="wikitext2",
    task=LanguageModeling(max_length=512),
    data=WIKITEXT,
    model="openai-community/gpt2",
    tuning=Full(learning_rate=5e-5),
    training=Training(epochs=3, batch_size=8, batch_tokens=4096),
)
masked = causal.model_copy(update={"name": "wikitext2-masked", "model": Model(path="google-bert/bert-base-uncased")})
from_nothing = Recipe(
    name="wikitext2-from-nothing",
    task=LanguageModeling(max_length=256),
    data=WIKITEXT,
    model=Model(
        path="architecture:gpt2",
        initialize="random",
        config={"n_embd": 256, "n_layer": 4, "n_head": 4, "n_positions": 256},
        tokenizer=TrainedTokenizer(vocabulary=8000),
    ),
    tuning=Full(learning_rate=1e-3),
    training=Training(epochs=5, batch_size=16, batch_tokens=4096),
)


def of_ptb(recipe: Recipe, name: str) -> Recipe:
    """The same on the Penn Treebank."""
    task = recipe.task.model_copy(update={"text": "sentence"})
    return recipe.model_copy(update={"name": name, "task": task, "data": PTB})


recipes = {
    "wikitext2": causal,
    "wikitext2_masked": masked,
    "wikitext2_from_nothing": from_nothing,
    "ptb": of_ptb(causal, "ptb"),
    "ptb_masked": of_ptb(masked, "ptb-masked"),
    "ptb_from_nothing": of_ptb(from_nothing, "ptb-from-nothing"),
}
