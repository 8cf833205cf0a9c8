"""Problems: their members, their pointers."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.web import problems
from dispatcher.web.problems import Problem


@pytest.mark.parametrize(
    ("messages", "pointers"),
    [
        (["wrong"], [""]),
        ({"timeout": ["wrong"]}, ["/timeout"]),
        ({"headers": {0: ["wrong"], 2: ["wrong"]}}, ["/headers/0", "/headers/2"]),
        ({"a/b": ["wrong"]}, ["/a~1b"]),
        ({"m~n": ["wrong"]}, ["/m~0n"]),
        ({"~1": ["wrong"]}, ["/~01"]),
        ({"": ["wrong"]}, ["/"]),
        ({" ": ["wrong"]}, ["/ "]),
        ({"_schema": ["wrong"]}, ["/_schema"]),
        ({"a": {"b": ["one", "two"]}}, ["/a/b", "/a/b"]),
    ],
)
def test_a_pointer_names_the_wrong_field_as_rfc_6901_says(messages: Any, pointers: list[str]) -> None:
    problem = problems.invalid(messages)
    assert pointers == [error["pointer"] for error in problem.content["errors"]]
    assert 422 == problem.status


@pytest.mark.parametrize(
    ("messages", "detail"),
    [
        ({"b": ["Is missing."], "a": ["Too large."]}, "not valid: /a: too large; /b: is missing"),
        ({"a": ["One.", "Two."]}, "not valid: /a: one; /a: two"),
        # A single / would be the field whose name is empty.
        (["The body must be a JSON object."], "not valid: the body must be a JSON object"),
        ({"": ["Unknown field."]}, "not valid: /: unknown field"),
        ({"v": ["HTTP/3 needs an https URL."]}, "not valid: /v: HTTP/3 needs an https URL"),
        ({"v": [""]}, "not valid: /v: "),
        ({key: ["No."] for key in "abcde"}, "not valid: /a: no; /b: no; /c: no; /d: no; /e: no"),
        ({key: ["No."] for key in "abcdefg"}, "not valid: /a: no; /b: no; /c: no; /d: no; /e: no; and 2 more"),
    ],
)
def test_the_detail_says_what_is_wrong_with_the_first_fields(messages: Any, detail: str) -> None:
    assert detail == problems.invalid(messages).content["detail"]


def test_the_detail_is_no_longer_than_a_few_lines_whatever_is_wrong() -> None:
    problem = problems.invalid({f"{number}{'x' * 10_000}": ["Y" + "y" * 10_000] * 3 for number in range(1000)})
    assert 3000 == len(problem.content["errors"])
    detail = problem.content["detail"]
    name, reason = "/0" + "x" * 197 + "…", "y" * 199 + "…"
    assert detail.startswith(f"not valid: {name}: {reason}; {name}: {reason}; ")
    assert detail.endswith("; and 2995 more")
    assert 2100 > len(detail)


def test_a_shortage_says_when_to_come_back() -> None:
    assert {"Retry-After": "1"} == Problem(503, "no_exit", "none").headers
    assert {"Retry-After": "9"} == Problem(503, "no_exit", "none", headers={"Retry-After": "9"}).headers
    assert {} == Problem(502, "dns", "no such name").headers
