"""Declarations: frozen, validated, overridden, written and read back without executing anything."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune import Classification, Data, Full, LoRA, Model, Recipe, RecipeError, Training, catalog
from finetune.cli import main
from finetune.config import Choice, Config
from finetune.recipe import load_recipe, recipes_of, shipped
from finetune.schema import recipe_schema
from finetune.tasks.base import Task
from finetune.tuning.base import Tuning

LEAST_MEMBERS = {Task: 10, Data: 3, Tuning: 13}
"""Members that each catalog had when this was written; a smaller number means that discovery is broken."""
REQUIRED: dict[str, dict[str, Any]] = {
    "files": {"train": ("train.csv",)},
    "hub": {"id": "nyu-mll/glue"},
    "peft": {"method": "vera"},
    "rows": {"train": [{"text": "Hello", "label": "greeting"}, {"text": "Bye", "label": "farewell"}]},
}
"""Values of the fields without a default, by catalog name."""
HEAVY = ("torch", "transformers", "peft", "datasets", "sklearn", "scipy", "pandas")

MEMBERS = [(base, name) for base in LEAST_MEMBERS for name in catalog.names(base.package)]
IDS = [f"{base.__name__.lower()}-{name}" for base, name in MEMBERS]


def declaration(base: type[Choice], name: str) -> Any:
    return catalog.find(base.package, name, base)(**REQUIRED.get(name, {}))


def make_recipe(**fields: Any) -> Recipe:
    usual: dict[str, Any] = {
        "name": "tickets",
        "task": Classification(text="body", label="queue"),
        "data": Data.files(train="tickets.csv"),
        "model": "google-bert/bert-base-uncased",
    }
    return Recipe(**{**usual, **fields})


def recipe_with(base: type[Choice], name: str) -> Recipe:
    return make_recipe(**{base.__name__.lower(): declaration(base, name)})


def complaints(error: pytest.ExceptionInfo[RecipeError]) -> list[str]:
    return list(error.value.problems)


# Discovery and values


@pytest.mark.parametrize("base", LEAST_MEMBERS, ids=lambda base: base.__name__)
def test_every_catalog_has_at_least_its_known_members(base: type[Choice]) -> None:
    assert len(catalog.names(base.package)) >= LEAST_MEMBERS[base]


@pytest.mark.parametrize(("base", "name"), MEMBERS, ids=IDS)
def test_a_member_is_found_by_its_name_and_knows_it(base: type[Choice], name: str) -> None:
    assert declaration(base, name).kind() == name


@pytest.mark.parametrize(("base", "name"), MEMBERS, ids=IDS)
def test_a_member_is_frozen(base: type[Choice], name: str) -> None:
    value = declaration(base, name)
    field = next(iter(type(value).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(value, field, getattr(value, field))


@pytest.mark.parametrize("value", [Model(path="a"), Training(), make_recipe()], ids=lambda value: type(value).__name__)
def test_a_part_of_a_recipe_is_frozen(value: Config) -> None:
    field = next(iter(type(value).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(value, field, getattr(value, field))


@pytest.mark.parametrize(("base", "name"), MEMBERS, ids=IDS)
def test_a_member_refuses_an_unknown_field(base: type[Choice], name: str) -> None:
    with pytest.raises(RecipeError, match="unknown field 'no_such_field'"):
        type(declaration(base, name))(**REQUIRED.get(name, {}), no_such_field=1)


@pytest.mark.parametrize(("base", "name"), MEMBERS, ids=IDS)
def test_a_recipe_with_a_member_survives_json(base: type[Choice], name: str) -> None:
    recipe = recipe_with(base, name)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(("base", "name"), MEMBERS, ids=IDS)
def test_a_recipe_with_a_member_survives_a_yaml_file(base: type[Choice], name: str, tmp_path: Path) -> None:
    recipe = recipe_with(base, name)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.to_json(), sort_keys=False, allow_unicode=True), "utf-8")
    assert load_recipe(str(path)) == recipe.anchored(tmp_path)


@pytest.mark.parametrize("name", ["no", "null", "1.0", "0x10", "2024-01-01", "~", "a: b", "é", "# x"])
def test_a_class_name_that_yaml_could_misread_survives_a_yaml_file(name: str, tmp_path: Path) -> None:
    recipe = make_recipe(task=Classification(labels=(name, "other")))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.to_json(), sort_keys=False, allow_unicode=True), "utf-8")
    assert load_recipe(str(path)).task.labels == (name, "other")


def test_rows_of_a_dataset_do_not_hinder_a_recipe_from_being_written() -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]})
    fields = make_recipe(data=Data.rows(rows)).to_json()
    assert json.loads(json.dumps(fields))["data"]["type"] == "rows"


def test_a_member_may_be_given_by_its_name() -> None:
    assert make_recipe(tuning="lora").tuning == LoRA()


def test_a_member_may_be_given_by_a_mapping() -> None:
    assert make_recipe(tuning={"type": "lora", "r": 4}).tuning == LoRA(r=4)


def test_a_member_of_another_catalog_is_refused() -> None:
    with pytest.raises(RecipeError, match="a Full stands where a Task belongs"):
        make_recipe(task=Full())


def test_a_model_may_be_given_by_its_path() -> None:
    assert make_recipe(model="some/model").model == Model(path="some/model")


def test_random_weights_are_refused_where_most_would_stay_untrained() -> None:
    with pytest.raises(RecipeError, match=r"model\.initialize=random needs tuning=full: lora"):
        make_recipe(model=Model(path="a", initialize="random"), tuning=LoRA())


@pytest.mark.parametrize("name", ["a b", "a/b", "", ".", ".."])
def test_a_name_that_would_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="name"):
        make_recipe(name=name)


# Overrides


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["tuning=lora", "tuning.r=16", "training.epochs=2", "task.text=[a, b]"]))
)
def test_overrides_do_not_depend_on_their_order(order: tuple[str, ...]) -> None:
    changed = make_recipe().override(*order)
    assert (changed.tuning, changed.training.epochs, changed.task.text) == (LoRA(r=16), 2, ("a", "b"))


def test_an_override_leaves_the_original_as_it_was() -> None:
    recipe = make_recipe()
    recipe.override("training.batch_size=4", "tuning=lora")
    assert recipe == make_recipe()


def test_the_last_of_two_overrides_of_a_field_counts() -> None:
    assert make_recipe().override("training.epochs=1", "training.epochs=2").training.epochs == 2


def test_an_override_of_a_field_keeps_its_neighbours() -> None:
    recipe = make_recipe(tuning=LoRA(r=4, dropout=0.1))
    assert recipe.override("tuning.r=16").tuning == LoRA(r=16, dropout=0.1)


def test_a_text_swaps_a_model_before_its_fields_are_set() -> None:
    changed = make_recipe().override("model.dtype=bfloat16", "model=other/model")
    assert changed.model == Model(path="other/model", dtype="bfloat16")


def test_only_the_result_of_all_overrides_must_be_valid() -> None:
    recipe = make_recipe(model=Model(path="a", initialize="random"))
    changed = recipe.override("model.initialize=pretrained", "tuning=lora", "tuning.r=4")
    assert changed.tuning == LoRA(r=4)


@pytest.mark.parametrize("text", ["no", "null", "none", "1", "1.5", "true", "[a", "{}", "a=b", ""])
def test_a_string_stays_a_string(text: str) -> None:
    assert make_recipe().override(f"task.label={text}").task.label == text


@pytest.mark.parametrize("text", ["no, yes", "0, 1", "null, x", "1.0, 2.0"])
def test_strings_in_a_list_stay_strings(text: str) -> None:
    labels = make_recipe().override(f"task.labels=[{text}]").task.labels
    assert labels == tuple(text.split(", "))


@pytest.mark.parametrize("text", ["none", "None", "null"])
def test_none_is_read_where_the_field_takes_it(text: str) -> None:
    assert make_recipe().override(f"training.clip={text}").training.clip is None


@pytest.mark.parametrize(("text", "value"), [("50", 50), ("epoch", "epoch")])
def test_a_field_of_two_kinds_takes_both(text: str, value: object) -> None:
    assert make_recipe().override(f"training.evaluate_every={text}").training.evaluate_every == value


def test_a_field_of_two_kinds_says_what_both_are() -> None:
    with pytest.raises(RecipeError) as error:
        make_recipe().override("training.evaluate_every=fifty")
    assert complaints(error) == [
        "training.evaluate_every = 'fifty': should be 'epoch', or a whole number is needed.",
    ]


@pytest.mark.parametrize(("text", "value"), [("tickets.csv", ("tickets.csv",)), ("[a.csv, b.csv]", ("a.csv", "b.csv"))])
def test_a_list_may_be_given_as_one_item(text: str, value: tuple[str, ...]) -> None:
    assert make_recipe().override(f"data.train={text}").data.train == value


def test_a_number_that_looks_like_an_integer_suits_a_number_field() -> None:
    assert make_recipe().override("training.epochs=2").training.epochs == 2


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("yes", True), ("no", False)])
def test_a_switch_reads_words(text: str, value: bool) -> None:
    assert make_recipe().override(f"training.deterministic={text}").training.deterministic is value


@pytest.mark.parametrize("text", ["inf", "nan", "-inf"])
def test_a_number_that_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.epochs"):
        make_recipe().override(f"training.epochs={text}")


@pytest.mark.parametrize(("text", "value"), [("{spam: 2.5}", {"spam": 2.5}), ("balanced", "balanced"), ("none", None)])
def test_a_mapping_is_read_in_braces(text: str, value: object) -> None:
    assert make_recipe().override(f"task.class_weights={text}").task.class_weights == value


def test_a_whole_object_is_read_in_braces() -> None:
    assert make_recipe().override("tuning={type: lora, r: 2}").tuning == LoRA(r=2)


def test_a_text_without_an_equals_sign_is_no_assignment() -> None:
    with pytest.raises(RecipeError, match="'tuning' is no assignment: write field=value"):
        make_recipe().override("tuning")


def test_a_plain_value_has_no_fields() -> None:
    with pytest.raises(RecipeError, match="name is a plain value; it has no field 'first'"):
        make_recipe().override("name.first=x")


# Messages


def test_the_whole_message_of_a_misspelt_field_and_a_wrong_number() -> None:
    with pytest.raises(RecipeError) as error:
        make_recipe().override("tunning=lora", "training.epochs=many")
    assert str(error.value) == (
        "This recipe cannot run:\n"
        "  - unknown field 'tunning'. Did you mean 'tuning'? Known: data, model, name, task, training, tuning.\n"
        "  - training.epochs = 'many': a number is needed."
    )


def test_the_whole_message_of_an_empty_recipe() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_json({"name": "x"})
    assert str(error.value) == (
        "This recipe cannot run:\n  - task is missing.\n  - data is missing.\n  - model is missing."
    )


def test_the_whole_message_of_something_that_is_no_mapping() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_json(["a"])
    assert str(error.value) == (
        "This recipe cannot run:\n  - a recipe is a mapping of field names to values, not list."
    )


def test_every_problem_is_told_at_once_with_its_whole_path() -> None:
    with pytest.raises(RecipeError) as error:
        Recipe.from_json(
            {
                "name": "tickets",
                "task": {"type": "classification", "max_length": 0, "lable": "queue"},
                "data": {"type": "files"},
                "model": {"path": "m", "dtype": "float8"},
                "tuning": {"type": "lora", "r": "many", "dropout": 2},
                "training": {"batchsize": 3, "epochs": -1},
            }
        )
    places = [
        "task.max_length = 0:",
        "unknown field 'task.lable'. Did you mean 'task.label'?",
        "data.train is missing.",
        "model.dtype = 'float8':",
        "tuning.r = 'many': a whole number is needed.",
        "tuning.dropout = 2:",
        "unknown field 'training.batchsize'. Did you mean 'training.batch_size'?",
        "training.epochs = -1:",
    ]
    assert [sum(problem.startswith(place) for problem in complaints(error)) for place in places] == [1] * len(places)
    assert len(complaints(error)) == len(places)


def test_an_unknown_field_of_a_member_names_the_fields_of_that_member() -> None:
    with pytest.raises(RecipeError) as error:
        make_recipe().override("tuning=lora", "tuning.rank=4")
    (problem,) = complaints(error)
    known = ", ".join(sorted(f"tuning.{name}" for name in LoRA.model_fields))
    assert problem.startswith("unknown field 'tuning.rank'.") and problem.endswith(f"Known: {known}.")


@pytest.mark.parametrize("base", LEAST_MEMBERS, ids=lambda base: base.__name__)
def test_an_unknown_member_names_all_known_ones(base: type[Choice]) -> None:
    field = base.__name__.lower()
    with pytest.raises(RecipeError) as error:
        make_recipe(**{field: "no-such-member"})
    (problem,) = complaints(error)
    assert problem.startswith(f"{field} = 'no-such-member': unknown {field} 'no-such-member'.")
    assert problem.endswith(f"Known: {', '.join(catalog.names(base.package))}.")


def test_an_unknown_member_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'lora'"):
        make_recipe(tuning="LoRa")


def test_a_mapping_without_a_type_names_the_choices() -> None:
    with pytest.raises(RecipeError, match=r"tuning: `type` is missing: one of .*full"):
        make_recipe(tuning={"r": 4})


def test_a_wrong_class_weight_is_named_by_its_path() -> None:
    with pytest.raises(RecipeError) as error:
        make_recipe().override("task.class_weights={spam: -1}")
    assert "task.class_weights.spam = '-1': should be greater than 0." in complaints(error)


def test_an_unknown_score_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"task\.score\b.*'f1_makro' is no score\. Did you mean 'f1_macro'"):
        make_recipe().override("task.score=[f1_makro]")


def test_a_python_declaration_names_its_unknown_field_too() -> None:
    with pytest.raises(RecipeError, match=r"unknown field 'warm_up'\. Did you mean 'warmup'"):
        Training(warm_up=0.1)


@pytest.mark.parametrize("text", ["1.5", "100.25"])
def test_a_warmup_that_is_neither_a_share_nor_whole_steps_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.warmup"):
        make_recipe().override(f"training.warmup={text}")


# Files


RECIPE_CODE = """
from finetune import Classification, Data, Recipe

first = Recipe(name="first", task=Classification(), data=Data.files(train="rows.csv"), model="some/model")
"""


def test_a_python_file_with_one_recipe_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text(RECIPE_CODE + "recipe = first\n", "utf-8")
    assert load_recipe(str(path)).name == "first"


def test_a_python_file_with_several_recipes_is_addressed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "several.py"
    path.write_text(RECIPE_CODE + "recipes = {'a': first, 'b': first.override('name=second')}\n", "utf-8")
    assert load_recipe(f"{path}:b").name == "second"


@pytest.mark.parametrize(("name", "words"), [("", "has 2 recipes"), (":alpa", "Did you mean 'alpha'")])
def test_a_name_that_a_python_file_lacks_is_told_with_those_it_has(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / "several.py"
    path.write_text(RECIPE_CODE + "recipes = {'alpha': first, 'beta': first}\n", "utf-8")
    with pytest.raises(RecipeError, match=f"{words}.*Known: alpha, beta"):
        load_recipe(f"{path}{name}")


def test_a_python_file_without_a_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    path.write_text("x = 1\n", "utf-8")
    with pytest.raises(RecipeError, match="has neither `recipe = Recipe"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\n\nraise KeyError('oops')\n", "line 3 raises KeyError: 'oops'"),
        ("def inner():\n    return 1 / 0\n\ninner()\n", "line 2 raises ZeroDivisionError"),
        ("import sys\nsys.exit('enough')\n", "line 2 raises SystemExit: enough"),
        ("x = 1\ny = = 2\n", "line 2"),
    ],
    ids=["raise", "function", "exit", "syntax"],
)
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_a_python_recipe_that_raises_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str, relative: bool
) -> None:
    (tmp_path / "broken.py").write_text(code, "utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        load_recipe("broken.py" if relative else str(tmp_path / "broken.py"))
    assert "broken.py" in str(error.value) and words in str(error.value)


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_a_recipe_is_read_from_a_data_file(tmp_path: Path, suffix: str) -> None:
    recipe = make_recipe(tuning=LoRA(r=4))
    path = tmp_path / f"recipe{suffix}"
    path.write_text(
        json.dumps(recipe.to_json())
        if suffix == ".json"
        else yaml.safe_dump(recipe.to_json(), sort_keys=False, allow_unicode=True),
        "utf-8",
    )
    assert load_recipe(str(path)) == recipe.anchored(tmp_path)


def test_the_recipe_of_a_run_directory_is_read(tmp_path: Path) -> None:
    recipe = make_recipe().anchored(tmp_path)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()), "utf-8")
    assert load_recipe(str(tmp_path)) == recipe


def test_a_folder_without_a_recipe_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"is no run directory: it has no recipe\.json"):
        load_recipe(str(tmp_path))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(make_recipe().to_json())[:50], "utf-8")
    with pytest.raises(RecipeError, match="is damaged or unfinished"):
        load_recipe(str(path))


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(RecipeError, match="format 2 is not known"):
        Recipe.from_json({**make_recipe().to_json(), "format": 2})


def test_a_file_of_an_unknown_kind_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.txt").write_text("hello", "utf-8")
    with pytest.raises(RecipeError, match="is no recipe"):
        load_recipe(str(tmp_path / "recipe.txt"))


def test_a_missing_file_names_the_nearest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tickets.yaml").write_text("{}", "utf-8")
    with pytest.raises(RecipeError, match=r"does not exist\. Did you mean 'tickets\.yaml'"):
        load_recipe(str(tmp_path / "ticket.yaml"))


def test_a_missing_shipped_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'quickstart'"):
        load_recipe("quikstart")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [{marker}]",
        "!!python/object/new:os.mkdir [{marker}]",
        "name: x\ntask: !!python/object/apply:os.mkdir [{marker}]",
        "name: !!python/name:os.system ''",
    ],
)
def test_yaml_that_asks_for_a_python_object_is_refused_and_executes_nothing(tmp_path: Path, text: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "recipe.yaml"
    path.write_text(text.format(marker=marker), "utf-8")
    with pytest.raises(RecipeError, match="asks for Python objects, which a recipe file never may"):
        load_recipe(str(path))
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["os:mkdir", "pathlib.Path", "subprocess:Popen", "../full", "base", "Full"])
def test_a_data_file_can_name_catalog_types_only(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(make_recipe().to_json()).replace("type: full", f"type: {kind!r}"), "utf-8")
    with pytest.raises(RecipeError, match=r"(file can name catalog types only|unknown tuning).*Known: .*full"):
        load_recipe(str(path))


OWN_CLASS = """
from finetune.tuning.full import Full

class Own(Full):
    "Full, by another name."
"""


def test_a_class_of_the_user_needs_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_user_code", {})
    (tmp_path / "own.py").write_text(OWN_CLASS, "utf-8")
    recipe = make_recipe(tuning=catalog.execute(tmp_path / "own.py").Own())
    monkeypatch.setattr(catalog, "_user_code", {})  # as in another process
    monkeypatch.delitem(sys.modules, type(recipe.tuning).__module__)
    with pytest.raises(RecipeError, match="name its source with --code FILE"):
        Recipe.from_json(recipe.to_json())


def test_a_class_of_the_user_is_found_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_user_code", {})
    (tmp_path / "own.py").write_text(OWN_CLASS, "utf-8")
    recipe = make_recipe(tuning=catalog.execute(tmp_path / "own.py").Own(learning_rate=0.5))
    again = Recipe.from_json(recipe.to_json())
    assert type(again.tuning).__name__ == "Own" and again.tuning.learning_rate == 0.5


def test_of_two_classes_of_one_name_that_of_the_named_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_user_code", {})
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(OWN_CLASS, "utf-8")
    catalog.execute(tmp_path / "one.py")
    recipe = make_recipe(tuning=catalog.execute(tmp_path / "two.py").Own())
    assert type(Recipe.from_json(recipe.to_json()).tuning) is type(recipe.tuning)


# Relative paths


def test_a_relative_file_starts_from_the_folder_of_its_recipe(tmp_path: Path) -> None:
    recipe = make_recipe(data=Data.files(train=("a.csv", "sub/b.csv"), test="c.csv")).anchored(tmp_path)
    assert recipe.data.train == (str(tmp_path / "a.csv"), str(tmp_path / "sub" / "b.csv"))
    assert recipe.data.test == (str(tmp_path / "c.csv"),)


def test_a_relative_folder_that_exists_starts_from_the_folder_of_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    assert make_recipe(model="checkpoint").anchored(tmp_path).model.path == str(tmp_path / "checkpoint")


def test_a_path_that_starts_with_a_dot_is_a_path_though_nothing_is_there(tmp_path: Path) -> None:
    assert make_recipe(model="./missing").anchored(tmp_path).model.path == str(tmp_path / "missing")


@pytest.mark.parametrize(
    "name",
    [
        "google-bert/bert-base-uncased",
        "gpt2",
        "package:some_package/model",
        "/absolute/model",
        "organisation/model-1.5",
        "organisation/Model-2.5-0.5B",
        "organisation/model_v1.0-base",
    ],
)
def test_a_name_that_is_no_local_path_stays_as_it_is(tmp_path: Path, name: str) -> None:
    assert make_recipe(model=name).anchored(tmp_path).model.path == name


def test_anchoring_twice_changes_nothing(tmp_path: Path) -> None:
    once = make_recipe().anchored(tmp_path)
    assert once.anchored(tmp_path / "elsewhere") == once


def test_a_python_recipe_is_anchored_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.py").write_text(RECIPE_CODE + "recipe = first\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("sub/one.py").data.train == (str(tmp_path / "sub" / "rows.csv"),)


# What a declaration says of itself, and what it costs


def declarations() -> list[type[Config]]:
    return [Recipe, Model, Training, *(catalog.find(base.package, name, base) for base, name in MEMBERS)]


@pytest.mark.parametrize("kind", declarations(), ids=lambda kind: kind.__name__)
def test_every_field_of_a_declaration_says_what_it_is(kind: type[Config]) -> None:
    assert [name for name, field in kind.model_fields.items() if not (field.description or "").strip()] == []


def test_importing_and_declaring_loads_no_heavy_library() -> None:
    code = f"""
import sys
import finetune
finetune.Recipe(
    name="x", task=finetune.Classification(), data=finetune.Data.files(train="a.csv", holdout=0.1), model="some/model",
    tuning=finetune.LoRA(r=4), training=finetune.Training(epochs=1),
).override("tuning=full", "data={{type: hub, id: some/rows}}").to_json()
import finetune.cli, finetune.schema
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The schema of recipe files


def mismatches(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "recipe") -> list[str]:
    """What of `value` breaks the schema: the part of JSON Schema that pydantic writes."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return mismatches(value, target, root, where)
    found: list[str] = []
    if "anyOf" in schema:
        tries = [mismatches(value, choice, root, where) for choice in schema["anyOf"]]
        found += [] if [] in tries else min(tries, key=len)
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "number": (int, float),
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [*found, f"{where}: {value!r} is no {schema['type']}"]
    if isinstance(value, dict) and schema.get("type") == "object":
        found += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
            if inner is False:
                found.append(f"{where}.{name} is unknown")
            elif isinstance(inner, dict):
                found += mismatches(item, inner, root, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        found += [line for item in value for line in mismatches(item, schema["items"], root, f"{where}[]")]
    if isinstance(value, (int, float)) and value <= schema.get("exclusiveMinimum", float("-inf")):
        found.append(f"{where}: {value} is too small")
    return found


def shipped_recipes() -> list[tuple[str, Recipe]]:
    return [(f"{path.stem}:{name}", recipe) for path in shipped() for name, recipe in recipes_of(path).items()]


def test_the_shipped_recipes_are_found() -> None:
    assert {"quickstart:", "glue:sst2", "glue:mrpc"} <= {name for name, _ in shipped_recipes()}


@pytest.mark.parametrize("recipe", [pytest.param(recipe, id=name) for name, recipe in shipped_recipes()])
def test_the_schema_accepts_a_shipped_recipe(recipe: Recipe) -> None:
    schema = recipe_schema()
    assert mismatches(recipe.to_json(), schema, schema) == []


@pytest.mark.parametrize(
    "change",
    [
        {"tunning": "lora"},
        {"tuning": "no-such-method"},
        {"training": {"epochs": 0}},
        {"training": {"precision": "fp64"}},
        {"data": {"type": "hub"}},
        {"data": {"type": "rows", "train": []}},
        {"format": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_schema_refuses_what_a_recipe_refuses(change: dict[str, Any]) -> None:
    schema = recipe_schema()
    assert mismatches({**make_recipe().to_json(), **change}, schema, schema) != []


def test_the_schema_knows_every_member_but_rows_in_memory() -> None:
    schema = recipe_schema()
    for base in LEAST_MEMBERS:
        references = [
            choice["$ref"] for choice in schema["properties"][base.__name__.lower()]["anyOf"] if "$ref" in choice
        ]
        kinds = {
            schema["$defs"][reference.rpartition("/")[2]]["properties"]["type"]["const"] for reference in references
        }
        assert kinds == set(catalog.names(base.package)) - {"rows"}


def test_every_property_of_the_schema_has_a_description() -> None:
    schema = recipe_schema()
    objects = {"recipe": schema, **schema["$defs"]}
    bare = [
        f"{name}.{field}"
        for name, kind in objects.items()
        for field, content in kind.get("properties", {}).items()
        if not content.get("description")
    ]
    assert bare == []


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = recipe_schema()
    references = {text.split('"')[0] for text in json.dumps(schema).split('"$ref": "#/$defs/')[1:]}
    assert references <= set(schema["$defs"]) and len(references) > 3


def test_the_command_line_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(recipe_schema()))


def test_a_choice_that_needs_a_field_gets_it_from_the_assignments_beside_it():
    recipe = load_recipe("quickstart").override("tuning.method=loha", "tuning=peft", "tuning.settings={r: 8}")
    assert recipe.tuning.kind() == "peft"
    assert recipe.tuning.method == "loha"
