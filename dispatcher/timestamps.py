"""Points in time as people and programs read them: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

import functools
from datetime import UTC, datetime


def milliseconds(seconds: float) -> int:
    """Return seconds since 1970 in the milliseconds that `rfc3339` writes."""
    return int(seconds * 1000.0 + 0.5)  # as `round` does it, in half the time


def rfc3339(seconds: float) -> str:
    """Write seconds since 1970 such as ``2026-01-01T00:00:00.000Z``."""
    return rfc3339_of(milliseconds(seconds))


@functools.lru_cache(maxsize=64)
def rfc3339_of(milliseconds: int) -> str:
    """Write milliseconds since 1970 as `rfc3339` does; under load, ten executions begin or end in the same one."""
    whole = milliseconds // 1000
    return _second(whole) + _FRACTIONS[milliseconds - whole * 1000]  # not `divmod`, which takes twice as long


_FRACTIONS = tuple(f".{milliseconds:03d}Z" for milliseconds in range(1000))
"""What may stand behind a second: formatting it took longer than all the rest."""


@functools.lru_cache(maxsize=64)
def _second(whole: int) -> str:
    """Write a second; most moments that are written fall into the last few."""
    return datetime.fromtimestamp(whole, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def optional_rfc3339(seconds: float | None) -> str | None:
    """Write seconds since 1970, or None for never."""
    return None if seconds is None else rfc3339(seconds)
