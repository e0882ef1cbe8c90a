"""The saved model: what a public library needs to load it, its tokenizer, and a card that says what it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from finetune.predict import DECISIONS
from finetune.preparation import Prepared
from finetune.run_directory import FORMAT, RunDirectory, write_json, write_text, writing
from finetune.training.loop import Trainee

TRANSFORMERS_USE = """from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained(FOLDER)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
"""
WRITING_USE = """
inputs = tokenizer({prompt}, return_tensors="pt", return_token_type_ids=False)
written = model.generate(**inputs{settings})[0]{after}
print(tokenizer.decode(written, skip_special_tokens=True))
"""
PEFT_USE = """from peft import PeftConfig, PeftModel
from transformers import AutoConfig, {auto}, AutoTokenizer

base = PeftConfig.from_pretrained(FOLDER).base_model_name_or_path
model = {auto}.from_pretrained(base, config=AutoConfig.from_pretrained(FOLDER))
model = PeftModel.from_pretrained(model, FOLDER)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
"""
DOUBLED_USE = """from peft import PeftConfig, PeftModel
from transformers import AutoTokenizer, EncoderDecoderModel

base = PeftConfig.from_pretrained(FOLDER).base_model_name_or_path
# what it says to miss, the attention between the halves, is in the adapter
model = EncoderDecoderModel.from_encoder_decoder_pretrained(base, base)
model = PeftModel.from_pretrained(model, FOLDER)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
"""
FINETUNE_USE = """from finetune import load

model = load(RUN)  # the folder of the run, in which this one lies
predictions = model(ROWS)  # a list of rows, each a dictionary of the input columns
"""
ADAPTER_NOTE = (
    "This is an adapter: it needs the checkpoint that base_model_name_or_path in adapter_config.json names, "
    "on another machine perhaps at another place."
)


def save(prepared: Prepared, trainee: Trainee, directory: RunDirectory, decisions: dict[str, Any]) -> None:
    """Write `model/`, beside and then renamed."""
    from transformers import GenerationConfig

    unfinished = directory.path / "model.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    with writing(unfinished):
        unfinished.mkdir()
        prepared.recipe.tuning.save(trainee.module, unfinished)
        tokenizer = prepared.checkpoint.tokenizer
        if prepared.head.auto == "AutoModelForCausalLM":
            tokenizer.padding_side = "left"  # whoever has it write several texts at once needs them to end side by side
        tokenizer.save_pretrained(unfinished)
        if prepared.head.generation:  # an adapter's folder has none of its own
            GenerationConfig(**prepared.head.generation).save_pretrained(unfinished)
        write_json(unfinished / DECISIONS, {"format": FORMAT, "decisions": decisions})
        shutil.rmtree(directory.model, ignore_errors=True)
        unfinished.rename(directory.model)


def card(report: dict[str, Any]) -> str:
    """The model card, from the report."""
    recipe, environment = report["recipe"], report["environment"]
    base = recipe["model"]["path"]
    on_hub = [f"base_model: {base}"] if "/" in base and ":" not in base and not Path(base).is_absolute() else []
    rows = [
        f"| {split} | {name} | {s['value']:.4f} | {s['low']:.4f} to {s['high']:.4f} | {s['baseline']:.4f} |"
        for split, metrics in report["scores"].items()
        for name, s in metrics.items()
    ]
    certificate = report["certificate"] or {"holds": False, "reasons": ["not examined yet"]}
    confirmed = (
        f"A fresh process loaded this folder with {certificate['loader']} and found the same predictions for "
        f"{certificate['rows']} rows; the largest relative difference of a logit was "
        f"{certificate['largest_difference']:.1e}."
        if certificate["holds"]
        else f"NOT CONFIRMED by a fresh process: {'; '.join(certificate['reasons'])}."
    )
    loader = report["loader"]
    notes = [ADAPTER_NOTE if loader == "peft" else "", report.get("note", "")]
    parameters = report["parameters"]
    chosen = (
        f"Step {report['best_step']} of {report['steps']} was the best of {report['scorings']} scorings of the "
        "validation split, so the score there is somewhat flattering."
    )
    labels = recipe["task"].get("labels")
    return "\n".join(
        [
            "---",
            *on_hub,
            f"library_name: {loader}",
            "---",
            "",
            f"# {recipe['name']}",
            "",
            f"{recipe['task']['type']} with {recipe['model']['path']}, tuned with {recipe['tuning']['type']} "
            f"({parameters['trainable']:,} of {parameters['total']:,} parameters trained).",
            "",
            *([f"Labels: {', '.join(labels)}.", ""] if labels else []),
            f"| split | score | value | 95 % interval | {report['baseline']} |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *(
                f"{name} of {split}: {text}\n"
                for split, s in report.get("signatures", {}).items()
                for name, text in s.items()
            ),
            *([chosen, ""] if report["scorings"] > 1 and recipe["training"].get("select") != "last" else []),
            confirmed,
            "",
            "## Use",
            "",
            "```python",
            *_use(report, loader).splitlines(),
            "```",
            "",
            *(f"{note}\n" for note in notes if note),
            f"Scored in {recipe['training']['precision']}; in another number format probabilities move a little.",
            "",
            f"Made with finetune {environment['finetune']}, "
            + ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)
            + f"; {recipe['training']['precision']}, seed {recipe['training']['seed']}.",
            "",
        ]
    )


def _use(report: dict[str, Any], loader: str) -> str:
    """How to load the model with the most public library that can, and have it write if it writes."""
    if loader == "finetune":
        return FINETUNE_USE
    task, auto, adapter = report["recipe"]["task"], report["auto_class"], loader == "peft"
    text = (DOUBLED_USE if report.get("doubled") else PEFT_USE) if adapter else TRANSFORMERS_USE
    text = text.format(auto=auto)
    if task.get("prompt") is None:
        return text
    prompt = repr(task["prompt"].replace("{source}", "TEXT"))
    after = '[inputs["input_ids"].shape[1] :]' if task["writer"] == "decoder" else ""
    settings = ", generation_config=GenerationConfig.from_pretrained(FOLDER)" if adapter else ""
    imported = "from transformers import GenerationConfig\n" if adapter else ""
    return imported + text + WRITING_USE.format(prompt=prompt, settings=settings, after=after)


def write_card(directory: RunDirectory, report: dict[str, Any]) -> None:
    """Put the card into `model/`."""
    write_text(directory.model / "README.md", card(report))
