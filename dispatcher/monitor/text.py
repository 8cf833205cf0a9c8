"""Text from outside, made safe and measured: the one gate between it and the terminal. Pure.

What would surprise: everything invisible becomes visible, not only what a terminal obeys. A bidi mark or a joiner would
shift a row by cells that nobody can count, and a table that does not line up is read wrongly.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Categories without a picture: controls, formats (bidi, joiners), surrogates, private, unassigned, separators."""

_MARKS_A_LETTER = 2
"""Combining marks kept on one letter; honest scripts need no more, and a pile of them draws over other rows."""

_CACHED_TEXTS = 8192


def safe_text(text: str) -> str:
    """Return `text` with everything that could steer a terminal, or that nobody could see, written out.

    The result is printable: ``\\r`` is shown as ``\\r``, an escape as ``\\x1b``, a bidi override as ``\\u202e``.
    """
    if text.isascii() and text.isprintable():
        return text
    return _safe(text)


@lru_cache(maxsize=_CACHED_TEXTS)
def _safe(text: str) -> str:
    shown: list[str] = []
    marks = _MARKS_A_LETTER  # A mark at the very start would land on the cell before it.
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            marks += 1
            shown.append(character if marks <= _MARKS_A_LETTER and not _is_selector(character) else _escape(character))
        else:
            marks = 0
            shown.append(_escape(character) if category in _HIDDEN or _is_uncertain(character) else character)
    return "".join(shown)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _is_selector(character: str) -> bool:
    """Variation selectors change the width of what stands before them in some terminals and not in others."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_uncertain(character: str) -> bool:
    """No-break spaces look like nothing else; loose Hangul letters and flag halves have no agreed width."""
    return character in "\u00a0\u115f\u3164\uffa0" or _is_loose(character)


def _is_loose(character: str) -> bool:
    return (
        "\u1160" <= character <= "\u11ff"
        or "\ud7b0" <= character <= "\ud7ff"
        or "\U0001f1e6" <= character <= "\U0001f1ff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def read_as_utf8(text: str) -> str:
    """Return a header's text, which the API gives as Latin-1, as the UTF-8 that its bytes are; as it is where not."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def ascii_only(text: str) -> str:
    """Return a safe text with a question mark in each cell of what is not ASCII, as wide as it was."""
    if text.isascii():
        return text
    return "".join(character if character.isascii() else "?" * _character_width(character) for character in text)


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a safe text takes."""
    return len(text) if text.isascii() else _cells(text)


@lru_cache(maxsize=_CACHED_TEXTS)
def _cells(text: str) -> int:
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Return a safe text in at most `width` cells; an ellipsis says where something is missing at its end."""
    if cell_width(text) <= width:
        return text
    return head(text, width - 1) + ellipsis if width > 0 else ""


def cut_middle(text: str, width: int, ellipsis: str = "…") -> str:
    """Return a safe text in at most `width` cells, both ends kept: of an address the end tells most."""
    if cell_width(text) <= width or width < 3:
        return cut(text, width, ellipsis)
    tail_width = width // 2
    return head(text, width - 1 - tail_width) + ellipsis + head(text[::-1], tail_width)[::-1]


def head(text: str, width: int) -> str:
    """Return as much of the start of a safe text as has room in `width` cells."""
    if text.isascii():
        return text[:width]
    taken, cells = [], 0
    for character in text:
        cells += _character_width(character)
        if cells > width:
            break
        taken.append(character)
    return "".join(taken)


def pad(text: str, width: int, *, to_the_right: bool = False) -> str:
    """Return a safe text, at most `width` cells wide, with spaces to exactly that width."""
    space = " " * (width - cell_width(text))
    return space + text if to_the_right else text + space


def wrap(text: str, width: int) -> list[str]:
    """Break a safe text into pieces of at most `width` cells, anywhere: what is shown is data, not prose."""
    if width < 2:
        return [text] if not text else []
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)] or [""]
    pieces, cells, start = [], 0, 0
    for place, character in enumerate(text):
        cells += _character_width(character)
        if cells > width:
            pieces.append(text[start:place])
            start, cells = place, _character_width(character)
    return [*pieces, text[start:]]
