"""Language modelling: windows, masks, perplexities, prompts."""

import logging
import math
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertTokenizer

from finetune import Data, DataError, ModelError, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.evaluation import Encoder
from finetune.generation.settings import Generation
from finetune.predict import load
from finetune.tasks import language_modeling
from finetune.tasks.base import Window
from finetune.tasks.language_modeling import LanguageModeling
from finetune.text import masking, stream
from finetune.text.unigram import WORD, Unigram
from tests.support import tiny
from tests.support.rows import reviews

LIMIT = 12
TEXTS = [row["text"] for row in reviews(12, longest=40)] + ["", "film"]
BEFORE = ["", *TEXTS[:-1]]
ONES = np.ones


@cache
def tokenizer_of(architecture):
    tokenizer = tiny.tokenizer(architecture)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


@cache
def model_of(architecture):
    """A model in double precision whose tokens are far from equally likely."""
    torch.manual_seed(0)
    auto = AutoModelForCausalLM if architecture in tiny.DECODERS else AutoModelForMaskedLM
    model = auto.from_config(tiny.config(architecture)).double().eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 5
    return model


def records(texts=TEXTS, before=None):
    if before is None:
        return [{"text": text} for text in texts]
    return [{"text": text, "before": left} for text, left in zip(texts, before, strict=True)]


def resolved(architecture="gpt2", rows=None, **fields):
    task = LanguageModeling(**{"max_length": LIMIT, **fields})
    task = task.resolve(as_rows(rows or records(), "train"), tokenizer_of(architecture))
    return task.aligned(tiny.config(architecture))


def encoded(task, architecture, mode="score", rows=None, tokenizer=None):
    rows = rows or records()
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns = task.encode(columns, tokenizer or tokenizer_of(architecture), LIMIT, mode)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def scored(task, architecture, rows=None, seeds=None):
    """A prediction for every row."""
    features = encoded(task, architecture, "score", rows)
    tokenizer = tokenizer_of(architecture)
    batch = task.collate(features, tokenizer, "score", seeds or range(len(features)))
    with torch.inference_mode():
        answers = task.predict(model_of(architecture), batch)
    rows = rows or records()
    raw = []
    for number, row in enumerate(rows):
        pairs = zip(features, answers, strict=True)
        raw.append(task.merge([Window(f, a) for f, a in pairs if f["row"] == number], row, tokenizer))
    return task.decide(raw, {})


def ids_of(text, architecture="gpt2"):
    return tokenizer_of(architecture)(text, add_special_tokens=False)["input_ids"]


def by_row(features):
    return [[f for f in features if f["row"] == row] for row in range(len(TEXTS))]


# windows


@pytest.mark.parametrize("before", [None, BEFORE])
@pytest.mark.parametrize("stride", [None, 0, 1, 5])
@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_every_token_is_scored_exactly_once(architecture, stride, before):
    rows = records(before=before)
    task = resolved(architecture, rows, stride=stride)
    for text, windows in zip(TEXTS, by_row(encoded(task, architecture, rows=rows)), strict=True):
        assert [token for window in windows for token in window["target"]] == ids_of(text, architecture)
        assert all(len(window["input_ids"]) == window["length"] <= LIMIT for window in windows)


@pytest.mark.parametrize("stride", [0, 1, 5])
def test_a_scored_window_sees_what_stands_before_its_new_tokens(stride):
    for text, windows in zip(TEXTS, by_row(encoded(resolved(stride=stride), "gpt2")), strict=True):
        whole, done = [tiny.SEP, *ids_of(text)], 0
        for window in windows:
            first = 0 if window["window"] == 0 else done - stride
            assert window["input_ids"] == whole[first : first + window["length"]]
            assert window["first"] == done - first
            assert window["length"] == LIMIT or window is windows[-1]
            done += len(window["target"])


def test_the_first_window_sees_the_end_of_what_precedes_the_row():
    rows = records(["good film", "bad plot", "fine"], ["", "one two three four five", None])
    features = encoded(resolved(rows=rows, stride=3), "gpt2", rows=rows)
    assert [f["input_ids"] for f in features] == [
        [tiny.SEP, *ids_of("good")],
        ids_of("two three four five bad"),  # three as context, and the one that the first token follows
        [tiny.SEP],
    ]
    assert [f["target"] for f in features] == [ids_of("good film"), ids_of("bad plot"), ids_of("fine")]


def test_what_precedes_a_row_is_context_of_masks_too():
    rows = records(["good film", "bad plot"], ["", "one two three four five"])
    features = encoded(resolved("bert", rows, stride=3), "bert", rows=rows)
    assert features[1]["input_ids"] == [tiny.CLS, *ids_of("three four five bad plot", "bert"), tiny.SEP]
    assert features[1]["first"] == 4


def test_what_precedes_may_be_shorter_than_the_stride():
    rows = records(["good film", "bad plot"], ["", "one two three four"])
    for architecture, start in (("gpt2", tiny.SEP), ("bert", tiny.CLS)):
        features = encoded(resolved(architecture, rows, stride=6), architecture, rows=rows)
        assert features[1]["input_ids"][:5] == [start, *ids_of("one two three four", architecture)]


def test_training_windows_share_nothing_and_know_nothing_of_other_rows():
    rows = records(before=BEFORE)
    task = resolved(rows=rows, stride=5)
    for text, windows in zip(TEXTS, by_row(encoded(task, "gpt2", "train", rows)), strict=True):
        seen = [token for window in windows for token in window["input_ids"]]
        assert seen == ([tiny.SEP, *ids_of(text)][:-1] if text else [])
        assert [token for window in windows for token in window["target"]] == ids_of(text)


def test_masked_training_windows_share_nothing():
    rows = records(before=BEFORE)
    task = resolved("bert", rows, stride=5)
    for text, windows in zip(TEXTS, by_row(encoded(task, "bert", "train", rows)), strict=True):
        assert [token for window in windows for token in window["input_ids"][1:-1]] == ids_of(text, "bert")


def test_the_end_is_learned_where_rows_are_texts_of_their_own():
    features = encoded(resolved(), "gpt2", "train", records(["good film"]))
    assert features[0]["target"] == [*ids_of("good film"), tiny.SEP]
    assert features[0]["input_ids"] == [tiny.SEP, *ids_of("good film")]


def test_the_end_of_a_row_that_goes_on_is_not_learned():
    assert resolved(rows=records(before=BEFORE)).learn_end is False
    assert resolved(rows=records(before=[""] * len(TEXTS))).learn_end is True


def test_the_end_is_never_scored():
    assert encoded(resolved(), "gpt2", "score", records(["good film"]))[0]["target"] == ids_of("good film")


@pytest.mark.parametrize("mode", ["train", "score"])
@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_empty_texts_give_no_feature_but_every_column(architecture, mode):
    task = resolved(architecture)
    empty = task.encode({"text": ["", ""]}, tokenizer_of(architecture), LIMIT, mode)
    assert empty.keys() == task.encode({"text": ["film"]}, tokenizer_of(architecture), LIMIT, mode).keys()
    assert not any(empty.values())


def test_a_stride_that_leaves_no_room_is_refused():
    with pytest.raises(RecipeError, match=r"task\.stride = 12"):
        encoded(resolved(stride=12), "gpt2")


def test_a_row_says_how_long_it_is_and_that_nothing_is_lost():
    features = encoded(resolved(stride=0), "gpt2", "score", records(["good " * 30]))
    assert [f["whole"] for f in features] == [30, 0, 0]
    assert [f["held"] for f in features] == [30, 0, 0]
    assert sum(f["lost"] for f in features) == 0


# scores


def plain_nats(text, before="", stride=3):
    """The usual loop over a text, written out: windows go on by what they do not share."""
    model, start = model_of("gpt2"), tiny.SEP
    context = [start, *ids_of(before)][-stride - 1 :]
    whole = context + ids_of(text)
    nats, done = 0.0, len(context)
    begin = 0
    while done < len(whole):
        end = min(begin + LIMIT, len(whole) - 1)  # of the tokens that are seen
        with torch.inference_mode():
            likely = log_softmax(model(torch.tensor([whole[begin:end]])).logits[0], -1)
        for place in range(done, end + 1):
            nats -= float(likely[place - 1 - begin, whole[place]])
        begin, done = end - stride, end + 1
    return nats


@pytest.mark.parametrize("before", [None, BEFORE])
def test_perplexity_is_that_of_a_plain_loop(before):
    rows = records(before=before)
    task = resolved(rows=rows, stride=3)
    predictions = scored(task, "gpt2", rows)
    nats = [plain_nats(row["text"], row.get("before", "")) for row in rows]
    assert [p["nats"] for p in predictions] == pytest.approx(nats, rel=1e-9)
    tokens = sum(len(ids_of(text)) for text in TEXTS)
    words, characters = sum(len(text.split()) for text in TEXTS), sum(map(len, TEXTS))
    found = task.aggregate(task.measure(predictions, as_rows(rows, "validation")), ONES(len(rows)))
    assert found == pytest.approx(
        {
            "perplexity": math.exp(sum(nats) / tokens),
            "word_perplexity": math.exp(sum(nats) / words),
            "byte_perplexity": math.exp(sum(nats) / characters),
        }
    )


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bert", "roberta"])
def test_loss_is_that_of_transformers(architecture):
    """Which takes the mean over a batch, so each feature is given alone."""
    task, model = resolved(architecture, learn_end=False), model_of(architecture)
    tokenizer = tokenizer_of(architecture)
    features = encoded(task, architecture, "train")
    batch = task.collate(features, tokenizer, "train", range(len(features)))
    with torch.inference_mode():
        loss, weight = task.loss(model(**batch.inputs), batch)
        plain, count = 0.0, 0
        for number, feature in enumerate(features):
            one = task.collate([feature], tokenizer, "train", [number])
            labels = one.targets["labels"]
            if task.objective == "causal":  # the library shifts by itself, so the last target has to be seen
                labels = torch.tensor([[-100, *feature["target"]]])
                one.inputs["input_ids"] = torch.tensor([[*feature["input_ids"], feature["target"][-1]]])
                one.inputs.pop("attention_mask")
            asked = int((labels != -100).sum())
            plain += float(model(**one.inputs, labels=labels).loss) * asked
            count += asked
    assert float(loss) == pytest.approx(plain)
    assert float(weight) == count == sum(f["weight"] for f in features)


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_a_scored_row_is_the_sum_of_its_windows(architecture):
    task = resolved(architecture)
    features = encoded(task, architecture)
    weights = {row: sum(f["weight"] for f in windows) for row, windows in enumerate(by_row(features))}
    predictions = scored(task, architecture)
    assert [p["scored"] for p in predictions] == list(weights.values())
    assert [p["tokens"] for p in predictions] == [len(ids_of(text, architecture)) for text in TEXTS]
    for prediction in predictions:
        if prediction["scored"]:
            assert prediction["predicted"] == pytest.approx(
                math.exp(prediction["nats"] / prediction["scored"]), rel=1e-5
            )
        else:
            assert prediction["predicted"] is None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_logits_are_held_of_as_many_rows_as_memory_allows(architecture, packed, monkeypatch):
    task, model = resolved(architecture, packing=packed), model_of(architecture)
    features = encoded(task, architecture)
    batch = task.collate(features, tokenizer_of(architecture), "score", range(len(features)))
    if packed:
        batch.inputs["attention_mask"] = batch.inputs["attention_mask"].double()
    seen = []

    def forward(**inputs):
        seen.append(len(inputs["input_ids"]))
        return model(**inputs)

    forward.config = model.config
    with torch.inference_mode():
        whole = task.predict(forward, batch)
        assert seen == [len(batch.inputs["input_ids"])]
        seen.clear()
        monkeypatch.setattr(language_modeling, "LOGITS", 3 * LIMIT * tiny.SIZE)
        assert np.allclose(whole, task.predict(forward, batch))
    assert len(seen) > 1 and max(seen) == 3


def test_masked_scores_by_word_take_other_tokens_for_as_hard():
    task = resolved("bert")
    rows = as_rows(records(["four words of text", "two words"]), "validation")
    predictions = [
        {"nats": 3.0, "scored": 1.0, "tokens": 4},
        {"nats": 1.0, "scored": 1.0, "tokens": 2},
    ]
    found = task.aggregate(task.measure(predictions, rows), ONES(2))
    assert found["perplexity"] == pytest.approx(math.exp(2))
    assert found["word_perplexity"] == pytest.approx(math.exp(4 / (4 / 4 + 2 / 2)))
    assert found["byte_perplexity"] == pytest.approx(math.exp(4 / (18 / 4 + 9 / 2)))


def test_bytes_are_those_of_utf8():
    predictions = [{"nats": 6.0, "scored": 2.0, "tokens": 2}]
    measured = resolved().measure(predictions, as_rows(records(["für Ü"]), "validation"))
    assert measured.tolist() == [[6, 2, 2, 7]]


def test_a_perplexity_that_no_float_holds_is_infinite(recwarn):
    found = resolved().aggregate(np.array([[1e6, 2, 1, 9]]), ONES(1))
    assert found["perplexity"] == math.inf and found["byte_perplexity"] == math.inf
    assert not recwarn.list


def test_lower_is_better():
    assert [metric.name for metric in resolved().metrics()] == ["perplexity", "word_perplexity", "byte_perplexity"]
    assert not any(metric.higher_is_better for metric in resolved().metrics())


def test_a_person_is_shown_the_beginning_in_one_line():
    assert resolved().gold({"text": "A good\n film ."}) == "A good film ."
    assert resolved().gold({"text": "word " * 99}) == ("word " * 16) + "..."


# masks


def drawn(share=0.15, tokens=2000, words=None, seed=0):
    ids = list(range(1000, 1000 + tokens))
    wanted = masking.count(tokens, share)
    return ids, masking.draw(ids, range(tokens), words, wanted, 4, np.arange(5, 900), seed)


def test_of_the_chosen_tokens_most_are_masked_some_random_some_kept():
    ids, (seen, targets) = drawn(share=0.9, tokens=5000)
    chosen = [place for place, target in enumerate(targets) if target != masking.IGNORED]
    assert len(chosen) == 4500
    assert all(targets[place] == ids[place] for place in chosen)
    assert all(seen[place] == ids[place] for place in set(range(5000)) - set(chosen))
    shares = [
        np.mean([seen[place] == 4 for place in chosen]),
        np.mean([5 <= seen[place] < 900 for place in chosen]),
        np.mean([seen[place] == ids[place] for place in chosen]),
    ]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_only_what_is_new_in_a_window_is_masked():
    _, targets = masking.draw(range(10), range(4, 7), None, 3, 4, np.arange(5, 9), 0)
    assert [place for place, target in enumerate(targets) if target >= 0] == [4, 5, 6]


@pytest.mark.parametrize(("tokens", "wanted"), [(1, 1), (3, 1), (10, 2), (20, 3), (100, 15)])
def test_the_number_of_masks_follows_from_the_length(tokens, wanted):
    assert masking.count(tokens, 0.15) == wanted


def test_no_special_token_is_drawn_at_random():
    assert not set(masking.ordinary(tokenizer_of("roberta")).tolist()) & set(range(5))
    assert len(masking.ordinary(tokenizer_of("roberta"))) == len(tiny.WORDS)


def test_words_are_masked_whole():
    words = [place // 3 for place in range(60)]
    _, (_, targets) = drawn(share=0.2, tokens=60, words=words)
    chosen = {words[place] for place, target in enumerate(targets) if target != masking.IGNORED}
    assert len(chosen) == 4  # 12 tokens
    assert [word in chosen for word in words] == [target != masking.IGNORED for target in targets]


def test_whole_words_never_go_beyond_the_number_of_masks():
    words = [place // 3 for place in range(60)]
    _, (_, targets) = drawn(share=1 / 6, tokens=60, words=words)  # 10 tokens, of which three words leave one over
    assert sum(target != masking.IGNORED for target in targets) == 9


def test_a_word_longer_than_all_masks_is_masked_where_there_is_no_other():
    _, (_, targets) = drawn(share=0.15, tokens=8, words=[0] * 8)
    assert masking.IGNORED not in targets


SUBWORDS = BertTokenizer(
    vocab={
        word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##fold", "##ing", "a"])
    }
)


def test_word_pieces_belong_to_their_word():
    assert masking.word_numbers(["a unfolding unfold a"], SUBWORDS) == [[0, 1, 1, 1, 2, 2, 3]]


def test_a_window_whose_whole_words_miss_the_number_of_masks_counts_as_all_do():
    task = resolved("bert", whole_words=True, mask_probability=0.3)
    features = encoded(task, "bert", "train", records(["unfolding unfolding unfolding"]), SUBWORDS)
    batch = task.collate(features, SUBWORDS, "train", [0])
    assert features[0]["weight"] == 3
    assert int((batch.targets["labels"] >= 0).sum()) == 3
    features[0]["weight"] = 2.0  # as if two were wanted: one word of three has to do
    batch = task.collate(features, SUBWORDS, "train", [0])
    assert int((batch.targets["labels"] >= 0).sum()) == 3
    with torch.inference_mode():
        output = model_of("bert")(**batch.inputs)
        loss, weight = task.loss(output, batch)
        (score,) = task.predict(model_of("bert"), batch)
        likely = -log_softmax(output.logits, -1)[0]
    places = [place for place, target in enumerate(batch.targets["labels"][0].tolist()) if target >= 0]
    mean = sum(float(likely[place, batch.targets["labels"][0, place]]) for place in places) / 3
    assert (float(loss), float(weight)) == pytest.approx((2 * mean, 2))
    assert score.tolist() == pytest.approx([2 * mean, 2])


def batch_for(seeds):
    task = resolved("bert")
    features = encoded(task, "bert", "train")
    return task.collate(features, tokenizer_of("bert"), "train", seeds[: len(features)])


def test_other_seeds_draw_other_masks():
    one, other = batch_for(range(100)), batch_for(range(100, 200))
    assert not torch.equal(one.targets["labels"], other.targets["labels"])
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.targets["labels"], batch_for(range(100)).targets["labels"])


def test_every_epoch_draws_anew_and_every_scoring_the_same():
    task, tokenizer = resolved("bert"), tokenizer_of("bert")
    encoder = Encoder(task, tokenizer, "", LIMIT, 0)
    features = encoder.features(as_rows(records(), "train"), "train", keep=False)
    first, again, second = (
        encoder.batch(features, range(9), mode, epoch) for mode, epoch in (("train", 0), ("score", 0), ("train", 1))
    )
    assert torch.equal(first.inputs["input_ids"], again.inputs["input_ids"])
    assert not torch.equal(first.targets["labels"], second.targets["labels"])
    assert torch.equal(first.weight, second.weight)


def test_a_mask_does_not_depend_on_what_else_is_in_the_batch():
    task = resolved("bert")
    features = encoded(task, "bert")
    whole = task.collate(features, tokenizer_of("bert"), "score", range(len(features)))
    alone = task.collate(features[3:4], tokenizer_of("bert"), "score", [3])
    length = features[3]["length"]
    assert torch.equal(whole.targets["labels"][3, :length], alone.targets["labels"][0])
    assert torch.equal(whole.inputs["input_ids"][3, :length], alone.inputs["input_ids"][0])


# what fits


@pytest.mark.parametrize(("architecture", "objective"), [("gpt2", "causal"), ("llama", "causal"), ("bert", "masked")])
def test_the_checkpoint_decides_the_objective(architecture, objective):
    task = resolved(architecture)
    assert task.objective == objective
    auto = {"causal": "AutoModelForCausalLM", "masked": "AutoModelForMaskedLM"}[objective]
    assert task.head(tiny.config(architecture)).auto == auto


@pytest.mark.parametrize("architecture", ["distilbert", "albert", "deberta-v2", "modernbert", "bert"])
def test_encoders_are_refused_as_causal_models(architecture):
    with pytest.raises(ModelError, match=f"causal: {architecture} is an encoder.*Take masked"):
        LanguageModeling(objective="causal").head(tiny.config(architecture))


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_decoders_are_refused_as_masked_models(architecture):
    with pytest.raises(ModelError, match=f"masked: {architecture} is a decoder.*Take causal"):
        LanguageModeling(objective="masked").head(tiny.config(architecture))


@pytest.mark.parametrize("architecture", ["t5", "bart", "xlnet"])
def test_what_is_neither_is_refused(architecture):
    with pytest.raises(ModelError, match=f"{architecture} is neither a decoder.*GPT-2.*BERT"):
        LanguageModeling().head(tiny.config(architecture))


def test_an_encoder_saved_as_a_decoder_is_one():
    config = tiny.config("bert")
    config.is_decoder = True
    assert LanguageModeling().head(config).auto == "AutoModelForCausalLM"


def test_whole_words_of_a_causal_model_are_refused():
    with pytest.raises(RecipeError, match=r"task\.whole_words.*no masks"):
        LanguageModeling(whole_words=True).head(tiny.config("gpt2"))


def test_a_missing_column_before_is_said():
    with pytest.raises(DataError, match=r"no column 'befor' \(task\.before\).*before"):
        resolved(rows=records(before=BEFORE), before="befor")


def test_the_column_before_is_found_by_its_name():
    assert resolved(rows=records(before=BEFORE)).before == "before"
    assert [column.name for column in resolved(rows=records(before=BEFORE)).optional()] == ["before"]
    assert resolved().before is None
    assert resolved().optional() == ()


def test_rows_without_any_text_are_refused():
    with pytest.raises(DataError, match="every 'text' is empty"):
        resolved(rows=records(["", " "]))
    with pytest.raises(DataError, match="every 'text' is empty"):
        resolved().check(as_rows(records(["", ""]), "validation"))


def test_a_tokenizer_without_a_mask_is_refused():
    tokenizer = tiny.tokenizer("bert")
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token"):
        encoded(resolved("bert"), "bert", tokenizer=tokenizer)


def test_a_resolved_task_is_read_back_the_same():
    for architecture in ("gpt2", "bert"):
        task = resolved(architecture, packing=True)
        assert LanguageModeling.model_validate_json(task.model_dump_json()) == task


# prompts


def answered(task, architecture, texts, seeds=None):
    rows = records(texts)
    features = encoded(task, architecture, "predict", rows)
    tokenizer = tokenizer_of(architecture)
    batch = task.collate(features, tokenizer, "predict", seeds or range(len(features)))
    with torch.inference_mode():
        answers = task.predict(model_of(architecture), batch)
    pairs = list(zip(features, answers, strict=True))
    raw = [
        task.merge([Window(f, a) for f, a in pairs if f["row"] == number], row, tokenizer)
        for number, row in enumerate(rows)
    ]
    return task.decide(raw, {})


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_a_prompt_is_continued_by_the_likeliest_tokens(architecture):
    task = resolved(architecture, generation=Generation(max_new_tokens=4))
    prompts = ["the film", "one two three four five", ""]
    for prompt, found in zip(prompts, answered(task, architecture, prompts), strict=True):
        ids = [tiny.SEP, *ids_of(prompt)]
        written = []
        for _ in range(4):
            with torch.inference_mode():
                likeliest = int(model_of(architecture)(torch.tensor([ids + written])).logits[0, -1].argmax())
            if likeliest == tiny.SEP:
                break
            written.append(likeliest)
        assert (
            found["predicted"].split() == tokenizer_of(architecture).decode(written, skip_special_tokens=True).split()
        )


def test_of_a_prompt_without_room_the_end_is_kept():
    task = resolved(generation=Generation(max_new_tokens=8))
    (feature,) = encoded(task, "gpt2", "predict", records(["one two three four five six seven"]))
    assert feature["input_ids"] == ids_of("four five six seven")


def test_a_prompt_that_loses_its_beginning_is_said(caplog):
    task = resolved(generation=Generation(max_new_tokens=5))
    encoded(task, "gpt2", "predict", records(["one two", " ".join(["film"] * 30)]))
    assert "1 of 2 texts are too long to go on from: their last 7 tokens are read" in caplog.text


def test_prompts_are_padded_on_the_left():
    task = resolved()
    features = encoded(task, "gpt2", "predict", records(["film", "the good film"]))
    batch = task.collate(features, tokenizer_of("gpt2"), "predict", [0, 1])
    assert batch.inputs["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]


def test_drawn_texts_follow_their_seed_alone():
    task = resolved(generation=Generation(do_sample=True, max_new_tokens=6))
    one, two = answered(task, "gpt2", ["the film", "the film"], [5, 6])
    assert one != two
    assert answered(task, "gpt2", ["a b", "the film"], [1, 5])[1] == one


def test_how_much_is_written_leaves_half_of_a_window():
    assert resolved().generation.max_new_tokens == LIMIT // 2
    assert resolved(max_length=None).generation.max_new_tokens == tiny.POSITIONS // 2
    with pytest.raises(RecipeError, match="leaves no token"):
        encoded(resolved(generation=Generation(max_new_tokens=12)), "gpt2")


def test_the_saved_model_writes_as_the_recipe_says():
    drawing = Generation(do_sample=True, temperature=0.7, max_new_tokens=6)
    saved = resolved(generation=drawing).head(tiny.config("gpt2")).generation
    assert (saved["temperature"], saved["top_k"], saved["max_new_tokens"]) == (0.7, 0, 6)  # not the library's 50
    assert (saved["pad_token_id"], saved["eos_token_id"]) == (tiny.SEP, [tiny.SEP])


def test_masks_are_filled_in_with_their_candidates():
    text = "the film [MASK] good , but " + "slow " * 12 + "and [MASK] [MASK]"
    (found,) = answered(resolved("bert"), "bert", [text])
    assert [len(one) for one in found["candidates"]] == [5, 5, 5]
    best = [one[0]["token"] for one in found["candidates"]]
    expected = text
    for word in best:
        expected = expected.replace("[MASK]", word, 1)
    assert found["predicted"] == expected
    for one in found["candidates"]:
        values = [candidate["probability"] for candidate in one]
        assert values == sorted(values, reverse=True)


def test_a_candidate_has_the_probability_that_the_model_gives_it():
    (found,) = answered(resolved("bert"), "bert", ["the film [MASK] good"])
    ids = tokenizer_of("bert")("the film [MASK] good", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        likely = model_of("bert")(ids).logits[0, 3].softmax(-1)
    assert found["candidates"][0][0]["probability"] == pytest.approx(float(likely.max()))
    assert found["candidates"][0][0]["token"] == tokenizer_of("bert").convert_ids_to_tokens(int(likely.argmax()))


def test_a_text_without_a_mask_comes_back_as_it_is_and_that_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        found = answered(resolved("bert"), "bert", ["The  film", ""])
    assert found == [{"predicted": "The  film", "candidates": []}, {"predicted": "", "candidates": []}]
    assert "no text holds a [MASK]" in caplog.text


@pytest.mark.parametrize(
    ("text", "token", "filled"),
    [
        ("A [MASK]!", "a", "A a!"),
        ("un [MASK] a", "##fold", "unfold a"),
        ("un[MASK] a", "##fold", "unfold a"),
        ("[MASK] a", "##fold", "fold a"),
        ("[MASK] a", "a", "a a"),
    ],
)
def test_a_filled_mask_stands_as_it_would_be_written(text, token, filled):
    ids = SUBWORDS(text)["input_ids"]
    options = np.array([[[SUBWORDS.convert_tokens_to_ids(token), 0.9]]])
    place = ids.index(SUBWORDS.mask_token_id)
    assert masking.filled(text, [(ids, [place], options)], SUBWORDS)[0] == filled


def test_two_masks_can_be_filled_with_one_word():
    ids = SUBWORDS("un [MASK] [MASK] a")["input_ids"]
    options = np.array([[[SUBWORDS.convert_tokens_to_ids(token), 0.9]] for token in ("##fold", "##ing")])
    assert masking.filled("un [MASK] [MASK] a", [(ids, [2, 3], options)], SUBWORDS)[0] == "unfolding a"


def test_predictions_agree_but_for_rounding_and_ties():
    task = resolved("bert")

    def candidates(*pairs):
        listed = [[{"token": token, "probability": probability} for token, probability in pairs]]
        return {"predicted": pairs[0][0], "candidates": listed}

    first = candidates(("a", 0.4), ("b", 0.3), ("c", 0.1))
    assert task.agree(first, candidates(("a", 0.40001), ("b", 0.3), ("d", 0.1)), 1e-4)  # what comes after c is unknown
    assert not task.agree(first, candidates(("a", 0.41), ("b", 0.3), ("c", 0.1)), 1e-4)
    assert not task.agree(first, candidates(("b", 0.4), ("a", 0.3), ("c", 0.1)), 1e-4)
    tied = candidates(("a", 0.3), ("b", 0.3), ("c", 0.1))
    assert task.agree(tied, candidates(("b", 0.3), ("a", 0.3), ("c", 0.1)), 1e-4)
    score = {"predicted": 90.0, "nats": 4500.0, "scored": 1000.0, "tokens": 1000}
    assert task.agree(score, {**score, "nats": 4500.1}, 1e-4)
    assert not task.agree(score, {**score, "nats": 4501.0}, 1e-4)
    assert task.agree({"predicted": "a"}, {"predicted": "a"}, 1e-4)
    assert not task.agree({"predicted": "a"}, {"predicted": "b"}, 1e-4)


def test_a_continuation_keeps_its_space():
    tokenizer = tokenizer_of("gpt2")
    assert stream.continuation(ids_of("the film"), ids_of("is good"), tokenizer) == " is good"
    assert stream.continuation([tiny.SEP], ids_of("is good"), tokenizer) == "is good"


# the baseline


def test_the_words_of_the_baseline_joined_are_the_text():
    for text in ["", " ", "a", "  a\n\nb  c ", "\n", "a\t", "für  Ü\n"]:
        assert "".join(WORD.findall(text)) == text


def test_a_seen_word_has_the_probability_of_its_number():
    usual = Unigram(["a a a", "b"])  # the words a, " a" twice, b
    assert usual.surprise("a a") == pytest.approx(-math.log(1 / 7) - math.log(2 / 7))


def test_an_unseen_word_is_spelt():
    usual = Unigram(["ab ab"])
    spelt = 5 + 2 + 257  # bytes of "ab" and " ab", their ends, and one more of every symbol
    chances = [2 / 4, (2 + 1) / spelt, (2 + 1) / spelt, (2 + 1) / spelt]  # new; a; b; end
    assert usual.surprise("ba") == pytest.approx(-sum(map(math.log, chances)))
    assert usual.surprise("zz") > usual.surprise("ba")
    assert math.isfinite(usual.surprise("日本"))


def test_of_no_texts_every_text_is_spelt():
    assert Unigram([]).surprise("a") == pytest.approx(2 * math.log(257))


def test_the_baseline_is_exact_by_word_and_byte():
    task = resolved()
    train, rows = as_rows(records(), "train"), as_rows(records(TEXTS[:4]), "validation")
    usual = Unigram(TEXTS)
    nats = sum(map(usual.surprise, TEXTS[:4]))
    found = task.aggregate(task.measure(task.baseline(train, rows), rows), ONES(4))
    assert found["word_perplexity"] == pytest.approx(math.exp(nats / sum(len(text.split()) for text in TEXTS[:4])))
    assert found["byte_perplexity"] == pytest.approx(math.exp(nats / sum(map(len, TEXTS[:4]))))
    rate = sum(len(ids_of(text)) for text in TEXTS) / sum(map(len, TEXTS))
    assert task.tokens_per_byte == pytest.approx(rate)
    assert found["perplexity"] == pytest.approx(math.exp(nats / (rate * sum(map(len, TEXTS[:4])))))


# a whole run


def test_a_run_learns_what_masks_hide(checkpoint, tmp_path):
    rows = records(["the film is good and the cast is great"] * 12)
    recipe = Recipe(
        name="masks",
        task=LanguageModeling(max_length=LIMIT, stride=2),
        data=Data.rows(rows, validation=rows[:4]),
        model=checkpoint("bert"),
        tuning={"type": "full", "learning_rate": 0.03},
        training=Training(steps=40, batch_size=6, precision="fp32", evaluate_every=40),
    )
    result = run(recipe, tmp_path, certified=False)
    assert result.scores["validation"]["perplexity"]["value"] < 0.5 * tiny.SIZE
    assert load(result.directory)([{"text": "the [MASK] is good"}])[0]["candidates"]
