"""Identifiers of executions, made where step 2 of a request's way begins. UUIDs of version 7, in order of time."""

from __future__ import annotations

import os
import time

_TIMESTAMP_SHIFT = 80
_COUNTER_BITS = 12
_RANDOM_BYTES = 8
_RANDOM_MASK = (1 << 62) - 1
_AT_ONCE = 128
"""For how many ids the system is asked for randomness in one call."""


class IdMaker:
    """Makes ids that only grow: within one millisecond a counter (RFC 9562, 6.2, method 1) keeps their order."""

    def __init__(self) -> None:
        """Start before the first millisecond."""
        self._last = 0
        self._random = b""
        self._used = 0

    def __call__(self) -> str:
        """Make the next id."""
        now = time.time_ns() // 1_000_000 << _COUNTER_BITS
        self._last = max(now, self._last + 1)
        milliseconds, counter = self._last >> _COUNTER_BITS, self._last & ((1 << _COUNTER_BITS) - 1)
        value = milliseconds << _TIMESTAMP_SHIFT | 7 << 76 | counter << 64 | 2 << 62 | self._draw()
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _draw(self) -> int:
        if self._used == len(self._random):
            self._random, self._used = os.urandom(_RANDOM_BYTES * _AT_ONCE), 0
        start, self._used = self._used, self._used + _RANDOM_BYTES
        return int.from_bytes(self._random[start : self._used], "big") & _RANDOM_MASK
