"""The files of the WNUT-17 shared task on emerging entities (Derczynski et al. 2017): words and tags.

Their traps: three files of three names, tabs between the columns, blank lines that hold a tab.
"""

from __future__ import annotations

from finetune.data.formats import Options
from finetune.data.official.base import of_words

FILES = {
    "train": ("wnut17train.conll",),
    "validation": ("emerging.dev.conll",),
    "test": ("emerging.test.annotated",),
}
OPTIONS = Options(delimiter="\t", header=("tokens", "ner_tags"), layout="conll")

read = of_words("WNUT-17", "wnut17", FILES, OPTIONS)
