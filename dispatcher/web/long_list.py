"""A list of requests with too many values to be read at once: step 1 of a request's way, on the event loop.

Each of the requests is read by itself, and the loop turns in between. It is read again whenever it is wanted, so what a
list of a million keeps is its text. What would surprise: it is cut up by its quotes, brackets and commas alone, which
takes a microsecond for each; whether what is between them is JSON is told by reading it.
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from typing import TYPE_CHECKING, Any

from dispatcher.afterwards import TURN_SECONDS
from dispatcher.web import json_body, problems
from dispatcher.web.json_weight import MAX_VALUES
from dispatcher.web.schemas import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARS = 256 * 1024
"""The longest request of such a list, and the most that all may stand beside it."""

MOST_MARKS = 10_000
"""Quotes, brackets and commas of one request: 1,024 headers have 6 each. Cutting and reading these takes 20 ms."""

_MOST_MEMBERS = 64
"""Of the object, before its list; a request has a dozen."""

_TOO_LARGE = [f"Must have at most {MOST_CHARS} characters, and {MOST_MARKS} quotes, brackets and commas."]

_NO_LIST = [f"Must have fewer than {MAX_VALUES} values; beside a longer list of requests, {MOST_CHARS} characters."]

_MARK = re.compile(r'["\[\]{},]')
_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OBJECT = re.compile(r"\s{0,99}\{")
_LIST = re.compile(r'\s{0,99}"requests"\s{0,99}:\s{0,99}\[')


class LongList:
    """The requests of a body's list, and `rest`, which is the body without them."""

    def __init__(self, text: str, places: array[int], rest: dict[str, Any]) -> None:
        """Take a body, and where in it each request begins; the last place is behind the end of the list."""
        self._text = text
        self._places = places
        self.rest = rest

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self._places) - 1

    def __iter__(self) -> Iterator[Any]:
        """Read one after the other. Raises `Problem`, 400, where one is no JSON."""
        for number in range(len(self)):
            one = self._text[self._places[number] : self._places[number + 1] - 1]
            yield json_body.parse(one, f"/requests/{number}")


class Pace:
    """Lets the loop turn as often as work in small steps has to."""

    def __init__(self) -> None:
        """Begin to work."""
        self._until = time.monotonic() + TURN_SECONDS

    async def rest(self) -> None:
        """Let the loop turn, if that is due."""
        if time.monotonic() > self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + TURN_SECONDS


class _TooLargeError(Exception):
    """What is cut out has too many characters or marks."""


async def read(text: str) -> LongList:
    """Find the requests of a body.

    Raises:
        Problem: 400 or 422, where it has no such list, or what it has is too large.
    """
    try:
        first = _find_list(text)
        if first is None:
            raise problems.invalid(_NO_LIST)
        places = await _cut(text, first)
        rest = f"{text[:first]}{text[places[-1] - 1 :]}"
        _end_of(f"{rest},", 0)
    except _TooLargeError:
        raise problems.invalid(_NO_LIST) from None
    return LongList(text, places, json_body.parse(rest))


def _find_list(text: str) -> int | None:
    """Return where the first request begins; None where there is no list."""
    opening = _OBJECT.match(text)
    place = 0 if opening is None else opening.end()
    for _ in range(_MOST_MEMBERS if place else 0):
        if found := _LIST.match(text, place):
            return found.end()
        place = _end_of(text, place) + 1
        if text[place - 1] != ",":
            break
    return None


async def _cut(text: str, first: int) -> array[int]:
    places = array("Q", [first])
    pace = Pace()
    while True:
        try:
            end = _end_of(text, places[-1])
        except _TooLargeError:
            raise problems.invalid({"requests": {len(places) - 1: _TOO_LARGE}}) from None
        places.append(end + 1)
        if text[end] == "]":
            return places
        if text[end] == "}":
            raise json_body.malformed("the body", "a list ends with a brace")
        if len(places) > MAX_BATCH:
            raise problems.invalid({"requests": [f"Longer than maximum length {MAX_BATCH}."]})
        await pace.rest()


def _end_of(text: str, start: int) -> int:
    """Return the place of the comma or bracket behind the value, or the name and its value, that begins at `start`."""
    stop = min(len(text), start + MOST_CHARS)
    depth, place = 0, start
    for _ in range(MOST_MARKS):
        found = _MARK.search(text, place, stop)
        if found is not None and found[0] == '"':
            found = _STRING.match(text, found.end(), stop)
        elif found is not None and not depth and found[0] not in "[{":
            return found.start()
        elif found is not None:
            depth += {"[": 1, "{": 1, ",": 0}.get(found[0], -1)
        if found is None:
            break
        place = found.end()
    else:
        raise _TooLargeError
    if stop < len(text):
        raise _TooLargeError
    raise json_body.malformed("the body", "it does not end")
