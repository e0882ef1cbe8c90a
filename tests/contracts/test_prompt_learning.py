"""Virtual tokens: where they fit, that they are learned, that they disturb neither padding nor lengths nor writing."""

import pytest
import torch

from finetune import run
from finetune.errors import RecipeError
from finetune.model import auto_class
from finetune.predict import load
from finetune.preparation import prepare
from finetune.pretrained import positions
from finetune.tuning.p_tuning import PTuning
from finetune.tuning.prefix import Prefix
from finetune.tuning.prompt import Prompt
from finetune.tuning.prompt_learning import SCALED_LATER
from tests.support import tiny
from tests.support.cases import recipe

READERS = ("bert", "roberta", "electra")
NO_PREFIX = ("distilbert", "deberta-v2", "modernbert", "albert", "xlnet")
ENCODERS = (*READERS, "distilbert", "deberta-v2", "modernbert", "albert")
WRITERS = {"summarization": ("gpt2", "llama", "t5", "bart")}
PREFIX = {
    "classification": (*READERS, *tiny.DECODERS),
    "token_classification": (*READERS, *tiny.DECODERS),
    "question_answering": (*READERS, *tiny.DECODERS),
    "language_modeling": tiny.DECODERS,
    "language_modeling: masked": READERS,
    **WRITERS,
}
EMBEDDED = {
    "classification": ENCODERS,
    "token_classification": (*ENCODERS, *tiny.DECODERS),
    "question_answering": (*ENCODERS, *tiny.DECODERS),
    "language_modeling": tiny.DECODERS,
    "language_modeling: masked": ENCODERS,
    **WRITERS,
}
METHODS = {
    "prefix": Prefix(tokens=4),
    "prefix through a network": Prefix(tokens=4, reparametrize=True, hidden_size=8),
    "prompt": Prompt(tokens=4),
    "p_tuning": PTuning(tokens=4),
    "p_tuning through an LSTM": PTuning(tokens=4, encoder="lstm", hidden_size=8),
}
EVERYWHERE = [
    *[("prefix", case, architecture) for case, fitting in PREFIX.items() for architecture in fitting],
    *[("prompt", case, architecture) for case, fitting in EMBEDDED.items() for architecture in fitting],
]
SOMEWHERE = [
    (method, case, architecture)
    for method in METHODS
    for case, architecture in (
        ("token_classification", "bert"),
        ("question_answering", "gpt2"),
        ("language_modeling: masked", "roberta"),
        ("summarization", "t5"),
        ("summarization", "llama"),
    )
]
ALL = [*dict.fromkeys([*EVERYWHERE, *SOMEWHERE])]


def ready(method, case, architecture, path, *changes):
    """A recipe before training, and its model with every number drawn anew, so that all parts of it matter."""
    prepared = prepare(recipe(case, architecture, path, METHODS[method]).override(*changes), "cpu")
    module = prepared.build().module.double().eval()
    torch.manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return prepared, module


def longest_and_shortest(prepared, mode):
    features = prepared.encoder.features(prepared.splits["train"], mode)
    ranked = features.lengths.argsort(kind="stable").tolist()
    assert features.lengths[ranked[0]] < features.lengths[ranked[-1]]
    return features, ranked[-1], ranked[0]


def scores(module, batch):
    with torch.inference_mode():
        return {name: value for name, value in module(**batch.inputs).items() if name.endswith("logits")}


def mode_of(case):
    return "train" if case == "summarization" else "score"


@pytest.mark.parametrize(("method", "case", "architecture"), ALL)
def test_a_row_alone_is_what_it_is_beside_a_longer_one(checkpoint, method, case, architecture):
    prepared, module = ready(method, case, architecture, checkpoint(architecture))
    mode = mode_of(case)
    features, long, short = longest_and_shortest(prepared, mode)
    alone = scores(module, prepared.encoder.batch(features, [short], mode))
    beside = scores(module, prepared.encoder.batch(features, [short, long], mode))
    for name, value in alone.items():
        same = beside[name][0][tuple(slice(0, size) for size in value[0].shape)]
        assert torch.allclose(same, value[0], rtol=1e-5, atol=1e-5), name


@pytest.mark.parametrize(("method", "case", "architecture"), ALL)
def test_virtual_tokens_change_the_scores(checkpoint, method, case, architecture):
    prepared, module = ready(method, case, architecture, checkpoint(architecture))
    features, long, _ = longest_and_shortest(prepared, mode_of(case))
    batch = prepared.encoder.batch(features, [long], mode_of(case))
    with_them = scores(module, batch)
    without = scores(module.get_base_model(), batch)
    for name, value in with_them.items():
        assert value.shape == without[name].shape
        assert not torch.allclose(value, without[name], atol=1e-3), name


@pytest.mark.parametrize(("method", "case", "architecture"), SOMEWHERE)
def test_every_number_of_the_virtual_tokens_is_learned(checkpoint, method, case, architecture):
    prepared = prepare(recipe(case, architecture, checkpoint(architecture), METHODS[method]), "cpu")
    module = prepared.build().module
    features, long, short = longest_and_shortest(prepared, "train")
    batch = prepared.encoder.batch(features, [short, long], "train")
    prepared.recipe.task.loss(module(**batch.inputs), batch)[0].backward()
    learned = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
    assert any("prompt_encoder" in name for name in learned)
    for name, gradient in learned.items():
        rows = gradient.abs().flatten(1).sum(1) if "embedding" in name else gradient.abs().sum()
        assert bool((rows > 0).all()), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", WRITERS["summarization"])
def test_what_is_written_beside_others_is_what_is_likeliest_alone(checkpoint, method, architecture):
    prepared, module = ready(method, "summarization", architecture, checkpoint(architecture))
    features, long, short = longest_and_shortest(prepared, "score")
    task = prepared.recipe.task
    batch = prepared.encoder.batch(features, [short, long], "score")
    with torch.inference_mode():
        texts = task.predict(module, batch)
    for index, (tokens, _) in zip([short, long], texts, strict=True):
        prompt = features.take([index])[0]["input_ids"]
        assert tokens
        alone = {"input_ids": torch.tensor([prompt + tokens] if task.writer == "decoder" else [prompt])}
        if task.writer != "decoder":
            begun = [token for token in (task.special.start, task.special.forced) if token is not None]
            alone["decoder_input_ids"] = torch.tensor([[*begun, *tokens]])
        with torch.no_grad():
            logits = module(**alone, attention_mask=torch.ones_like(alone["input_ids"])).logits[0].clone()
        if task.special.pad not in task.special.ends:
            logits[:, task.special.pad] = float("-inf")
        first = len(prompt if task.writer == "decoder" else begun) - 1
        assert logits[first : first + len(tokens)].argmax(-1).tolist() == tokens


@pytest.mark.parametrize(("method", "case", "architecture"), SOMEWHERE)
def test_what_is_loaded_answers_as_what_was_saved(checkpoint, tmp_path, method, case, architecture):
    prepared = prepare(recipe(case, architecture, checkpoint(architecture), METHODS[method]), "cpu")
    module = prepared.build().module.eval()
    torch.manual_seed(1)
    for parameter in (p for p in module.parameters() if p.requires_grad):
        torch.nn.init.normal_(parameter, std=0.3)
    tuning = prepared.recipe.tuning
    tuning.save(module, tmp_path)
    loaded = tuning.load(tmp_path, auto_class(prepared.head)).eval()
    features, long, short = longest_and_shortest(prepared, mode_of(case))
    batch = prepared.encoder.batch(features, [short, long], mode_of(case))
    after = scores(loaded, batch)
    for name, value in scores(module, batch).items():
        if "through" in method:  # saved is what the network computes for one row, with gradients
            assert torch.allclose(after[name], value, atol=1e-5)
        else:
            assert torch.equal(after[name], value), name


@pytest.mark.parametrize("method", ["prefix", "prompt"])
def test_a_fresh_process_finds_the_same_model(tiny_bert, tmp_path, method):
    report = run(recipe("token_classification", "bert", tiny_bert, METHODS[method]), tmp_path).report
    assert report["certificate"]["holds"]
    assert report["certificate"]["loader"] == "peft"


def test_what_peft_alone_does_otherwise_is_said(tiny_bert, tmp_path):
    from peft import AutoPeftModelForTokenClassification

    prepared = prepare(recipe("token_classification", "bert", tiny_bert, Prompt(tokens=4)), "cpu")
    tuning = prepared.recipe.tuning
    tuning.save(prepared.build().module, tmp_path)
    alone = AutoPeftModelForTokenClassification.from_pretrained(tmp_path, num_labels=len(prepared.recipe.task.names))
    logits = alone(input_ids=torch.tensor([[5, 6, 7]])).logits
    ours = tuning.load(tmp_path, auto_class(prepared.head))(input_ids=torch.tensor([[5, 6, 7]])).logits
    assert torch.equal(logits[:, 4:], ours)
    assert "leave out as many scores" in tuning.note


@pytest.mark.parametrize("method", ["prefix", "prompt"])
@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2"])
def test_the_longest_text_that_is_let_in_fills_all_positions(checkpoint, method, architecture):
    path = checkpoint(architecture)
    prepared, module = ready(method, "token_classification", architecture, path, "task.max_length=none")
    limit = prepared.encoder.limit
    assert limit == positions(prepared.checkpoint.config) - 4
    words = torch.full((1, limit + 1), 7)
    module(input_ids=words[:, :limit], attention_mask=torch.ones(1, limit))
    with pytest.raises((RuntimeError, IndexError)):
        module(input_ids=words, attention_mask=torch.ones(1, limit + 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_forward_pass_in_bf16_works(tiny_bert, method):
    made = recipe("classification", "bert", tiny_bert, METHODS[method])
    prepared = prepare(made, "cpu")
    module = prepared.build().module.eval()
    features, long, short = longest_and_shortest(prepared, "train")
    batch = prepared.encoder.batch(features, [short, long], "train")
    with torch.autocast("cpu", torch.bfloat16):
        low = module(**batch.inputs).logits
    assert low.dtype == torch.bfloat16
    assert torch.allclose(low.float(), module(**batch.inputs).logits, atol=0.05)


def configured(tmp_path, architecture, **changes):
    """A tiny checkpoint with other measures than the usual."""
    from transformers import AutoModel

    config = tiny.config(architecture)
    for name, value in changes.items():
        setattr(config, name, value)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny.tokenizer(architecture).save_pretrained(tmp_path)
    return str(tmp_path)


ODD = {
    "heads wider than the hidden states": ("t5", {"d_kv": 12}),
    "fewer layers that read than write": ("bart", {"encoder_layers": 1, "num_hidden_layers": 1}),
    "other heads where it writes": ("bart", {"decoder_attention_heads": 4}),
    "narrow embeddings": ("electra", {"embedding_size": 8}),
    "heads shared and wide": ("qwen3", {"head_dim": 12}),
}


@pytest.mark.parametrize("method", ["prefix", "p_tuning"])
@pytest.mark.parametrize("odd", ODD)
def test_a_checkpoint_of_other_measures_fits(tmp_path, method, odd):
    architecture, changes = ODD[odd]
    case = "summarization" if architecture in tiny.BOTH else "classification"
    if method == "p_tuning" and architecture in tiny.DECODERS:
        case = "language_modeling"
    prepared, module = ready(method, case, architecture, configured(tmp_path, architecture, **changes))
    features, long, short = longest_and_shortest(prepared, "train")
    batch = prepared.encoder.batch(features, [short, long], "train")
    prepared.recipe.task.loss(module(**batch.inputs), batch)[0].backward()
    virtual = module.prompt_encoder["default"].embedding.weight
    assert bool((virtual.grad.abs().sum(1) > 0).all())


REFUSED = {
    **{("prefix", "classification", name): "takes no keys and values" for name in NO_PREFIX},
    ("prefix", "summarization", "bert"): "made of two encoders",
    ("prompt", "summarization", "bert"): "made of two encoders",
    ("prompt", "classification", "gpt2"): "classifies at the last token",
    ("prompt", "classification", "llama"): "classifies at the last token",
    ("prompt", "classification", "xlnet"): "padding between virtual tokens and text",
    ("p_tuning", "classification", "bart"): "writing texts alone",
    ("prefix", "classification", "t5"): "writing texts alone",
}


@pytest.mark.parametrize(("method", "case", "architecture"), REFUSED)
def test_what_does_not_fit_is_refused_before_weights_are_loaded(checkpoint, method, case, architecture):
    with pytest.raises(RecipeError, match=REFUSED[method, case, architecture]):
        prepare(recipe(case, architecture, checkpoint(architecture), METHODS[method]), "cpu")


@pytest.fixture
def forced(monkeypatch):
    """A function that builds what would be refused."""
    for kind in (Prefix, Prompt, PTuning):
        monkeypatch.setattr(kind, "refuse", lambda *_: None)
    return ready


@pytest.mark.parametrize("architecture", NO_PREFIX)
def test_no_prefix_would_reach_a_model_that_is_refused_one(checkpoint, forced, architecture):
    with pytest.raises(RecipeError, match=f"virtual tokens do not fit {architecture}: .*past"):
        forced("prefix", "classification", architecture, checkpoint(architecture))


@pytest.mark.parametrize("architecture", tiny.DECODERS)
def test_a_decoder_would_classify_at_padding(checkpoint, forced, architecture):
    prepared, module = forced("prompt", "classification", architecture, checkpoint(architecture))
    features, long, short = longest_and_shortest(prepared, "score")
    alone = scores(module, prepared.encoder.batch(features, [short], "score"))["logits"]
    beside = scores(module, prepared.encoder.batch(features, [short, long], "score"))["logits"]
    assert not torch.allclose(alone[0], beside[0], atol=1e-2)


def test_padding_would_push_virtual_tokens_away_from_a_text_of_xlnet(checkpoint, forced):
    _, module = forced("prompt", "token_classification", "xlnet", checkpoint("xlnet"))
    text, mask = torch.tensor([[0, 0, 7, 8, 9]]), torch.tensor([[0, 0, 1, 1, 1]])
    alone = scores(module, Inputs(input_ids=text[:, 2:], attention_mask=mask[:, 2:]))["logits"]
    beside = scores(module, Inputs(input_ids=text, attention_mask=mask))["logits"]
    assert not torch.allclose(alone[0], beside[0, 2:], atol=1e-4)


@pytest.mark.parametrize("method", ["prefix", "prompt"])
@pytest.mark.parametrize("again", [False, True])
def test_a_model_that_answers_questions_is_told_which_tokens_are_the_question_s(tiny_bert, tmp_path, method, again):
    prepared, module = ready(method, "question_answering", "bert", tiny_bert)
    if again:
        prepared.recipe.tuning.save(module.float(), tmp_path)
        module = prepared.recipe.tuning.load(tmp_path, auto_class(prepared.head)).eval()
        torch.nn.init.normal_(module.get_base_model().bert.embeddings.token_type_embeddings.weight)
    text, mask = torch.tensor([[7, 8, 9, 10]]), torch.ones(1, 4)
    one = scores(module, Inputs(input_ids=text, attention_mask=mask, token_type_ids=torch.tensor([[0, 0, 1, 1]])))
    other = scores(module, Inputs(input_ids=text, attention_mask=mask, token_type_ids=torch.tensor([[0, 1, 1, 1]])))
    none = scores(module, Inputs(input_ids=text, attention_mask=mask))
    zeros = scores(module, Inputs(input_ids=text, attention_mask=mask, token_type_ids=torch.zeros_like(text)))
    assert not torch.allclose(one["start_logits"], other["start_logits"], atol=1e-4)
    assert torch.equal(none["start_logits"], zeros["start_logits"])


class Inputs:
    """What a model gets, as a batch holds it."""

    def __init__(self, **inputs):
        self.inputs = inputs


@pytest.mark.parametrize("kind", SCALED_LATER)
def test_a_model_that_scales_the_embeddings_of_tokens_alone_is_refused(tmp_path, forced, kind):
    from transformers import AutoConfig, AutoModel

    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": tiny.SIZE, "pad_token_id": 0}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
    ends = {"eos_token_id": 3, "decoder_start_token_id": 0, "forced_eos_token_id": 3, "scale_embedding": True}
    config = AutoConfig.for_model(kind, max_position_embeddings=32, **sizes, **heads, **ends)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny.tokenizer("t5").save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="embeddings give other results than the tokens"):
        forced("prompt", "summarization", "t5", str(tmp_path))


@pytest.mark.parametrize("kind", SCALED_LATER)
def test_such_a_model_is_refused_by_its_configuration(kind):
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind, scale_embedding=True)
    refusal = Prompt().refuse("AutoModelForSeq2SeqLM", "SEQ_2_SEQ_LM", config, False)
    assert refusal is not None and "does not scale embeddings" in refusal
    config.scale_embedding = False
    assert Prompt().refuse("AutoModelForSeq2SeqLM", "SEQ_2_SEQ_LM", config, False) is None


def test_a_prefix_and_gradient_checkpointing_are_refused(tiny_bert):
    with pytest.raises(RecipeError, match="leave training"):
        prepare(recipe("classification", "bert", tiny_bert, "prefix", gradient_checkpointing=True), "cpu")


def test_a_prefix_and_gradient_checkpointing_would_fail(tiny_bert, forced):
    made = recipe("classification", "bert", tiny_bert, "prefix", gradient_checkpointing=True)
    with pytest.raises(ValueError, match="gradient checkpointing"):
        prepare(made, "cpu").build()


def test_a_prompt_learns_the_same_with_gradient_checkpointing(tiny_bert):
    gradients = []
    for saving in (False, True):
        made = recipe("classification", "bert", tiny_bert, "prompt", gradient_checkpointing=saving)
        prepared = prepare(made, "cpu")
        module = prepared.build().module.train()
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        features, long, short = longest_and_shortest(prepared, "train")
        batch = prepared.encoder.batch(features, [short, long], "train")
        prepared.recipe.task.loss(module(**batch.inputs), batch)[0].backward()
        gradients.append(next(p.grad for name, p in module.named_parameters() if "prompt_encoder" in name))
    assert torch.allclose(*gradients, atol=1e-6) and bool(gradients[0].abs().sum() > 0)


@pytest.mark.parametrize("method", METHODS)
def test_texts_packed_into_one_row_are_refused_before_any_weight_loads(checkpoint, method):
    made = recipe("language_modeling", "gpt2", checkpoint("gpt2"), METHODS[method]).override("task.packing=true")
    with pytest.raises(RecipeError, match="several texts in one row"):
        prepare(made, "cpu")


@pytest.mark.parametrize("method", METHODS)
def test_virtual_tokens_cannot_be_merged(tiny_bert, method):
    module = prepare(recipe("classification", "bert", tiny_bert, METHODS[method]), "cpu").build().module
    with pytest.raises(RecipeError, match="virtual tokens stand beside the weights"):
        METHODS[method].merge(module)


def embeddings(path, tuning):
    module = prepare(recipe("classification", "bert", path, tuning), "cpu").build().module
    return module.prompt_encoder["default"].embedding.weight.detach(), module.word_embeddings.weight


def test_a_prompt_begins_with_tokens_of_the_vocabulary(tiny_bert):
    found, vocabulary = embeddings(tiny_bert, Prompt(tokens=4))
    assert all(any(torch.equal(row, token) for token in vocabulary) for row in found)


def test_a_prompt_begins_with_the_tokens_of_a_text(tiny_bert):
    found, vocabulary = embeddings(tiny_bert, Prompt(tokens=4, init="text", text="good film"))
    words = tiny.tokenizer("bert").convert_tokens_to_ids(["good", "film"])
    assert torch.equal(found, vocabulary[words * 2])


def test_a_prompt_begins_with_random_numbers(tiny_bert):
    found, vocabulary = embeddings(tiny_bert, Prompt(tokens=4, init="random"))
    assert found.std() > 10 * vocabulary.std()


@pytest.mark.parametrize("fields", [{"init": "text"}, {"text": "good"}, {"init": "text", "text": ""}])
def test_a_text_to_begin_with_needs_both_fields(fields):
    with pytest.raises(RecipeError, match="text"):
        Prompt(**fields)


def test_the_network_of_a_prefix_is_not_saved(tiny_bert, tmp_path):
    from safetensors.torch import load_file

    module = prepare(recipe("classification", "bert", tiny_bert, METHODS["prefix through a network"]), "cpu").build()
    METHODS["prefix through a network"].save(module.module, tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert stored["prompt_embeddings"].shape == (4, 2 * 2 * 16)
    assert not any("transform" in name for name in stored)


def test_a_loaded_model_writes_as_the_trained_one_did(checkpoint, tmp_path):
    case = recipe("summarization", "gpt2", checkpoint("gpt2"), METHODS["prompt"])
    done = run(case, tmp_path, certified=False)
    predictor = load(done.directory)
    rows = [{"source": "one two three"}, {"source": "one two three four five six seven eight"}]
    together = [answer["predicted"] for answer in predictor(rows)]
    assert together == [predictor([row])[0]["predicted"] for row in rows]
