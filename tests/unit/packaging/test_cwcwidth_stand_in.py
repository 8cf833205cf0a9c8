"""The stand-in counts cells as the package does that it stands for."""

from __future__ import annotations

import cwcwidth
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.packaging import cwcwidth_stand_in as stand_in

SAMPLES = [
    "",
    "plain",
    "\u4f60\u597d",
    "e\u0301",
    "a\x1b[31m",
    "\x00",
    "\U0001f600!",
    "\uff21\u200b",
    "caf\u00e9 \u2500\u2502",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_a_text_is_as_wide_as_the_real_package_says(text: str) -> None:
    assert [cwcwidth.wcwidth(char) for char in text] == [stand_in.wcwidth(char) for char in text]
    for length in (None, 0, 1, 2, 99):
        wanted = cwcwidth.wcswidth(text) if length is None else cwcwidth.wcswidth(text, length)
        assert wanted == stand_in.wcswidth(text, length)


@given(st.text(st.characters(codec="ascii")), st.integers(0, 20))
def test_ascii_is_as_wide_as_the_real_package_says(text: str, length: int) -> None:
    assert cwcwidth.wcswidth(text, length) == stand_in.wcswidth(text, length)
