"""The inbox of an actor with a thread of its own: any thread fills it, that one empties it.

Step 9 of a request's way, on the loop and on the actor's thread. What would surprise: whoever waits is woken by a pipe
and not by a lock (`queue.SimpleQueue`, or Pykka's own with three of them). A lock is given while the interpreter is
held: on the same core the thread that wakes takes over at once, finds the interpreter taken and sleeps again, twice. A
write lets go of the interpreter first.
"""

from __future__ import annotations

import os
import select
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope

_READ_BYTES = 64
"""Read at once: a byte for each thread that found the actor waiting, which is one but for a race."""


class ThreadInbox:
    """Envelopes in the order in which they were put."""

    __slots__ = ("_envelopes", "_is_waiting", "_poll", "_reads", "_refuse", "_writes")

    def __init__(self) -> None:
        """Start empty; its pipe goes with it."""
        self._envelopes: deque[Envelope[Any]] = deque()
        self._is_waiting = False
        self._refuse: Callable[[Envelope[Any]], None] | None = None
        self._reads, self._writes = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._reads, select.POLLIN)

    def __del__(self) -> None:
        os.close(self._reads)
        os.close(self._writes)

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add an envelope, from any thread."""
        self._envelopes.append(envelope)  # before the look, so that nobody waits for what is there
        if self._is_waiting:
            self._is_waiting = False
            os.write(self._writes, b"\0")
        elif self._refuse is not None:
            self._refuse_all(self._refuse)

    def close(self, refuse: Callable[[Envelope[Any]], None]) -> None:
        """Have `refuse` called with each envelope that is left, and that comes from now on, on the thread that puts it.

        Whoever asks looks first whether the actor lives, and may find itself behind the actor's last look into here.
        """
        self._refuse = refuse
        self._refuse_all(refuse)

    def _refuse_all(self, refuse: Callable[[Envelope[Any]], None]) -> None:
        while self._envelopes:
            try:
                envelope = self._envelopes.popleft()
            except IndexError:  # another thread refuses it
                return
            refuse(envelope)

    def get(self, timeout: float | None = None) -> Envelope[Any]:
        """Take the first envelope, on the actor's thread only. Raises `Empty` where none has come for that long (s)."""
        while not self._envelopes:
            self._wait(timeout)
        return self._envelopes.popleft()

    def _wait(self, seconds: float | None) -> None:
        """Wait until one may have come: a byte may be left of one that was seen before."""
        self._is_waiting = True
        if not self._envelopes:  # else it was put before it was to be seen that somebody waits
            if seconds is None or self._poll.poll(seconds * 1000):
                os.read(self._reads, _READ_BYTES)
            elif not self._envelopes:
                self._is_waiting = False
                raise Empty
        self._is_waiting = False

    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not self._envelopes
