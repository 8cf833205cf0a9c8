"""The marks of the screen, once in Unicode and once in ASCII for where the locale is not UTF-8. Pure.

A mark never stands alone for what it says: the word is beside it, and colour only repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of marks; every one is a single cell but `levels` and `corners`, which hold several."""

    good: str
    bad: str
    waiting: str
    off: str
    next: str
    here: str
    ellipsis: str
    bar: str
    dot: str
    levels: str
    horizontal: str
    vertical: str
    corners: str


UNICODE = Glyphs("●", "✖", "◐", "○", "▶", "›", "…", "█", "·", " ▁▂▃▄▅▆▇█", "─", "│", "╭╮╰╯")  # noqa: RUF001 (marks, not text)

ASCII = Glyphs("*", "x", "+", "o", ">", ">", "~", "#", ".", " .:-=+*#@", "-", "|", "++++")


_WORDS = {
    "connected": "good",
    "preferred": "good",
    "completed": "good",
    "draining": "waiting",
    "deprecated": "waiting",
    "tentative": "waiting",
    "registered": "off",
    "unknown": "waiting",
    "lost": "bad",
    "dadfailed": "bad",
    "unbindable": "bad",
    "aside": "waiting",
    "excluded": "off",
    "failed": "bad",
}

_STYLES = {"good": "good", "bad": "bad", "waiting": "warn", "off": "dim"}


def mark(glyphs: Glyphs, word: str) -> tuple[str, str]:
    """Return the mark of a state or an outcome, and the style that repeats it. A word not known here gets `off`."""
    kind = _WORDS.get(word, "off")
    return getattr(glyphs, kind), _STYLES[kind]
