"""SQuAD's nested JSON: articles hold paragraphs, paragraphs hold questions; one row for each question.

Layout: `data[].paragraphs[].qas[].answers[]` of SQuAD v1.1 (Rajpurkar et al. 2016) and v2.0 (Rajpurkar et al. 2018,
`is_impossible`). The columns are those of the Hub's `rajpurkar/squad`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from finetune.errors import DataError

MOST_PROBLEMS = 5


def is_squad(content: Any) -> bool:
    """Whether parsed JSON has articles of paragraphs; rows with a plain text column `paragraphs` are none."""
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        return False
    return any(
        isinstance(paragraph, dict) and ("qas" in paragraph or "context" in paragraph)
        for article in articles
        if isinstance(article, dict) and isinstance(article.get("paragraphs"), list)
        for paragraph in article["paragraphs"]
    )


def read(content: dict[str, Any], origin: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of one file, numbered by question from 1.

    A row is `id`, `title`, `context`, `question` and `answers` = `{"text": [...], "answer_start": [...]}` with offsets
    in characters; both lists are empty where the question has no answer, and `answers` is absent in unlabelled files.

    Raises:
        DataError: Something that every article, paragraph, question or answer has is absent or of another type.
    """
    number = 0
    problems: list[str] = []
    for article_number, article in enumerate(content["data"], start=1):
        for where, context, question in _questions(article, f"{origin} article {article_number}", problems):
            number += 1
            answers = _answers(question, where, problems)
            title = article.get("title") or ""
            row = {"id": str(question["id"]), "title": title, "context": context, "question": question["question"]}
            yield number, row if answers is None else {**row, "answers": answers}
    if problems:
        raise DataError(*problems[:MOST_PROBLEMS])


def _questions(article: Any, where: str, problems: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where it stands, its context, and the question, of each that is whole; the others become problems."""
    if not isinstance(article, dict) or not isinstance(article.get("paragraphs"), list):
        problems.append(f"{where} has no list 'paragraphs'.")
        return
    where = f"{where} ({article['title']!r})" if article.get("title") else where
    for number, paragraph in enumerate(article["paragraphs"], start=1):
        here = f"{where} paragraph {number}"
        if not isinstance(paragraph, dict) or not isinstance(paragraph.get("context"), str):
            problems.append(f"{here} has no text 'context'.")
        elif not isinstance(paragraph.get("qas"), list):
            problems.append(f"{here} has no list 'qas'.")
        else:
            for position, question in enumerate(paragraph["qas"], start=1):
                if not isinstance(question, dict) or not isinstance(question.get("id"), (str, int)):
                    problems.append(f"{here} question {position} has no 'id'.")
                elif not isinstance(question.get("question"), str):
                    problems.append(f"{here} question {question['id']!r} has no text 'question'.")
                else:
                    yield f"{here} question {question['id']!r}", paragraph["context"], question


def _answers(question: dict[str, Any], where: str, problems: list[str]) -> dict[str, list[Any]] | None:
    if question.get("is_impossible"):  # the answers of v2.0 that only look right stand under another name
        return {"text": [], "answer_start": []}
    answers = question.get("answers")
    if answers is None:
        return None
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        problems.append(f"{where}: 'answers' is no list of objects with 'text' and 'answer_start'.")
        return None
    for answer in answers:
        if not isinstance(answer.get("text"), str):
            problems.append(f"{where}: an answer has no text 'text'.")
        elif type(answer.get("answer_start")) is not int:
            said = (
                f"has the 'answer_start' {answer['answer_start']!r}"
                if "answer_start" in answer
                else "has no 'answer_start'"
            )
            problems.append(
                f"{where}: the answer {answer['text']!r:.60} {said}; needed is the number of characters before it, "
                "a whole number."
            )
    return {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
