"""What a comparison looks like: on a terminal, in Markdown, as a page, in plots."""

import io
import itertools
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from rich.console import Console

from finetune.comparison.columns import DASH, amount, cost_columns, digits, notes, rate, score_columns, share
from finetune.comparison.fragment import fragment
from finetune.comparison.markdown import markdown
from finetune.comparison.page import page
from finetune.comparison.page_tables import runs_tables
from finetune.comparison.plot_costs import front
from finetune.comparison.plot_labels import spread
from finetune.comparison.plot_style import MARKERS, PAPER, SERIES, figure, looks, short, style
from finetune.comparison.plots import PLOTS, draw, names, svg
from finetune.comparison.result import Comparison
from finetune.comparison.table import print_comparison
from finetune.comparison.words import VERDICTS, answer, cautions, command, standing, terms
from finetune.errors import RunError
from tests.support.compared import HOSTILE, METHODS, SEEDS, WHY_NONE, WHY_UNMERGEABLE, example

NAMES = [method["name"] for method in METHODS]
WORDS = [method["words"] for method in METHODS if "words" in method]


@pytest.fixture(scope="module")
def whole() -> str:
    return page(example())


def unfinished() -> dict:
    content = example()
    for method in content["methods"]:
        gone = {"status": "failed", "problem": "out of memory", "scores": {}, "losses": [], "curve": []}
        method["cells"] = [{"seed": seed, "directory": "x", **gone} for seed in SEEDS]
        method |= {"scores": {}, "against": None, "costs": None, "search": [], "learning_rate": None, "at_edge": False}
    return content


def printed(content: dict, width: int = 80) -> str:
    file = io.StringIO()
    print_comparison(Console(file=file, width=width), content)
    return file.getvalue()


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


class Parsed(HTMLParser):
    """Every text, attribute and open element of a page."""

    VOID = ("meta", "link", "br")

    def __init__(self, text: str):
        super().__init__()
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (770, "770"), (999.6, "1 K"), (148_226, "148 K"), (22_713_986, "22.7 M"), (1.6e9, "1.6 G")],
)
def test_an_amount_has_three_digits_and_a_prefix(value, text):
    assert amount(value) == text


def test_an_amount_may_have_a_unit():
    assert amount(642e6, "B") == "642 MB"


@pytest.mark.parametrize(("value", "text"), [(2e-5, "2e-5"), (0.0013, "1.3e-3"), (1.0, "1e0")])
def test_a_rate_is_short(value, text):
    assert rate(value) == text


@pytest.mark.parametrize(("percent", "text"), [(100.0, "100 %"), (0.6525, "0.65 %"), (0.00339, "0.0034 %")])
def test_a_share_keeps_two_digits(percent, text):
    assert share(percent) == text


@pytest.mark.parametrize(("point", "places"), [(0.01, 3), (1.0, 1), (0.1, 2)])
def test_scores_are_shown_to_a_tenth_of_a_point(point, places):
    assert digits({"metric": {"point": point}}) == places


# Columns


def column(columns, heading):
    return next(column for column in columns if column.heading == heading).cells


def test_a_missing_number_is_a_dash_that_says_why():
    cell = column(cost_columns(example()), "forgetting")[NAMES.index("prefix:tokens=20")]
    assert (cell.text, cell.value, cell.note) == (DASH, None, WHY_NONE)


def test_equal_reasons_are_said_once():
    said = [note for note in notes(cost_columns(example())) if "plain already" in note]
    assert said == [f"merged of full, bitfit, frozen {HOSTILE}: the saved model is plain already"]


def test_failed_seeds_are_counted_beside_the_name():
    assert column(score_columns(example()), "method")[NAMES.index("ia3")].second == "2 of 3 seeds"


def test_a_difference_that_is_no_number_is_a_dash():
    content = example()
    content["methods"][1]["against"] |= {"difference": None, "low": None, "high": None}
    assert column(score_columns(content), "difference")[1].text == DASH


# Words


def against(**verdicts) -> dict:
    content = example()
    content["methods"] = [method for method in content["methods"] if method["name"] in ("full", *verdicts)]
    for method in content["methods"][1:]:
        method["against"]["verdict"] = verdicts[method["name"]]
    return content


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"adapter": "better"}, "adapter is better than full by 0.015 accuracy"),
        ({"bitfit": "no worse"}, "bitfit is no worse than full (within 0.01) and trains 0.12 % of the parameters"),
        ({"bitfit": "worse"}, "bitfit is worse than full"),
        ({"bitfit": "worse", "ia3": "worse but within the margin"}, "ia3, bitfit are worse than full"),
        ({"bitfit": "cannot tell"}, "These runs cannot tell bitfit from full"),
        ({"bitfit": "worse", "ia3": "cannot tell"}, "bitfit is worse than full; the runs cannot tell for ia3"),
        ({}, "Nothing can be held against full yet"),
    ],
)
def test_the_answer_says_what_the_verdicts_say(verdicts, said):
    assert answer(against(**verdicts)) == said


def test_of_several_that_are_no_worse_the_smallest_is_named():
    assert answer(against(bitfit="no worse", ia3="no worse", adapter="no worse")).startswith("ia3 ")


def test_every_verdict_of_the_example_is_listed_from_the_best_to_the_worst():
    assert list(standing(example())) == list(VERDICTS)


def test_the_terms_say_seeds_rows_steps_and_how_rates_were_chosen():
    said = " ".join(terms(example()))
    for words in ("3 seeds (0, 1, 2)", "3,668 training rows", "230 steps", "best of 4 to 5", "majority class: 0.684"):
        assert words in said


@pytest.mark.parametrize(
    "words",
    [
        "lies at the edge",
        "2 of 3 seeds finished (out of memory at step 12)",
        "1e-2 gave no score (diverged at step 31)",
    ],
)
def test_what_weakens_the_result_is_said(words):
    assert words in " ".join(cautions(example()))


@pytest.mark.parametrize(("low", "said"), [(0.68, True), (0.69, False)])
def test_a_method_that_may_have_learned_nothing_is_said(low, said):
    content = example()
    content["methods"][0]["scores"]["accuracy"] |= {"low": low, "high": 0.9}
    assert ("full: not shown to be better than majority class" in " ".join(cautions(content))) == said


@pytest.mark.parametrize(("high", "said"), [(0.69, True), (0.68, False)])
def test_a_low_score_may_be_the_better_one(high, said):
    content = example()
    content["metric"]["higher_is_better"] = False
    content["methods"][0]["scores"]["accuracy"] |= {"low": 0.1, "high": high}
    assert ("full: not shown to be better" in " ".join(cautions(content))) == said


def test_a_saved_model_that_was_not_confirmed_is_said():
    content = example()
    content["methods"][0]["cells"][1]["problem"] = "the saved model could not be confirmed"
    assert "full, seed 1: the saved model could not be confirmed." in cautions(content)


def test_an_interval_beside_0_that_settles_nothing_is_explained():
    content = example()
    content["methods"][1]["against"] |= {"verdict": "cannot tell", "low": -0.03, "high": -0.01}
    said = [caution for caution in cautions(content) if "correction for the number of methods" in caution]
    assert said == [f"{NAMES[1]}: its interval leaves out 0, but not after the correction for the number of methods."]
    content["methods"][1]["against"] |= {"low": -0.03, "high": 0.01}
    assert not any("correction for the number of methods" in caution for caution in cautions(content))


def test_one_seed_is_said():
    content = example()
    content["terms"]["seeds"] = [0]
    assert cautions(content)[0].startswith("One seed only")


def test_the_command_names_the_folders_where_they_are_not_the_usual_ones():
    content = example()
    assert "--out" not in command(content) and "--directory" not in command(content)
    content["folders"] = {"out": "a b", "directory": "a b/runs"}
    assert command(content).endswith("--out 'a b'")
    content["folders"] = {"out": "comparison", "directory": "runs"}
    assert command(content).endswith("--directory runs") and "--out" not in command(content)


def test_the_command_names_every_method_as_the_shell_would_read_it():
    words = shlex.split(command(example()))
    assert words[:3] == ["finetune", "compare", "recipes/glue.py:mrpc"]
    assert words[words.index("--tuning") + 1 : words.index("--seeds")] == NAMES


# Terminal


def test_the_tables_fit_into_80_columns_and_break_no_number():
    text = printed(example())
    assert max(map(len, text[: text.index("Again:")].splitlines())) <= 80
    for whole in (
        "0.833 to 0.889",
        "-0.144 to -0.096",
        "1.3e-3",
        "0.65 %",
        "22.7 M",
        "(182 MB)",
        "(119/s)",
        "+0.07",
    ):
        assert whole in text
    assert "…" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_shows_every_method_with_its_score(name):
    lines = [line for line in printed(example(), 220).splitlines() if line.startswith(f"{name} ")]
    assert any(f"{METHODS[NAMES.index(name)]['mean']:.3f}" in line for line in lines)


@pytest.mark.parametrize("words", WORDS)
def test_the_terminal_says_every_verdict(words):
    assert all(part in flat(printed(example(), 220)) for part in words.split("; "))


@pytest.mark.parametrize("reason", [WHY_NONE, WHY_UNMERGEABLE])
def test_the_terminal_says_why_a_number_is_missing(reason):
    assert reason in flat(printed(example()))


# Markdown


def test_markdown_rows_have_as_many_entries_as_their_header():
    content = example()
    content["methods"][1]["name"] = "lora|pipe"
    lines = [line for line in markdown(content).splitlines() if line.startswith("|")]
    widths = [len(re.split(r"(?<!\\)\|", line)) for line in lines]
    assert len(set(widths[:9])) == len(set(widths[9:])) == 1


def test_markdown_has_no_element_of_a_users_text():
    text = markdown(example())
    assert "<script>" not in text[: text.index("```")]
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("words", WORDS)
def test_markdown_says_every_verdict(words):
    assert words.replace("; ", " (") in markdown(example())


# Page


def test_every_element_of_the_page_is_closed(whole):
    assert Parsed(whole).open == []


def test_the_page_has_no_element_of_a_users_text(whole):
    assert Parsed(whole).tags["script"] == 1
    assert HOSTILE in " ".join(Parsed(whole).texts)


def test_nothing_in_the_page_is_fetched_from_elsewhere(whole):
    fetching = ("src", "href", "xlink:href", "action", "data")
    asked = [value for name, value in Parsed(whole).attributes if name in fetching]
    assert len(asked) > 20
    assert [value for value in asked if not value.startswith(("#", "runs/"))] == []
    assert "@import" not in whole
    assert re.findall(r"url\((?!#)", whole) == []


def test_a_link_is_quoted():
    content = example()
    content["methods"][0]["cells"][0]["directory"] = 'javascript:alert("x") y'
    assert 'href="javascript%3Aalert%28%22x%22%29%20y"' in runs_tables(content)


def test_no_two_elements_of_the_page_share_an_id(whole):
    ids = Counter(value for name, value in Parsed(whole).attributes if name == "id")
    assert len(ids) > 50
    assert [name for name, count in ids.items() if count > 1] == []


@pytest.mark.parametrize("words", [*NAMES, *itertools.chain(*(words.split("; ") for words in WORDS)), WHY_NONE])
def test_the_page_says_every_name_verdict_and_reason(whole, words):
    assert any(words in text for text in Parsed(whole).texts)


def test_the_colours_of_plots_are_those_of_the_page(whole):
    figures = whole[whole.index("<figure") : whole.rindex("</figure>")]
    assert re.findall(r"(?:fill|stroke): #\w+", figures) == []


def test_each_difference_has_its_whisker(whole):
    assert whole.count('class="whisker"') == len(NAMES) - 1


def test_a_comparison_with_nothing_finished_is_shown_too():
    content = unfinished()
    for text in (page(content), markdown(content), printed(content), fragment(content)):
        assert "Nothing can be held against full yet" in text
    assert "out of memory" in page(content)


def test_a_notebook_gets_every_method_escaped():
    parsed = Parsed(fragment(example()))
    assert all(any(text.startswith(name) for text in parsed.texts) for name in NAMES)
    assert parsed.tags["script"] == 0


# Plots


def painted(which: str, content: dict):
    with style():
        made = figure(6.2, 4.0)
        PLOTS[which].paint(content, made)
        made.canvas.draw()
    return made.axes[0]


@pytest.mark.parametrize("which", ["parameters", "memory", "seconds"])
def test_scores_have_whiskers_from_end_to_end_of_their_interval(which):
    lines = [lines for lines in painted(which, example()).collections if to_hex(lines.get_color()[0]) != PAPER]
    whiskers = itertools.chain(*(line.get_segments() for line in lines))
    drawn = sorted(tuple(whisker[:, 1].round(6)) for whisker in whiskers)
    scores = [method["scores"]["accuracy"] for method in example()["methods"]]
    assert drawn == sorted((round(score["low"], 6), round(score["high"], 6)) for score in scores)


@pytest.mark.parametrize("which", ["parameters", "memory", "seconds", "rates"])
def test_names_stand_over_no_other_name_and_inside_the_plot(which):
    axes = painted(which, example())
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == len(NAMES)
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))
    frame = axes.get_window_extent().padded(2)
    assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in boxes)


def test_a_dot_stands_for_every_finished_seed():
    dots = [
        line
        for line in painted("seeds", example()).lines
        if line.get_linestyle() == "None" and line.get_marker() != "|"
    ]
    assert sum(len(line.get_xdata()) for line in dots) == len(NAMES) * len(SEEDS) - 1


@pytest.mark.parametrize(("which", "logarithmic"), [("parameters", True), ("memory", False), ("rates", True)])
def test_a_wide_range_is_logarithmic(which, logarithmic):
    assert (painted(which, example()).get_xscale() == "log") == logarithmic


@pytest.mark.parametrize(
    ("points", "higher", "kept"),
    [
        ([(1, 0.5), (2, 0.4), (3, 0.9)], True, [0, 2]),
        ([(1, 0.5), (2, 0.4), (3, 0.9)], False, [0, 1]),
        ([(2, 0.5), (1, 0.5)], True, [1]),
        ([(1, 0.4), (1, 0.6)], True, [1]),
    ],
)
def test_the_front_holds_what_nothing_beats_in_both(points, higher, kept):
    assert front(points, higher) == kept


def test_the_same_comparison_gives_the_same_drawing():
    assert svg(example(), "parameters") == svg(example(), "parameters")


def test_the_users_settings_neither_matter_nor_change():
    import matplotlib

    plain = svg(example(), "memory")
    with matplotlib.rc_context({"axes.facecolor": "black", "axes.labelsize": 30, "svg.hashsalt": "mine"}):
        assert svg(example(), "memory") == plain
        assert matplotlib.rcParams["axes.labelsize"] == 30


def test_a_dollar_in_a_name_is_no_formula():
    content = example()
    content["methods"][1]["name"] = "a$x^2$b"
    assert ">a$x^2$b</text>" in svg(content, "parameters")


def test_every_plot_is_written_as_picture_and_as_drawing(tmp_path):
    written = draw(example(), tmp_path / "plots")
    assert [path.name for path in written] == [f"{name}.{kind}" for name in PLOTS for kind in ("png", "svg")]
    assert all(path.stat().st_size > 2000 for path in written)


def test_a_plot_with_nothing_to_show_is_left_out():
    content = example()
    for method in content["methods"]:
        method["costs"] = None
    assert set(PLOTS) - set(names(content)) == {"parameters", "memory", "seconds"}
    assert names(unfinished()) == []


def test_a_plot_that_does_not_exist_is_refused():
    with pytest.raises(RunError, match="Did you mean 'memory'"):
        svg(example(), "memroy")


def test_every_method_has_a_look_of_its_own():
    content = example()
    content["methods"] = [{"name": f"m{n}"} for n in range(len(SERIES) * len(MARKERS))] + [{"name": "full"}]
    assert len({(look.colour, look.marker) for look in looks(content).values()}) == len(content["methods"])


def test_a_long_name_keeps_its_ends():
    assert short("lora:r=16,targets=all,alpha=32") == "lora:r=16,targe…alpha=32"


@pytest.mark.parametrize(
    ("heights", "moved"),
    [
        ([0.1, 0.9], [0.1, 0.9]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.55, 0.5], [0.575, 0.475]),
        ([0.0, 0.02], [0.0, 0.1]),
        ([1.0, 0.99, 0.85], [1.0, 0.9, 0.8]),
    ],
)
def test_names_at_the_ends_of_lines_are_moved_no_more_than_needed(heights, moved):
    assert spread(heights, 0.1, 0.0, 1.0) == pytest.approx(moved)


def test_a_comparison_is_one_short_line_where_a_value_is_shown():
    assert repr(Comparison(example(), Path("here"))) == f"Comparison of glue-mrpc in here: {', '.join(NAMES)}"
