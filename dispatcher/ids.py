"""Identifiers of executions, made where step 2 of a request's way begins. UUIDs of version 7, in order of time.

What would surprise: they are an iterator and not a function. Resuming a generator costs half of a call, and what is
random of 256 ids is laid out column by column, which takes a third of what writing each does.
"""

from __future__ import annotations

import os
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNTS = 1 << 12
"""So many ids a millisecond can have; those past it are given to the next."""

_AT_ONCE = 256
"""For how many ids the system is asked for randomness in one call."""

_DIGITS = tuple(f"{count:03x}" for count in range(_COUNTS))

_VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)
"""By what a random digit is: the variant of a UUID leaves two bits of it."""

_TAIL = b"-8xxx-xxxxxxxxxxxx "
_RANDOM = [place for place, char in enumerate(_TAIL) if char not in b"- "]
"""Where in the end of an id its random digits stand, the variant's first."""


def make_ids() -> Iterator[str]:
    """Make ids that only grow: within one millisecond a counter (RFC 9562, 6.2, method 1) keeps their order."""
    millisecond = ends_at = counter = 0
    head = ""
    for tail in chain.from_iterable(map(_make_tails, repeat(_AT_ONCE))):
        now = time.time_ns()
        if now < ends_at and counter + 1 < _COUNTS:
            counter += 1
        else:
            counter, millisecond = 0, max(now // 1_000_000, millisecond + 1)
            ends_at = (millisecond + 1) * 1_000_000
            digits = f"{millisecond:012x}"
            head = f"{digits[:8]}-{digits[8:]}-7"
        yield head + _DIGITS[counter] + tail


def _make_tails(count: int) -> list[str]:
    """Make the random ends of ids: a variant's digit and 15 random ones each."""
    digits = os.urandom(count * len(_RANDOM) // 2).hex().encode()
    text = bytearray(_TAIL * count)
    for column, place in enumerate(_RANDOM):
        text[place :: len(_TAIL)] = digits[column :: len(_RANDOM)]
    variants = slice(_RANDOM[0], None, len(_TAIL))
    text[variants] = text[variants].translate(_VARIANTS)
    return text.decode().split()
