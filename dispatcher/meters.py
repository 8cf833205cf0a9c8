"""What the coordinator counts of itself for `/metrics`: plain numbers, beside a request's way, on the event loop.

What would surprise: these are no instruments of prometheus-client, which take a lock and walk over all bounds for each
value: 4.6 us an execution where this takes 1.5. `web/metrics.py` makes metrics of them when asked.
Everything here is counted since the process started; history's own totals survive a restart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from dispatcher.wire.messages import PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.record import Record

PHASE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: from a target on the same machine to the longest that people wait for."""

COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: from a commit into memory to SQLite's own patience with a locked file, 5 s."""

LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds: 0.05 is what the event loop may be held at most."""


class Histogram:
    """How many values were at most each of `bounds`, which grow, and how much all values were together."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Start with no value."""
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: float, times: int = 1) -> None:
        """Count a value, once or as often as it was seen."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def cumulative(self) -> list[int]:
        """How many values were at most each bound; one more entry at the end is for all of them."""
        return list(accumulate(self._counts))


@dataclass(slots=True)
class Traffic:
    """Frames of agents' links in one direction, and their `size` in bytes, without what WebSocket adds."""

    frames: int = 0
    size: int = 0

    def add(self, frame: bytes | str) -> None:
        """Count a frame."""
        self.frames += 1
        self.size += len(frame)


@dataclass(slots=True)
class Commits:
    """Records on their way into the history: how many are, how long each took, and how many could not be kept."""

    waiting: int = 0
    failed: int = 0
    seconds: Histogram = field(default_factory=lambda: Histogram(COMMIT_BOUNDS))


class Meters:
    """All that is counted outside of the actors."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.executions: Counter[tuple[str, str]] = Counter()
        self.phases = {phase: Histogram(PHASE_BOUNDS) for phase in PHASES}
        self.loop_lag = Histogram(LAG_BOUNDS)
        self.received = Traffic()
        self.sent = Traffic()

    def finished(self, record: Record) -> None:
        """Count an execution by outcome and kind of error, and the phases of one that was answered.

        A phase that did not take place is not counted: of `connect` there are as many as connections were made.
        """
        failure = record.failure
        self.executions[str(record.outcome), "" if failure is None else str(failure.kind)] += 1
        if failure is None and record.result is not None:
            for phase, milliseconds in record.result.timings.items():
                if milliseconds > 0 and (histogram := self.phases.get(phase)) is not None:
                    histogram.add(milliseconds / 1000)
