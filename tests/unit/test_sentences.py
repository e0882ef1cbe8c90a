"""Sentences of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.text.sentences import sentences


def test_sentences_of_a_line_are_told_apart() -> None:
    assert sentences("It rained. Who came? Nobody!") == ["It rained.", "Who came?", "Nobody!"]


def test_an_abbreviation_ends_no_sentence() -> None:
    assert sentences("Dr. Lund met Mr. Oda. They spoke.") == ["Dr. Lund met Mr. Oda.", "They spoke."]


def test_a_number_ends_no_sentence_at_its_point() -> None:
    assert sentences("It rose by 3.5 percent. Then it fell.") == ["It rose by 3.5 percent.", "Then it fell."]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\n\n", " \n \n "])
def test_a_line_break_ends_a_sentence_without_a_full_stop(line_break: str) -> None:
    assert sentences(f"Minutes of the meeting{line_break}those present") == [
        "Minutes of the meeting",
        "those present",
    ]


def test_sentences_are_found_in_each_of_several_lines() -> None:
    assert sentences("One. Two.\nThree. Four") == ["One.", "Two.", "Three.", "Four"]


def test_chinese_sentences_need_no_spaces() -> None:
    assert sentences("今天下雨。我们在家。") == ["今天下雨。", "我们在家。"]


def test_sentences_have_no_white_space_around_them() -> None:
    assert sentences("  First one.   Second one.\t\n\tThird. ") == ["First one.", "Second one.", "Third."]


@pytest.mark.parametrize("text", ["", "   ", "\n", " \t\r\n \n"])
def test_a_blank_text_has_no_sentences(text: str) -> None:
    assert sentences(text) == []


@pytest.mark.parametrize("space", ["\xa0", "\u202f", "\u3000", "\u2009", "\t"])
def test_white_space_of_any_width_is_a_space(space: str) -> None:
    assert sentences(f"That was Plan{space}B{space}. Then we left.") == ["That was Plan B .", "Then we left."]


@given(st.text(st.sampled_from("aB7 \xa0.!?,;:\"'()\n\r\t。ü-")) | st.text())
def test_nothing_but_white_space_is_lost(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence and sentence == sentence.strip() for sentence in found)
