"""What a recipe may say about how texts are written, and what contradicts itself."""

import pytest

from finetune.errors import RecipeError
from finetune.generation.settings import Generation


def test_by_default_the_likeliest_token_is_taken_and_nothing_is_forbidden():
    settings = Generation()
    assert (settings.num_beams, settings.do_sample) == (1, False)
    assert (settings.min_new_tokens, settings.no_repeat_ngram_size, settings.repetition_penalty) == (0, 0, 1.0)


@pytest.mark.parametrize("field", [{"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}])
def test_how_to_draw_is_refused_where_nothing_is_drawn(field):
    (name,) = field
    with pytest.raises(RecipeError, match=f"{name}=.*do_sample=true"):
        Generation(**field)


@pytest.mark.parametrize("field", [{"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}])
def test_how_to_draw_is_taken_where_something_is_drawn(field):
    ((name, value),) = field.items()
    assert getattr(Generation(do_sample=True, **field), name) == value


def test_drawing_and_beams_exclude_each_other():
    with pytest.raises(RecipeError, match="do_sample=false or num_beams=1"):
        Generation(do_sample=True, num_beams=4)


def test_a_length_penalty_needs_beams():
    with pytest.raises(RecipeError, match=r"length_penalty=2\.0 .*num_beams"):
        Generation(length_penalty=2.0)
    assert Generation(length_penalty=2.0, num_beams=2).length_penalty == 2.0


def test_the_least_may_not_exceed_the_most():
    with pytest.raises(RecipeError, match="min_new_tokens=9 is more than max_new_tokens=8"):
        Generation(min_new_tokens=9, max_new_tokens=8)
    assert Generation(min_new_tokens=8, max_new_tokens=8).min_new_tokens == 8


def test_the_least_is_taken_where_the_most_is_not_known_yet():
    assert Generation(min_new_tokens=9).max_new_tokens is None


def test_what_is_filled_in_is_held_against_the_rest():
    with pytest.raises(RecipeError, match="min_new_tokens"):
        Generation(min_new_tokens=9).override("max_new_tokens=4")


@pytest.mark.parametrize(
    "field",
    [
        {"max_new_tokens": 0},
        {"min_new_tokens": -1},
        {"num_beams": 0},
        {"no_repeat_ngram_size": -1},
        {"repetition_penalty": 0.0},
        {"do_sample": True, "temperature": 0.0},
        {"do_sample": True, "top_k": -1},
        {"do_sample": True, "top_p": 0.0},
        {"do_sample": True, "top_p": 1.5},
    ],
)
def test_values_out_of_range_are_refused(field):
    with pytest.raises(RecipeError, match=list(field)[-1]):
        Generation(**field)


def test_settings_are_changed_by_assignments_in_any_order():
    settings = Generation().override("temperature=0.5", "do_sample=true", "top_k=20")
    assert settings == Generation(do_sample=True, temperature=0.5, top_k=20)


def test_settings_come_back_from_json():
    settings = Generation(num_beams=4, length_penalty=0.6, max_new_tokens=30)
    assert Generation(**settings.model_dump(mode="json")) == settings
