"""`shell_words.py`: words as a shell splits them."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor.shell_words import CurlError, split


@given(st.lists(st.text(max_size=12), max_size=6))
def test_words_that_a_shell_would_quote_come_back(words: list[str]) -> None:
    assert words == split(shlex.join(words))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\t c", ["a", "b", "c"]),
        ("a'b c'd", ["ab cd"]),
        ('"a \\" \\\\ b"', ['a " \\ b']),
        ("a\\ b", ["a b"]),
        ("a \\\n b", ["a", "b"]),
        ("$'a\\n\\x41\\101\\'b'", ["a\nAA'b"]),
        ("''", [""]),
        ("cost=5$", ["cost=5$"]),
    ],
)
def test_quoting_is_that_of_a_shell(line: str, words: list[str]) -> None:
    assert words == split(line)


@pytest.mark.parametrize("line", ["'open", '"open', "a | b", "$HOME", "`id`", '"$(id)"', "a > b", "(a)"])
def test_what_only_a_shell_can_do_is_refused(line: str) -> None:
    with pytest.raises(CurlError):
        split(line)
