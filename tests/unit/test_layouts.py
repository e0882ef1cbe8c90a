"""Layouts: SQuAD's nested json, and words and tags in CoNLL columns, with their traps."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune import Data, DataError
from finetune.data import formats, table
from finetune.data.formats import Options
from finetune.data.layouts.squad import is_squad

CONTEXT = "The bakery in Mill Street opens at six."


def read(folder: Path, name: str, text: str | bytes, **options: Any) -> list[tuple[int, dict[str, Any]]]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(formats.read(path, Options(**options)))


def rows(folder: Path, name: str, text: str | bytes, **options: Any) -> list[dict[str, Any]]:
    return [row for _, row in read(folder, name, text, **options)]


# SQuAD


def question(number: int = 1, **fields: Any) -> dict[str, Any]:
    answers = [{"text": "six", "answer_start": 35}]
    return {"id": f"q{number}", "question": "When does it open?", "answers": answers, **fields}


def squad(*questions: Any, **paragraph: Any) -> dict[str, Any]:
    paragraphs = [{"context": CONTEXT, "qas": list(questions), **paragraph}]
    return {"version": "1.1", "data": [{"title": "Bakery", "paragraphs": paragraphs}]}


def squad_rows(folder: Path, content: Any, name: str = "a.json", **options: Any) -> list[dict[str, Any]]:
    return rows(folder, name, json.dumps(content), **options)


def test_a_squad_file_gives_a_row_for_each_question(tmp_path: Path) -> None:
    assert squad_rows(tmp_path, squad(question(1), question(2))) == [
        {
            "id": f"q{number}",
            "title": "Bakery",
            "context": CONTEXT,
            "question": "When does it open?",
            "answers": {"text": ["six"], "answer_start": [35]},
        }
        for number in (1, 2)
    ]


def test_a_gzipped_squad_file_gives_the_same_rows(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(squad(question())).encode())
    assert rows(tmp_path, "a.json.gz", packed) == squad_rows(tmp_path, squad(question()))


def test_questions_are_numbered_through_all_articles(tmp_path: Path) -> None:
    articles = squad(question(1), question(2))["data"] + squad(question(3))["data"]
    assert [line for line, _ in read(tmp_path, "a.json", json.dumps({"data": articles}))] == [1, 2, 3]


def test_the_name_of_the_list_may_be_given(tmp_path: Path) -> None:
    assert squad_rows(tmp_path, squad(question()), field="data") == squad_rows(tmp_path, squad(question()))


def test_another_list_of_the_file_may_be_asked_for(tmp_path: Path) -> None:
    content = {**squad(question()), "notes": [{"note": "a"}]}
    assert squad_rows(tmp_path, content, field="notes") == [{"note": "a"}]


def test_every_answer_of_a_question_is_kept_in_order(tmp_path: Path) -> None:
    answers = [{"text": "at six", "answer_start": 32}, {"text": "six", "answer_start": 35}]
    (row,) = squad_rows(tmp_path, squad(question(answers=answers)))
    assert row["answers"] == {"text": ["at six", "six"], "answer_start": [32, 35]}


@pytest.mark.parametrize(
    "fields",
    [
        {"answers": []},
        {"answers": [], "is_impossible": True},
        {"is_impossible": True},
        {"answers": None, "is_impossible": True, "plausible_answers": [{"text": "six", "answer_start": 35}]},
    ],
    ids=["empty", "v2.0", "marked, but with an answer", "plausible answers only"],
)
def test_a_question_without_an_answer_has_empty_lists(tmp_path: Path, fields: dict[str, Any]) -> None:
    (row,) = squad_rows(tmp_path, squad(question(**fields)))
    assert row["answers"] == {"text": [], "answer_start": []}


def test_a_question_that_can_be_answered_keeps_its_answers(tmp_path: Path) -> None:
    (row,) = squad_rows(tmp_path, squad(question(is_impossible=False)))
    assert row["answers"]["text"] == ["six"]


def test_an_unlabelled_file_has_no_column_of_answers(tmp_path: Path) -> None:
    (row,) = squad_rows(tmp_path, squad({"id": "q1", "question": "When?"}))
    assert list(row) == ["id", "title", "context", "question"]


def test_an_article_may_have_no_title(tmp_path: Path) -> None:
    content = squad(question())
    del content["data"][0]["title"]
    assert squad_rows(tmp_path, content)[0]["title"] == ""


def test_an_id_that_is_a_number_becomes_text(tmp_path: Path) -> None:
    assert squad_rows(tmp_path, squad(question(id=7)))[0]["id"] == "7"


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (squad(question(), context=None), r"article 1 \('Bakery'\) paragraph 1 has no text 'context'"),
        (squad(question(), qas=None), r"article 1 \('Bakery'\) paragraph 1 has no list 'qas'"),
        (squad(question(), without(question(2), "id")), r"paragraph 1 question 2 has no 'id'"),
        (squad(without(question(), "question")), r"\('Bakery'\) paragraph 1 question 'q1' has no text 'question'"),
        (squad(question(answers="six")), r"question 'q1': 'answers' is no list of objects"),
        (squad(question(answers=["six"])), r"question 'q1': 'answers' is no list of objects"),
        (squad(question(answers=[{"answer_start": 3}])), r"question 'q1': an answer has no text 'text'"),
        (
            squad(question(answers=[{"text": "six"}])),
            r"'q1': the answer 'six' has no 'answer_start'; needed is the number",
        ),
        (
            squad(question(answers=[{"text": "six", "answer_start": "35"}])),
            r"the answer 'six' has the 'answer_start' '35'",
        ),
        (squad(question(answers=[{"text": "six", "answer_start": 35.0}])), r"has the 'answer_start' 35\.0"),
        (squad(question(answers=[{"text": "six", "answer_start": True}])), r"has the 'answer_start' True"),
        ({"data": [*squad(question())["data"], {"title": "Mill"}]}, r"a\.json article 2 has no list 'paragraphs'"),
        ({"data": [*squad(question())["data"], "Mill"]}, r"a\.json article 2 has no list 'paragraphs'"),
    ],
)
def test_what_is_nearly_squad_is_refused_with_its_place(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        squad_rows(tmp_path, content)
    assert len(error.value.problems) == 1


def test_five_problems_of_a_squad_file_are_told_at_once_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        squad_rows(tmp_path, squad(*(question(number, answers="six") for number in range(9))))
    assert [problem.split("'")[3] for problem in error.value.problems] == ["q0", "q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(
    "content",
    [
        {"data": [{"paragraphs": "one text"}]},
        {"data": [{"paragraphs": ["one", "two"]}]},
        {"data": [{"paragraphs": [{"text": "one"}]}]},
        {"data": [{"paragraphs": 2}]},
        {"data": ["text"]},
        {"data": {"paragraphs": []}},
        [{"paragraphs": [{"qas": []}]}],
    ],
)
def test_other_json_is_not_taken_for_squad(content: Any) -> None:
    assert not is_squad(content)


def test_plain_rows_with_a_column_of_paragraphs_are_read_as_they_are(tmp_path: Path) -> None:
    plain = [{"paragraphs": ["one", "two"], "label": "x"}]
    assert squad_rows(tmp_path, {"data": plain}) == plain


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0)], ids=["empty first", "empty last", "empty around"])
def test_thousands_of_questions_without_an_answer_share_a_table_with_others(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    parts = [[question(answers=[])] * (table.CHUNK + 1), [question()] * table.CHUNK]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(squad(*(one for part in order for one in parts[part]))), "utf-8")
    answers = Data.files(train=str(path)).read()["train"].column("answers")
    expected = [[], ["six"]]
    assert [answer["text"] for answer in answers] == [expected[part] for part in order for _ in parts[part]]


def test_a_table_of_nothing_but_questions_without_an_answer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(squad(question(answers=[]))), "utf-8")
    assert Data.files(train=str(path)).read()["train"].column("answers") == [{"text": [], "answer_start": []}]


@pytest.mark.parametrize("answers", ["six", ["six", "at six"]], ids=["text", "list"])
def test_flat_rows_may_write_answers_as_they_like(tmp_path: Path, answers: Any) -> None:
    flat = [{"context": CONTEXT, "question": "When?", "answers": answers}]
    assert rows(tmp_path, "a.jsonl", json.dumps(flat[0])) == flat


# CoNLL columns

TWO = [{"words": ["EU", "rejects"], "tags": ["B-ORG", "O"]}, {"words": ["Peter"], "tags": ["B-PER"]}]


@pytest.mark.parametrize("name", ["a.conll", "a.iob", "a.bio", "a.bioes", "A.CONLL"])
def test_the_suffixes_of_columns_are_known(tmp_path: Path, name: str) -> None:
    assert rows(tmp_path, name, "EU B-ORG\nrejects O\n\nPeter B-PER\n") == TWO


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.json", "eng.testa", "annotated"])
def test_columns_are_read_under_any_name_where_the_layout_is_given(tmp_path: Path, name: str) -> None:
    assert rows(tmp_path, name, "EU B-ORG\nrejects O\n\nPeter B-PER\n", layout="conll") == TWO


def test_gzipped_columns_are_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"EU B-ORG\nrejects O\n\nPeter B-PER\n")
    assert rows(tmp_path, "a.conll.gz", packed) == TWO


def test_an_unknown_suffix_points_to_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no known format.*data\.layout=conll"):
        read(tmp_path, "a.tags", "EU B-ORG\n")


@pytest.mark.parametrize(
    "text",
    [
        "EU B-ORG\nrejects O\n\nPeter B-PER",
        "\n\n \nEU B-ORG\nrejects O\n\n\n\nPeter B-PER\n\n\n",
        "EU B-ORG\nrejects O\n   \nPeter B-PER\n",
        "EU B-ORG\nrejects O\n\t\t\nPeter B-PER\n",
        "EU   B-ORG\nrejects  O\n\nPeter B-PER\n",
        " EU B-ORG \nrejects O\t\n\nPeter B-PER\n",
        "EU B-ORG\t\nrejects O\n\nPeter B-PER\n",
        "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n",
        "EU\tB-ORG\nrejects\tO\n\t\nPeter\tB-PER\n",
        "EU \t B-ORG\nrejects \tO \n\nPeter\tB-PER\n",
        "EU B-ORG\r\nrejects O\r\n\r\nPeter B-PER\r\n",
        "EU\tB-ORG\r\nrejects\tO\r\n\t\r\nPeter\tB-PER\r\n",
        "\ufeffEU B-ORG\nrejects O\n\nPeter B-PER\n",
        "\ufeff-DOCSTART- O\n\nEU B-ORG\nrejects O\n\n-DOCSTART- -X- -X- O\n\nPeter B-PER\n",
        "-DOCSTART-\nEU B-ORG\nrejects O\n-DOCSTART-\nPeter B-PER\n",
        "-DOCSTART-\tO\n\nEU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n",
        "# sent_id = 1\n# text = EU rejects\nEU\tB-ORG\nrejects\tO\n\n# sent_id = 2\nPeter\tB-PER\n",
    ],
    ids=[
        "no end of line",
        "several blank lines",
        "blank line of spaces",
        "blank line of tabs",
        "several spaces",
        "white space around",
        "a tab at the end",
        "tabs",
        "tab in a blank line",
        "spaces beside tabs",
        "carriage returns",
        "carriage returns and tabs",
        "byte order mark",
        "documents",
        "documents without blank lines",
        "documents and tabs",
        "comments",
    ],
)
def test_every_way_to_write_columns_gives_the_same_rows(tmp_path: Path, text: str) -> None:
    assert rows(tmp_path, "a.conll", text) == TWO


def test_words_may_hold_spaces_between_tabs(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "New York\tB-LOC\n")[0]["words"] == ["New York"]


def test_only_spaces_and_tabs_are_white_space(tmp_path: Path) -> None:
    text = "\N{NO-BREAK SPACE} O\n\N{IDEOGRAPHIC SPACE} O\na\N{LINE SEPARATOR}b O\n"
    words = ["\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}", "a\N{LINE SEPARATOR}b"]
    assert rows(tmp_path, "a.conll", text) == [{"words": words, "tags": ["O", "O", "O"]}]


def test_a_blank_that_is_neither_space_nor_tab_is_a_word(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "a\n\N{IDEOGRAPHIC SPACE}\nb\n") == [
        {"words": ["a", "\N{IDEOGRAPHIC SPACE}", "b"]}
    ]


def test_a_word_may_begin_like_the_mark_of_a_document(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "-DOCSTART-s O\n")[0]["words"] == ["-DOCSTART-s"]


def test_a_quote_is_a_word(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "\" O\nEU' O\n")[0]["words"] == ['"', "EU'"]


@pytest.mark.parametrize("between", [" ", "\t"])
def test_a_hash_sign_is_a_word_where_its_line_is_whole(tmp_path: Path, between: str) -> None:
    text = f"#{between}O\nbots{between}O\n\n#{between}O\n"
    assert [row["words"] for row in rows(tmp_path, "a.conll", text)] == [["#", "bots"], ["#"]]


def test_a_file_may_hold_nothing_but_hash_signs(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "# O\n\n# O\n") == [{"words": ["#"], "tags": ["O"]}] * 2


def test_a_hashtag_that_lacks_its_tag_is_no_comment(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3: 1 column, but 2"):
        read(tmp_path, "a.conll", "EU O\n\n#bots\n")


def test_a_line_within_a_sentence_is_no_comment(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: 1 column, but 2"):
        read(tmp_path, "a.conll", "EU\tO\n# a comment\nrejects\tO\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("EU\n", ["words"]),
        ("EU O\n", ["words", "tags"]),
        ("EU NNP O\n", ["words", "column2", "tags"]),
        ("EU NNP B-NP O\n", ["words", "column2", "column3", "tags"]),
    ],
)
def test_columns_without_a_header_are_named_by_their_place(tmp_path: Path, text: str, names: list[str]) -> None:
    assert list(rows(tmp_path, "a.conll", text)[0]) == names


def test_the_columns_of_a_line_keep_their_order(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "a.conll", "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n")
    assert list(row.values()) == [["EU", "rejects"], ["NNP", "VBZ"], ["B-NP", "B-VP"], ["B-ORG", "O"]]


def test_words_alone_make_sentences(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "EU\nrejects\n\nPeter\n") == [{"words": ["EU", "rejects"]}, {"words": ["Peter"]}]


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "a.conll", "EU NNP O\n", header=("tokens", "pos", "entities"))
    assert row == {"tokens": ["EU"], "pos": ["NNP"], "entities": ["O"]}


@pytest.mark.parametrize("header", [("words",), ("words", "pos", "tags"), ("words", "words")])
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=rf"data\.header names {len(header)} columns .* line 3 has 2"):
        read(tmp_path, "a.conll", "-DOCSTART-\n\nEU O\n", header=header)


def test_a_delimiter_given_is_used(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.conll", "New York;B-LOC\n", delimiter=";") == [{"words": ["New York"], "tags": ["B-LOC"]}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EU NNP O\n\nrejects O\n", r"line 3: 2 columns, but 3 in line 1; they are separated by spaces"),
        ("EU O\nNew York O\n", r"line 2: 3 columns, but 2 in line 1"),
        ("\n-DOCSTART- -X- O\nEU\tO\nrejects O\n", r"line 4: 1 column, but 2 in line 3; they are separated by a tab"),
        ("EU O\nNew York\tO\n", r"line 2: a tab, but the columns of line 1 are separated by spaces"),
        ("EU O\nrejects\tO\n", r"line 2: 1 column, but 2"),
        ("EU\tO\nrejects\t\n", r"line 2: the last column is empty"),
        ("EU O\nrejects\n", r"line 2: 1 column, .*unless data\.delimiter says otherwise"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"a\.conll {words}"):
        read(tmp_path, "a.conll", text)


def test_five_wrong_lines_of_columns_are_told_at_once_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, "a.conll", "EU O\n" + "rejects\n" * 20)
    assert [problem.split(":")[0].rpartition(" ")[2] for problem in error.value.problems] == ["2", "3", "4", "5", "6"]


def test_the_line_of_a_sentence_is_that_of_its_first_word(tmp_path: Path) -> None:
    text = "-DOCSTART-\n\nEU\tO\nrejects\tO\n\n\n# 1\nPeter\tO\n\nIt\tO\nis\tO\n"
    lines = text.split("\n")
    sentences = read(tmp_path, "a.conll", text)
    assert [line for line, _ in sentences] == [3, 8, 10]
    for line, row in sentences:
        assert [lines[line - 1 + place].split()[0] for place in range(len(row["words"]))] == row["words"]


def test_the_hash_of_a_sentence_does_not_depend_on_its_line(tmp_path: Path) -> None:
    hashes = []
    for name, above in (("a.conll", ""), ("b.conll", "\n-DOCSTART- O\n\n\n")):
        (tmp_path / name).write_text(f"{above}EU O\nrejects O\n", "utf-8")
        hashes.append(Data.files(train=str(tmp_path / name)).read()["train"].column(table.HASH))
    assert hashes[0] == hashes[1]


def test_a_message_names_a_sentence_by_the_line_of_its_first_word(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("EU O\n\n\nPeter O\n", "utf-8")
    assert Data.files(train=str(tmp_path / "a.conll")).read()["train"].where(1) == "a.conll line 4"


def test_the_layout_of_files_is_a_field_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("EU O\n", "utf-8")
    read_rows = Data.files(train=str(tmp_path / "a.txt"), layout="conll", header=("words", "ner")).read()["train"]
    assert read_rows.columns == ["words", "ner"]


def test_a_file_of_blank_lines_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "a.conll", "\n\n-DOCSTART- O\n\n") == []


def test_columns_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not UTF-8: byte 0xe9"):
        read(tmp_path, "a.conll", b"caf\xe9 O\n")


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t \ufeff#"), min_size=1, max_size=8
).filter(lambda word: word != "-DOCSTART-")
SENTENCES = st.integers(1, 4).flatmap(
    lambda count: st.lists(st.lists(st.tuples(*[WORDS] * count), min_size=1, max_size=5), min_size=1, max_size=5)
)


@given(sentences=SENTENCES, between=st.sampled_from([" ", "\t", "   "]), ending=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None, max_examples=150)
def test_sentences_written_in_columns_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, ...]]], between: str, ending: str
) -> None:
    lines = [line for sentence in sentences for line in (*map(between.join, sentence), "")]
    found = rows(tmp_path_factory.getbasetemp(), "round.conll", "".join(line + ending for line in lines))
    assert [list(zip(*row.values(), strict=True)) for row in found] == sentences
