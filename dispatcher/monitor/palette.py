"""Which colours and marks this terminal gets, told from its environment; and the painting of a row. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from dispatcher.monitor.glyphs import ASCII, UNICODE, Glyphs


class Palette(Enum):
    """How many colours are used."""

    NONE = 0
    SIXTEEN = 16
    MANY = 256


_MANY = {"\x1b[36m": "\x1b[38;5;75m", "\x1b[33m": "\x1b[38;5;214m", "\x1b[2m": "\x1b[38;5;245m"}
"""Cyan becomes a lighter blue, yellow becomes orange, dim becomes grey, which more terminals can show."""

_COLOUR = re.compile("\x1b\\[(?:3[0-9]|4[0-9])m")


def palette_of(environment: Mapping[str, str], colours: int) -> Palette:
    """Choose by NO_COLOR (https://no-color.org), TERM, COLORTERM and how many colours terminfo knows of."""
    if environment.get("NO_COLOR"):
        return Palette.NONE
    if "256color" in environment.get("TERM", "") or environment.get("COLORTERM", "") in ("truecolor", "24bit"):
        return Palette.MANY
    return Palette.SIXTEEN if colours >= 8 else Palette.NONE


def painted(row: str, palette: Palette) -> str:
    """Return a row that curtsies wrote, in the colours of the palette. The row's texts hold no escapes of their own."""
    if palette is Palette.NONE:
        return _COLOUR.sub("", row)
    if palette is Palette.MANY:
        for basic, better in _MANY.items():
            row = row.replace(basic, better)
    return row


def glyphs_of(environment: Mapping[str, str]) -> Glyphs:
    """Choose Unicode marks where the locale is UTF-8.

    Python sets LC_CTYPE to C.UTF-8 by itself under LANG=C (PEP 538); who wrote LANG=C gets ASCII all the same.
    """
    named = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if not named[0] and named[1] == "C.UTF-8" and named[2] in ("C", "POSIX"):
        return ASCII
    locale = next((value for value in named if value), "")
    return UNICODE if re.search(r"utf-?8$", locale.split("@")[0], re.IGNORECASE) else ASCII


def is_dumb(environment: Mapping[str, str]) -> bool:
    """Say whether the terminal cannot place text, so that no screen can be drawn."""
    return environment.get("TERM", "") in ("", "dumb", "unknown")
