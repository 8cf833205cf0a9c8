"""The inbox of an actor on the event loop: any thread fills it, the loop empties it.

Beside steps 2 to 8 of a request's way. What would surprise: whoever needs an actor's answer at once may let all actors
have the turn that they wait for (`LoopInbox.catch_up`). So nothing overtakes what was said before, to whomever; and the
turn that was due finds nothing to do.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope


_due: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[LoopInbox]] = WeakKeyDictionary()
"""The inboxes of each loop that wait for their turn, in order."""


class LoopInbox:
    """An inbox that any thread may fill and the event loop empties."""

    def __init__(self) -> None:
        """Start with no actor: what comes before `attach` waits."""
        self._envelopes: deque[Envelope[Any]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due: deque[LoopInbox] = deque()
        self._owner = 0
        self._drain: Callable[[], None] | None = None
        self._handle: Callable[[Any], Any] | None = None
        self._is_scheduled = False
        self._is_busy = False

    def attach(
        self, loop: asyncio.AbstractEventLoop, drain: Callable[[], None], handle: Callable[[Any], Any] | None = None
    ) -> None:
        """Have `loop` call `drain` whenever envelopes wait; `handle` answers one message at once."""
        self._loop, self._owner, self._drain, self._handle = loop, threading.get_ident(), drain, handle
        self._due = _due.setdefault(loop, deque())
        self.schedule()

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add an envelope, from any thread."""
        self._envelopes.append(envelope)
        if self._loop is None or self._is_scheduled:
            return
        if threading.get_ident() == self._owner:
            self.schedule()
        else:
            self._loop.call_soon_threadsafe(self.schedule)

    def schedule(self) -> None:
        """Have the actor's turn come once, if there is something for it. On the loop's thread only."""
        if self._envelopes and not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            self._due.append(self)
            self._loop.call_soon(self.turn)

    def detach(self) -> None:
        """Have no more messages handled at once: the actor is stopped."""
        self._handle = None

    def catch_up(self) -> bool:
        """Let all actors of the loop have the turn that they wait for; True where `handle` may be called then.

        False where something waits here, on another thread than the loop's, where the actor is stopped, and while it is
        in the midst of a message: it handles one at a time. All is handled in the order in which the loop would have it
        handled.
        """
        if threading.get_ident() != self._owner or self._is_busy:
            return False
        if self._due:
            for inbox in tuple(self._due):  # not those that come to be due meanwhile: they have had their turn
                inbox.turn()
        return not self._envelopes and self._handle is not None

    def handle(self, message: Any) -> Any:
        """Have the actor handle a message now, after `catch_up`; return its answer, or raise."""
        assert self._handle is not None
        self._is_busy = True
        try:
            return self._handle(message)
        finally:
            self._is_busy = False

    def turn(self) -> None:
        """Have the actor handle what waits, if its turn has not come already. On the loop's thread only."""
        if not self._is_scheduled or self._is_busy:
            return  # it came early, with `catch_up`, or would come within a turn and comes after it
        self._is_scheduled = False
        self._due.remove(self)
        assert self._drain is not None
        self._is_busy = True
        try:
            self._drain()
        finally:
            self._is_busy = False

    def get(self) -> Envelope[Any]:
        """Take the first envelope; there must be one."""
        return self._envelopes.popleft()

    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not self._envelopes
