"""Identifiers of executions, made where step 2 of a request's way begins. UUIDs of version 7, in order of time."""

from __future__ import annotations

import os
import time

_FORM = "%08x-%04x-7%03x-%04x-%012x"
_COUNTER_BITS = 12
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_NODE_MASK = (1 << 48) - 1
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
        time_bits, counter, random = self._last >> _COUNTER_BITS, self._last & _COUNTER_MASK, self._draw()
        return _FORM % (time_bits >> 16, time_bits & 0xFFFF, counter, 0x8000 | random >> 48, random & _NODE_MASK)

    def _draw(self) -> int:
        if self._used == len(self._random):
            self._random, self._used = os.urandom(_RANDOM_BYTES * _AT_ONCE), 0
        start, self._used = self._used, self._used + _RANDOM_BYTES
        return int.from_bytes(self._random[start : self._used], "big") & _RANDOM_MASK
