"""Extractive summarization: which sentences a document has, what is learned of them, which are selected and scored."""

import json
import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from finetune import Data, DataError, ModelError, Recipe, Training, run
from finetune.data.sources.rows import as_rows
from finetune.evaluation import Encoder
from finetune.ledger import ledger, sentence
from finetune.metrics.rouge import rouge
from finetune.predict import load
from finetune.tasks.base import Window
from finetune.tasks.extractive_summarization import IGNORED, ExtractiveSummarization
from finetune.text.extraction import document, leading, oracle, select
from finetune.tuning.full import Full
from tests.support import tiny
from tests.support.tiny import CLS, SEP, WORDS
from tests.unit.test_units import TOKENIZERS, every_tokenizer

BERT = tiny.tokenizer("bert")
LINES = ["the film is good", "one two three", "the plot", "a slow music", "it was very bad"]


def rows(*pairs, split="train", **more):
    made = [{"document": source, "summary": target} for source, target in pairs]
    return as_rows([{**row, **{name: value[n] for name, value in more.items()}} for n, row in enumerate(made)], split)


def resolved(train, **fields) -> ExtractiveSummarization:
    task = ExtractiveSummarization(**fields).resolve(train, BERT)
    task.check(train)
    return task


TASK = ExtractiveSummarization(sentences=1, words="english")


def encoded(documents, summaries=None, tokenizer=BERT, limit=32, mode=None, task=TASK):
    """The features of documents, as dictionaries."""
    columns = {"document": documents, "summary": summaries}
    columns = task.encode(columns, tokenizer, limit, mode or ("train" if summaries else "predict"))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def decided(logits, texts=LINES, **fields):
    task = TASK.model_copy(update=fields)
    (prediction,) = task.decide([(texts, np.array(logits, dtype=float))], {})
    return prediction


class Positions(torch.nn.Module):
    """A model whose logit at a token is the token's place."""

    def forward(self, input_ids, **_):
        return SimpleNamespace(logits=torch.arange(input_ids.shape[1]).float().expand(input_ids.shape)[..., None])


# documents


def test_a_text_is_cut_into_its_sentences():
    assert document("Dr. Lee came. She left\n at once. ") == ["Dr. Lee came.", "She left", "at once."]
    assert document(" \n ") == document(None) == []


def test_sentences_of_a_list_stay_as_they_are_and_keep_their_numbers():
    assert document([" One. Two. ", None, "", "Three."]) == ["One. Two.", "", "", "Three."]


# what is encoded


def test_every_sentence_has_a_class_token_of_its_own_and_is_known_by_it():
    (feature,) = encoded(["\n".join(LINES[:3])])
    ids = feature["input_ids"]
    assert BERT.decode(ids) == "[CLS] the film is good [SEP] [CLS] one two three [SEP] [CLS] the plot [SEP]"
    assert [ids[place] for place in feature["token"]] == [CLS] * 3
    assert feature["token"] == [0, 6, 11]
    assert feature["length"] == len(ids) == feature["whole"] == 15


def test_segments_alternate_where_the_model_has_two():
    (feature,) = encoded(["\n".join(LINES[:3])])
    assert feature["token_type_ids"] == [0] * 6 + [1] * 5 + [0] * 4


def test_a_decoder_knows_a_sentence_by_its_line_break():
    tokenizer = TOKENIZERS["byte level"]
    (feature,) = encoded(["the international film\nis good"], tokenizer=tokenizer, limit=512)
    names = tokenizer.convert_ids_to_tokens(feature["input_ids"])
    assert "".join(names) == "theĠinternationalĠfilmĊisĠgoodĊ"
    assert [names[place] for place in feature["token"]] == ["Ċ", "Ċ"]


def test_without_class_token_a_sentence_is_known_by_its_last():
    tokenizer = TOKENIZERS["sentence pieces"]
    (feature,) = encoded(["the film\nis good"], tokenizer=tokenizer, limit=512)
    assert feature["token"][-1] == feature["length"] - 1
    assert feature["input_ids"][feature["token"][0] + 1] == tokenizer.bos_token_id


def test_a_class_token_at_the_end_is_found_there():
    tokenizer = tiny.tokenizer("bert")
    tokenizer.cls_token = "[SEP]"  # as XLNet's stands behind
    (feature,) = encoded(["the film\none"], tokenizer=tokenizer)
    assert [feature["input_ids"][place] for place in feature["token"]] == [SEP, SEP]


@every_tokenizer
@given(
    documents=st.lists(st.lists(st.sampled_from([*LINES, "", "中国 \u200b", "good " * 9]), max_size=7), min_size=1),
    limit=st.integers(6, 40),
)
@settings(max_examples=60, deadline=None)
def test_every_sentence_is_scored_in_one_window_of_no_more_tokens_than_allowed(tokenizer, documents, limit):
    features = encoded(documents, tokenizer=tokenizer, limit=limit)
    for row, sentences in enumerate(documents):
        own = [feature for feature in features if feature["row"] == row]
        assert [feature["window"] for feature in own] == list(range(len(own)))
        assert sum(len(feature["token"]) for feature in own) == len(sentences) == sum(f["weight"] for f in own)
    for feature in features:
        assert 0 < feature["length"] == len(feature["input_ids"]) == len(feature["attention_mask"]) <= limit
        assert feature["token"] == sorted(set(feature["token"]))
        assert all(0 <= place < feature["length"] for place in feature["token"])


def test_a_later_window_begins_with_the_end_of_the_one_before():
    first, second = encoded(["\n".join(LINES)], limit=16)
    text = BERT.decode(first["input_ids"]) + " " + BERT.decode(second["input_ids"])
    assert text.startswith("[CLS] the film is good [SEP] [CLS] one two three [SEP] [CLS] the plot [SEP] ")
    assert text.endswith(" [CLS] the plot [SEP] [CLS] a slow music [SEP] [CLS] it was very bad [SEP]")
    assert len(first["token"]) == 3 and second["token"] == [4, 9]


def test_a_later_window_keeps_room_for_it():
    features = encoded(["one two three\n" * 6], limit=16)
    assert [(len(feature["token"]), feature["length"]) for feature in features] == [(3, 15), (2, 14), (1, 9)]


def test_a_sentence_that_needs_the_whole_window_gets_it():
    features = encoded(["the plot\n" + "good " * 20], limit=10)
    assert [feature["length"] for feature in features] == [4, 10]
    assert BERT.decode(features[1]["input_ids"]) == "[CLS] " + "good " * 8 + "[SEP]"


def test_the_ledger_counts_sentences_that_are_cut_and_says_what_would_cut_none():
    train = rows(("the plot\n" + "good " * 20, "good"), ("one", "one"), split="validation")
    task = resolved(train, max_length=10)
    features = Encoder(task, BERT, "", 10, 0).features(train, "score", keep=False)
    counts = ledger(task, features, 10)
    assert counts == {"features": 3, "windowed": 1, "targets": 3, "lost": 1, "max_length": 22}
    said = sentence(task, "validation", 2, counts)
    assert said == "validation: 1 of 3 sentences stand whole in no window; task.max_length=22 would keep all"


def test_a_document_without_sentences_is_one_feature_without_weight_and_an_empty_summary():
    for tokenizer in TOKENIZERS.values():
        (feature,) = encoded([" "], ["good"], tokenizer)
        assert feature["weight"] == 0 and feature["token"] == [] and feature["length"] == len(feature["input_ids"]) > 0
    (feature,) = encoded([" "], ["good"])
    batch = TASK.collate([feature], BERT, "train", [0])
    loss, weight = TASK.loss(Positions()(**batch.inputs), batch)
    assert loss == weight == 0
    raw = TASK.merge([Window(feature, TASK.predict(Positions(), batch)[0])], {"document": " "}, BERT)
    assert TASK.decide([raw], {}) == [{"predicted": "", "sentences": [], "scores": []}]


# what is learned


def test_the_sentences_of_the_greedy_search_are_learned():
    features = encoded(["\n".join(LINES), "the plot"], ["three bad", "film"], limit=16)
    assert [feature["target"] for feature in features] == [[0, 1, 0], [0, 1], [0]]


def test_the_search_stops_where_another_sentence_raises_nothing():
    said = [["one", "x"], ["two", "x", "y", "z"]]  # an F-measure of 1/2 with the first, and with both
    assert oracle(said, [["one", "two"]]) == [0]
    assert oracle([said[0], said[1][:3]], [["one", "two"]]) == [0, 1]


def test_only_training_needs_the_summary():
    assert all("target" not in feature for mode in ("score", "predict") for feature in encoded(["one"], mode=mode))


def test_the_loss_is_the_cross_entropy_summed_over_sentences():
    features = encoded(["\n".join(LINES), "the plot"], ["three bad", "plot"], limit=16)
    batch = TASK.collate(features, BERT, "train", [0] * 3)
    torch.manual_seed(0)
    logits = torch.randn(*batch.inputs["input_ids"].shape, 1, dtype=torch.float64)
    loss, weight = TASK.loss(SimpleNamespace(logits=logits), batch)
    pairs = [
        (torch.sigmoid(logits[number, place, 0]).item(), target)
        for number, feature in enumerate(features)
        for place, target in zip(feature["token"], feature["target"], strict=True)
    ]
    expected = log_loss([target for _, target in pairs], [p for p, _ in pairs], normalize=False, labels=[0, 1])
    assert float(loss) == pytest.approx(expected)
    assert float(weight) == len(pairs) == float(batch.weight.sum()) == 6
    assert int((batch.targets["labels"] != IGNORED).sum()) == 6


def test_logits_are_taken_where_the_sentences_stand_and_joined_over_windows():
    features = encoded(["\n".join(LINES)], limit=16)
    found = TASK.predict(Positions(), TASK.collate(features, BERT, "predict", [0, 0]))
    assert [scores.tolist() for scores in found] == [feature["token"] for feature in features]
    windows = [Window(feature, output) for feature, output in zip(features, found, strict=True)]
    texts, logits = TASK.merge(windows, {"document": "\n".join(LINES)}, BERT)
    assert texts == LINES and logits.tolist() == [0, 6, 11, 4, 9]


# what is selected


def test_the_best_sentences_are_selected_in_the_order_of_the_document():
    found = decided([0, 3, -1, 1, 2], sentences=3)
    assert found["sentences"] == [1, 3, 4]
    assert found["predicted"] == "one two three\na slow music\nit was very bad"
    assert found["scores"] == pytest.approx([1 / (1 + np.exp(-logit)) for logit in (0, 3, -1, 1, 2)])


def test_of_equals_the_first_are_selected():
    assert decided([0.5] * 5, sentences=2)["sentences"] == [0, 1]


def test_extreme_logits_are_probabilities_too():
    found = decided([-1000, 1000, -800, 0, 0])
    assert found["sentences"] == [1] and found["scores"][:3] == [0, 1, 0]


def test_short_documents_give_all_they_have():
    assert decided([0, 1], LINES[:2], sentences=5)["sentences"] == [0, 1]


def test_empty_sentences_of_a_list_are_never_selected():
    assert decided([9, 0, 9], ["", "one", ""], sentences=2)["sentences"] == [1]
    assert leading(["", "one", "", "two", "three"], 2) == [1, 3]


def test_blocking_passes_over_what_was_said():
    said = ["One two three four.", "see: TWO, three four", "two three and four", "five"]
    assert decided([3, 2, 1, 0], said, sentences=2, blocking=True)["sentences"] == [0, 2]
    assert decided([3, 2, 1, 0], said, sentences=2, blocking=False)["sentences"] == [0, 1]


def test_blocking_knows_words_of_other_scripts():
    said = ["中国人民", "国人民", "五"]
    assert decided([3, 2, 1], said, sentences=2, words="unicode")["sentences"] == [0, 2]


def test_a_sentence_that_repeats_itself_blocks_only_others():
    cut = str.split
    assert select([2, 1], ["a b c a b c", "b c a"], 2, cut) == [0]


# what is resolved and refused


def test_the_number_of_sentences_is_the_rounded_mean_of_the_search():
    text = "\n".join(LINES)
    several, one = (text, "film three music"), (text, "plot")
    assert resolved(rows(several, several, one)).sentences == 2
    assert resolved(rows(several, one, one, one)).sentences == 2  # 1.5
    assert resolved(rows(several, one, one, one, one)).sentences == 1
    assert resolved(rows((text, "nothing"))).sentences == 1
    assert resolved(rows(several), sentences=4).sentences == 4


def test_words_are_those_of_the_summaries():
    assert resolved(rows(("one", "中国"))).words == "unicode"
    assert resolved(rows(("中国", "one"))).words == "english"
    assert resolved(rows(("one", "one")), words="unicode").words == "unicode"


def test_rows_without_any_summary_or_sentence_are_refused():
    with pytest.raises(DataError, match="every 'summary' is empty"):
        resolved(rows(("one", " "), ("two", None)))
    with pytest.raises(DataError, match="no 'document' has a sentence"):
        resolved(rows((" ", "one")))
    with pytest.raises(DataError, match="no 'document' has a sentence"):
        resolved(rows(([""], "one")))


def test_rows_without_a_summary_are_named():
    with pytest.raises(DataError, match=r"validation: 2 rows have no 'summary' .*validation line 2, validation line 3"):
        TASK.check(rows(("one", "one"), ("two", ""), ("two", None), split="validation"))


def test_missing_references_are_said_of_scored_rows_only(caplog):
    task = TASK.model_copy(update={"references": ("more",)})
    with caplog.at_level(logging.WARNING):
        task.check(rows(("one", "one")))
        assert not caplog.records
        task.check(rows(("one", "one"), split="validation", more=[["two"]]))
        assert not caplog.records
        task.check(rows(("one", "one"), split="validation"))
    assert "validation: no column more (task.references)" in caplog.text


def test_an_architecture_without_a_head_for_tokens_is_refused_in_words(checkpoint, tmp_path):
    recipe = Recipe(
        name="bart",
        task=ExtractiveSummarization(),
        data=Data.rows([{"document": "one", "summary": "one"}] * 8),
        model=checkpoint("bart"),
        training=Training(steps=1),
    )
    with pytest.raises(ModelError, match="bart has no head that scores tokens"):
        run(recipe, tmp_path)


# scores


def test_scores_are_rouge_over_all_right_summaries_of_a_row():
    given = rows(("one", "one two"), ("one", "four"), more=[["nine", "one"], None], other=[None, "three four"])
    task = TASK.model_copy(update={"references": ("more", "absent", "other")})
    assert task.right(given) == [["one two", "nine", "one"], ["four", "three four"]]
    found = task.measure([{"predicted": "one"}, {"predicted": "three"}], given)
    assert np.array_equal(found, rouge(["one", "three"], task.right(given)))
    assert found[:, 0].tolist() == pytest.approx([1, 2 / 3])


def test_a_list_of_texts_is_a_summary_of_several_lines():
    given = rows(("one", ["three ", None, "four five"]))
    assert TASK.right(given) == [["three\nfour five"]]
    assert TASK.gold({"summary": ["three ", None, "four five"]}) == "three\nfour five"
    assert encoded(["four five\nsix"], [["three", "four five"]])[0]["target"] == [1, 0]


def test_stemming_and_words_are_those_of_the_task():
    given = rows(("x", "running 中国"))
    predictions = [{"predicted": "runs 中国"}]
    assert TASK.measure(predictions, given)[0, 0] == 1
    assert TASK.model_copy(update={"stem": False}).measure(predictions, given)[0, 0] == 0
    assert TASK.model_copy(update={"words": "unicode"}).measure(predictions, given)[0, 0] == pytest.approx(2 / 3)


def test_scores_are_weighted_means_and_the_first_is_rouge_1():
    found = TASK.aggregate(np.array([[1.0, 0, 0, 0], [0.5, 1, 0, 0]]), np.array([1.0, 3.0]))
    assert found == {"rouge1": 0.625, "rouge2": 0.75, "rougeL": 0, "rougeLsum": 0}
    assert [metric.name for metric in TASK.metrics()] == list(found)


def test_the_baseline_is_as_many_first_sentences():
    task = TASK.model_copy(update={"sentences": 2})
    given = rows(("\n".join(LINES), "one"), (" ", "one"))
    assert task.baseline(given, given) == [
        {"predicted": "the film is good\none two three", "sentences": [0, 1]},
        {"predicted": "", "sentences": []},
    ]


def test_the_search_with_all_right_summaries_says_what_can_be_reached():
    given = rows(("\n".join(LINES), "nothing"), ("\n".join(LINES), "plot music"), more=[["it was"], []])
    task = TASK.model_copy(update={"references": ("more",)})
    assert task.oracle(given) == [
        {"predicted": "it was very bad", "sentences": [4]},
        {"predicted": "the plot\na slow music", "sentences": [2, 3]},
    ]


def test_a_model_below_the_first_sentences_is_doubted_unless_by_chance():
    lead = np.full((100, 4), 0.5)
    (said,) = TASK.doubts(lead - 0.1, lead)
    assert "below the first sentences" in said
    assert TASK.doubts(lead + 0.1, lead) == [] == TASK.doubts(lead, lead)
    assert TASK.doubts(lead + np.array([[0.3], [-0.32]] * 50), lead) == []


def test_scores_say_how_they_were_computed():
    task = TASK.model_copy(update={"references": ("more",)})
    said = task.signatures(rows(("one", "one"), ("one", "two"), more=[["a"], ["b", "c"]]))
    assert "Porter" in said["rouge"] and "3 references at most" in said["rouge"]


def test_evaluate_modules_get_texts_and_lists_of_right_ones():
    given = rows(("one", ["one"]), ("two", ["three", "four"]))
    assert TASK.exchanged([{"predicted": "a"}, {"predicted": "b"}], given) == (["a", "b"], [["one"], ["three\nfour"]])


def test_predictions_agree_but_for_rounding():
    def prediction(scores, sentences):
        return {"predicted": str(sentences), "sentences": sentences, "scores": scores}

    one = prediction([0.5, 0.2, 0.50001, 0.1], [2])
    assert TASK.agree(one, prediction([0.50001, 0.2, 0.5, 0.1], [0]), 1e-4)  # as probable
    assert not TASK.agree(one, prediction([0.5, 0.2, 0.50001, 0.1], [1]), 1e-4)
    assert not TASK.agree(one, prediction([0.5, 0.21, 0.50001, 0.1], [2]), 1e-4)
    assert not TASK.agree(one, prediction([0.5, 0.2, 0.50001], [2]), 1e-4)
    assert not TASK.agree(one, {**one, "predicted": "other"}, 1e-4)
    first = prediction([0.9, 0.2, 0.20001], [0, 2])
    assert TASK.agree(first, prediction([0.9, 0.20001, 0.2], [0, 1]), 1e-4)
    assert not TASK.agree(first, prediction([0.9, 0.20001, 0.2], [1, 2]), 1e-4)  # the best one is as it was


# runs


def documents(count, seed=0):
    """Documents of three to five sentences of three words, a line each; the third is the summary."""
    generator = random.Random(seed)
    made = []
    for _ in range(count):
        lines = [" ".join(generator.sample(WORDS, 3)) for _ in range(generator.randint(3, 5))]
        made.append({"document": "\n".join(lines), "summary": lines[2]})
    return made


@pytest.fixture(scope="module")
def trained(tiny_bert, tmp_path_factory):
    """A run that has learned what is a summary, of documents that are often longer than its windows."""
    recipe = Recipe(
        name="extracts",
        task=ExtractiveSummarization(max_length=16),
        data=Data.rows(documents(80), validation=[*documents(20, seed=1), {"document": " ", "summary": "one"}]),
        model=tiny_bert,
        tuning=Full(learning_rate=3e-2),
        training=Training(steps=60, batch_size=8, precision="fp32"),
    )
    return run(recipe, tmp_path_factory.mktemp("runs"), certified=False)


def test_it_learns_which_sentences_are_summaries(trained):
    score = trained.scores["validation"]["rouge1"]
    assert score["value"] > 0.9 > 0.3 > score["baseline"]


def test_written_predictions_are_sentences_of_their_documents(trained):
    text = (trained.directory / "predictions.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 21
    for line in lines:
        sentences = document(line["inputs"]["document"])
        assert line["predicted"] == "\n".join(sentences[number] for number in line["sentences"])
        assert len(line["scores"]) == len(sentences)
    assert lines[-1]["predicted"] == ""


def test_a_predictor_takes_texts_and_lists_of_sentences(trained):
    predictor = load(trained.directory)
    (text,), (several,) = predictor([{"document": "\n".join(LINES)}]), predictor([{"document": LINES}])
    assert predictor.recipe.task.agree(text, several, 1e-6)
    assert text["predicted"] == LINES[text["sentences"][0]]


@pytest.mark.parametrize("architecture", ["t5", "roberta", "xlnet", "llama"])
def test_other_architectures_score_sentences_too(checkpoint, tmp_path, architecture):
    recipe = Recipe(
        name=architecture,
        task=ExtractiveSummarization(max_length=16),
        data=Data.rows(documents(16), validation=documents(8, seed=1)),
        model=checkpoint(architecture),
        training=Training(steps=1, batch_size=8, precision="fp32"),
    )
    result = run(recipe, tmp_path, certified=False)
    assert len(result.predict([{"document": LINES}])[0]["scores"]) == len(LINES)
