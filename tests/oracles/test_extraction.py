"""The greedy search for the best sentences against a plain one that asks rouge_score for every candidate."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from finetune.metrics.rouge import cutter, rouge
from finetune.text.extraction import oracle

WORDS = ["run", "runs", "running", "a", "the", "cat", "cats", "9", "..."]
SENTENCE = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
EAST = st.lists(st.sampled_from(["中", "国", "é", "ein", " ", "2"]), max_size=6).map("".join)


def plain(sentences, reference, score) -> list[int]:
    """The same search by whole texts: `score(reference, text)` is their ROUGE-1 plus their ROUGE-2."""
    chosen, best = [], 0.0
    while len(chosen) < len(sentences):
        tried = {}
        for number in set(range(len(sentences))) - set(chosen):
            text = "\n".join(sentences[other] for other in sorted([*chosen, number]))
            tried[number] = score(reference, text)
        taken = min(tried, key=lambda number: (-tried[number], number))
        if tried[taken] <= best:
            break
        best = tried[taken]
        chosen.append(taken)
    return sorted(chosen)


def official(stem):
    scorer = RougeScorer(["rouge1", "rouge2"], use_stemmer=stem)

    def score(reference, text):
        found = scorer.score(reference, text)
        return found["rouge1"].fmeasure + found["rouge2"].fmeasure

    return score


def searched(sentences, references, words="english", stem=True):
    cut = cutter(words, stem)
    return oracle([cut(text) for text in sentences], [cut(text) for text in references])


@pytest.mark.parametrize("stem", [True, False])
@given(sentences=st.lists(SENTENCE, max_size=6), reference=st.lists(SENTENCE, max_size=3).map("\n".join))
@settings(max_examples=120, deadline=None)
def test_the_search_takes_what_rouge_score_prefers(stem, sentences, reference):
    assert searched(sentences, [reference], stem=stem) == plain(sentences, reference, official(stem))


@given(sentences=st.lists(EAST, max_size=5), reference=EAST)
@settings(max_examples=80, deadline=None)
def test_the_search_takes_what_our_rouge_of_unicode_words_prefers(sentences, reference):
    def score(right, text):
        return rouge([text], [[right]], "unicode")[0, :2].sum()

    assert searched(sentences, [reference], "unicode") == plain(sentences, reference, score)


def test_the_search_takes_several_sentences_of_long_documents():
    generator = random.Random(0)
    words = [f"w{number}" for number in range(60)]
    for _ in range(20):
        sentences = [" ".join(generator.choices(words, k=generator.randint(1, 9))) for _ in range(15)]
        reference = " ".join(generator.choices(words, k=30))
        found = searched(sentences, [reference])
        assert found == plain(sentences, reference, official(True))
        assert len(found) > 1


@given(sentences=st.lists(SENTENCE, max_size=4), references=st.lists(SENTENCE, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_of_several_references_that_counts_to_which_the_search_comes_nearest(sentences, references):
    score = official(True)

    def reached(numbers):
        text = "\n".join(sentences[number] for number in numbers)
        return max(score(reference, text) for reference in references)

    best = max(reached(plain(sentences, reference, score)) for reference in references)
    assert reached(searched(sentences, references)) == pytest.approx(best)


@pytest.mark.parametrize("stem", [True, False])
@given(text=st.text() | st.lists(st.sampled_from([*WORDS, "İs", "naïve's", "\n", "U.S."])).map(" ".join))
@settings(max_examples=120, deadline=None)
def test_words_are_those_of_rouge_score(stem, text):
    assert list(cutter("english", stem)(text)) == DefaultTokenizer(use_stemmer=stem).tokenize(text)
