"""The life of a long-running command: until a signal comes, and how long the event loop was held meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

from dispatcher.errors import ExitStatus

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TICKS = 5
"""Looks within the time that is warned of: enough to notice it, and no load on an idle machine."""

_UNWARNED_SECONDS = 0.25
"""What stands for that time where nobody is warned, but the lag is counted."""


class Stop:
    """Set by the first SIGTERM or Ctrl-C; the second ends the process at once."""

    def __init__(self) -> None:
        """Listen for signals on the running loop."""
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._event.wait()

    @property
    def is_set(self) -> bool:
        """Whether a signal came."""
        return self._event.is_set()

    def _on_signal(self) -> None:
        if self._event.is_set():
            sys.stderr.write("ended at once by a second signal\n")
            sys.stderr.flush()
            # The actors' threads would hold up an ordinary exit; what they committed is safe.
            os._exit(ExitStatus.DONE)
        self._event.set()


async def watch_loop(warn_seconds: float, on_lag: Callable[[float], None] | None = None) -> None:
    """Warn whenever something held the event loop for `warn_seconds`, until cancelled; 0 warns of nothing.

    `on_lag` is told of every look how many seconds late it was; without it, and without a warning, nothing is watched.
    """
    if warn_seconds or on_lag is not None:
        watch = _Watch(warn_seconds, on_lag)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            watch.stop()


class _Watch:
    """Looks by the loop's own timer: a task that sleeps would take a second turn of the loop for each look."""

    def __init__(self, warn_seconds: float, on_lag: Callable[[float], None] | None) -> None:
        self._warn_seconds = warn_seconds
        self._on_lag = on_lag
        self._tick = (warn_seconds or _UNWARNED_SECONDS) / _TICKS
        self._begin()

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._worked = time.thread_time()
        self._due = loop.time() + self._tick
        self._timer = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        held = max(asyncio.get_running_loop().time() - self._due, 0.0)
        if 0 < self._warn_seconds <= held:
            # The processor time tells work (as much as the stall) from a machine that had no time for us (less).
            # What was done in the tick itself counts too, but held up nobody.
            busy = min(time.thread_time() - self._worked, held)
            logger.warning("the event loop was held for %.0f ms (%.0f ms of work)", held * 1000, busy * 1000)
        self._begin()
        if self._on_lag is not None:
            self._on_lag(held)
