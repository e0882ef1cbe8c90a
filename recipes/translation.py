"""Translation, scored by sacreBLEU: with a pretrained checkpoint, and from nothing.

    finetune run recipes/translation.py:wmt14
    finetune run recipes/translation.py:multi30k                            # a small encoder-decoder from nothing
    finetune run recipes/translation.py:multi30k data.path=FOLDER/multi30k  # files instead of the Hub

Measured (multi30k from nothing, the 29,000 training pairs, 2 epochs without dropout, 11 minutes on one core of an AMD
EPYC beside other work, November 2026, seed 0, bf16): BLEU 28.8 [27.3, 30.2] and chrF 46.3 on the 1,000 pairs of
test_2016_flickr, validation 27.0; a copy of the source 0.5. Signature nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|
version:2.6.0, greedy. wmt14 was not run.
Published: no figure for this setting that we could check.
"""

from finetune import Data, Full, Generation, Model, Recipe, TrainedTokenizer, Training, Translation

SMALL = {
    "d_model": 256,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 1024,
    "decoder_ffn_dim": 1024,
    "max_position_embeddings": 256,
    "scale_embedding": True,
    "init_std": 0.06,
}
"""A third of the base model of Vaswani et al. (2017) in depth and half of it in width: 8 million parameters."""

recipes = {
    "wmt14": Recipe(
        name="wmt14-de-en",
        task=Translation(
            source="translation.de",
            target="translation.en",
            source_language="de",
            target_language="en",
            prompt="translate German to English: {source}",
            max_length=128,
            max_target_length=128,
            generation=Generation(num_beams=4, length_penalty=0.6),
        ),
        data=Data.hub("wmt/wmt14", "de-en"),
        model="google-t5/t5-small",
        tuning=Full(learning_rate=1e-4),
        training=Training(epochs=1, batch_size=256),
    ),
    "multi30k": Recipe(
        name="multi30k-de-en",
        task=Translation(source="de", target="en", max_length=128, label_smoothing=0.1),
        data=Data.hub("bentrevett/multi30k", reader="multi30k"),
        model=Model(
            path="architecture:marian",
            initialize="random",
            config=SMALL,
            tokenizer=TrainedTokenizer(vocabulary=8000),
            dropout=0.1,
        ),
        tuning=Full(learning_rate=1e-3),
        training=Training(epochs=10, batch_size=64, warmup=0.1),
    ),
}
