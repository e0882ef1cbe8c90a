"""Learning rates as a closed form of the step, and which parameters decay."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from finetune import Training, run
from finetune.model import build
from finetune.pretrained import open_checkpoint
from finetune.training import optim
from finetune.training.optim import factor
from tests.support.cases import TUNINGS, recipe

SCHEDULES = ("linear", "cosine", "constant")
ROUNDING = 1e-12
PEAK, STEPS, WARMUP = 1e-3, 8, 2


def factors(total: int, warmup: float, schedule: str) -> list[float]:
    return [factor(step, total, warmup, schedule) for step in range(total)]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_rises_in_equal_parts_up_to_the_first_step_after_the_warm_up(schedule):
    assert factors(20, 4, schedule)[:5] == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1])


@pytest.mark.parametrize(("share", "steps"), [(0.2, 4), (0.25, 5), (0.01, 1), (0.11, 3)])
def test_a_share_is_rounded_up_to_whole_steps(share, steps):
    assert factors(20, share, "linear") == factors(20, steps, "linear")


@pytest.mark.parametrize(("share", "total", "steps"), [(0.07, 100, 7), (0.14, 50, 7), (0.1, 30, 3), (0.29, 100, 29)])
def test_a_share_that_is_a_whole_number_of_steps_is_not_rounded_beyond_it(share, total, steps):
    assert factors(total, share, "linear") == factors(total, steps, "linear")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_a_warm_up_the_first_rate_is_the_peak(schedule):
    assert factor(0, 20, 0, schedule) == 1


def test_one_is_a_step_and_no_share():
    assert factors(20, 1, "constant") == [1 / 2, *[1] * 19]


def test_linear_goes_down_in_equal_parts_and_would_be_zero_after_the_last_step():
    assert factors(10, 2, "linear")[2:] == pytest.approx([1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert factor(10, 10, 2, "linear") == 0


def test_cosine_is_half_way_down_in_the_middle_and_would_be_zero_after_the_last_step():
    assert factor(6, 10, 2, "cosine") == pytest.approx(0.5)
    assert factor(4, 10, 2, "cosine") == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert factor(10, 10, 2, "cosine") == pytest.approx(0, abs=ROUNDING)


def test_constant_stays_at_the_peak():
    assert factors(10, 2, "constant")[2:] == [1] * 8


@given(
    total=st.integers(1, 2000),
    warmup=st.one_of(st.floats(0, 1, exclude_max=True), st.integers(1, 3000).map(float)),
    schedule=st.sampled_from(SCHEDULES),
)
def test_every_rate_of_a_run_is_above_zero_and_at_most_the_peak(total, warmup, schedule):
    found = factors(total, warmup, schedule)
    assert min(found) > 0
    assert max(found) <= 1


@given(
    total=st.integers(2, 500), warmup=st.floats(0, 1, exclude_max=True), schedule=st.sampled_from(("linear", "cosine"))
)
def test_the_rate_rises_and_then_falls(total, warmup, schedule):
    found = factors(total, warmup, schedule)
    top = found.index(max(found))
    assert all(before < after for before, after in pairwise(found[: top + 1]))
    assert all(before > after for before, after in pairwise(found[top:]))


@given(total=st.integers(2, 500), share=st.floats(0, 1, exclude_max=True))
def test_the_peak_comes_after_the_warm_up(total, share):
    rising = math.ceil(share * total)
    assume(rising < total and rising == math.ceil(share * total - 1e-9))
    assert factors(total, share, "linear").index(1.0) == rising


def test_every_group_is_set_to_its_share_of_its_own_peak():
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate, "peak": rate} for rate in (0.1, 0.4)]
    made = torch.optim.AdamW(groups)
    assert optim.set_rate(made, 0.5) == pytest.approx(0.2)
    assert [group["lr"] for group in made.param_groups] == pytest.approx([0.05, 0.2])
    assert optim.set_rate(made, 0.25) == pytest.approx(0.1)


@pytest.fixture(scope="module")
def built(checkpoint):
    """A function from architecture and method to a model with its optimizer."""

    def make(architecture: str, tuning: str):
        made = recipe("classification", architecture, checkpoint(architecture), tuning)
        rows = made.data.load(made.task.inputs(), made.task.targets())["train"]
        found = open_checkpoint(made.model)
        head = made.task.resolve(rows, found.tokenizer).head(found.config)
        module = build(made.model, found, head, made.tuning, 0, 10, False).module
        return module, optim.optimizer(module, made.tuning, Training(weight_decay=0.3)), made.tuning

    return make


EVERY_MODEL = [(architecture, tuning) for architecture in ("bert", "gpt2") for tuning in TUNINGS]


@pytest.mark.parametrize(("architecture", "tuning"), EVERY_MODEL)
def test_every_trained_parameter_stands_in_one_group(built, architecture, tuning):
    module, made, _ = built(architecture, tuning)
    grouped = [id(parameter) for group in made.param_groups for parameter in group["params"]]
    trained = [id(parameter) for parameter in module.parameters() if parameter.requires_grad]
    assert len(trained) > 0
    assert sorted(grouped) == sorted(trained)


@pytest.mark.parametrize(("architecture", "tuning"), EVERY_MODEL)
def test_biases_and_norms_are_not_decayed_and_all_else_is(built, architecture, tuning):
    module, made, _ = built(architecture, tuning)
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            # biases, norms and vectors of scales; AdaLoRA's singular values are decayed as the matrices beside them
            spared = parameter.numel() == max(parameter.shape) and ".lora_E." not in name
            assert decays[id(parameter)] == (0 if spared else 0.3), name


@pytest.mark.parametrize("tuning", TUNINGS)
def test_every_group_has_the_learning_rate_of_its_method(built, tuning):
    _, made, method = built("bert", tuning)
    assert {group["peak"] for group in made.param_groups} == {method.learning_rate}


SHAPES = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: math.cos(math.pi * done / 2) ** 2,
    "constant": lambda done: 1,
}
"""Share of the peak, from the share of the way after the warm-up."""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rates_of_the_log_are_the_closed_form(tmp_path, tiny_bert, schedule):
    method = TUNINGS["full"](learning_rate=PEAK)
    made = recipe("classification", "bert", tiny_bert, method, steps=STEPS, warmup=WARMUP, schedule=schedule)
    done = run(made, tmp_path, certified=False)
    lines = map(json.loads, (done.directory / "metrics.jsonl").read_text("utf-8").splitlines())
    logged = [line["learning_rate"] for line in lines if "learning_rate" in line]
    falling = [SHAPES[schedule](step / (STEPS - WARMUP)) for step in range(STEPS - WARMUP)]
    assert logged == pytest.approx([PEAK * share for share in (1 / 3, 2 / 3, *falling)])
