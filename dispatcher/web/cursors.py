"""The cursors of history's pages: where the next page begins, and of which history. Pure.

A cursor names a place in the order of the commits, which means something only under the filters that it was made
under; so it carries a digest of both. That is no secret: it finds mistakes, and whoever forges one gets what they ask.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispatcher.actors.messages import HistoryFilter

PATTERN = re.compile(r"[0-9a-z]{1,12}-[0-9a-f]{8}")
"""Twelve digits to the base of 36 stay below SQLite's 2**63."""

NO_CURSOR = "Not a cursor that a page of history gave."

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_DIGEST_BYTES = 4


class CursorError(Exception):
    """It is no cursor of this history under these filters; the text says so."""


def encode(before: int, where: HistoryFilter) -> str:
    """Return the cursor of the page that begins below `before`."""
    return f"{_base36(before)}-{_digest(before, where)}"


def decode(cursor: str, where: HistoryFilter) -> int:
    """Return where the page begins.

    Raises:
        CursorError: no page under these filters gave this cursor.
    """
    if not PATTERN.fullmatch(cursor):
        raise CursorError(NO_CURSOR)
    place, _, digest = cursor.partition("-")
    before = int(place, 36)
    if digest != _digest(before, where):
        raise CursorError("Not a cursor that a page of history with these filters gave.")
    return before


def _digest(before: int, where: HistoryFilter) -> str:
    content = repr((before, *(None if value is None else str(value) for value in astuple(where))))
    return hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
