"""The phases of an execution: their names, and the two forms in which what they took crosses the link.

Runs on the event loop of either side, on the way back of each execution. A `Result` says milliseconds by name, one
that shares its head with the one before it microseconds in the order of the names (`wire/sharing.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from dispatcher.wire import fields, limits
from dispatcher.wire.fields import WireError

PHASES = ("queued", "dns", "connect", "tls", "send", "wait", "receive", "total")
"""Members of a record's `timings`, in the order of time; milliseconds."""

_LONGEST_MS = limits.MAX_TIMEOUT_SECONDS * 1000 * 10
"""What a phase of an execution may be said to have taken."""

_LONGEST_US = int(_LONGEST_MS) * 1000


def timings(*, default_factory: Callable[[], dict[str, float]]) -> Any:
    """A number of milliseconds for each phase; a missing one is 0, unless all are: then nothing was measured."""

    def check(value: Any) -> dict[str, float]:
        if not isinstance(value, dict):
            raise WireError("is not an object")
        return {name: fields.to_number(value.get(name, 0.0), 0.0, _LONGEST_MS) for name in PHASES} if value else {}

    def typed(meta: Callable[..., Any]) -> Any:
        milliseconds: Any = Annotated[float, meta(ge=0.0, le=_LONGEST_MS)]
        return Annotated[dict[Literal[PHASES], milliseconds], meta(min_length=len(PHASES))]  # type: ignore[valid-type]  # types, though made here

    return dataclasses.field(default_factory=default_factory, metadata={"check": check, "typed": typed})


def microseconds() -> Any:
    """A whole number of microseconds for each phase, in the order of time."""
    count = len(PHASES)

    def check(value: Any) -> tuple[int, ...]:
        items = fields.to_list(value, count)
        if len(items) != count:
            raise WireError(f"has {len(items)} items, not {count}")
        if any(type(item) is not int or not 0 <= item <= _LONGEST_US for item in items):
            raise WireError(f"has an item that is not a whole number from 0 to {_LONGEST_US}")
        return tuple(items)

    return fields.declare(check, typed=lambda meta: tuple[(Annotated[int, meta(ge=0, le=_LONGEST_US)],) * count])  # type: ignore[misc]  # a type, though made here


def timings_of(microseconds: Sequence[int]) -> dict[str, float]:
    """Return milliseconds by the names of `PHASES`, from microseconds of each."""
    queued, dns, connect, tls, send, wait, receive, total = microseconds
    return {
        "queued": queued / 1000,
        "dns": dns / 1000,
        "connect": connect / 1000,
        "tls": tls / 1000,
        "send": send / 1000,
        "wait": wait / 1000,
        "receive": receive / 1000,
        "total": total / 1000,
    }
