"""`text.py`: nothing from outside steers the terminal, and what is left has a width."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor.text import cell_width, cut, cut_middle, pad, safe_text, wrap


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\rb", "a\\rb"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "\\x7f"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
        ("tab\there", "tab\\there"),
    ],
)
def test_what_steers_a_terminal_is_written_out(hostile: str, shown: str) -> None:
    assert shown == safe_text(hostile)


def test_honest_text_of_any_script_stays_as_it_is() -> None:
    for text in ("plain", "Grüße", "日本語", "Ελληνικά", "ประเทศไทย", "한국어", "🎉"):
        assert text == safe_text(text)


@given(st.text(st.characters(), max_size=60))
def test_safe_text_holds_no_control_character_and_stays_itself_when_made_safe_again(text: str) -> None:
    safe = safe_text(text)
    assert not [c for c in safe if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert safe == safe_text(safe)


def test_a_pile_of_marks_is_written_out_beyond_the_second() -> None:
    assert "e\u0316\u0317\\u0318" == safe_text("e\u0316\u0317\u0318")


def test_a_mark_without_a_letter_is_written_out() -> None:
    assert "\\u0301x" == safe_text("\u0301x")


@pytest.mark.parametrize(("text", "cells"), [("abc", 3), ("日本", 4), ("e\u0316", 1), ("🎉!", 3), ("", 0)])
def test_width_counts_cells(text: str, cells: int) -> None:
    assert cells == cell_width(text)


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_cut_text_is_never_wider_than_asked(text: str, width: int) -> None:
    safe = safe_text(text)
    assert width >= cell_width(cut(safe, width))
    assert width >= cell_width(cut_middle(safe, width))


@given(st.text(max_size=40), st.integers(2, 30))
def test_a_padded_cut_has_exactly_the_width_and_a_wrapped_text_loses_nothing(text: str, width: int) -> None:
    safe = safe_text(text)
    assert width == cell_width(pad(cut(safe, width), width))
    assert safe == "".join(wrap(safe, width))
    assert all(cell_width(piece) <= width for piece in wrap(safe, width))


def test_an_address_keeps_both_its_ends() -> None:
    assert "2001:…5:abcd" == cut_middle("2001:db8:1:2:3:4:5:abcd", 12)


def test_a_wide_character_that_does_not_fit_is_not_halved() -> None:
    assert "日…" == cut("日本語", 4)
    assert "日… " == pad(cut("日本語", 4), 4)
