"""The page of a comparison in a real browser: Chromium, driven by Playwright; skipped where either is missing."""

import os
import shutil

import pytest

from finetune.comparison.page import page
from tests.support.compared import HOSTILE, METHODS, example

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to drive")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no {', '.join(PROGRAMS)} here and CHROMIUM is not set: no browser to drive")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("comparison") / "index.html"
    path.write_text(page(example()), "utf-8")
    return path


@pytest.fixture
def seen(browser, file):
    """The opened page, and what it asked for and complained of."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    opened.close()


def first_column(seen) -> list[str]:
    return [name.split("\n")[0] for name in seen.locator("table").first.locator("tbody th").all_inner_texts()]


def header(seen, heading: str):
    return seen.locator("table").first.get_by_role("columnheader", name=heading)


BY_ACCURACY = [method["name"] for method in sorted(METHODS, key=lambda method: method["mean"])]


def test_a_click_on_a_header_sorts_upwards_and_a_second_one_downwards(seen):
    header(seen, "accuracy").get_by_role("button").click()
    assert first_column(seen) == BY_ACCURACY
    header(seen, "accuracy").get_by_role("button").click()
    assert first_column(seen) == BY_ACCURACY[::-1]


def test_the_enter_key_sorts_too(seen):
    header(seen, "accuracy").get_by_role("button").press("Enter")
    assert first_column(seen) == BY_ACCURACY


def test_numbers_are_sorted_as_numbers(seen):
    costs = seen.locator("table").nth(1)
    costs.get_by_role("columnheader", name="trained").get_by_role("button").click()
    names = [name.split("\n")[0] for name in costs.locator("tbody th").all_inner_texts()]
    assert names == [method["name"] for method in sorted(METHODS, key=lambda method: method["trainable"])]


@pytest.mark.parametrize("clicks", [1, 2])
def test_a_missing_value_stands_last_both_ways(seen, clicks):
    costs = seen.locator("table").nth(1)
    for _ in range(clicks):
        costs.get_by_role("columnheader", name="forgetting").get_by_role("button").click()
    assert costs.locator("tbody th").last.inner_text() == "prefix:tokens=20"


def test_aria_sort_says_which_column_is_sorted_and_how(seen):
    header(seen, "spread").get_by_role("button").click()
    header(seen, "accuracy").get_by_role("button").click()
    assert header(seen, "accuracy").get_attribute("aria-sort") == "ascending"
    assert header(seen, "spread").get_attribute("aria-sort") == "none"


def test_what_is_pointed_at_stands_out_in_the_plots(seen):
    seen.locator("tbody tr[data-method=method-1]").first.hover()
    faded = seen.locator("figure .method[data-method=method-2]").first
    assert seen.locator("figure .method[data-method=method-1].chosen").count() > 0
    assert "chosen" not in (faded.get_attribute("class") or "")


def test_no_request_leaves_the_file_and_nothing_is_complained_of(seen, file):
    seen.get_by_text("Final runs").click()
    assert seen.asked == [file.as_uri()]
    assert seen.complaints == []


def test_a_script_in_a_name_is_shown_and_not_run(seen):
    assert f"frozen {HOSTILE}" in first_column(seen)
    assert "stolen" not in seen.title()


def test_a_script_that_is_not_the_pages_own_is_refused(browser, file, tmp_path):
    forged = tmp_path / "forged.html"
    forged.write_text(file.read_text("utf-8").replace("</main>", "<script>document.title='stolen'</script></main>"))
    opened = browser.new_page()
    opened.goto(forged.as_uri())
    assert opened.title() != "stolen"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_the_screen(browser, file, width):
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(file.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_drawn_differences_stand_over_each_other(seen):
    places = seen.locator("svg.forest").evaluate_all("found => found.map(drawn => drawn.getBoundingClientRect().x)")
    assert len(places) == len(METHODS)
    assert len(set(places)) == 1


@pytest.mark.parametrize(("scheme", "darker"), [("light", "ink"), ("dark", "paper")])
def test_plots_follow_the_light_and_the_dark_theme(browser, file, scheme, darker):
    opened = browser.new_page(color_scheme=scheme)
    opened.goto(file.as_uri())
    brightness = "e => getComputedStyle(e).fill.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)"
    ink = opened.locator("figure text").first.evaluate(brightness)
    paper = opened.locator("figure path").first.evaluate(brightness)
    assert (ink < paper) == (darker == "ink")
