"""A result counts as delivered when a ping that went after it was answered, and not before."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent import link as link_module
from dispatcher.agent import proof as module
from dispatcher.agent.link import Link, LinkLostError
from dispatcher.agent.proof import MANY, PROOF, Proof
from dispatcher.wire.messages import Result
from tests.support.scripted_coordinator import ScriptedLink, scripted_coordinator
from tests.unit.agent.test_link import PLAIN, Heard
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for proof soon, and ping for nothing else."""
    monkeypatch.setattr(module, "PROOF_SECONDS", 0.02)
    monkeypatch.setattr(link_module, "PING_SECONDS", 60.0)


class Pings:
    """Takes the pings that come to the coordinator's end; each is answered when a test says so."""

    def __init__(self, far: ScriptedLink, monkeypatch: pytest.MonkeyPatch) -> None:
        assert far.ws_connection is not None
        self._pong = far.ws_connection._send_pong  # type: ignore[attr-defined]  # what Tornado answers a ping with
        self._come: asyncio.Queue[bytes] = asyncio.Queue()
        monkeypatch.setattr(far.ws_connection, "_send_pong", self._come.put_nowait)

    async def next(self) -> bytes:
        return await asyncio.wait_for(self._come.get(), 10)

    def answer(self, data: bytes) -> None:
        self._pong(data)

    @property
    def are_none(self) -> bool:
        return self._come.empty()


@contextlib.asynccontextmanager
async def linked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Link, Heard, ScriptedLink, Pings]]:
    async with scripted_coordinator() as coordinator:
        user = Heard()
        link = Link(user, "gateway", PLAIN)
        running = asyncio.create_task(link.run(f"{coordinator.url.replace('http', 'ws')}/ws/agent", "s"))
        far = await coordinator.next_link()
        assert "welcome" == (await user.next())[0]
        yield link, user, far, Pings(far, monkeypatch)
        link.close()
        with pytest.raises(LinkLostError):
            await running


def test_results_are_delivered_once_a_ping_behind_them_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked(monkeypatch) as (link, user, far, pings):
            link.send(Result(id="x1", status=200))
            link.send(Result(id="x2", status=200))
            asked = await pings.next()
            assert ["x1", "x2"] == [(await far.hear(Result)).id for _ in range(2)]
            assert user.events.empty()
            pings.answer(asked)
            assert ("delivered", ["x1", "x2"]) == await user.next()

    on_loop(test)


def test_a_result_that_left_after_the_ping_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked(monkeypatch) as (link, user, _, pings):
            link.send(Result(id="x1", status=200))
            asked = await pings.next()
            link.send(Result(id="x2", status=200))
            await link.flush()
            pings.answer(asked)
            assert ("delivered", ["x1"]) == await user.next()
            pings.answer(await pings.next())
            assert ("delivered", ["x2"]) == await user.next()

    on_loop(test)


def test_the_answer_to_another_ping_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked(monkeypatch) as (link, user, _, pings):
            link.send(Result(id="x1", status=200))
            asked = await pings.next()
            pings.answer(b"")
            pings.answer(b"something else")
            await turns(20)
            assert user.events.empty()
            pings.answer(asked)
            assert ("delivered", ["x1"]) == await user.next()

    on_loop(test)


def test_nothing_is_asked_while_all_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked(monkeypatch) as (link, user, _, pings):
            link.send(Result(id="x1", status=200))
            pings.answer(await pings.next())
            await user.next()
            assert not link._proof.is_wanted
            assert pings.are_none

    on_loop(test)


def test_a_link_that_is_lost_proves_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked(monkeypatch) as (link, user, far, pings):
            link.send(Result(id="x1", status=200))
            await pings.next()
            far.hang_up()
            assert ("lost", link) == await user.next()
            assert user.events.empty()

    on_loop(test)


def test_a_link_that_is_lost_asks_for_no_proof_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROOF_SECONDS", 60.0)

    async def test() -> None:
        async with linked(monkeypatch) as (link, user, far, _):
            link.send(Result(id="x1", status=200))
            timer = link._proof._timer
            assert timer is not None
            far.hang_up()
            assert ("lost", link) == await user.next()
            assert timer.cancelled()

    on_loop(test)


class Proving:
    """A proof whose pings and deliveries are kept, and what has not left yet."""

    def __init__(self) -> None:
        self.pings: list[bytes] = []
        self.delivered: list[list[str]] = []
        self.unsent: set[str] = set()
        self.proof = Proof(self.pings.append, lambda: self.unsent, lambda ids: self.delivered.append(list(ids)))

    def want(self, *numbers: int) -> list[str]:
        names = [f"x{number}" for number in numbers]
        for name in names:
            self.proof.want(name)
        return names


def test_many_results_are_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROOF_SECONDS", 60.0)

    async def test() -> None:
        made = Proving()
        first = made.want(*range(MANY - 1))
        await turns(5)
        assert [] == made.pings
        first += made.want(MANY)
        await turns(5)
        assert [PROOF] == made.pings
        later = made.want(*range(1000, 1000 + MANY))
        await turns(5)
        assert [PROOF] == made.pings, "the answer is awaited"
        made.proof.hear(PROOF)
        await turns(5)
        assert ([PROOF, PROOF], [first]) == (made.pings, made.delivered)
        made.proof.hear(PROOF)
        assert [first, later] == made.delivered
        assert not made.proof.is_wanted
        made.proof.close()

    on_loop(test)


def test_many_results_that_cannot_leave_are_asked_for_no_more_often_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROOF_SECONDS", 60.0)

    async def test() -> None:
        made = Proving()
        made.unsent.update(f"x{number}" for number in range(MANY))
        all_of_them = made.want(*range(MANY))
        await turns(5)
        made.proof.hear(PROOF)
        await turns(5)
        assert ([PROOF], [[]]) == (made.pings, made.delivered)
        timer = made.proof._timer
        assert timer is not None
        assert timer.when() > asyncio.get_running_loop().time() + 30
        made.unsent.clear()
        made.proof._ask()
        made.proof.hear(PROOF)
        assert [[], all_of_them] == made.delivered
        made.proof.close()

    on_loop(test)


def test_an_answer_that_nobody_asked_for_proves_nothing() -> None:
    async def test() -> None:
        made = Proving()
        made.want(1)
        made.proof.hear(PROOF)
        assert [] == made.delivered
        assert made.proof.is_wanted
        made.proof.close()

    on_loop(test)
