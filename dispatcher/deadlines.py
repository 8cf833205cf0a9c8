"""Many deadlines and one timer: what ends an execution where nothing else does, steps 3 to 8 of a request's way.

Runs on the event loop. Nearly every deadline is forgotten before it comes, so what counts is that setting one and
forgetting it cost little: a timer for each costs ten times as much.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T", bound="Hashable")

LATE_A_TURN = 64
"""How many that are late are told of in one turn of the loop."""


class Deadlines(Generic[T]):
    """Tells `on_late` of each item whose time has come, in the order in which they were set."""

    def __init__(self, on_late: Callable[[T], None]) -> None:
        """Start with none."""
        self._on_late = on_late
        self._due: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0

    def set(self, item: T, when: float) -> None:
        """Have `item` told of at `when`, in the loop's own time, unless it is forgotten before."""
        self._due[item] = when
        if self._timer is None or when < self._fires_at:
            self._fire_at(when)

    def forget(self, item: T) -> None:
        """Tell nobody of `item`, if it still was to be told of."""
        self._due.pop(item, None)

    def _fire_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = when
        self._timer = asyncio.get_running_loop().call_at(when, self._fire)

    def _fire(self) -> None:
        # A loop lets its timers fire a little early.
        now = max(asyncio.get_running_loop().time(), self._fires_at)
        late = [item for item, when in self._due.items() if when <= now][:LATE_A_TURN]
        for item in late:
            del self._due[item]
        self._timer = None
        if self._due:
            self._fire_at(min(self._due.values()))
        for item in late:
            self._on_late(item)
