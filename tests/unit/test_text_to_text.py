"""Texts from texts: prompts and targets as token ids, what limits cost, what a checkpoint decides, what is refused."""

import json
import logging

import numpy as np
import pytest

from finetune import Data, LoRA, Recipe, Summarization, Training, Translation, run
from finetune.data import features as feature_store
from finetune.data.sources.rows import as_rows
from finetune.errors import DataError, ModelError, RecipeError, RunError
from finetune.generation.decoding import Special
from finetune.generation.settings import Generation
from finetune.ledger import ledger, target_sentence
from finetune.predict import load
from finetune.text.prompts import cut, prompts, targets
from tests.support import tiny
from tests.support.rows import copies

ENCODER, DECODER = tiny.tokenizer("bert"), tiny.tokenizer("gpt2")
ROWS = [
    {"source": "the a film is was good bad fine poor great", "target": "one two three"},
    {"source": "the film", "target": "one"},
]


def words(ids: list[int], tokenizer=ENCODER) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def resolved(task, architecture: str, rows=ROWS, limit: int = 32, virtual_tokens: int = 0):
    tokenizer = tiny.tokenizer(architecture)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    made = task.resolve(as_rows(rows, "train"), tokenizer).aligned(tiny.config(architecture), virtual_tokens)
    return made.model_copy(update={"max_length": limit}), tokenizer


def encoded(task, architecture: str, mode: str = "train", rows=ROWS, limit: int = 32):
    made, tokenizer = resolved(task, architecture, rows, limit)
    columns = {name: [row[name] for row in rows] for name in ("source", "target")}
    return made, tokenizer, made.encode(columns, tokenizer, limit, mode)


def batch(task, architecture: str, mode: str = "train"):
    made, tokenizer, columns = encoded(task, architecture, mode)
    features = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return made, made.collate(features, tokenizer, mode, [1, 2])


SUMMARY = Summarization(source="source", target="target")


def test_a_prompt_that_is_too_long_loses_the_end_of_its_source_only():
    ids, lengths = prompts(["one two three four five six"], "the {source} film", ENCODER, 7, written=False)
    assert words(ids[0]) == "[CLS] the one two three film [SEP]"
    assert lengths == [10]


def test_a_prompt_that_leaves_no_room_is_cut_itself():
    ids, _ = prompts(["one"], "the film is so good and {source}", ENCODER, 4, written=False)
    assert len(ids[0]) == 4


@pytest.mark.parametrize(("written", "end"), [(True, "two"), (False, "[SEP]")])
def test_a_decoder_is_given_no_end_token_where_it_is_to_go_on(written, end):
    tokenizer = tiny.tokenizer("bert")
    tokenizer.eos_token = "[SEP]"
    ids, _ = prompts(["one two"], "{source}", tokenizer, 9, written=written)
    assert tokenizer.convert_ids_to_tokens(ids[0])[-1] == end


def test_an_empty_prompt_is_never_without_a_token():
    assert prompts([""], "{source}", DECODER, 9, written=True)[0] == [[tiny.SEP]]


def test_targets_of_an_encoder_decoder_have_one_end_and_no_start():
    found = targets(["one two"], ENCODER, (tiny.SEP,), tiny.CLS, "{source}")
    assert words(found[0]) == "one two [SEP]"


def test_targets_of_a_decoder_are_plain_and_end():
    assert words(targets(["one two"], DECODER, (tiny.SEP,), None, "{source}")[0], DECODER) == "one two [SEP]"


def test_a_target_that_is_cut_keeps_its_end():
    assert cut([7, 8, 9, 2], 3, (2,)) == [7, 8, 2]
    assert cut([7, 8, 9, 2, 30], 4, (2,)) == [7, 8, 2, 30]  # a language stands behind the end
    assert cut([7, 2], 2, (2,)) == [7, 2]


def test_a_doubled_encoder_starts_with_the_class_token():
    made, both = batch(SUMMARY, "bert")
    assert made.special == Special(tiny.PAD, (tiny.SEP,), tiny.CLS, None)
    assert words(both.inputs["decoder_input_ids"][0].tolist()) == "[CLS] one two three"
    assert words(both.targets["labels"][0].tolist()) == "one two three [SEP]"


def test_an_encoder_decoder_starts_as_its_configuration_says():
    made, both = batch(SUMMARY, "t5")
    assert made.special is not None and made.special.start == tiny.PAD
    assert words(both.inputs["decoder_input_ids"][0].tolist()) == "[PAD] [CLS] one two three"
    assert made.special.forced == tiny.CLS  # its tokenizer puts it before every target


def test_a_decoder_reads_prompt_and_target_and_learns_the_target_alone():
    _, both = batch(SUMMARY.model_copy(update={"prompt": "{source} so"}), "gpt2")
    ids, labels = both.inputs["input_ids"][1].tolist(), both.targets["labels"][1].tolist()
    assert words(ids[:4], DECODER) == "the film so one"
    assert labels[:2] == [-100, -100] and words(labels[2:4], DECODER) == "one [SEP]"
    assert set(labels[4:]) == {-100}
    assert both.weight.tolist() == [4, 2]


def test_a_decoder_is_padded_on_the_left_where_it_goes_on_writing():
    _, both = batch(SUMMARY, "gpt2", "score")
    assert both.inputs["attention_mask"][1].tolist()[0] == 0
    assert both.inputs["attention_mask"][1].tolist()[-1] == 1


def test_the_source_of_a_decoder_leaves_room_for_what_is_written():
    made, _, columns = encoded(SUMMARY, "gpt2", limit=16)
    room = made.generation.max_new_tokens
    assert max(map(len, columns["input_ids"])) <= 16
    _, _, scored = encoded(SUMMARY, "gpt2", "score", limit=16)
    assert max(map(len, scored["input_ids"])) == 16 - room


def test_a_target_without_room_for_its_source_is_refused():
    with pytest.raises(RecipeError, match="must hold a prompt and 12 tokens"):
        encoded(SUMMARY.model_copy(update={"max_target_length": 12}), "gpt2", limit=16)


def test_the_longest_target_decides_how_much_is_written():
    made, _ = resolved(SUMMARY, "bert")
    assert made.max_target_length == 6  # three words, two special tokens, and one to spare
    assert made.generation.max_new_tokens == 6


def test_what_the_recipe_says_of_lengths_stays():
    task = SUMMARY.model_copy(update={"max_target_length": 3, "generation": Generation(max_new_tokens=9)})
    made, _ = resolved(task, "bert")
    assert (made.max_target_length, made.generation.max_new_tokens) == (3, 9)


def test_resolving_again_changes_nothing():
    made, tokenizer = resolved(SUMMARY, "t5")
    assert made.resolve(as_rows(ROWS, "train"), tokenizer).aligned(tiny.config("t5")) == made


def test_a_resolved_task_is_the_same_from_its_json():
    made, _ = resolved(SUMMARY, "bart")
    assert Summarization(**{k: v for k, v in json.loads(made.model_dump_json()).items() if k != "type"}) == made


def test_the_prefix_of_t5_comes_from_its_configuration():
    config = tiny.config("t5")
    config.task_specific_params = {
        "summarization": {"prefix": "summarize: "},
        "translation_en_to_de": {"prefix": "translate English to German: "},
    }
    tokenizer = tiny.tokenizer("t5")
    german = Translation(source_language="en", target_language="de")
    for task, wanted in ((SUMMARY, "summarize: {source}"), (german, "translate English to German: {source}")):
        assert task.resolve(as_rows(ROWS, "train"), tokenizer).aligned(config).prompt == wanted


def byte_pairs(**settings):
    """A tokenizer that takes a space for a part of the word behind it, as GPT-2's; or of the first word in any case."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {letter: number for number, letter in enumerate([*"abĠ", "Ġa", "Ġb", "</s>"])}
    pieces = Tokenizer(models.BPE(letters, [("Ġ", "a"), ("Ġ", "b")]))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(**settings)
    return PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="</s>")


@pytest.mark.parametrize(
    ("prompt", "always_spaced", "wanted"),
    [("{source}", False, "Ġa </s>"), ("{source} ", False, "a </s>"), ("{source}", True, "Ġa </s>")],
)
def test_a_space_stands_between_a_prompt_and_its_target_once(prompt, always_spaced, wanted):
    tokenizer = byte_pairs(add_prefix_space=always_spaced)
    assert words(targets(["a"], tokenizer, (5,), None, prompt)[0], tokenizer) == wanted


def test_no_training_target_is_cut_by_the_limit_taken_from_them():
    tokenizer = byte_pairs(add_prefix_space=False)
    tokenizer.pad_token = tokenizer.eos_token
    rows = [{"source": "a", "target": "bb b"}]
    task = SUMMARY.resolve(as_rows(rows, "train"), tokenizer)
    ids = targets(["bb b"], tokenizer, (5,), None, "{source}")[0]
    assert len(ids) <= task.max_target_length


def test_a_list_of_lines_is_a_text():
    rows = [{"source": ["one two", "three"], "target": ["four", "five"]}]
    _, _, columns = encoded(SUMMARY, "bert", rows=rows)
    assert words(columns["input_ids"][0]) == "[CLS] one two three [SEP]"
    assert words(columns["labels"][0]) == "four five [SEP]"


def test_a_scored_split_without_the_references_is_named(caplog):
    task = SUMMARY.model_copy(update={"references": ("refs",)})
    task.check(as_rows(ROWS, "validation"))
    assert "no column refs (task.references); it is scored without" in caplog.text


def test_a_trivial_summary_of_a_script_without_spaces_is_cut_by_its_characters():
    rows = as_rows([{"source": "今天天气很好我们出去", "target": "天气好"}], "train")
    task, _ = resolved(SUMMARY, "bert", [{"source": "今天天气很好我们出去", "target": "天气好"}])
    assert task.baseline(rows, rows) == [{"predicted": "今天天"}]


def test_more_than_a_model_can_write_is_refused(checkpoint, tmp_path):
    task = SUMMARY.model_copy(update={"generation": Generation(max_new_tokens=60)})
    with pytest.raises(RecipeError, match="60 tokens are to be written; this model takes 30"):
        resolved(task, "bart")
    with pytest.raises(RecipeError, match="22 tokens are to be written; this model takes 20"):
        task = SUMMARY.model_copy(update={"generation": Generation(max_new_tokens=22)})
        resolved(task, "bart", virtual_tokens=10)
    predictor = load(made_run(checkpoint, tmp_path, "bart").directory)
    with pytest.raises(RecipeError, match="99 tokens are to be written"):
        predictor.writing("max_new_tokens=99")


def test_what_a_checkpoint_becomes_cannot_be_said_otherwise():
    with pytest.raises(RecipeError, match="this checkpoint becomes an encoder-decoder; leave it out"):
        resolved(SUMMARY.model_copy(update={"writer": "decoder"}), "bert")


def test_the_advice_for_cut_targets_knows_what_the_model_takes():
    made, _ = resolved(SUMMARY, "bart")
    counts = {"features": 9, "targets_cut": 2, "max_target_length": 700}
    assert "this model takes 30, 700 would be needed" in (target_sentence(made, "train", counts, 30) or "")


def test_a_tokenizer_that_ends_texts_otherwise_than_its_end_token_says_how_they_end():
    tokenizer = tiny.tokenizer("bert")
    tokenizer.eos_token = "[MASK]"  # as BigBird, whose texts end in [SEP]
    made = SUMMARY.resolve(as_rows(ROWS, "train"), tokenizer).aligned(tiny.config("bert"))
    assert made.special == Special(tiny.PAD, (tiny.SEP,), tiny.CLS, None)


def test_a_prompt_without_its_place_is_refused():
    with pytest.raises(RecipeError, match=r"write \{source\} once"):
        Summarization(prompt="Summarize this:")


def test_an_encoder_that_cannot_be_doubled_is_refused():
    with pytest.raises(ModelError, match=r"distilbert cannot write.*t5, bart.*bert"):
        resolved(SUMMARY, "distilbert")


def test_rows_without_a_target_are_named():
    rows = as_rows([{"source": "a", "target": "b"}, {"source": "a", "target": " "}], "train")
    with pytest.raises(DataError, match=r"1 rows have no 'target'.*2"):
        SUMMARY.check(rows)


def test_targets_that_are_all_empty_teach_nothing():
    with pytest.raises(DataError, match="nothing to learn"):
        SUMMARY.resolve(as_rows([{"source": "a", "target": ""}], "train"), ENCODER)


def test_the_ledger_counts_cut_sources_and_targets(tmp_path):
    task = SUMMARY.model_copy(update={"max_target_length": 3})
    made, tokenizer = resolved(task, "bert", limit=8)
    rows = as_rows(ROWS, "train")
    found = feature_store.encode(rows, lambda part: made.encode(part, tokenizer, 8, "train"), None)
    counts = ledger(made, found, 8)
    assert counts == {"features": 2, "targets_cut": 1, "max_target_length": 4, "truncated": 1, "max_length": 12}
    assert target_sentence(made, "train", counts) == (
        "train: 1 of 2 targets are cut at 3 tokens; task.max_target_length=4 would keep all"
    )


def test_further_references_count_and_may_be_absent():
    task, _ = resolved(SUMMARY.model_copy(update={"references": ("more",)}), "bert")
    rows = as_rows([{"source": "s", "target": "one two", "more": ["three four", " "]}], "validation")
    assert task.right(rows) == [["one two", "three four"]]
    assert task.right(as_rows([{"source": "s", "target": "one two"}], "validation")) == [["one two"]]
    best = task.measure([{"predicted": "three four"}], rows)
    assert best[0][:4].tolist() == [1, 1, 1, 1]


def test_the_scores_of_a_translation_are_those_of_the_whole_corpus():
    import sacrebleu

    task, _ = resolved(Translation(), "bart")
    said, right = ["one two three four", "the film is good"], ["one two three five", "the film is not good"]
    rows = as_rows([{"source": "s", "target": text} for text in right], "validation")
    found = task.aggregate(task.measure([{"predicted": text} for text in said], rows), np.ones(2))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [right]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [right]).score)
    assert task.signatures(rows)["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_texts_that_never_ended_are_said():
    task, _ = resolved(SUMMARY, "bert")
    statistics = task.measure([{"predicted": "one", "ended": False}] * 2, as_rows(ROWS, "validation"))
    assert "2 of 2 texts were stopped at 6 tokens" in task.doubts(statistics, statistics)[0]
    assert task.doubts(np.ones_like(statistics), statistics) == []


def test_the_trivial_summary_has_as_many_words_as_the_training_targets():
    task, _ = resolved(SUMMARY, "bert")
    rows = as_rows([{"source": "one two three four", "target": "x"}], "validation")
    assert task.baseline(as_rows(ROWS, "train"), rows) == [{"predicted": "one two"}]
    assert Translation().baseline(rows, rows) == [{"predicted": "one two three four"}]


def multilingual(kind: str):
    import transformers

    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁one", -1.0), ("▁ein", -1.0)]
    return getattr(transformers, kind)(vocab=pieces, src_lang="en_XX", tgt_lang="en_XX")


@pytest.mark.parametrize(
    ("kind", "decoder_start", "start", "forced", "target"),
    [
        ("MBartTokenizer", None, "en_XX", None, ["▁one", "</s>", "en_XX"]),
        ("MBart50Tokenizer", 2, "</s>", "en_XX", ["en_XX", "▁one", "</s>"]),
    ],
)
def test_languages_of_a_multilingual_checkpoint(kind, decoder_start, start, forced, target):
    tokenizer = multilingual(kind)
    config = tiny.config("bart")
    config.decoder_start_token_id, config.eos_token_id = decoder_start, 2
    task = Translation(source_language="de_DE", target_language="en_XX")
    made = task.resolve(as_rows([{"source": "ein", "target": "one"}], "train"), tokenizer).aligned(config)
    special = made.special
    assert tokenizer.convert_ids_to_tokens(special.start) == start
    assert special.forced == (None if forced is None else tokenizer.convert_tokens_to_ids(forced))
    columns = made.encode({"source": ["ein"], "target": ["one"]}, tokenizer, 20, "train")
    assert "de_DE" in tokenizer.convert_ids_to_tokens(columns["input_ids"][0])
    assert tokenizer.convert_ids_to_tokens(columns["labels"][0]) == target


def test_a_multilingual_checkpoint_must_be_told_its_languages():
    rows = as_rows([{"source": "ein", "target": "one"}], "train")
    with pytest.raises(RecipeError, match=r"task\.source_language is needed"):
        Translation().resolve(rows, multilingual("MBartTokenizer"))
    with pytest.raises(RecipeError, match="de_DX"):
        Translation(source_language="de_DX", target_language="en_XX").resolve(rows, multilingual("MBartTokenizer"))


def made_run(checkpoint, tmp_path, architecture: str, tuning=None, **fields):
    recipe = Recipe(
        name="copies",
        task=Summarization(source="source", target="target", **fields),
        data=Data.rows(copies(24), validation=copies(12, seed=1)),
        model=checkpoint(architecture),
        training=Training(steps=2, batch_size=8, precision="fp32"),
        **({"tuning": tuning} if tuning else {}),
    )
    return run(recipe, tmp_path / "runs", certified=False)


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_the_saved_model_writes_by_itself_as_the_recipe_says(checkpoint, tmp_path, architecture):
    from transformers import AutoTokenizer

    result = made_run(checkpoint, tmp_path, architecture, generation=Generation(num_beams=2))
    folder = result.directory / "model"
    import transformers

    model = getattr(transformers, result.report["auto_class"]).from_pretrained(folder)
    assert model.generation_config.num_beams == 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = result.report["recipe"]["task"]["prompt"].replace("{source}", "one two three")
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    written = model.generate(**inputs)[0]
    written = written[inputs["input_ids"].shape[1] :] if architecture == "gpt2" else written
    assert (
        tokenizer.decode(written, skip_special_tokens=True).strip() == result.predict(["one two three"])[0]["predicted"]
    )


def test_the_card_of_a_doubled_adapter_loads_it(checkpoint, tmp_path):
    from finetune.artefact import card

    result = made_run(checkpoint, tmp_path, "bert", LoRA())
    text = card({**result.report, "certificate": {"holds": False, "reasons": [], "loader": "peft"}})
    code = text.partition("```python")[2].partition("```")[0].replace("FOLDER", repr(str(result.directory / "model")))
    code = code.replace("'TEXT'", "'one two three'").replace("print(", "found.append(")
    found: list[str] = []
    exec(code, {"found": found})
    assert found[0].strip() == result.predict(["one two three"])[0]["predicted"]


def test_only_the_fresh_part_of_an_output_layer_is_trained_beside_an_adapter(checkpoint, tmp_path):
    result = made_run(checkpoint, tmp_path, "bert", LoRA())
    module = load(result.directory).module
    tied = [
        p
        for name, p in module.named_parameters()
        if name.endswith("predictions.modules_to_save.default.decoder.weight")
    ]
    base = [
        p for name, p in module.named_parameters() if name.endswith("decoder.bert.embeddings.word_embeddings.weight")
    ]
    assert len(tied) == len(base) == 1
    assert np.array_equal(tied[0].detach(), base[0].detach())


def test_settings_of_writing_can_be_given_when_predicting(checkpoint, tmp_path):
    predictor = load(made_run(checkpoint, tmp_path, "gpt2").directory)
    longer = predictor.writing("max_new_tokens=7", "min_new_tokens=7")
    assert len(longer(["one two three"])[0]["predicted"].split()) >= len(
        predictor(["one two three"])[0]["predicted"].split()
    )
    sampled = predictor.writing("do_sample=true", "temperature=3.0", "max_new_tokens=9", "min_new_tokens=9")
    texts = {seed: sampled.writing(seed=seed)(["one two three"])[0]["predicted"] for seed in (1, 2, 1)}
    assert texts[1] != texts[2]
    assert sampled.writing(seed=1)(["one two three"])[0]["predicted"] == texts[1]


def test_a_model_that_writes_nothing_has_no_settings_of_writing(checkpoint, tmp_path):
    from tests.support.cases import recipe

    predictor = load(run(recipe("classification", "bert", checkpoint("bert")), tmp_path, certified=False).directory)
    with pytest.raises(RecipeError, match="writes no texts: its task is classification"):
        predictor.writing("temperature=0.5")


def test_scoring_costs_what_is_written_with_every_beam():
    made, _ = resolved(SUMMARY.model_copy(update={"generation": Generation(num_beams=3, max_new_tokens=10)}), "bert")
    assert made.cost(np.array([5, 8])).tolist() == [45, 54]


def test_the_checkpoint_of_a_run_continues_as_an_encoder_decoder(checkpoint, tmp_path, caplog):
    first = made_run(checkpoint, tmp_path, "bert")
    caplog.set_level(logging.ERROR)
    again = Recipe(
        name="again",
        task=SUMMARY,
        data=Data.rows(copies(24), validation=copies(12, seed=1)),
        model=str(first.directory / "model"),
        training=Training(steps=1, batch_size=8, precision="fp32"),
    )
    result = run(again, tmp_path / "runs")
    assert result.complete
    assert result.report["recipe"]["task"]["special"]["start"] == tiny.CLS


def test_padding_is_never_written_unless_it_ends_a_text():
    import torch

    from finetune.generation.restrictions import restrict

    scores, written = torch.zeros(1, 4), torch.zeros(1, 0, dtype=torch.long)
    apart = restrict(scores, written, Generation(), Special(pad=3, ends=(1,)))
    assert apart.tolist() == [[0, 0, 0, float("-inf")]]
    assert torch.equal(restrict(scores, written, Generation(), Special(pad=1, ends=(1,))), scores)


def test_a_diverged_model_writes_nothing(checkpoint, tmp_path):
    predictor = load(made_run(checkpoint, tmp_path, "gpt2").directory)
    next(predictor.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(RunError, match="training has diverged"):
        predictor(["one two"])
