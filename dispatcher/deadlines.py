"""Many deadlines and one timer: what ends an execution where nothing else does, steps 3 to 8 of a request's way.

Runs on the event loop. Nearly every deadline is forgotten before it comes, so what counts is that setting one and
forgetting it cost little: a timer for each costs ten times as much.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

T = TypeVar("T", bound="Hashable")

LATE_A_TURN = 64
"""How many that are late are told of in one turn of the loop."""


class Alarm:
    """Calls `ring` with the time at the earliest of the moments that it was set to, and once for all before that.

    `rings_at` is that moment; nearly all that is set is later, and who looks first saves the call. What is due when,
    its owner keeps, who sets the alarm again for what is left.
    """

    def __init__(self, ring: Callable[[float], None]) -> None:
        """Start set to nothing."""
        self._ring = ring
        self.rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Have it ring at `when`, in the loop's own time, or before."""
        if when < self.rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self.rings_at = when
            self._timer = asyncio.get_running_loop().call_at(when, self._fire)

    def _fire(self) -> None:
        # A loop lets its timers fire a little early.
        now = max(asyncio.get_running_loop().time(), self.rings_at)
        self.rings_at, self._timer = math.inf, None
        self._ring(now)


class Deadlines(Generic[T]):
    """Tells `on_late` of each item whose time has come, in the order in which they were set."""

    def __init__(self, on_late: Callable[[T], None]) -> None:
        """Start with none."""
        self._on_late = on_late
        self._due: dict[T, float] = {}
        self._alarm = Alarm(self._tell)

    def set(self, item: T, when: float) -> None:
        """Have `item` told of at `when`, in the loop's own time, unless it is forgotten before."""
        self._due[item] = when
        if when < self._alarm.rings_at:
            self._alarm.set(when)

    def forget(self, item: T) -> None:
        """Tell nobody of `item`, if it still was to be told of."""
        self._due.pop(item, None)

    def _tell(self, now: float) -> None:
        late, then = sort_out(self._due.items(), now)
        for item in late:
            del self._due[item]
        self._alarm.set(then)
        for item in late:
            self._on_late(item)


def sort_out(due: Iterable[tuple[T, float]], now: float) -> tuple[list[T], float]:
    """Find what is late, as much as one turn tells of, and the moment of the next of all others."""
    late: list[T] = []
    then = math.inf
    for item, when in due:
        if when <= now and len(late) < LATE_A_TURN:
            late.append(item)
        elif when < then:
            then = when
    return late, then
