"""ROUGE against the official package called in the plainest way, and by hand."""

import json
from unicodedata import category, name, normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from finetune.metrics.rouge import NAMES, fits, rouge, rouge_signature
from finetune.text.sentences import sentences

CLOSE = 1e-12

ENGLISH_PARTS = (
    *("The", "the", "cats", "cat", "running", "runs", "2024", "U.S.", "Mr.", "it's", "well-known", "naïve"),
    *(",", ".", ".", "!", "?", "", "\n", "\n"),
)
OTHER_PARTS = (
    *("Größe", "der", "Übung", "übung", "U\u0308bung", "ß.", "3,5", "don't", "!", "", "\n"),
    *("东京", "今天下雨。", "ラーメン", "ひらがな", "한국어", "ที่ไทย", "हिन्दी"),
)
ENGLISH = st.lists(st.sampled_from(ENGLISH_PARTS), max_size=16).map(" ".join)
ODD = st.text("aAb1\u017f\u212a\u0130Σé_-'.!?。 \t\xa0\u200b\n", max_size=30)
OTHER = st.lists(st.sampled_from(OTHER_PARTS), max_size=12).map(" ".join)


def on_lines(text: str) -> str:
    """The text with each sentence on a line, unless it has lines."""
    return text if "\n" in text.strip() else "\n".join(sentences(text))


def official(prediction: str, references: list[str], **how: object) -> list[float]:
    """F-measures of `NAMES`: ROUGE-1, 2 and L of the texts as they are, Lsum with sentences on lines."""
    plain = RougeScorer(NAMES[:3], **how).score_multi(references, prediction)
    by_lines = RougeScorer(NAMES[3:], **how).score_multi([on_lines(text) for text in references], on_lines(prediction))
    return [(plain | by_lines)[score].fmeasure for score in NAMES]


class PlainUnicodeWords:
    """Words told apart character by character."""

    UNSPACED = ("CJK", "HIRAGANA", "KATAKANA LETTER", "THAI")

    def tokenize(self, text: str) -> list[str]:
        words: list[str] = []
        before = "space"
        for character in normalize("NFC", text.lower()):
            if category(character)[0] not in "LMN":
                before = "space"
                continue
            alone = category(character)[0] != "M" and name(character).startswith(self.UNSPACED)
            joins = category(character)[0] == "M" and before != "space"
            if joins or (before == "letter" and not alone):
                words[-1] += character
            else:
                words.append(character)
            if not joins:
                before = "alone" if alone else "letter"
        return words


@settings(max_examples=300, deadline=None)
@given(ENGLISH, st.lists(ENGLISH, min_size=1, max_size=3), st.booleans())
def test_english_scores_are_those_of_the_official_package(prediction: str, references: list[str], stem: bool) -> None:
    ours = rouge([prediction], [references], "english", stem)
    assert ours[0] == pytest.approx(official(prediction, references, use_stemmer=stem), abs=CLOSE)


@settings(max_examples=200, deadline=None)
@given(ODD, st.lists(ODD, min_size=1, max_size=2))
def test_odd_characters_part_words_as_in_the_official_package(prediction: str, references: list[str]) -> None:
    assert rouge([prediction], [references])[0] == pytest.approx(
        official(prediction, references, use_stemmer=True), abs=CLOSE
    )


@settings(max_examples=200, deadline=None)
@given(OTHER, st.lists(OTHER, min_size=1, max_size=2))
def test_unicode_scores_are_those_of_the_official_package_with_words_told_apart_plainly(
    prediction: str, references: list[str]
) -> None:
    assert rouge([prediction], [references], "unicode")[0] == pytest.approx(
        official(prediction, references, tokenizer=PlainUnicodeWords()), abs=CLOSE
    )


def test_real_subject_lines_score_as_by_the_official_package(real_data) -> None:
    lines = (real_data / "aeslc/dev.jsonl").read_text("utf-8").splitlines()[:200]
    rows = [json.loads(line) for line in lines]
    predictions = [sentences(row["email_body"])[0] for row in rows]
    references = [[row["subject_line"], *row["subject_annotations"]] for row in rows]
    expected = [official(*pair, use_stemmer=True) for pair in zip(predictions, references, strict=True)]
    assert np.mean(expected) > 0.1
    assert rouge(predictions, references) == pytest.approx(np.array(expected), abs=CLOSE)


def test_a_row_by_hand() -> None:
    scores = rouge(["The cat was found under the bed."], [["The cat was under the bed"]])
    # 6 of 7 and 6 words, 4 of 6 and 5 pairs, one subsequence of 6
    assert scores[0] == pytest.approx([12 / 13, 8 / 11, 12 / 13, 12 / 13])


def test_stemmed_words_match_whatever_their_ending() -> None:
    pair = ["He delivered parcels"], [["he delivers parcel"]]
    assert rouge(*pair, stem=True)[0, 0] == pytest.approx(1)
    assert rouge(*pair, stem=False)[0, 0] == pytest.approx(1 / 3)


def test_sentences_in_another_order_lower_the_score_of_the_text_but_not_that_of_the_sentences() -> None:
    scores = rouge(["Alma left early. Boris stayed there."], [["Boris stayed there. Alma left early."]])
    assert scores[0, 2:] == pytest.approx([1 / 2, 1])


def test_where_lines_are_given_sentences_within_them_are_not_told_apart() -> None:
    scores = rouge(["Alma left early. Boris stayed there.\nRain."], [["Boris stayed there. Alma left early.\nRain."]])
    assert scores[0, 3] == pytest.approx(4 / 7)


def test_a_line_break_at_the_end_makes_no_lines() -> None:
    pair = ["Alma left early. Boris stayed there.\n"], [["Boris stayed there. Alma left early."]]
    assert rouge(*pair)[0, 3] == pytest.approx(1)


def test_white_space_of_any_width_separates_words() -> None:
    assert rouge(["Plan\xa0B\xa0."], [["plan b"]])[0].tolist() == [1, 1, 1, 1]


def test_each_score_is_that_of_its_own_best_reference() -> None:
    references = ["one two nine nine nine nine nine", "three one four two"]
    scores = rouge(["one two three four"], [references])
    first, second = (rouge(["one two three four"], [[text]])[0] for text in references)
    assert first[1] > second[1] and second[0] > first[0]
    assert scores[0] == pytest.approx(np.maximum(first, second))


@pytest.mark.parametrize("words", ["english", "unicode"])
@pytest.mark.parametrize(
    ("prediction", "references"),
    [("", ["a text"]), ("a text", [""]), ("", [""]), (" \n ", ["a text"]), ("a text", []), ("...", ["..."])],
)
def test_what_is_empty_scores_nothing(prediction: str, references: list[str], words) -> None:
    assert rouge([prediction], [references], words).tolist() == [[0, 0, 0, 0]]


def test_a_row_that_scores_nothing_leaves_its_neighbours_alone() -> None:
    scores = rouge(["", "good morning", "good morning"], [["good"], ["good morning"], []])
    assert scores[:, 0] == pytest.approx([0, 1, 0])


def test_no_rows_have_no_scores() -> None:
    assert rouge([], []).shape == (0, len(NAMES))


def test_rows_and_references_must_be_equal_in_number() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rouge(["one", "two"], [["one"]])


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("Märe", "Möre", 0),
        ("Öl Äste", "äste öl", 1),
        ("Мир и труд", "мир", 1 / 2),
        ("东京下雨", "东京天晴", 1 / 2),
        ("ラーメン", "ラー油", 4 / 7),
        ("한국어 수업", "한국어", 2 / 3),
        ("Straße", "Strasse", 0),
        ("u\u0308ben", "üben", 1),
        ("2024年", "2024", 2 / 3),
    ],
)
def test_words_of_every_script_count(prediction: str, reference: str, score: float) -> None:
    assert rouge([prediction], [[reference]], "unicode")[0, 0] == pytest.approx(score)


def test_unicode_words_keep_their_endings() -> None:
    assert rouge(["running"], [["runs"]], "unicode", stem=True)[0, 0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A quiet morning at the harbour, and nobody in sight.", "english"),
        ("“It\u2019s 5 € \u2013 more or less…” 🙂", "english"),
        ("Die Brücke über den Fluss wird für ein Jahr gesperrt.", "unicode"),
        ("Die Bru\u0308cke u\u0308ber den Fluss", "unicode"),
        ("Мост закрыт на год.", "unicode"),
        ("这座桥将关闭一年。", "unicode"),
        ("12 + 30", "english"),
        ("", "english"),
    ],
)
def test_words_are_chosen_by_the_letters_that_would_be_dropped(text: str, words: str) -> None:
    assert fits([text]) == words


@pytest.mark.parametrize(("plain", "words"), [(199, "english"), (198, "unicode")])
def test_more_than_one_letter_of_200_must_be_beyond_a_to_z(plain: int, words: str) -> None:
    assert fits(["É", "a" * plain]) == words


def test_without_texts_words_are_english() -> None:
    assert fits(iter(())) == "english"


def test_real_languages_are_told_apart(real_data) -> None:
    german, english = ((real_data / f"multi30k/val.{name}").read_text("utf-8").splitlines() for name in ("de", "en"))
    assert (fits(german), fits(english)) == ("unicode", "english")


def test_the_signature_says_how_words_were_told_apart() -> None:
    assert rouge_signature("english", True).startswith("rouge_score 0.1.")
    assert "F1, Porter stemmer, sentences by line or sentencex 1." in rouge_signature("english", True)
    assert "F1, no stemmer, sentences" in rouge_signature("english", False)
    assert "F1, Unicode words, no stemmer, sentences" in rouge_signature("unicode", True)
