"""Summarization of news, chats and e-mails, scored by ROUGE.

    finetune run recipes/summarization.py:xsum
    finetune run recipes/summarization.py:aeslc model=google-t5/t5-small
    finetune run recipes/summarization.py:aeslc data.path=FOLDER/aeslc model=PATH       # files instead of the Hub

Any checkpoint that writes will do, and an encoder as BERT too: it becomes both halves of an encoder-decoder.

Measured (AESLC's 1,960 validation e-mails with up to four right subjects each; one core of an AMD EPYC, November 2026,
seed 0, max_length 192, no dropout, bf16): the MiniLM encoder twice, 5,000 training rows, 4 epochs, full at 2e-4:
ROUGE-1 .214, ROUGE-2 .061, ROUGE-L .212 [.200, .223]; the first three words of the e-mail, as many as half the
subjects have, .176, .080, .174: better but for ROUGE-2. The whole first sentence has a ROUGE-L of .358. A GPT-2 of 10
million parameters, 6,000 rows, 3 epochs, full at 5e-4: .165, .049, .164 [.153, .175], not better than the first words.
The best of four and of three scorings. The other recipes were not run: no such checkpoint was at hand.
Published, ROUGE-1/2/L: XSum 45.14/22.27/37.25 (BART large), CNN/DailyMail 42.05/20.34/39.40 (T5 base), both as MiniLM's
authors list them; SAMSum 48.04/23.33/39.92 for BART base (a model card).
"""

from finetune import Data, Full, Recipe, Summarization, Training
from finetune.generation.settings import Generation

news = Recipe(
    name="cnn-dailymail",
    task=Summarization(
        source="article",
        target="highlights",
        max_length=1024,
        max_target_length=142,
        generation=Generation(num_beams=4, length_penalty=2.0, no_repeat_ngram_size=3, min_new_tokens=56),
    ),
    data=Data.hub("abisee/cnn_dailymail", "3.0.0"),
    model="facebook/bart-base",
    tuning=Full(learning_rate=3e-5),
    training=Training(epochs=3, batch_size=32, warmup=0.06),
)

recipes = {
    "cnn_dailymail": news,
    "xsum": Recipe(
        name="xsum",
        task=Summarization(
            max_length=1024,
            max_target_length=62,
            generation=Generation(num_beams=6, min_new_tokens=11, no_repeat_ngram_size=3),
        ),
        data=Data.hub("EdinburghNLP/xsum"),
        model=news.model,
        tuning=news.tuning,
        training=news.training,
    ),
    "samsum": Recipe(
        name="samsum",
        task=Summarization(
            source="dialogue", max_length=512, max_target_length=128, generation=Generation(num_beams=4)
        ),
        data=Data.hub("knkarthick/samsum", reader="samsum"),
        model=news.model,
        tuning=Full(learning_rate=5e-5),
        training=Training(epochs=5, batch_size=8),
    ),
    "aeslc": Recipe(
        name="aeslc",
        task=Summarization(
            source="email_body",
            target="subject_line",
            references=("subject_annotations",),
            max_length=512,
            max_target_length=32,
        ),
        data=Data.hub("Yale-LILY/aeslc", reader="aeslc"),
        model=news.model,
        tuning=Full(learning_rate=5e-5),
        training=Training(epochs=3, batch_size=16),
    ),
}
