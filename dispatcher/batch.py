"""Many executions of one call: steps 2 to 9 of a request's way, so many at a time. Runs on the event loop.

Driven by callbacks: an execution that is answered begins the next, so agents need not wait for the store. What has
ended waits here for its reader. Of what has begun, twice as much as may be on its way is here at most, so a reader that
is slow slows the batch and memory stays flat. What would surprise: where no exit is left the batch pauses instead of
failing execution after execution. When none came for as long as the waiting request's timeout, that one is recorded as
`no_exit` and the batch stops.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import CountPlaces, DescribePool
from dispatcher.not_accepted import DrainingError, NoExitError, NotAcceptedError
from dispatcher.recorder import UnrecordedError
from dispatcher.tally import Tally
from dispatcher.wire.quick import quickly_made

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pykka

    from dispatcher.execution import Execution
    from dispatcher.executions import Executions
    from dispatcher.record import Record
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

BEGUN_A_TURN = 64
"""How many executions begin in one turn of the loop: about 5 ms."""

WAITING_BYTES = 8 * 1024 * 1024
"""Bytes of bodies that may wait for store and reader before nothing new begins; one body may be over it by itself."""

LOOK_SECONDS = 0.1
"""Between two looks whether an exit has come."""

WIDTH_SECONDS = 1.0
"""Between two looks at how many executions the agents take, where that is not given."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Finished:
    """An execution of a batch that ended. `sequence` is its place in the batch, from 1.

    `unrecorded` is why its record is not in the history; empty where it is.
    """

    sequence: int
    record: Record
    unrecorded: str = ""


class Batch:
    """Executes requests, at most `concurrency` on their way at a time; None takes as many as the pool's agents do.

    `take` waits for what has ended; `delivered` says that the reader has it. `stopped` is why it ended early.
    """

    def __init__(
        self,
        executions: Executions,
        pool: pykka.ActorRef[Any],
        requests: Iterable[RequestSpec],
        count: int,
        concurrency: int | None = None,
    ) -> None:
        """Prepare to execute the first `count` of `requests`; `start` begins."""
        self.count = count
        self.stopped: str | None = None
        self.tally = Tally()
        self._executions = executions
        self._pool = pool
        self._numbered = enumerate(itertools.islice(requests, count), 1)
        self._not_begun = count
        self._again: deque[tuple[int, RequestSpec]] = deque()
        self._width = concurrency
        self._concurrency = concurrency or 1
        self._running = 0
        self._away = 0
        self._behind = 0
        self._behind_bytes = 0
        self._place: asyncio.Future[None] | None = None
        self._is_due = False
        self._ended: list[Finished] = []
        self._changed = asyncio.Event()
        self._pause: asyncio.Task[None] | None = None
        self._trial: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin.

        Raises:
            NotAcceptedError: the coordinator drains, or no exit is there; nothing was begun.
        """
        if self._executions.is_draining:
            raise DrainingError("the coordinator is shutting down")
        if not await self._has_exit():
            raise NoExitError("no exit is available: no connected agent has a usable address that is not set aside")
        self._executions.add_batch(self)
        if self._width is None:
            self._concurrency = await self._agents_take()
            self._watch = asyncio.get_running_loop().create_task(self._follow_agents())
        self._fill()

    async def take(self) -> list[Finished]:
        """Wait for executions that ended and take them, in the order in which they did; none where all is over."""
        while not self._ended and not self._is_over:
            self._changed.clear()
            await self._changed.wait()
        taken, self._ended = self._ended, []
        return taken

    def delivered(self, taken: Sequence[Finished]) -> None:
        """The reader has taken these."""
        self._behind -= len(taken)
        self._behind_bytes -= sum(len(each.record.body) for each in taken)
        self._fill_soon()

    def stop(self, reason: str) -> None:
        """Begin nothing more; what is in flight goes on to its record. Only the first reason counts."""
        if self.stopped is None:
            self.stopped = reason
        self._give_place_back()
        if self._pause is not None:
            self._pause.cancel()
        self._changed.set()

    def close(self) -> None:
        """Let go of it: nobody takes what ends from now on."""
        self.stop("nobody reads")
        self._executions.discard_batch(self)
        for task in (self._watch, self._trial):
            if task is not None:
                task.cancel()
        self._ended.clear()

    @property
    def _is_over(self) -> bool:
        is_done = not self._not_begun and not self._again
        return not self._running and (is_done or self.stopped is not None)

    # What begins

    @property
    def _is_held(self) -> bool:
        return self.stopped is not None or self._pause is not None

    @property
    def _room(self) -> int:
        """How many may begin now."""
        if self._is_held or self._behind_bytes >= WAITING_BYTES:
            return 0
        not_begun = self._not_begun + len(self._again)
        room = self._concurrency - self._away
        return min(not_begun, room, room + self._concurrency - self._behind)

    def _fill_soon(self) -> None:
        """Begin what may be begun, once in this turn of the loop."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        self._is_due = False
        room = self._room
        if room and self._executions.store_is_in_doubt:
            self._try_store()
            return
        begun: list[Execution] = []
        while len(begun) < min(room, BEGUN_A_TURN) and (place := self._take_place()) is not None:
            begun.append(self._make(place))
        self._executions.begin(begun)
        if room > len(begun) == BEGUN_A_TURN:
            self._fill_soon()
        elif room == len(begun):
            self._give_place_back()

    def _try_store(self) -> None:
        """Try it once for all that is to begin; executions that tried it themselves would overtake each other."""
        if self._trial is None:
            self._trial = asyncio.get_running_loop().create_task(self._await_store())

    async def _await_store(self) -> None:
        problem = await self._executions.check_store()
        self._trial = None
        if problem is None:
            self._fill()
        else:
            self.stop(problem)

    def _take_place(self) -> asyncio.Future[None] | None:
        """Return a place that is there; None where it is waited for, or none comes."""
        if self._place is None:
            try:
                self._place = self._executions.take_place()
            except DrainingError as error:
                self.stop(str(error))
                return None
            if not self._place.done():
                # Not one turn later, in which those behind it in the queue would overtake it.
                self._place.add_done_callback(lambda _: self._fill())
        if not self._place.done():
            return None
        place, self._place = self._place, None
        return place

    def _give_place_back(self) -> None:
        if self._place is not None:
            place, self._place = self._place, None
            self._executions.return_place(place)

    def _make(self, place: asyncio.Future[None], *, needs_exit: bool = True) -> Execution:
        if self._again:
            numbered = self._again.popleft()
        else:
            numbered = next(self._numbered)
            self._not_begun -= 1
        self._running += 1
        self._away += 1
        return self._executions.make(
            numbered[1], place, numbered, on_answer=self._hear_answer, on_end=self._end, needs_exit=needs_exit
        )

    # What ends

    def _hear_answer(self, record: Record) -> None:
        self._away -= 1
        self._behind += 1
        self._behind_bytes += len(record.body)
        self._fill_soon()

    def _end(self, execution: Execution) -> None:
        numbered: tuple[int, RequestSpec] = execution.caller
        self._running -= 1
        if not execution.is_answered:
            self._away -= 1
            self._fill_soon()
        match execution.error:
            case None:
                assert execution.record is not None
                self._keep(Finished(numbered[0], execution.record))
            case UnrecordedError() as error:
                self._keep(Finished(numbered[0], error.record, str(error)))
                self.stop(str(error))
            case NoExitError() as error:
                self._again.append(numbered)
                self._wait_for_exit(numbered[1].timeout, str(error))
            case NotAcceptedError() as error:
                self.stop(str(error))
            case _:
                self.stop("the coordinator failed over an execution; its log says more")
        self._changed.set()

    def _keep(self, finished: Finished) -> None:
        self.tally.add(finished.record)
        self._ended.append(finished)

    # Where no exit is left

    def _wait_for_exit(self, seconds: float, why: str) -> None:
        if self._pause is None and self.stopped is None:
            logger.info("a batch of %d pauses: %s", self.count, why)
            self._pause = asyncio.get_running_loop().create_task(self._await_exit(seconds))

    async def _await_exit(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await self._has_exit():  # noqa: ASYNC110 (an exit that comes tells nobody)
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            await self._record_no_exit()
            self._pause = None
            self.stop(f"no exit was available for {seconds:g} s")
        self._pause = None
        self._fill_soon()

    async def _record_no_exit(self) -> None:
        """Execute the one that waits all the same: its record says what was missing."""
        try:
            place = self._executions.take_place()
        except DrainingError:
            return
        try:
            await asyncio.shield(place)
        except asyncio.CancelledError:
            self._executions.return_place(place)
            raise
        self._executions.begin([self._make(place, needs_exit=False)])

    async def _has_exit(self) -> bool:
        return (await ask(self._pool, DescribePool(exits=False))).available > 0

    # How many at a time

    async def _agents_take(self) -> int:
        return max(1, await ask(self._pool, CountPlaces()))

    async def _follow_agents(self) -> None:
        while True:
            await asyncio.sleep(WIDTH_SECONDS)
            self._concurrency = await self._agents_take()
            self._fill_soon()
