"""`palette.py`: colours and marks by what the terminal says of itself."""

from __future__ import annotations

import pytest

from dispatcher.monitor.glyphs import ASCII, UNICODE, Glyphs
from dispatcher.monitor.palette import Palette, glyphs_of, is_dumb, painted, palette_of


@pytest.mark.parametrize(
    ("environment", "colours", "palette"),
    [
        ({"TERM": "xterm-256color"}, 256, Palette.MANY),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 256, Palette.NONE),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256, Palette.MANY),
        ({"TERM": "xterm"}, 8, Palette.SIXTEEN),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, 8, Palette.MANY),
        ({"TERM": "vt100"}, 0, Palette.NONE),
    ],
)
def test_the_palette_follows_the_environment(environment: dict[str, str], colours: int, palette: Palette) -> None:
    assert palette is palette_of(environment, colours)


@pytest.mark.parametrize(
    ("environment", "glyphs"),
    [
        ({"LANG": "de_DE.UTF-8"}, UNICODE),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, UNICODE),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"LANG": "de_DE.ISO-8859-1"}, ASCII),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ({"LC_CTYPE": "C.UTF-8"}, UNICODE),
        ({"LANG": "ca_ES.UTF-8@valencia"}, UNICODE),
        ({}, ASCII),
    ],
)
def test_marks_are_ascii_where_the_locale_is_not_utf_8(environment: dict[str, str], glyphs: Glyphs) -> None:
    assert glyphs is glyphs_of(environment)


def test_without_colours_bold_and_reversed_stay() -> None:
    assert "\x1b[1mgood\x1b[0m \x1b[7mx\x1b[0m" == painted(
        "\x1b[36m\x1b[1mgood\x1b[0m\x1b[39m \x1b[7mx\x1b[0m", Palette.NONE
    )


def test_with_many_colours_good_is_blue_and_bad_is_orange() -> None:
    assert "\x1b[38;5;75mok\x1b[39m" == painted("\x1b[36mok\x1b[39m", Palette.MANY)
    assert "\x1b[38;5;214mno\x1b[39m" == painted("\x1b[33mno\x1b[39m", Palette.MANY)


def test_a_terminal_that_cannot_place_text_is_dumb() -> None:
    assert [True, True, False] == [is_dumb({"TERM": "dumb"}), is_dumb({}), is_dumb({"TERM": "xterm"})]
