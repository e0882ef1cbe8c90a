"""Language models on WikiText-2 and the Penn Treebank: causal, masked, and from nothing. Perplexity, lower is better.

    finetune run recipes/language_modeling.py:wikitext2
    finetune run recipes/language_modeling.py:wikitext2_masked
    finetune run recipes/language_modeling.py:ptb_from_nothing
    finetune run recipes/language_modeling.py:ptb data.path=FOLDER/ptb model=PATH       # files instead of the Hub
    finetune predict RUN "The company said" --generation do_sample=true temperature=0.8 top_p=0.9

A perplexity per token belongs to its tokenizer; between models compare those per word or per byte. Words stand
between white space here; published figures per word count the end of each line as one more, and so come out lower.

Measured (one core of an AMD EPYC beside other work, November 2026, seed 0, bf16, max_length 256, no dropout; by token
and by word; causal: a GPT-2 of 10 million parameters at 5e-4; masked: the MiniLM encoder with a fresh head at 5e-4).
WikiText-2, whose file wiki.valid was trained on but for a tenth, its training file not being at hand:
  causal, 3 epochs         test 46.8 [45.3, 48.2], 261 by word; before 599, 10,442; unigrams of words 269, 2,935
  masked, 3 epochs         validation 36.9 [30.8, 44.8], 81 by word; before, with its head at random, 56,538
  from nothing, 5 epochs   test 184 [178, 191], 1,167 by word
Penn Treebank, on 1,000 of 2,458 training rows (masked: 600):
  causal, 2 epochs         test 37.2 [36.0, 38.5], 221 by word; before 797, 21,371; unigrams of words 105, 996
  masked, 2 epochs         validation 60.7 [56.1, 65.6], 161 by word; before, with its head at random, 61,561
  from nothing, 4 epochs   test 101 [97, 106], 392 by word
Of 3, 3, 5, 2, 2 and 4 scorings of the validation split the best. GPT-2 and BERT themselves were not run here.
Published: GPT-2 fine-tuned on WikiText-2 "about 20" by token (transformers' examples), on the raw text.
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
