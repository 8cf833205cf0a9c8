"""What the coordinator counts of itself for `/metrics`: plain numbers, beside a request's way, on the event loop.

What would surprise: these are no instruments of prometheus-client, which take a lock and walk over all bounds for each
value. Nor is each value counted at once: those of 256 executions are sorted, then each bound is looked up once, which
is a fifth of the work. `web/metrics.py` makes metrics of them when asked.
Everything here is counted since the process started; history's own totals survive a restart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING

from dispatcher.wire.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dispatcher.record import Record

PHASE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: from a target on the same machine to the longest that people wait for."""

COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: from a commit into memory to SQLite's own patience with a locked file, 5 s."""

LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds: 0.05 is what the event loop may be held at most."""

_AT_ONCE = 256
"""How many executions' phases wait to be counted together: 140 KiB at most, and half a millisecond."""

_IN_ORDER = itemgetter(*PHASES)


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

    def add_all(self, values: Iterable[float], to_one: int = 1) -> None:
        """Count many values, each once. `to_one` of them are 1: 1000 where they are milliseconds and bounds seconds."""
        ordered = sorted(values)
        before = 0
        for place, bound in enumerate((*self.bounds, math.inf)):
            if before == len(ordered):
                break
            until = bisect_right(ordered, bound * to_one, before)
            self._counts[place] += until - before
            before = until
        self.sum += sum(ordered) / to_one

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
        self.executions: defaultdict[tuple[str, str], int] = defaultdict(int)  # a third of what a `Counter` costs
        self._phases = {phase: Histogram(PHASE_BOUNDS) for phase in PHASES}
        self._timings: list[dict[str, float]] = []
        self.loop_lag = Histogram(LAG_BOUNDS)
        self.received = Traffic()
        self.sent = Traffic()

    def finished(self, record: Record) -> None:
        """Count an execution by outcome and kind of error, and the phases of one that was answered.

        A phase that did not take place is not counted: of `connect` there are as many as connections were made.
        """
        failure = record.failure
        self.executions[record.outcome, "" if failure is None else failure.kind] += 1
        if record.response is not None:
            self._timings.append(record.timings)
            if len(self._timings) == _AT_ONCE:
                self._count_phases()

    @property
    def phases(self) -> Mapping[str, Histogram]:
        """How long each phase of executions took."""
        self._count_phases()
        return self._phases

    def _count_phases(self) -> None:
        timings, self._timings = self._timings, []
        of_phases = zip(*map(_IN_ORDER, timings), strict=True)  # none where nothing waits
        for histogram, took in zip(self._phases.values(), of_phases, strict=False):
            histogram.add_all(filter(None, took), 1000)
