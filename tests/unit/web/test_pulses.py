from __future__ import annotations

import asyncio
import time

import pytest
from tornado.iostream import StreamBufferFullError
from tornado.websocket import WebSocketClosedError

from dispatcher.web.pulses import PASSES, PINGS_A_TURN, Pulse, Pulses
from tests.unit.loops import on_loop

FAST = 0.04
PATIENT = 5.0


class Peer:
    """The other end of a link: it is pinged, and may be found silent. One that answers does so in the next turn."""

    def __init__(self, pulses: Pulses, *, answers: bool = False, error: Exception | None = None) -> None:
        self.pinged_at: list[float] = []
        self.silent: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.wanted = asyncio.Event()
        self._answers = answers
        self._error = error
        self.pulse: Pulse = pulses.begin(self.ping, self.silent.set_result)

    def ping(self, _data: bytes) -> None:
        self.pinged_at.append(time.monotonic())
        self.wanted.set()
        if self._error is not None:
            raise self._error
        if self._answers:
            asyncio.get_running_loop().call_soon(self.pulse.heard)

    async def pinged(self, times: int) -> None:
        """Wait until it was pinged so often."""
        while len(self.pinged_at) < times:
            self.wanted.clear()
            await self.wanted.wait()


def test_a_peer_that_answers_is_pinged_again_and_never_silent() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=FAST, timeout=FAST), answers=True)
        await peer.pinged(5)
        assert not peer.silent.done()
        gaps = [later - earlier for earlier, later in zip(peer.pinged_at, peer.pinged_at[1:], strict=False)]
        assert min(gaps) >= FAST * (1 - 3 / PASSES)

    on_loop(test)


def test_a_peer_that_says_nothing_is_silent_after_one_ping() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=FAST, timeout=0.05))
        begun = time.monotonic()
        assert "nothing came for 0.05 s, not even an answer to a ping" == await peer.silent
        assert 1 == len(peer.pinged_at)
        assert time.monotonic() - peer.pinged_at[0] >= 0.05
        assert time.monotonic() - begun >= (FAST + 0.05) * 0.9

    on_loop(test)


def test_what_came_before_a_ping_is_no_answer_to_it() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=FAST, timeout=FAST))
        peer.pulse.heard()
        assert "nothing came" in await peer.silent

    on_loop(test)


def test_each_of_many_is_judged_by_itself() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=FAST)
        peers = [Peer(pulses, answers=number % 2 == 0) for number in range(20)]
        await asyncio.gather(*(peer.silent for peer in peers[1::2]))
        await asyncio.gather(*(peer.pinged(4) for peer in peers[::2]))
        assert not any(peer.silent.done() for peer in peers[::2])

    on_loop(test)


def test_one_that_comes_later_is_looked_at_too() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=FAST)
        await Peer(pulses, answers=True).pinged(2)
        assert "nothing came" in await Peer(pulses).silent

    on_loop(test)


def test_a_link_that_ended_is_looked_at_no_more_and_nothing_waits_for_it() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=FAST)
        resting, asked, other = Peer(pulses), Peer(pulses), Peer(pulses, answers=True)
        resting.pulse.end()
        await asked.pinged(1)
        asked.pulse.end()
        await other.pinged(4)
        assert (0, 1) == (len(resting.pinged_at), len(asked.pinged_at))
        assert (False, False) == (resting.silent.done(), asked.silent.done())
        other.pulse.end()
        assert pulses._timer is None

    on_loop(test)


def test_a_link_that_closes_is_not_called_silent() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=FAST)
        closing, other = Peer(pulses, error=WebSocketClosedError()), Peer(pulses, answers=True)
        await other.pinged(5)
        assert (1, False) == (len(closing.pinged_at), closing.silent.done())

    on_loop(test)


def test_a_link_that_has_no_room_for_a_ping_is_silent_unless_something_comes() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=FAST, timeout=FAST), error=StreamBufferFullError())
        await peer.pinged(1)
        peer.pulse.heard()
        await peer.pinged(2)
        assert "nothing came" in await peer.silent

    on_loop(test)


def test_a_fleet_is_not_pinged_in_one_turn_of_the_loop() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=PATIENT)
        peers = [Peer(pulses) for _ in range(3 * PINGS_A_TURN)]
        await peers[0].pinged(1)
        assert PINGS_A_TURN >= sum(len(peer.pinged_at) for peer in peers)
        await peers[-1].pinged(1)
        assert [1] * len(peers) == [len(peer.pinged_at) for peer in peers]

    on_loop(test)


def test_who_answered_while_the_loop_was_held_is_not_called_silent() -> None:
    async def test() -> None:
        pulses = Pulses(interval=FAST, timeout=FAST)
        answering, dead = Peer(pulses), Peer(pulses)
        await answering.pinged(1)
        held_until = time.monotonic() + 5 * FAST
        while time.monotonic() < held_until:
            pass
        # What came meanwhile is read in the turn in which the pass is due as well, and known in the next.
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, answering.pulse.heard)
        await dead.silent
        assert not answering.silent.done()

    on_loop(test)


def test_a_proof_of_life_is_whatever_comes_in_time() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=PATIENT, timeout=PATIENT), answers=True)
        assert [True, True] == await asyncio.gather(peer.pulse.prove(PATIENT), peer.pulse.prove(PATIENT))
        assert 2 == len(peer.pinged_at)

    on_loop(test)


@pytest.mark.parametrize("error", [None, WebSocketClosedError(), StreamBufferFullError()])
def test_a_peer_that_does_not_answer_in_time_proves_nothing(error: Exception | None) -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=PATIENT, timeout=PATIENT), error=error)
        assert await peer.pulse.prove(FAST) is False

    on_loop(test)


def test_a_link_that_ends_while_it_is_to_prove_its_life_does_not() -> None:
    async def test() -> None:
        peer = Peer(Pulses(interval=PATIENT, timeout=PATIENT))
        proof = peer.pulse.prove(PATIENT)
        peer.pulse.end()
        assert await proof is False

    on_loop(test)
