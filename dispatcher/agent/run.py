"""One execution while the executor has it: its deadline, what it waits for, and what may end the wait. Event loop.

Step 6 of a request's way. Whatever it waits for, a slot, libcurl or the resolver, is one future of ours; the deadline,
a cancel and a vanished source all end that one wait, so no state of an execution can outlive them. The deadline
of a transfer is kept by libcurl, whose clock costs less than a timer of the loop's.
"""

from __future__ import annotations

import asyncio
import operator
import time
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from dispatcher.wire.messages import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    _why: Interruption | None = None
    _waiting: asyncio.Future[object] | None = None
    _has_hops = False

    def __init__(self, execute: Execute, source: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.execute = execute
        self.source = source
        self.started = time.monotonic()  # the loop's clock
        self.deadline = self.started + execute.timeout
        self.phases = [0] * (len(PHASES) - 1)
        """Microseconds of each of `PHASES` but the total."""

    @property
    def elapsed(self) -> int:
        """Microseconds since it came."""
        return int((time.monotonic() - self.started) * 1_000_000)

    @property
    def seconds_left(self) -> float:
        """Seconds to the deadline, never below 0."""
        return max(0.0, self.deadline - time.monotonic())

    def add_hop(self, phases: Iterable[int]) -> None:
        """Add the microseconds of one hop, from dns to receive."""
        if self._has_hops:
            phases = map(operator.add, self.phases[1:], phases)
        self.phases[1:] = phases
        self._has_hops = True

    def interrupt(self, why: Interruption) -> None:
        """End what it waits for now, and every later wait; the first reason counts."""
        if self._why is None:
            self._why = why
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(InterruptedRunError(why))

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Wait for `future`, which only this run waits for, and no longer than to the deadline.

        Raises:
            InterruptedRunError: the run was interrupted, before or meanwhile.
        """
        timer = self._loop.call_at(self.deadline, self.interrupt, Interruption.DEADLINE)
        try:
            return await self.bound(future)
        finally:
            timer.cancel()

    def bound(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """Return `future`, which is to be waited for next and will be done by the deadline without us.

        An interruption is raised where it is awaited, or here if it came before. No coroutine, since every execution
        waits here.
        """
        if self._why is not None:
            raise InterruptedRunError(self._why)
        self._waiting = future  # type: ignore[assignment]  # only its exception is ever set from here
        return future
