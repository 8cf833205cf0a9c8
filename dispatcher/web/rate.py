"""How many executions ended in each of the last seconds: what `/api/stats` and monitors show of it. Plain numbers."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_SECONDS = 300
"""Whole seconds that are kept: as many as a monitor's snapshot shows."""

WINDOW_SECONDS = 60
"""What `per_second` is taken over, the second that runs included."""


class Rate:
    """Counts by the second; constant memory at any rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none; `clock` gives seconds that only grow."""
        self._clock = clock
        self._counts = deque([0], maxlen=KEPT_SECONDS + 1)
        self._began = self._second = int(clock())

    def add(self) -> None:
        """Count an execution that ended now."""
        if self._clock() >= self._second + 1:
            self._advance()
        self._counts[-1] += 1

    @property
    def per_second(self) -> float:
        """Executions a second over the window, or since the start where that is less."""
        self._advance()
        recent = list(self._counts)[-WINDOW_SECONDS:]
        return sum(recent) / min(max(self._second - self._began, 1), WINDOW_SECONDS)

    def ended(self, since: int | None) -> tuple[int, list[int]]:
        """Return the second that runs now, and the counts of those before it, from `since` on (None: all kept)."""
        self._advance()
        counts = list(self._counts)[:-1]
        return self._second, counts if since is None else counts[max(0, len(counts) - self._second + since) :]

    def _advance(self) -> None:
        second = int(self._clock())
        self._counts.extend([0] * min(second - self._second, KEPT_SECONDS + 1))
        self._second = second
