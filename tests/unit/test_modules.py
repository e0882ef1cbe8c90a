"""Modules of `evaluate` in a recipe: loaded from files without a network, scored with intervals, refused in words."""

import http.server
import math
import socket
import textwrap
import threading
from pathlib import Path

import evaluate
import numpy as np
import pytest

from finetune import hub
from finetune.errors import RecipeError
from finetune.modules.loading import load, stem
from finetune.modules.scoring import Score, score

FEATURES = {
    "integers": 'datasets.Value("int32")',
    "numbers": 'datasets.Value("float32")',
    "texts": 'datasets.Value("string")',
    "lists": 'datasets.Sequence(datasets.Value("int32"))',
    "answers": '{"id": datasets.Value("string"), "prediction_text": datasets.Value("string")}',
}
ACCURACY = 'return {"acc": sum(a == b for a, b in zip(predictions, references)) / len(predictions)}'


def source(body: str = ACCURACY, features: str = "integers", imports: str = "import datasets\nimport evaluate") -> str:
    kind = FEATURES.get(features, features)
    return f"""{imports}

class Mine(evaluate.Metric):
    def _info(self):
        features = datasets.Features({{"predictions": {kind}, "references": {kind}}})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references):
{textwrap.indent(body, " " * 8)}
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes a module and returns its folder, or the file given by name."""

    def make(text: str, name: str = "mymetric") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.py").write_text(text, "utf-8")
        return str(folder)

    return make


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What was asked of the network, which is out of reach."""
    found: list[str] = []

    def refuse(*arguments, **named):
        found.append(str(arguments))
        raise OSError("no network here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    return found


# From files


def test_a_folder_is_loaded_without_a_word_to_the_network(write, asked):
    assert score((write(source()),), [0, 1, 1, 0], [0, 1, 1, 1])["mymetric.acc"].value == 0.75
    assert asked == []


def test_a_file_is_loaded_without_a_word_to_the_network(write, asked):
    assert score((f"{write(source())}/mymetric.py",), [1], [1])["mymetric.acc"].value == 1
    assert asked == []


@pytest.mark.parametrize("name", ["mymetric", "./mymetric", "mymetric/", "mymetric/mymetric.py"])
def test_a_path_may_be_relative(write, asked, monkeypatch, name):
    monkeypatch.chdir(Path(write(source())).parent)
    assert list(score((name,), [1], [1])) == ["mymetric.acc"]
    assert asked == []


def test_a_file_beside_the_module_is_imported_with_a_dot(write, asked):
    folder = write(
        source("return {'acc': half()}", imports="import datasets\nimport evaluate\nfrom .halves import half")
    )
    (Path(folder) / "halves.py").write_text("def half():\n    return 0.5\n")
    assert score((folder,), [1], [1])["mymetric.acc"].value == 0.5
    assert asked == []


def test_a_file_that_wants_another_from_the_network_is_refused_without_asking(write, asked):
    imports = "import datasets\nimport evaluate\nfrom .other import x  # From: https://example.org/other.py"
    with pytest.raises(RecipeError, match=r"wants a file of the network .*put that file beside it"):
        load(write(source(imports=imports)))
    assert asked == []


def test_evaluate_may_use_the_network_again_afterwards(write):
    load(write(source()))
    assert evaluate.config.HF_EVALUATE_OFFLINE is False


def test_an_edited_file_is_read_again(write):
    folder = write(source())
    assert score((folder,), [1], [1])["mymetric.acc"].value == 1
    (Path(folder) / "mymetric.py").write_text(source("return {'acc': 0.25}"))
    assert score((folder,), [1], [1])["mymetric.acc"].value == 0.25


@pytest.mark.parametrize("name", ["mymetrics", "mymetrics.py"])
def test_a_path_that_does_not_exist_is_refused_with_what_is_near(write, name):
    folder = Path(write(source()))
    with pytest.raises(RecipeError, match=rf"the file or folder '.*{name}' does not exist\. Did you mean 'mymetric'\?"):
        load(str(folder.parent / name))


def test_a_folder_without_a_module_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f1").mkdir()
    with pytest.raises(RecipeError, match=r"'f1' is a folder without f1\.py; .* is evaluate-metric/f1\."):
        load("f1")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(RecipeError, match=r"notes\.txt' is no \.py file"):
        load(str(tmp_path / "notes.txt"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (source(imports="import datasets, evaluate"), "imports several packages on one line.*write one import a line"),
        (source(imports="import datasets\nimport evaluate\nimport not_there"), "not installed: pip install not_there"),
        (source(imports="import datasets\nimport evaluate\nfrom os import x_y"), "cannot import what it needs: .*x_y"),
        ("import datasets\nclass Mine:\n    pass\n", r"first class derived from evaluate\.Metric"),
        (source().replace("evaluate.Metric)", "Metric)") + "\n", "NameError: name 'Metric' is not defined"),
        ("from evaluate import Metric\nclass Mine(Metric):\n    pass\n", "also one that is only imported"),
        ("def (:\n", "SyntaxError"),
    ],
    ids=["one line", "not installed", "wrong import", "no class", "name", "imported class", "syntax"],
)
def test_a_file_that_cannot_be_loaded_is_refused_in_words(write, text, complaint):
    with pytest.raises(RecipeError, match=rf"task\.evaluate_modules: '.*mymetric' .*{complaint}"):
        load(write(text))


def test_a_module_that_wants_more_than_predictions_and_references_is_refused(write):
    with pytest.raises(RecipeError, match="wants sources; a task has predictions and references only"):
        load(write(source().replace('{"predictions"', '{"sources": datasets.Value("string"), "predictions"')))


# From the Hub


def test_a_module_that_is_nowhere_is_refused_where_the_hub_is_out_of_reach(asked):
    with pytest.raises(
        RecipeError, match=r"'no_such' is not on this machine, and .* cannot be reached; a local folder"
    ):
        load("no_such")


@pytest.mark.parametrize("key", ["HF_HUB_OFFLINE", "HF_EVALUATE_OFFLINE"])
def test_where_the_network_is_switched_off_it_is_not_asked(asked, monkeypatch, key):
    monkeypatch.setenv(key, "1")
    with pytest.raises(RecipeError, match=rf"'no_such' is not on this machine, and {key} is set"):
        load("no_such")
    assert asked == []


@pytest.fixture
def hub_of(tmp_path, monkeypatch):
    """A function that puts a module on a Hub of its own; the Hub answers for as long as the test runs."""
    files: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            content = files.get(Path(self.path).name)
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr(evaluate.config, "HUB_EVALUATE_URL", address + "/spaces/{path}/resolve/{revision}/{name}")
    monkeypatch.setattr(evaluate.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setattr(evaluate.config, "DOWNLOADED_EVALUATE_PATH", tmp_path)

    def put(name: str, text: str) -> None:
        files[f"{name}.py"] = text.encode()

    yield put
    server.shutdown()
    server.server_close()


def test_a_module_of_the_hub_is_loaded_and_found_again_without_the_hub(hub_of, monkeypatch):
    hub_of("of_the_hub", source())
    assert score(("of_the_hub",), [1, 0], [1, 1])["of_the_hub.acc"].value == 0.5
    monkeypatch.setattr(hub, "reachable", lambda: False)
    assert score(("of_the_hub",), [1, 0], [1, 1])["of_the_hub.acc"].value == 0.5


def test_a_misspelt_name_of_the_hub_is_refused_with_what_is_near(hub_of):
    with pytest.raises(RecipeError, match=r"'acuracy' is not at http.*Did you mean 'accuracy'\? Else a local folder"):
        load("acuracy")


def test_scores_are_called_after_the_last_part_of_the_name():
    names = ["accuracy", "someone/mine", "a/b/mine", "/a/mine.py", "mine.v2"]
    assert [stem(name) for name in names] == ["accuracy", "mine", "mine", "mine", "mine.v2"]


# Scores


def test_numbers_are_kept_with_those_of_inner_dictionaries(write):
    body = """
    import numpy as np
    return {"a": 1, "b": np.float32(0.5), "c": [1, 2], "d": {"e": np.array(2), "f": {"g": 3}, "h": "x"}, "i": True,
            "j": None, "k": np.bool_(True)}
    """
    found = score((write(source(textwrap.dedent(body).strip())),), [1], [1])
    assert {name: one.value for name, one in found.items()} == {"mymetric.a": 1, "mymetric.b": 0.5, "mymetric.d.e": 2}


@pytest.mark.parametrize("returned", ["0.5", "{}", "{'a': [1]}", "None"])
def test_a_module_that_returns_no_number_is_refused(write, returned):
    with pytest.raises(RecipeError, match=r"returns .*; a dictionary of names and numbers is needed"):
        score((write(source(f"return {returned}")),), [1], [1])


def test_the_interval_is_that_of_the_bootstrap_over_rows(write):
    rows = 400
    right = [1] * 300 + [0] * 100
    found = score((write(source()),), right, [1] * rows, resamples=1000)["mymetric.acc"]
    half = 1.96 * math.sqrt(0.75 * 0.25 / rows)
    assert found == pytest.approx((0.75, 0.75 - half, 0.75 + half), abs=0.006)


def test_the_interval_of_a_random_module_is_the_same_every_time(write):
    folder = write(source("import numpy as np\nreturn {'acc': np.random.random()}"))
    first = score((folder,), [1, 0], [1, 1])
    np.random.random()
    assert score((folder,), [1, 0], [1, 1]) == first


def test_no_random_number_of_the_caller_is_used_up(write):
    folder = write(source("import numpy as np\nreturn {'acc': np.random.random()}"))
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    score((folder,), [1, 0], [1, 1])
    assert np.random.random() == expected


def test_draws_that_a_module_refuses_are_left_out(write):
    folder = write(source('assert len(set(references)) == 2\nreturn {"acc": sum(predictions) / len(predictions)}'))
    found = score((folder,), [0, 1, 1], [0, 1, 1])["mymetric.acc"]
    assert (found.low, found.high) == (1 / 3, 2 / 3)


def test_draws_without_a_number_are_left_out(write):
    body = 'return {"acc": float("nan") if len(set(references)) < 2 else sum(predictions) / len(predictions)}'
    found = score((write(source(body)),), [0, 1, 1], [0, 1, 1])["mymetric.acc"]
    assert (found.low, found.high) == (1 / 3, 2 / 3)


def test_an_undefined_score_is_nan(write):
    found = score((write(source('return {"acc": float("nan")}')),), [1], [1])["mymetric.acc"]
    assert all(map(math.isnan, found))


def test_without_resamples_there_is_no_interval(write):
    found = score((write(source()),), [1], [1], resamples=0)["mymetric.acc"]
    assert found.value == 1 and math.isnan(found.low) and math.isnan(found.high)


def test_a_row_drawn_twice_has_two_ids(write):
    body = """
    by_id = {p["id"]: p for p in predictions}
    assert [r["id"] for r in references] == [p["id"] for p in predictions]
    return {"rows": len(by_id)}
    """
    rows = [{"id": str(i), "prediction_text": "x"} for i in range(20)]
    found = score((write(source(textwrap.dedent(body).strip(), "answers")),), rows, rows)
    assert found["mymetric.rows"] == Score(20, 20, 20)


def test_what_a_module_prints_is_not_repeated_for_every_draw(write, capsys):
    score((write(source("print('scored')\n" + ACCURACY)),), [1, 0], [1, 0])
    assert capsys.readouterr().out == "scored\n"


def test_two_modules_of_one_name_are_refused(write, tmp_path):
    other = tmp_path / "mymetric.py"
    other.write_text(source())
    with pytest.raises(RecipeError, match="two modules are called 'mymetric'"):
        score((write(source()), str(other)), [1], [1])


def test_several_modules_are_scored_side_by_side(write):
    names = (write(source()), write(source('return {"acc": 0}'), "other"))
    assert {name: one.value for name, one in score(names, [1], [1]).items()} == {"mymetric.acc": 1, "other.acc": 0}


# What does not fit


@pytest.mark.parametrize(
    ("features", "rows"),
    [("texts", [1, 0]), ("lists", [1, 0]), ("integers", ["a", "b"]), ("integers", [["O"], ["O"]]), ("answers", [1, 2])],
)
def test_rows_of_another_type_are_refused_with_what_is_given_and_wanted(write, features, rows):
    with pytest.raises(RecipeError) as caught:
        score((write(source(features=features)),), rows, rows)
    message = str(caught.value)
    assert f"predictions such as {rows[0]!r} and references such as {rows[0]!r}; it takes {{'predictions': " in message


def test_a_key_too_many_is_refused(write):
    rows = [{"id": "1", "prediction_text": "x", "no_answer_probability": 0.0}]
    with pytest.raises(RecipeError, match="fails with KeyError: 'no_answer_probability'"):
        score((write(source(features="answers")),), rows, rows)


def test_an_error_of_the_module_itself_is_named(write):
    with pytest.raises(RecipeError, match=r"'.*mymetric' fails with ZeroDivisionError: division by zero"):
        score((write(source("return 1 / 0")),), [1], [1])


@pytest.mark.parametrize(
    ("features", "predictions", "references", "said"),
    [
        ("integers", [1.0, 0.7], [1.0, 1.0], "0.7 of the predictions as 0"),
        ("integers", [1.0, 1.0], [1.0, 2.5], "2.5 of the references as 2"),
        ("lists", [[0.2, 0.0], [0.0, 1.0]], [[1, 0], [0, 1]], "0.2 of the predictions as 0"),
        ('datasets.Value("bool")', [1.0, 0.7], [1.0, 1.0], "0.7 of the predictions as True"),
        ('{"x": datasets.Value("int8")}', [{"x": 0.5}], [{"x": 1.0}], "0.5 of the predictions as 0"),
    ],
)
def test_fractions_that_would_be_cut_to_whole_numbers_are_refused(write, features, predictions, references, said):
    with pytest.raises(RecipeError, match=rf"takes whole numbers, and would count {said}\."):
        score((write(source(features=features)),), predictions, references)


def test_fractions_are_refused_by_a_module_with_several_kinds_of_features(write):
    text = source().replace("features = datasets.Features(", "features = [datasets.Features(", 1)
    text = text.replace(
        'Value("int32")})',
        'Value("int32")}), datasets.Features({"predictions": datasets.Sequence('
        'datasets.Value("int32")), "references": datasets.Value("int32")})]',
        1,
    )
    with pytest.raises(RecipeError, match=r"would count 0\.7 of the predictions as 0"):
        score((write(text),), [0.7], [1.0])


def test_whole_numbers_written_as_fractions_are_taken_by_a_module_for_whole_numbers(write):
    assert score((write(source(features="lists")),), [[1.0, 0.0]], [[1.0, 0.0]])["mymetric.acc"].value == 1


def test_fractions_are_taken_by_a_module_for_numbers(write):
    body = 'return {"error": sum(abs(a - b) for a, b in zip(predictions, references)) / len(predictions)}'
    found = score((write(source(body, "numbers")),), [0.1, 0.7], [0.0, 1.0])["mymetric.error"]
    assert found.value == pytest.approx(0.2, abs=1e-6)


def test_after_a_failure_nothing_is_left_of_the_rows(write):
    folder = write(source())
    with pytest.raises(RecipeError):
        score((folder,), [0.7, 1.0], [1.0, 1.0])
    assert score((folder,), [1], [1])["mymetric.acc"].value == 1


def test_nothing_is_written_to_the_terminal(write, capfd):
    score((write(source()),), [1, 0], [1, 1])
    assert capfd.readouterr() == ("", "")
