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


def test_the_detail_names_every_wrong_field_once() -> None:
    problem = problems.invalid({"a": ["one", "two"], "b": ["three"]})
    assert "not valid: /a, /b" == problem.content["detail"]
    # A single / would be the field whose name is empty.
    assert "not valid: the whole of it" == problems.invalid(["wrong"]).content["detail"]


def test_a_shortage_says_when_to_come_back() -> None:
    assert {"Retry-After": "1"} == Problem(503, "no_exit", "none").headers
    assert {"Retry-After": "9"} == Problem(503, "no_exit", "none", headers={"Retry-After": "9"}).headers
    assert {} == Problem(502, "dns", "no such name").headers
