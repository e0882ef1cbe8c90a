"""Architectures without a checkpoint, and tokenizers trained on the rows of a run."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune import (
    Classification,
    Data,
    Full,
    LoRA,
    Model,
    ModelError,
    Recipe,
    RecipeError,
    TrainedTokenizer,
    Training,
    load,
    run,
    vocabulary,
)
from finetune.data.sources.rows import as_rows
from finetune.driver import Watcher
from finetune.pretrained import open_checkpoint, positions, token_limit, tokenizer_of
from finetune.recipe import load_recipe
from finetune.statistics import resampling
from tests.support.launch import ROOT
from tests.support.rows import reviews

TICKETS = ROOT / "recipes" / "data" / "support_tickets.csv"
SPECIAL, BYTES, SIZE, POSITIONS = 4, 256, 300, 40
TOKENIZER = TrainedTokenizer(vocabulary=SIZE)
ONE_LAYER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": POSITIONS,
}
ONE_LAYER_EACH = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": POSITIONS,
}
ENCODERS = {"bert": ONE_LAYER, "roberta": ONE_LAYER, "modernbert": ONE_LAYER}
DECODERS = {"gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": POSITIONS}, "llama": ONE_LAYER}
BOTH = {
    "bart": ONE_LAYER_EACH,
    "marian": ONE_LAYER_EACH,
    "pegasus": ONE_LAYER_EACH,
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2},
    "encoder-decoder": {"encoder": {"model_type": "bert", **ONE_LAYER}, "decoder": {"model_type": "bert", **ONE_LAYER}},
}
CONFIGS = {**ENCODERS, **DECODERS, **BOTH}
AUTO = {
    **dict.fromkeys(ENCODERS, "AutoModelForMaskedLM"),
    **dict.fromkeys(DECODERS, "AutoModelForCausalLM"),
    **dict.fromkeys(BOTH, "AutoModelForSeq2SeqLM"),
}


def from_nothing(kind: str, **fields) -> Model:
    usual = {"initialize": "random", "config": CONFIGS.get(kind, {}), "tokenizer": TOKENIZER}
    return Model(path=f"architecture:{kind}", **{**usual, **fields})


def opened(model: Model, rows=None, columns=("text",)):
    return open_checkpoint(model, as_rows(rows or reviews(200), "reviews"), columns)


def with_rows(rows, settings: TrainedTokenizer = TOKENIZER, columns=("text",)):
    return opened(from_nothing("gpt2", tokenizer=settings), rows, columns).tokenizer


def recipe(model, **fields) -> Recipe:
    usual = {"task": Classification(), "data": Data.rows(reviews(24), validation=reviews(12, seed=1))}
    return Recipe(name="nothing", model=model, **{**usual, **fields})


@pytest.fixture(scope="module")
def byte_tokenizer():
    return with_rows(reviews(50))


# What a recipe says


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(path="architecture:bert", tokenizer=TOKENIZER), "has no weights: model.initialize=random is needed"),
        (Model(path="architecture:bert", initialize="random"), "train one with model.tokenizer={vocabulary: 8000}"),
        (from_nothing("bert", revision="main"), "leave model.revision out"),
        (Model(path="a", config={"d_model": 8}), "model.config would change .* model.initialize=random is needed"),
        (Model(path="a", tokenizer=TOKENIZER), "to train another, model.initialize=random is needed"),
    ],
)
def test_a_model_whose_fields_contradict_each_other_is_refused_with_the_remedy(model, message):
    with pytest.raises(RecipeError, match=message):
        recipe(model)


def test_everything_that_contradicts_is_said_at_once():
    with pytest.raises(RecipeError, match=r"no weights: .*no tokenizer: "):
        recipe("architecture:bert")


def test_a_model_from_nothing_needs_full_tuning():
    with pytest.raises(RecipeError, match="needs tuning=full"):
        recipe(from_nothing("bert"), tuning=LoRA())


def test_fewer_tokens_than_bytes_are_refused():
    with pytest.raises(RecipeError, match=r"vocabulary = 259: should be greater than or equal to 260"):
        TrainedTokenizer(vocabulary=SPECIAL + BYTES - 1)


def test_a_recipe_from_nothing_comes_back_from_json_as_it_was():
    made = recipe(from_nothing("bart", config={"d_model": 8, "dropout": 0.1, "activation_function": "relu", "x": None}))
    assert Recipe.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_file_describes_a_model_from_nothing(tmp_path, suffix):
    made = recipe(from_nothing("bart"), data=Data.files(train=str(TICKETS)))
    text = json.dumps(made.to_json()) if suffix == "json" else yaml.safe_dump(made.to_json())
    (tmp_path / f"recipe.{suffix}").write_text(text, "utf-8")
    assert load_recipe(str(tmp_path / f"recipe.{suffix}")) == made


def test_the_command_line_turns_a_recipe_into_one_from_nothing():
    changed = recipe("some/model").override(
        "model=architecture:bart",
        "model.initialize=random",
        "model.tokenizer={vocabulary: 900, lowercase: true}",
        "model.config={d_model: 64, dropout: 1e-1, use_cache: False, activation_function: relu, forced: null}",
    )
    config = {"d_model": 64, "dropout": 0.1, "use_cache": False, "activation_function": "relu", "forced": None}
    tokenizer = TrainedTokenizer(vocabulary=900, lowercase=True)
    assert changed.model == from_nothing("bart", config=config, tokenizer=tokenizer)


def test_the_command_line_changes_one_field_of_a_trained_tokenizer():
    changed = recipe(from_nothing("bart")).override("model.tokenizer.minimum=5")
    assert changed.model.tokenizer == TrainedTokenizer(vocabulary=SIZE, minimum=5)


def test_the_command_line_takes_a_tokenizer_from_a_folder_instead():
    assert recipe(from_nothing("bart")).override("model.tokenizer=some/folder").model.tokenizer == "some/folder"


def test_a_size_is_changed_beside_the_others():
    made = recipe(from_nothing("bart"))
    assert len(made.model.config) > 1
    assert made.override("model.config.d_model=48").model.config == {**made.model.config, "d_model": 48}


def test_settings_of_a_tokenizer_that_cannot_be_read_are_refused():
    with pytest.raises(RecipeError, match=r"settings of a tokenizer are needed, as \{vocabulary: 8000\}"):
        recipe("some/model").override("model.tokenizer={vocabulary: 900")


# Configurations


def test_an_unknown_architecture_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match=r"no architecture 'pegasos'\. Did you mean 'pegasus'"):
        opened(from_nothing("pegasos"))


def test_an_architecture_that_reads_no_texts_is_refused():
    with pytest.raises(ModelError, match="'vit' has no vocabulary"):
        opened(from_nothing("vit"))


@pytest.mark.parametrize("name", ["d_modle", "id2label"])
def test_an_unknown_field_of_the_configuration_is_refused(name):
    with pytest.raises(RecipeError, match=f"unknown field 'model.config.{name}'"):
        opened(from_nothing("bart", config={name: 8}))


def test_an_unknown_field_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"Did you mean 'model\.config\.d_model'"):
        opened(from_nothing("bart", config={"d_modle": 8}))


def test_an_unknown_field_of_one_half_is_refused():
    config = {"encoder": {"model_type": "bert", "hiden_size": 8}}
    with pytest.raises(RecipeError, match=r"Did you mean 'model\.config\.encoder\.hidden_size'"):
        opened(from_nothing("encoder-decoder", config=config))


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("bart", {"d_model": "big"}, "does not fit architecture:bart: Field 'd_model' with value 'big'"),
        ("llama", {"num_attention_heads": 0}, "does not fit architecture:llama: .*zero"),
        ("qwen3", {"num_attention_heads": 2}, "num_key_value_heads = 32 must divide num_attention_heads = 2"),
    ],
)
def test_a_value_that_the_configuration_does_not_take_is_refused(kind, config, message):
    with pytest.raises(RecipeError, match=message):
        opened(from_nothing(kind, config=config))


def test_a_field_may_have_the_name_that_all_architectures_share():
    assert opened(from_nothing("bart", config={"hidden_size": 48})).config.d_model == 48


def test_the_recipe_decides_on_ids_and_sizes_that_it_names():
    config = opened(from_nothing("bart", config={"vocab_size": 512, "decoder_start_token_id": 2})).config
    assert (config.vocab_size, config.decoder_start_token_id, config.pad_token_id) == (512, 2, 0)


def test_the_recipe_decides_on_the_size_of_one_half():
    config = {"encoder": {"model_type": "bert", **ONE_LAYER, "vocab_size": 512}}
    found = opened(from_nothing("encoder-decoder", config=config)).config
    assert (found.encoder.vocab_size, found.decoder.vocab_size) == (512, SIZE)


def test_a_vocabulary_larger_than_the_model_is_refused():
    with pytest.raises(ModelError, match=f"has {SIZE} tokens, the model only 280"):
        opened(from_nothing("bart", config={"vocab_size": 280}))


def test_the_decoder_of_two_halves_looks_at_the_encoder():
    decoder = opened(from_nothing("encoder-decoder")).config.decoder
    assert (decoder.is_decoder, decoder.add_cross_attention) == (True, True)


def test_changes_apply_to_the_configuration_of_a_checkpoint(tiny_bert):
    found = opened(Model(path=tiny_bert, initialize="random", config={"num_hidden_layers": 5}))
    assert (found.config.num_hidden_layers, found.config.hidden_size) == (5, 16)


def test_changes_reach_one_half_of_a_checkpoint(tmp_path):
    opened(from_nothing("encoder-decoder")).config.save_pretrained(tmp_path)
    opened(from_nothing("encoder-decoder")).tokenizer.save_pretrained(tmp_path)
    config = {"encoder": {"num_hidden_layers": 5}}
    found = opened(Model(path=str(tmp_path), initialize="random", config=config)).config
    assert (found.encoder.num_hidden_layers, found.decoder.num_hidden_layers) == (5, 1)


def test_changes_that_contradict_the_configuration_of_a_checkpoint_are_refused(checkpoint):
    model = Model(path=checkpoint("modernbert"), initialize="random", config={"num_hidden_layers": 5})
    with pytest.raises(RecipeError, match=r"does not fit .*`num_hidden_layers` \(5\) must be equal"):
        opened(model)


def test_a_checkpoint_lends_its_architecture_to_a_trained_tokenizer(tiny_bert):
    found = opened(Model(path=tiny_bert, initialize="random", tokenizer=TOKENIZER))
    assert (found.config.vocab_size, len(found.tokenizer), found.config.hidden_size) == (SIZE, SIZE, 16)


def test_an_architecture_takes_the_tokenizer_of_a_folder(tiny_bert):
    found = opened(from_nothing("bart", tokenizer=tiny_bert))
    assert found.config.vocab_size == len(found.tokenizer) < SIZE
    assert found.config.decoder_start_token_id == found.tokenizer.cls_token_id


def test_halves_of_two_sizes_must_both_know_the_tokenizer(tmp_path):
    from transformers import AutoConfig

    small, large = ({"model_type": "bert", **ONE_LAYER, "vocab_size": size} for size in (280, 400))
    AutoConfig.for_model("encoder-decoder", encoder=large, decoder=small).save_pretrained(tmp_path)
    opened(from_nothing("bert")).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"has {SIZE} tokens, the model only 280"):
        opened(Model(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("kind", "most"), [("bert", POSITIONS), ("roberta", POSITIONS - 1), ("encoder-decoder", POSITIONS), ("t5", None)]
)
def test_positions_are_those_of_what_a_model_reads(kind, most):
    assert positions(opened(from_nothing(kind)).config) == most


@pytest.mark.parametrize("kind", ["mt5", "umt5", "longt5", "xlnet"])
def test_relative_positions_set_no_limit(kind):
    from transformers import AutoConfig

    assert positions(AutoConfig.for_model(kind)) is None


def test_texts_are_cut_at_the_positions_of_the_architecture():
    assert token_limit(Classification(), Full(), opened(from_nothing("bert")).config) == POSITIONS


# What names a run


def test_the_digest_follows_the_configuration():
    digests = {opened(from_nothing("bert", config={**ONE_LAYER, "hidden_size": size})).digest for size in (16, 16, 32)}
    assert len(digests) == 2


def test_the_digest_of_a_checkpoint_follows_the_changes(tiny_bert):
    changes = ({}, {"num_hidden_layers": 1}, {"num_hidden_layers": 3})
    assert len({opened(Model(path=tiny_bert, initialize="random", config=config)).digest for config in changes}) == 3


def test_a_field_that_is_named_with_its_usual_value_changes_no_digest():
    named = from_nothing("bert", config={**ONE_LAYER, "hidden_act": "gelu"})
    assert opened(named).digest == opened(from_nothing("bert")).digest


def test_the_place_of_a_checkpoint_decides_nothing(checkpoint, tmp_path):
    from transformers import AutoConfig

    AutoConfig.from_pretrained(checkpoint("bert")).save_pretrained(tmp_path)
    models = [Model(path=str(p), initialize="random", tokenizer=TOKENIZER) for p in (checkpoint("bert"), tmp_path)]
    assert opened(models[0]).digest == opened(models[1]).digest


def test_the_digest_of_a_tokenizer_follows_the_rows():
    digests = {opened(from_nothing("bert"), reviews(50, seed)).tokenizer_digest for seed in (0, 0, 1)}
    assert len(digests) == 2


# Tokenizers


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_has_the_size_and_the_ids_of_the_tokenizer(kind):
    found = opened(from_nothing(kind))
    for part in vocabulary.halves(found.config).values() or [found.config]:
        assert part.vocab_size == len(found.tokenizer) == SIZE
        assert (part.pad_token_id, part.eos_token_id) == (0, 2)
    wrong = {
        name: value
        for name, value in found.config.to_dict().items()
        if name.endswith("_token_id") and value is not None and not 0 <= value < SPECIAL
    }
    assert wrong == {}


@pytest.mark.parametrize(("kind", "start"), [("bart", "<s>"), ("marian", "<s>"), ("pegasus", "<s>"), ("t5", "<pad>")])
def test_a_decoder_starts_with_a_token_of_its_own(kind, start):
    found = opened(from_nothing(kind))
    assert found.config.decoder_start_token_id == found.tokenizer.convert_tokens_to_ids(start)


@pytest.mark.parametrize("kind", ["bart", "marian", "pegasus"])
def test_no_token_is_forced_on_what_is_written(kind):
    assert opened(from_nothing(kind)).config.forced_eos_token_id is None


@pytest.mark.parametrize("size", [SIZE, 512])
def test_marian_has_one_size_for_both_sides(size):
    config = opened(from_nothing("marian", config={} if size == SIZE else {"vocab_size": size})).config
    assert config.decoder_vocab_size == config.vocab_size == size


@pytest.mark.parametrize(
    ("kinds", "single", "pair"),
    [
        (ENCODERS, "<s>ab</s>", "<s>ab</s>cd</s>"),
        (BOTH, "ab</s>", "ab</s>cd</s>"),
        (DECODERS, "ab", "abcd"),
    ],
)
def test_what_stands_around_texts_follows_the_architecture(kinds, single, pair):
    for kind in kinds:
        tokenizer = opened(from_nothing(kind)).tokenizer
        assert tokenizer.decode(tokenizer("ab")["input_ids"]) == single
        assert tokenizer.decode(tokenizer("ab", "cd")["input_ids"]) == pair


def test_only_encoders_have_tokens_that_classify_and_separate():
    found = {kind: opened(from_nothing(kind)).tokenizer for kind in ("bert", "gpt2", "bart")}
    names = {kind: (tokenizer.cls_token, tokenizer.sep_token) for kind, tokenizer in found.items()}
    assert names == {"bert": ("<s>", "</s>"), "gpt2": (None, None), "bart": (None, None)}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_from_nothing_learns_and_comes_back_as_it_was_saved(kind, tmp_path):
    import torch
    import transformers

    found, auto = opened(from_nothing(kind)), getattr(transformers, AUTO[kind])
    torch.manual_seed(0)
    module = auto.from_config(found.config)
    texts = ["the film is good", "a dull and slow plot"]
    batch = found.tokenizer(texts, return_tensors="pt", padding=True)
    batch["labels"] = batch["input_ids"]
    module(**batch).loss.backward()
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
    module.save_pretrained(tmp_path)
    found.tokenizer.save_pretrained(tmp_path)
    tokenizer, digest = tokenizer_of(str(tmp_path), local=True)
    assert digest == found.tokenizer_digest
    assert tokenizer.special_tokens_map == found.tokenizer.special_tokens_map
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("right", found.tokenizer.model_max_length)
    again = tokenizer(texts, return_tensors="pt", padding=True)
    again["labels"] = again["input_ids"]
    assert list(again) == ["input_ids", "attention_mask", "labels"]
    loaded = auto.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(module.eval()(**batch).logits, loaded.eval()(**again).logits)
    ids = {name: value for name, value in found.config.to_dict().items() if name.endswith("_token_id")}
    assert {name: getattr(loaded.config, name) for name in ids} == ids


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
def test_a_tokenizer_knows_the_longest_text_of_its_model(kind):
    found = opened(from_nothing(kind))
    assert found.tokenizer.model_max_length == positions(found.config)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(byte_tokenizer, text):
    assert byte_tokenizer.decode(byte_tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("text", [" a  b ", "a .b , isn 't", "tab\tline\n\n", "a </s> b<mask>", "漢字 Grüße 🎉"])
def test_spaces_signs_and_special_tokens_come_back(byte_tokenizer, text):
    assert byte_tokenizer.decode(byte_tokenizer(text)["input_ids"]) == text


def test_characters_of_a_token_leave_out_the_space_before_it(byte_tokenizer):
    offsets = byte_tokenizer("the film", return_offsets_mapping=True)["offset_mapping"]
    assert all(start < end and " " not in "the film"[start:end] for start, end in offsets)


def test_capitals_are_made_small_where_asked():
    tokenizer = with_rows(reviews(50), TrainedTokenizer(vocabulary=SIZE, lowercase=True))
    assert tokenizer.decode(tokenizer("The FILM </s>")["input_ids"]) == "the film </s>"


def test_a_frequent_word_becomes_one_token():
    assert with_rows([{"text": "zebra"}] * 20).tokenize("zebra") == ["zebra"]


@pytest.mark.parametrize(("minimum", "tokens"), [(20, 1), (21, 5)])
def test_a_rare_pair_stays_two_tokens(minimum, tokens):
    tokenizer = with_rows([{"text": "zebra"}] * 20, TrainedTokenizer(vocabulary=SIZE, minimum=minimum))
    assert len(tokenizer.tokenize("zebra")) == tokens


def test_a_tokenizer_learns_from_the_named_columns_only():
    rows = [{"text": "zebra", "other": "yacht"}] * 20
    found = {columns: with_rows(rows, columns=columns) for columns in (("text",), ("other",), ("text", "other"))}
    known = {columns: (len(t.tokenize("zebra")), len(t.tokenize("yacht"))) for columns, t in found.items()}
    assert known == {("text",): (1, 5), ("other",): (5, 1), ("text", "other"): (1, 1)}


def test_a_column_that_is_read_and_written_counts_once():
    settings = TrainedTokenizer(vocabulary=SIZE, minimum=21)
    assert len(with_rows([{"text": "zebra"}] * 20, settings, ("text", "text")).tokenize("zebra")) == 5


def test_lists_of_texts_are_learned_from_and_other_values_passed_over():
    rows = [{"lists": ["zebra", "yacht"], "number": 3, "more": [1, 2], "none": None}] * 20
    tokenizer = with_rows(rows, columns=("lists", "number", "more", "none"))
    assert tokenizer.tokenize("zebrayacht") == ["zebra", "yacht"]


def test_a_run_learns_from_the_inputs_and_targets_of_its_task(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "finetune.preparation.open_checkpoint", lambda model, rows, columns: asked.append((rows, columns)) or 1 / 0
    )
    from finetune.preparation import prepare

    with pytest.raises(ZeroDivisionError):
        prepare(recipe(from_nothing("bert")), "cpu")
    ((rows, columns),) = asked
    assert (rows.split, len(rows), columns) == ("train", 24, ["text", "label"])


def test_too_little_text_gives_fewer_tokens_and_says_so(caplog):
    tokenizer = with_rows(reviews(20), TrainedTokenizer(vocabulary=5000))
    assert SPECIAL + BYTES < len(tokenizer) < 5000
    assert f"The tokenizer has {len(tokenizer)} tokens, not 5000" in caplog.text


def test_enough_text_is_not_remarked_on(caplog):
    with_rows(reviews(200))
    assert caplog.text == ""


def test_a_tokenizer_is_trained_once(monkeypatch, tmp_path):
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path))
    before = with_rows(reviews(30))
    monkeypatch.setattr(vocabulary, "_train", lambda *_: pytest.fail("it was trained again"))
    assert with_rows(reviews(30)).backend_tokenizer.to_str() == before.backend_tokenizer.to_str()


@pytest.mark.parametrize(
    ("rows", "settings", "columns"),
    [
        (reviews(31), TOKENIZER, ("text",)),
        (reviews(30), TrainedTokenizer(vocabulary=SIZE, minimum=3), ("text",)),
        (reviews(30), TOKENIZER, ("text", "label")),
    ],
    ids=["rows", "settings", "columns"],
)
def test_other_rows_settings_or_columns_are_trained_on_anew(monkeypatch, tmp_path, rows, settings, columns):
    monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path))
    with_rows(reviews(30))
    trained = []
    train = vocabulary._train
    monkeypatch.setattr(vocabulary, "_train", lambda *given: trained.append(given) or train(*given))
    with_rows(rows, settings, columns)
    assert len(trained) == 1


PRINT_TOKENIZER = """
import csv, hashlib, sys
from finetune import TrainedTokenizer, vocabulary
from finetune.data.sources.rows import as_rows
rows = as_rows(list(csv.DictReader(open(sys.argv[1], encoding="utf-8"))), "tickets")
tokenizer = vocabulary.trained(TrainedTokenizer(vocabulary=900), "encoder", rows, ["message"])
print(hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(), len(tokenizer))
"""


def test_another_process_makes_the_same_tokenizer(tmp_path):
    found = []
    for number, threads in (("1", "false"), ("2", "true")):
        own = {"PYTHONHASHSEED": number, "TOKENIZERS_PARALLELISM": threads, "FINETUNE_CACHE": str(tmp_path / number)}
        environment = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PRINT_TOKENIZER, str(TICKETS)]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1]
    assert found[0].split()[1] == "900"


# A run


class Breaking(Watcher):
    """Breaks off after a step, with nothing written but what is there."""

    def stepped(self, step):
        if step.number == 5:
            raise RuntimeError("broken off")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A run in one go, and one that broke off in the middle and went on without its cache, then confirmed."""
    folder = tmp_path_factory.mktemp("nothing")
    made = Recipe(
        name="tickets",
        task=Classification(text="message", label="queue", score=("accuracy",)),
        data=Data.files(train=str(TICKETS), holdout=0.3),
        model=from_nothing("bert", config={**ONE_LAYER, "max_position_embeddings": 128}),
        tuning=Full(learning_rate=1e-3),
        training=Training(steps=10, batch_size=8, save_every=3, evaluate_every=10, precision="fp32"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling.bootstrap, "__defaults__", (20, *resampling.bootstrap.__defaults__[1:]))
        whole = run(made, folder / "whole", certified=False)
        with pytest.raises(RuntimeError, match="broken off"):
            run(made, folder / "broken", Breaking(), certified=False)
        patch.setenv("FINETUNE_CACHE", str(folder / "cache"))
        (name,) = (folder / "broken").glob("*/*")
        return whole, run(load_recipe(str(name)), folder / "broken")


def test_a_run_from_nothing_is_confirmed_by_a_fresh_process(outcome):
    assert outcome[1].complete


def test_a_run_from_nothing_goes_on_exactly(outcome):
    whole, resumed = outcome
    files = ("metrics.jsonl", "predictions.jsonl", "model/model.safetensors", "model/tokenizer.json")
    assert [
        name for name in files if (whole.directory / name).read_bytes() != (resumed.directory / name).read_bytes()
    ] == []


def test_a_run_from_nothing_predicts_without_training_its_tokenizer_again(outcome, monkeypatch):
    monkeypatch.setattr(vocabulary, "trained", lambda *_: pytest.fail("it was trained again"))
    assert set(load(outcome[1].directory)(["Where is my parcel?"])[0]) >= {"predicted", "probability"}


def test_the_report_names_the_architecture(outcome):
    report = outcome[1].report
    assert (report["recipe"]["model"]["path"], report["revisions"]["model"]) == ("architecture:bert", None)
    assert "with architecture:bert" in (outcome[1].directory / "model" / "README.md").read_text("utf-8")
