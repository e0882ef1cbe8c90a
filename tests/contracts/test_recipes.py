"""Every shipped recipe, found by itself: it is a value, says what it scored, and those that need no network work."""

import ast

import pytest

from finetune.preparation import prepare
from finetune.recipe import Recipe, recipes_of, shipped

RECIPES = {
    f"{path.stem}:{name}" if name else path.stem: recipe
    for path in shipped()
    for name, recipe in recipes_of(path).items()
}
OFFLINE = [name for name, recipe in RECIPES.items() if recipe.data.kind() == "files"]
"""Those whose rows come along."""


def test_the_recipes_are_found():
    assert len(shipped()) == 12
    assert len(RECIPES) == 39
    assert len(OFFLINE) == 6


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_value_that_is_written_and_read_back(name):
    assert Recipe.from_json(RECIPES[name].to_json()) == RECIPES[name]


def test_names_of_runs_are_not_shared():
    assert len({recipe.name for recipe in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_recipe_file_says_what_it_scored_and_what_others_did(path):
    text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert "Measured" in text
    assert path.stem == "custom_csv" or "Published" in text


@pytest.mark.parametrize("name", OFFLINE)
def test_an_offline_recipe_fits_its_data_and_its_checkpoint(name):
    prepared = prepare(RECIPES[name], "cpu")
    assert prepared.steps > 0
    assert set(prepared.splits) == {"train", "validation"}
