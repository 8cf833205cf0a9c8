"""So many at a time, so many waiting, first come first served. Runs on the event loop; never blocks.

Bounds executions at the coordinator (before step 2 of a request's way) and transfers at the agent (step 6). A full
queue says no at once: a caller that knows is better off than one that waits in vain.
"""

from __future__ import annotations

import asyncio


class FullError(Exception):
    """Every slot is taken and the queue is full."""


class Slots:
    """`size` slots and a queue of at most `max_waiting`, beside which as many may wait as are patient."""

    def __init__(self, size: int, max_waiting: int) -> None:
        self.size = size
        self.max_waiting = max_waiting
        self.taken = 0
        self._waiting: dict[asyncio.Future[None], bool] = {}  # whether it is patient
        self._patient = 0
        self._free: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def take(self, *, is_patient: bool = False) -> asyncio.Future[None]:
        """Return a future that is done when a slot is the caller's.

        One that is patient waits in the same order but takes up no room of the queue, so it is never refused: whoever
        asks so is to bound how often that is.

        Raises:
            FullError: every slot is taken and the queue is full.
        """
        if self.taken < self.size:
            self.taken += 1
            return self._free or self._make_free()
        if not is_patient and len(self._waiting) - self._patient >= self.max_waiting:
            raise FullError
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[slot] = is_patient
        self._patient += is_patient
        return slot

    def give_back(self, slot: asyncio.Future[None]) -> None:
        """End the use of a slot, or the wait for it. To be called once for each `take`."""
        if slot in self._waiting:
            self._leave_queue(slot)
            return
        if not self._waiting:
            self.taken -= 1
            return
        # One whose wait has ended already is still to give back, and passed over.
        following = next((other for other in self._waiting if not other.done()), None)
        if following is None:
            self.taken -= 1
        else:
            self._leave_queue(following)
            following.set_result(None)

    def _leave_queue(self, slot: asyncio.Future[None]) -> None:
        self._patient -= self._waiting.pop(slot)

    def _make_free(self) -> asyncio.Future[None]:
        """Make the one future of all who need not wait; it never says anything else."""
        self._free = asyncio.get_running_loop().create_future()
        self._free.set_result(None)
        return self._free
