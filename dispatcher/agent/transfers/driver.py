"""libcurl driven by the event loop: what it wants to hear of its sockets and of time. Step 7 of a request's way.

All sockets of libcurl are watched by one selector of ours, which is itself one descriptor to the event loop: a turn of
the loop asks it once, tells libcurl all that is due, and takes out the transfers that have ended. A turn stops after
`SLICE_SECONDS` and goes on in the next; a large body that libcurl hands over meanwhile is paused until then (`pauses`).

What would surprise: a descriptor stays watched when libcurl no longer asks for it, since the next transfer of a kept
connection asks again in no time, and any that begins for the one by which libcurl's threads call it. libcurl does not
say when it closes one, and its number may return as another; so where that may be, it is watched again as if it were.
And libcurl is not let to say when it wants time, which it would several times for each transfer: it is asked once a
turn.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher.afterwards import Afterwards
from dispatcher.agent.transfers.polling import READ, WRITE, Poller

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_SECONDS = 0.01
"""How long libcurl and those who wait for its transfers may hold the loop at a time."""

_MOST_EVENTS = 64
"""Sockets told of in a turn: so their targets are at work on the next requests while we are at the next answers."""

_MOST_BEGUN = 64
"""Transfers that libcurl begins in one call: 4 ms where all of them have to connect, which 1,024 at once made 64 ms."""

_MOST_ENDED = 16
"""Ended transfers taken from libcurl at a time; the clock is looked at in between."""

_EVENTS = {pycurl.POLL_IN: READ, pycurl.POLL_OUT: WRITE, pycurl.POLL_INOUT: READ | WRITE}
_ACTIONS = {
    READ: pycurl.CSELECT_IN,
    WRITE: pycurl.CSELECT_OUT,
    READ | WRITE: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


@dataclass(slots=True)
class _Watched:
    """A descriptor of libcurl's; one that is not wanted is no longer asked for, or was closed since."""

    events: int
    is_wanted: bool = True


class Driver:
    """Drives `multi` on the running loop; `ended` gets each transfer's handle, error number (0: none) and message.

    What that causes and is due afterwards (`afterwards.py`) is done at the end of a turn.
    """

    def __init__(
        self,
        multi: pycurl.CurlMulti,
        ended: Callable[[pycurl.Curl, int, str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._multi = multi
        self._ended = ended
        self._afterwards = Afterwards.here()
        self._poller = Poller()
        self._watched: dict[int, _Watched] = {}
        self._reused: set[int] = set()
        self._ready: collections.deque[tuple[int, _Watched, int]] = collections.deque()
        self._stopped: set[pycurl.Curl] = set()
        self._begun = 0
        self._waiting: dict[pycurl.Curl, None] = {}  # to begin, in this order
        self._paused: dict[pycurl.Curl, None] = {}
        self._until = 0.0
        self._is_due = False
        self._is_turning = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._next_turn: asyncio.Handle | None = None
        multi.setopt(pycurl.M_TIMERFUNCTION, None)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._want_socket)
        self._loop.add_reader(self._poller, self._look)

    def close(self) -> None:
        """Stop; to be called before the handles and `multi` are closed, which then tell nobody."""
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, _ignore)
        for handle in (self._timer, self._next_turn):
            if handle is not None:
                handle.cancel()
        self._loop.remove_reader(self._poller)
        self._poller.close()

    def add(self, handle: pycurl.Curl) -> None:
        """Take a transfer up, to begin with `begin` or `turn_soon`; from within `ended` it begins by itself."""
        if self._begun < _MOST_BEGUN:
            self._begun += 1
            self._multi.add_handle(handle)
        else:
            self._waiting[handle] = None
        self._is_due = True

    def begin(self) -> None:
        """Begin what was added, in this turn of the loop, `_MOST_BEGUN` at a time.

        Where a turn is to come anyway it has to wait for that: the time of this one may be up.
        """
        if self._is_due and not self._is_turning:
            self._look()

    def turn_soon(self) -> None:
        """Begin what was added, together with what others add until the next turn of the loop; from `ended`, now."""
        if not self._is_turning:
            self._turn_next()

    def pauses(self, handle: pycurl.Curl) -> bool:
        """Say whether the time of this turn is up, so that what comes for this transfer has to wait for the next.

        To be asked from within a call of libcurl, which goes on as long as it has something to hand over: it inflates
        50 MB of zeros in one, 150 ms.
        """
        if time.monotonic() <= self._until:
            return False
        self._paused[handle] = None
        return True

    def disregard(self, handle: pycurl.Curl) -> None:
        """Take note that a transfer is about to be stopped: if libcurl has ended it just now, `ended` is not told.

        One that libcurl does not have yet it gets now, for whoever stops it to take it out as any other.
        """
        self._stopped.add(handle)
        self._paused.pop(handle, None)
        if handle in self._waiting:
            del self._waiting[handle]
            self._multi.add_handle(handle)

    def opened(self, fd: int) -> None:
        """Take note that `fd` is a new socket of libcurl, whatever was known by this number."""
        if fd in self._watched:
            self._forget(fd)

    def is_quiet(self, fd: int) -> bool:
        """Take note that libcurl is about to use the connection of `fd` again, so it is the same for this turn.

        Say whether nothing had come on it when the turn began; one of which we do not know is not quiet. That libcurl
        wants it watched it has still to say: it does not where the answer is there as soon as the request has left.
        """
        if fd not in self._watched:
            return False
        self._reused.add(fd)
        return True

    # What libcurl asks for

    def _want_socket(self, event: int, fd: int, _multi: object, _data: object) -> None:
        known = self._watched.get(fd)
        events = _EVENTS.get(event)
        if events is None:  # it is done with it, or wants to hear nothing for a while
            if known is not None:
                known.is_wanted = False
        elif known is None:
            self._poller.register(fd, events)
            self._watched[fd] = _Watched(events)
        else:
            if not (known.is_wanted or fd in self._reused):
                self._poller.register_again(fd, events)
            elif known.events != events:
                self._poller.modify(fd, events)
            known.is_wanted, known.events = True, events

    def _forget(self, fd: int) -> None:
        self._watched.pop(fd, None)
        self._poller.unregister(fd)

    # What libcurl is told

    def _turn_next(self) -> None:
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._turn)

    def _look(self) -> None:
        """Some sockets are ready. Where a turn is to come anyway, it looks: the time of the one before may be up."""
        if self._next_turn is None:
            self._turn()

    def _listen(self) -> None:
        """Ask which sockets are ready. One that nobody waits for is at its end, or its peer speaks unasked."""
        ready, watched = self._ready, self._watched
        ready.clear()
        for fd, events in self._poller.ready():
            known = watched.get(fd)
            if known is not None and known.is_wanted:
                ready.append((fd, known, events & known.events or known.events))
            else:
                self._forget(fd)

    def _timer_fired(self) -> None:
        self._timer, self._timer_due = None, math.inf
        self._is_due = True  # or old with something due, which libcurl is told in the same way
        self._look()

    def _turn(self) -> None:
        """Tell libcurl what is due, for `SLICE_SECONDS` at most, and ask when it wants to be told again."""
        self._next_turn = None
        until = self._until = time.monotonic() + SLICE_SECONDS
        self._is_turning = True
        with self._afterwards:
            try:
                is_done = self._drive(until)
            except Exception:
                self._turn_next()  # for what those who are told of an end, and fail, have kept from its turn
                raise
            finally:
                self._is_turning = False
                self._reused.clear()
            if not is_done or self._is_due or self._paused:
                self._turn_next()
            self._ask_for_time()

    def _drive(self, until: float) -> bool:
        """Say whether all was done, and time is left.

        What begins because something has ended does so in the same turn, not in one of its own.
        """
        if self._paused:
            self._unpause(until)
        if self._is_due:
            self._begin_due()
        elif not self._ready:
            self._listen()
        if self._ready:
            self._act(until)
        is_done = self._take_ended(until) and not self._ready
        if is_done and self._is_due:
            self._begin_due()
            is_done = self._take_ended(until)
        return is_done

    def _unpause(self, until: float) -> None:
        """Have libcurl hand over what had to wait, the longest first."""
        for handle in list(self._paused):
            del self._paused[handle]
            with suppress(pycurl.error):  # that it ended over this libcurl tells as of any other
                handle.pause(pycurl.PAUSE_CONT)
            if time.monotonic() > until:
                break

    def _begin_due(self) -> None:
        """Have libcurl begin what was added, and see to what its time has come for."""
        self._is_due = False
        self._listen()  # before transfers begin on kept connections, see `is_quiet`
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._begun = 0
        for handle in list(itertools.islice(self._waiting, _MOST_BEGUN)):
            del self._waiting[handle]
            self.add(handle)

    def _ask_for_time(self) -> None:
        milliseconds = self._multi.timeout()
        if milliseconds > 0:
            due = self._loop.time() + milliseconds / 1000
            if due < self._timer_due:  # an earlier turn asks for the time again
                self._set_timer(due)
        elif milliseconds == 0:
            self._is_due = True
            self._turn_next()

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = self._loop.call_at(due, self._timer_fired), due

    def _act(self, until: float) -> None:
        """Go through what is ready."""
        ready, watched, act, clock = self._ready, self._watched, self._multi.socket_action, time.monotonic
        for _ in range(min(_MOST_EVENTS, len(ready))):
            fd, known, events = ready.popleft()
            if watched.get(fd) is not known:
                continue
            if not known.is_wanted:
                self._forget(fd)
                continue
            act(fd, _ACTIONS[events])
            if clock() > until:
                break

    def _take_ended(self, until: float) -> bool:
        """Go through what has ended; say as `_drive` does."""
        stopped, ended = self._stopped, self._ended
        while True:
            stopped.clear()
            waiting, succeeded, failed = self._multi.info_read(_MOST_ENDED)
            for handle in succeeded:
                if handle not in stopped:
                    ended(handle, 0, "")
            for handle, number, message in failed:
                self._paused.pop(handle, None)
                if handle not in stopped:
                    ended(handle, number, message)
            is_late = time.monotonic() > until
            if is_late or not waiting:
                return not is_late


def _ignore(*_: Any) -> None:
    """For a `CurlMulti` that nobody drives any more."""
