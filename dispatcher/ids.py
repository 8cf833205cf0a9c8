"""Identifiers of executions, made where step 2 of a request's way begins. UUIDs of version 7, in order of time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

_COUNTS = 1 << 12
"""So many ids a millisecond can have; those past it are given to the next."""

_AT_ONCE = 128
"""For how many ids the system is asked for randomness in one call."""

_DIGITS = tuple(f"{count:03x}" for count in range(_COUNTS))
_VARIANTS = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}
"""By what a random digit is: the variant of a UUID leaves two bits of it."""


class IdMaker:
    """Makes ids that only grow: within one millisecond a counter (RFC 9562, 6.2, method 1) keeps their order."""

    def __init__(self) -> None:
        """Start before the first millisecond."""
        self._millisecond = 0
        self._counter = 0
        self._head = ""
        self._tails = _make_tails()

    def __call__(self) -> str:
        """Make the next id."""
        now = time.time_ns() // 1_000_000
        if now > self._millisecond:
            self._begin(now)
        else:
            self._counter += 1
            if self._counter == _COUNTS:
                self._begin(self._millisecond + 1)
        return self._head + _DIGITS[self._counter] + next(self._tails)

    def _begin(self, millisecond: int) -> None:
        self._millisecond, self._counter = millisecond, 0
        digits = f"{millisecond:012x}"
        self._head = f"{digits[:8]}-{digits[8:]}-7"


def _make_tails() -> Iterator[str]:
    """Make the random ends of ids, many at a time because that costs a fifth: a variant's digit and 15 random ones."""
    while True:
        digits = os.urandom(8 * _AT_ONCE).hex()
        for start in range(0, len(digits), 16):
            yield f"-{_VARIANTS[digits[start]]}{digits[start + 1 : start + 4]}-{digits[start + 4 : start + 16]}"
