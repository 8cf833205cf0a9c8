"""The bar of `execute` on stderr, where that is a terminal: how far, how fast, how well, how long still."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.execute.report import Counts

BAR_CELLS = 16
DRAW_SECONDS = 0.1
"""Between two drawings: as often as an eye can follow, and no load at any rate."""

_COLUMNS = 80
"""Of a terminal that does not say how wide it is."""

_CLEAR = "\r\x1b[K"


def text(done: Counts, total: int, seconds: float, width: int) -> str:
    """Write the bar after so many seconds, as much of it as has room in `width` columns."""
    filled = BAR_CELLS * done.all // total
    rate = done.all / seconds if seconds else 0.0
    left = f"{duration((total - done.all) / rate)} left" if rate else "waiting"
    outcomes = [f"{done.completed} completed"]
    outcomes += [f"{number} {name}" for number, name in ((done.failed, "failed"), (done.unknown, "unknown")) if number]
    bar = f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}] {100 * done.all // total}% of {total}"
    told = bar
    for part in (f"  {left}", f"  {rate:.0f}/s", f"  {outcomes[0]}", *(f", {each}" for each in outcomes[1:])):
        if len(told) + len(part) > width:
            break
        told += part
    return told[:width]


def duration(seconds: float) -> str:
    """Write a time as a clock does: 0:07, 12:30, 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def has_terminal(stream: TextIO) -> bool:
    """Say whether a line can be drawn over on this stream."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Progress:
    """Draws the bar; without a terminal it does nothing."""

    def __init__(self, total: int, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count the time."""
        self._total = total
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._drawn_at = float("-inf")
        self._is_shown = False
        self._is_terminal = has_terminal(stream)

    def draw(self, done: Counts) -> None:
        """Draw the bar, unless that was done just now and it still stands."""
        now = self._clock()
        if not self._is_terminal or (self._is_shown and now - self._drawn_at < DRAW_SECONDS):
            return
        width = (os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS) - 1
        self._write(_CLEAR + text(done, self._total, now - self._began, width))
        self._drawn_at, self._is_shown = now, True

    def clear(self) -> None:
        """Take the bar away, for lines that stand in its place."""
        if self._is_shown:
            self._write(_CLEAR)
            self._is_shown = False

    def _write(self, drawn: str) -> None:
        self._stream.write(drawn)
        self._stream.flush()
