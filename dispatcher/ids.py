"""Identifiers of executions: step 1 of a request's way. UUIDs of version 7, so that text order is order of time."""

from __future__ import annotations

import secrets
import time
import uuid

_TIMESTAMP_SHIFT = 80
_COUNTER_BITS = 12


class IdMaker:
    """Makes ids that only grow: within one millisecond a counter (RFC 9562, 6.2, method 1) keeps their order."""

    def __init__(self) -> None:
        """Start before the first millisecond."""
        self._last = 0

    def __call__(self) -> str:
        """Make the next id."""
        now = time.time_ns() // 1_000_000 << _COUNTER_BITS
        self._last = max(now, self._last + 1)
        milliseconds, counter = self._last >> _COUNTER_BITS, self._last & ((1 << _COUNTER_BITS) - 1)
        value = milliseconds << _TIMESTAMP_SHIFT | 7 << 76 | counter << 64 | 2 << 62 | secrets.randbits(62)
        return str(uuid.UUID(int=value))
