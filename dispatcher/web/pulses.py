"""Notices which of many links are silent, in one pass for all of them: beside steps 4 and 8, on the event loop.

A task and two timers for each link were a third of what an idle agent cost. All links have the same interval and the
same timeout, so whoever was looked at last is due last: two queues and one timer do. What would surprise: a pass that
comes late itself is put off once. The process was held, or stopped; what came meanwhile is to be read first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from tornado.iostream import StreamBufferFullError, StreamClosedError
from tornado.websocket import WebSocketClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

PASSES = 40
"""Passes in an interval, at most: one in 0.25 s of 10 s. Pings go up to two of these early, so that together with what
a pass may be late by, a silent link is noticed within the interval and the timeout."""

PINGS_A_TURN = 64
"""Pings in one turn of the loop; with 25 us each far below the 50 ms that a turn may take."""


class Pulse:
    """One link's. `ping` sends a ping; `on_silent` is told, once, that nothing came in time."""

    __slots__ = ("_proofs", "_pulses", "on_silent", "ping")

    def __init__(self, pulses: Pulses, ping: Callable[[bytes], None], on_silent: Callable[[str], None]) -> None:
        """Made by `Pulses.begin`."""
        self._pulses = pulses
        self._proofs: list[asyncio.Future[bool]] = []
        self.ping = ping
        self.on_silent = on_silent

    def heard(self) -> None:
        """Something came from the peer."""
        self._pulses.heard(self)
        if self._proofs:
            self._settle(is_alive=True)

    def prove(self, seconds: float) -> asyncio.Future[bool]:
        """Ping now; the future says whether something came from the peer within `seconds`."""
        loop = asyncio.get_running_loop()
        proof: asyncio.Future[bool] = loop.create_future()
        self._proofs.append(proof)
        patience = loop.call_later(seconds, self._settle)
        proof.add_done_callback(lambda _: patience.cancel())
        try:
            self.ping(b"")
        except (WebSocketClosedError, StreamClosedError, StreamBufferFullError):
            self._settle()
        return proof

    def end(self) -> None:
        """The link is gone."""
        self._pulses.forget(self)
        self._settle()

    def _settle(self, *, is_alive: bool = False) -> None:
        proofs, self._proofs = self._proofs, []
        for proof in proofs:
            if not proof.done():
                proof.set_result(is_alive)


class Pulses:
    """The links of a coordinator.

    Each is pinged `interval` seconds after its last answer at the latest; with `timeout` more it is silent.
    """

    def __init__(self, *, interval: float, timeout: float) -> None:
        """Start with none."""
        self._interval = interval
        self._timeout = timeout
        self._pace = min(interval, timeout) / PASSES
        self._early = 2 * self._pace
        self._resting: OrderedDict[Pulse, float] = OrderedDict()
        self._asked: OrderedDict[Pulse, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._is_put_off = False

    def begin(self, ping: Callable[[bytes], None], on_silent: Callable[[str], None]) -> Pulse:
        """Look after a link that has just opened, until its pulse is ended."""
        pulse = Pulse(self, ping, on_silent)
        self._rest(pulse)
        return pulse

    def heard(self, pulse: Pulse) -> None:
        """Something came over this link; without a ping before it that says nothing of what comes after."""
        if self._asked.pop(pulse, None) is not None:
            self._rest(pulse)

    def forget(self, pulse: Pulse) -> None:
        """Look after this link no more."""
        self._resting.pop(pulse, None)
        self._asked.pop(pulse, None)
        if not self._resting and not self._asked and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rest(self, pulse: Pulse) -> None:
        self._resting[pulse] = asyncio.get_running_loop().time() + self._interval
        if self._timer is None:
            self._come_at(self._next_due())

    def _come_at(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(max(due, loop.time()), self._pass, due)

    def _pass(self, due: float) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        self._is_put_off = now - due > self._pace and not self._is_put_off
        if self._is_put_off:
            self._come_at(now + self._pace)
            return
        self._end_silent(now)
        is_done = self._ping_due(now)
        if self._resting or self._asked:
            self._come_at(max(self._next_due(), now + self._pace) if is_done else now)

    def _next_due(self) -> float:
        """When the first link is due; there must be one. A ping may go early, so that many go in one pass."""
        dues = [due - self._early for due in self._first(self._resting)] + self._first(self._asked)
        return min(dues)

    @staticmethod
    def _first(queue: OrderedDict[Pulse, float]) -> list[float]:
        return [queue[next(iter(queue))]] if queue else []

    def _end_silent(self, now: float) -> None:
        while self._asked and self._first(self._asked)[0] <= now:
            pulse, _ = self._asked.popitem(last=False)
            pulse.on_silent(f"nothing came for {self._timeout:g} s, not even an answer to a ping")

    def _ping_due(self, now: float) -> bool:
        """Ping who is due, in this turn as many as may be; say whether that were all."""
        for _ in range(PINGS_A_TURN):
            if not self._resting or self._first(self._resting)[0] - self._early > now:
                return True
            pulse, _ = self._resting.popitem(last=False)
            self._ping(pulse, now)
        return False

    def _ping(self, pulse: Pulse, now: float) -> None:
        try:
            pulse.ping(b"")
        except (WebSocketClosedError, StreamClosedError):
            return  # It closes, and ends its pulse then.
        except StreamBufferFullError:
            logger.debug("a link has no room for a ping: it is silent unless something comes")
        self._asked[pulse] = now + self._timeout
