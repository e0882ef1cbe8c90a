"""Recipe: everything one run depends on, as one value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    Field,
    JsonValue,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from finetune import catalog
from finetune.config import Config, FilePath, build, typed
from finetune.data.base import Data
from finetune.errors import RecipeError, listing, nearest
from finetune.tasks.base import Task
from finetune.tuning.base import Tuning
from finetune.tuning.full import Full

RECIPE_FILE = "recipe.json"
ARCHITECTURE = "architecture:"
"""Begins the path of a model that has no checkpoint; the name of a model type follows."""


class TrainedTokenizer(Config):
    """A tokenizer trained on the texts of the training rows: pieces of bytes, so that no text is unknown to it."""

    vocabulary: Annotated[int, Field(ge=260)] = 8000
    """Tokens, 256 bytes and 4 special ones among them; fewer where the rows have too little text for so many."""
    minimum: PositiveInt = 2
    """Occurrences that two tokens side by side need to become one."""
    lowercase: bool = False
    """Whether capitals are made small, in training and ever after."""


class Model(Config):
    """The checkpoint that a run starts from, or an architecture without one. A plain string is its path."""

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: Any) -> Any:
        return {"path": str(value)} if isinstance(value, (str, Path)) else value

    path: FilePath
    """Hub id, local folder, `package:NAME/FOLDER` for a checkpoint inside an installed Python package, or
    `architecture:TYPE`, as `architecture:bart`, for a model type of transformers without a checkpoint."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None: the default branch."""
    initialize: Literal["pretrained", "random"] = "pretrained"
    """`random` takes only the architecture and the tokenizer from the checkpoint."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """Changes to the configuration of the architecture, as `{"d_model": 256}`; with `initialize=random` only."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights that are trained; activations follow `training.precision`."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """Attention implementation of the library; `auto` lets it choose."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of activations dropped in training, wherever the architecture drops any; None: the checkpoint's. Short
    trainings of small models often do as well without, and a CPU computes them faster."""
    tokenizer: FilePath | TrainedTokenizer | None = None
    """Hub id or folder of another tokenizer, or one to train on the training rows; None: the checkpoint's."""

    @field_validator("config", mode="before")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        """Numbers and truth values that come as text, as all values do from the command line."""
        return typed(value)

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        """Settings that come as text."""
        if isinstance(value, str) and value.startswith("{"):
            try:
                return yaml.safe_load(value)
            except yaml.YAMLError:
                raise ValueError("settings of a tokenizer are needed, as {vocabulary: 8000}") from None
        return value

    def contradictions(self) -> list[str]:
        """What of this does not go together, in sentences."""
        bare, random = self.path.startswith(ARCHITECTURE), self.initialize == "random"
        trained = isinstance(self.tokenizer, TrainedTokenizer)
        cases = {
            f"model.path={self.path} has no weights: model.initialize=random is needed": bare and not random,
            f"model.path={self.path} has no tokenizer: train one with model.tokenizer={{vocabulary: 8000}}, or name "
            "the folder or Hub id of another": bare and self.tokenizer is None,
            f"model.path={self.path} has no revision: leave model.revision out": bare and self.revision is not None,
            "model.config would change the shapes of pretrained weights: model.initialize=random is needed": (
                bool(self.config) and not random
            ),
            "model.tokenizer: pretrained embeddings belong to the tokens of their own tokenizer; to train another, "
            "model.initialize=random is needed": trained and not random and not bare,
        }
        return [text for text, wrong in cases.items() if wrong]


class Training(Config):
    """How long, in what portions and how carefully."""

    epochs: PositiveFloat = 3
    """Passes over the training features; a fraction stops within an epoch."""
    steps: PositiveInt | None = None
    """Optimizer steps in all; given, it replaces `epochs`."""
    batch_size: PositiveInt = 32
    """Features (rows, or windows where a row gives several) per optimizer step, over all processes."""
    batch_tokens: PositiveInt = 16384
    """Most tokens, padding included, that one process handles at once: memory and speed only, never the result."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after the warm-up: down to 0 in a line or half a cosine, or not at all."""
    warmup: NonNegativeFloat = 0.1
    """Over which the learning rate rises from 0: a share of all steps if below 1, else a number of steps."""
    weight_decay: NonNegativeFloat = 0.01
    """AdamW's decoupled decay; biases and norms are spared."""
    clip: PositiveFloat | None = 1.0
    """Longest gradient, Euclidean norm over all trained parameters; None: never shortened."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the forward pass. `auto`: bf16 where the hardware computes in it, else fp32."""
    gradient_checkpointing: bool = False
    """Forget activations and compute them again in the backward pass: less memory, about a third more time."""
    evaluate_every: Literal["epoch"] | PositiveInt = "epoch"
    """Score the validation split each epoch, or each so many steps; always at the end."""
    save_every: Literal["epoch"] | PositiveInt = "epoch"
    """Write a checkpoint each epoch, or each so many steps; also whenever the validation split was scored."""
    select: Literal["best", "last"] = "best"
    """Which checkpoint becomes the model: the best scored one, whose score is then somewhat optimistic, or the last."""
    patience: PositiveInt | None = None
    """Stop after so many scorings without a better first metric; None: never."""
    keep: PositiveInt = 1
    """Newest checkpoints kept; the best is kept besides."""
    seed: int = 0
    """Of the head, the order and dropout."""
    deterministic: bool = False
    """Only deterministic algorithms, so that resuming is exact on a GPU too; slower there. A CPU always is exact."""

    @field_validator("warmup")
    @classmethod
    def _whole_steps(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a share of the steps below 1, or a whole number of steps, is needed")
        return value


class Recipe(Config):
    """Everything one run depends on: a frozen value, changed with `override`, written to JSON and read back."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    """Names the folder of the runs; letters, digits, dot, dash and underscore."""
    task: SerializeAsAny[Task]
    """What is learned and how it is scored."""
    data: SerializeAsAny[Data]
    """Where rows come from."""
    model: Model
    """The checkpoint to start from."""
    tuning: SerializeAsAny[Tuning] = Full()
    """Which parameters are trained, and how fast."""
    training: Training = Training()
    """How long, in what portions and how carefully."""

    @model_validator(mode="after")
    def _model_fits(self) -> Self:
        if contradictions := self.model.contradictions():
            raise ValueError("; ".join(contradictions))
        if self.model.initialize == "random" and not self.tuning.trains_everything:
            raise ValueError(
                f"model.initialize=random needs tuning=full: {self.tuning.kind()} would leave random weights untrained"
            )
        if self.model.dtype != "float32" and self.tuning.loader != "transformers":
            raise ValueError(
                f"model.dtype={self.model.dtype} does not go with tuning={self.tuning.kind()}: what is saved would be "
                "loaded on a checkpoint of other numbers; training.precision=bf16 has the speed"
            )
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which `from_json` makes the same value."""
        return {"format": 1, **self.model_dump(mode="json")}

    @classmethod
    def from_json(cls, fields: Any) -> Recipe:
        """A recipe from plain data; it can name catalog types only.

        Raises:
            RecipeError: Everything that is wrong with it.
        """
        if not isinstance(fields, dict):
            raise RecipeError(f"a recipe is a mapping of field names to values, not {type(fields).__name__}.")
        if fields.get("format", 1) != 1:
            raise RecipeError(f"format {fields['format']!r} is not known; this version reads format 1.")
        recipe: Recipe = build(cls, {key: value for key, value in fields.items() if key != "format"})
        return recipe


def load_recipe(target: str) -> Recipe:
    """The recipe that `target` names.

    Args:
        target: `recipes/glue.py:mrpc`, `my.yaml`, `my.json`, a run directory, or a shipped recipe (`quickstart`,
            `glue:sst2`).

    Raises:
        RecipeError: Nothing of that name, or a recipe that is not valid.
    """
    place, _, name = target.partition(":")
    path = Path(place).expanduser()
    if path.is_dir() and not name and ((path / RECIPE_FILE).exists() or place not in {p.stem for p in shipped()}):
        return _from_data(path / RECIPE_FILE)
    if not path.is_file():
        path = _shipped(place)
    if path.suffix in (".json", ".yaml", ".yml"):
        return _from_data(path)
    if path.suffix != ".py":
        raise RecipeError(f"{path} is no recipe: a .py, .yaml or .json file, or a run directory, is needed.")
    recipes = recipes_of(path)
    if not name and len(recipes) == 1:
        return next(iter(recipes.values()))
    if name not in recipes:
        what = f"no recipe {name!r}" if name else f"{len(recipes)} recipes"
        raise RecipeError(f"{path} has {what}; name one as {place}:NAME. {nearest(name, recipes)}")
    return recipes[name]


def recipes_of(path: Path) -> dict[str, Recipe]:
    """The recipes of a Python file: `recipe = Recipe(...)` under an empty name, `recipes = {...}` under theirs.

    Raises:
        RecipeError: The file holds none.
    """
    module = catalog.execute(path)
    found = dict(getattr(module, "recipes", {}))
    if isinstance(getattr(module, "recipe", None), Recipe):
        found[""] = module.recipe
    if not found:
        raise RecipeError(f"{path} has neither `recipe = Recipe(...)` nor `recipes = {{name: Recipe(...)}}`.")
    return {name: recipe.anchored(path.resolve().parent) for name, recipe in found.items()}


def shipped() -> list[Path]:
    """The recipe files that come with the package."""
    return sorted(path for path in catalog.recipes_folder().glob("*.py") if not path.name.startswith("_"))


def _shipped(place: str) -> Path:
    known = {path.stem: path for path in shipped()}
    name = Path(place)
    if name.stem in known and str(name) in (name.stem, f"recipes/{name.stem}.py"):
        return known[name.stem]
    if name.suffix or "/" in place:
        beside = [path.name for path in name.parent.iterdir()] if name.parent.is_dir() else []
        near = nearest(name.name, beside).partition("Known:")[0]
        raise RecipeError(f"{place} does not exist. {near}".strip())
    raise RecipeError(f"there is no recipe {place!r}. {nearest(place, known)} Or give the path of a file.")


def _from_data(path: Path) -> Recipe:
    if not path.exists():
        what = "is no run directory" if path.name == RECIPE_FILE else "does not exist"
        inside = f": it has no {RECIPE_FILE}" if path.name == RECIPE_FILE else ""
        raise RecipeError(f"{path.parent if inside else path} {what}{inside}.")
    try:
        fields = (
            json.loads(path.read_text("utf-8")) if path.suffix == ".json" else yaml.safe_load(path.read_text("utf-8"))
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is damaged or unfinished and cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        text = listing(str(error).splitlines(), 3)
        what = "asks for Python objects, which a recipe file never may" if "!python" in text else "is not valid YAML"
        raise RecipeError(f"{path} {what}: {text}.") from None
    recipe = Recipe.from_json(fields).anchored(path.resolve().parent)
    own = [name for name in recipe.task.evaluate_modules if Path(name).exists() and not catalog.executed(Path(name))]
    if own and path.name != RECIPE_FILE:
        raise RecipeError(f"{path} names {own[0]}, which is code that would run; allow it with --code {own[0]}")
    return recipe
