"""The English files of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder 2003), with the columns of the Hub.

Tags are as the files have them: `B-` starts every entity in train.txt and its kin (IOB2), in eng.train only one that
touches another of its type (IOB1).
"""

from __future__ import annotations

from finetune.data.formats import Options
from finetune.data.official.base import of_words

FILES = {
    "train": ("train.txt", "eng.train"),
    "validation": ("valid.txt", "dev.txt", "eng.testa"),
    "test": ("test.txt", "eng.testb"),
}
OPTIONS = Options(header=("tokens", "pos_tags", "chunk_tags", "ner_tags"), layout="conll")

read = of_words("CoNLL-2003", "conll2003", FILES, OPTIONS)
