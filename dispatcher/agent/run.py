"""One execution while the executor has it: its deadline, what it waits for, and what may end the wait. Event loop.

Step 6 of a request's way. Whatever it waits for, a slot, libcurl or the resolver, is one future of ours; the deadline,
a cancel and a vanished source all end that one wait, so no state of an execution can outlive them.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from dispatcher.wire.messages import Execute

T = TypeVar("T")


class Interruption(Enum):
    """Why a wait ended early."""

    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    SOURCE_GONE = "source gone"


class InterruptedRunError(Exception):
    """The wait was ended; `why` says by what."""

    def __init__(self, why: Interruption) -> None:
        super().__init__(why.value)
        self.why = why


class Run:
    """An execution under way. `source` is canonical text; times are the loop's, in seconds."""

    def __init__(self, execute: Execute, source: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.execute = execute
        self.source = source
        self.started = self._loop.time()
        self.deadline = self.started + execute.timeout
        self.phases: dict[str, float] = {}
        self._why: Interruption | None = None
        self._waiting: asyncio.Future[object] | None = None
        self._timer = self._loop.call_at(self.deadline, self.interrupt, Interruption.DEADLINE)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since it came."""
        return (self._loop.time() - self.started) * 1000

    @property
    def seconds_left(self) -> float:
        """Seconds to the deadline, never below 0."""
        return max(0.0, self.deadline - self._loop.time())

    def add_phases(self, phases: dict[str, float]) -> None:
        """Add the milliseconds of one hop."""
        for name, milliseconds in phases.items():
            self.phases[name] = self.phases.get(name, 0.0) + milliseconds

    def interrupt(self, why: Interruption) -> None:
        """End what it waits for now, and every later wait; the first reason counts."""
        if self._why is None:
            self._why = why
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(InterruptedRunError(why))

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Wait for `future`, which only this run waits for.

        Raises:
            InterruptedRunError: the run was interrupted, before or meanwhile.
        """
        self.check()
        self._waiting = future  # type: ignore[assignment]  # only its exception is ever set from here
        try:
            return await future
        finally:
            self._waiting = None

    def check(self) -> None:
        """Raise `InterruptedRunError` if the run was interrupted."""
        if self._why is not None:
            raise InterruptedRunError(self._why)

    def end(self) -> None:
        """Stop the clock."""
        self._timer.cancel()
