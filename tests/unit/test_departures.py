"""Executions that begin together: one question to the pool, one to each agent's connection, and the ends in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import LoopActor, stop_actor
from dispatcher.actors.messages import (
    Lease,
    LeaseEnd,
    LeaseExits,
    LeasesEnded,
    NotTaken,
    Outcome,
    Run,
    RunExecutions,
)
from dispatcher.departures import Departures
from tests.unit.actors.linked import execute
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    pass

REFUSAL = NotTaken("it left")


class Answering(LoopActor):
    """Keeps what it hears, and answers as `answer` says."""

    def __init__(self, heard: list[Any], answer: Any) -> None:
        super().__init__()
        self._heard, self._answer = heard, answer

    def on_receive(self, message: Any) -> Any:
        self._heard.append(message)
        answer = self._answer(message) if callable(self._answer) else self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class Departing:
    """An execution that keeps what it hears."""

    def __init__(self, name: str) -> None:
        self.run = Run(execute(name), lambda *_: None)
        self.heard: list[Any] = []

    def take_lease(self, lease: Lease | None) -> Run | None:
        self.heard.append(lease)
        return None if lease is None else self.run

    def hear_refusal(self, run: Run, refusal: NotTaken) -> None:
        self.heard.append((run, refusal))

    def lose(self, run: Run, error: Exception) -> None:
        self.heard.append((run, error))

    def fail(self, error: Exception) -> None:
        self.heard.append(error)


class Scene:
    """A pool with these leases, and two agents' connections."""

    def __init__(self, addresses: str = "aba", first: Any = None, pool: Any = None) -> None:
        self.asked: list[Any] = []
        self.given: dict[str, list[Any]] = {"a": [], "b": []}
        self.connections = {
            "a": Answering.start(self.given["a"], first),
            "b": Answering.start(self.given["b"], None),
        }
        self.leases = tuple(
            Lease(agent, f"::{n}", self.connections[agent], n, end(n)) for n, agent in enumerate(addresses)
        )
        self.pool = Answering.start(self.asked, pool or self._answer)
        self.departures = Departures(self.pool)
        self.executions = [Departing(name) for name in "xyz"]

    def _answer(self, message: Any) -> Any:
        return self.leases if isinstance(message, LeaseExits) else None

    def begin(self) -> None:
        self.departures.begin(self.executions)


def end(stay: int) -> LeaseEnd:
    return LeaseEnd(stay, Outcome.COMPLETED)


def test_executions_that_begin_together_are_one_question_to_the_pool_and_one_to_each_agent() -> None:
    async def test() -> None:
        scene = Scene("aba")
        scene.departures.begin(scene.executions, frozenset({("a", "::9")}))
        x, y, z = scene.executions
        assert [LeaseExits(3, frozenset({("a", "::9")}))] == scene.asked
        assert [[lease] for lease in scene.leases] == [x.heard, y.heard, z.heard]
        assert {"a": [RunExecutions((x.run, z.run))], "b": [RunExecutions((y.run,))]} == scene.given

    on_loop(test)


def test_where_there_are_fewer_exits_the_last_hear_that_there_is_none() -> None:
    async def test() -> None:
        scene = Scene("a")
        scene.begin()
        assert [[scene.leases[0]], [None], [None]] == [each.heard for each in scene.executions]
        assert {"a": [RunExecutions((scene.executions[0].run,))], "b": []} == scene.given

    on_loop(test)


def test_the_ends_of_leases_are_told_once_a_turn_and_in_order() -> None:
    async def test() -> None:
        scene = Scene()
        for stay in (1, 2):
            scene.departures.lease_ended(end(stay))
        assert [] == scene.asked
        await turns()
        scene.departures.lease_ended(end(3))
        await turns()
        assert [LeasesEnded((end(1), end(2))), LeasesEnded((end(3),))] == scene.asked

    on_loop(test)


def test_the_pool_knows_how_leases_ended_before_it_gives_the_next() -> None:
    async def test() -> None:
        scene = Scene()
        scene.departures.lease_ended(end(1))
        scene.begin()
        await turns()
        assert [LeasesEnded((end(1),)), LeaseExits(3)] == scene.asked

    on_loop(test)


def test_those_whose_agent_takes_nothing_hear_so_and_no_others() -> None:
    async def test() -> None:
        scene = Scene("aba", first=REFUSAL)
        scene.begin()
        x, y, z = scene.executions
        assert [scene.leases[0], (x.run, REFUSAL)] == x.heard
        assert [scene.leases[1]] == y.heard
        assert [scene.leases[2], (z.run, REFUSAL)] == z.heard

    on_loop(test)


def test_an_agent_that_was_removed_takes_nothing() -> None:
    async def test() -> None:
        scene = Scene("a")
        await stop_actor(scene.connections["a"])
        scene.begin()
        await turns()
        run, refusal = scene.executions[0].heard[1]
        assert scene.executions[0].run is run
        assert NotTaken("agent a was removed before the request was sent") == refusal

    on_loop(test)


def test_what_goes_wrong_at_an_agents_connection_loses_its_own() -> None:
    async def test() -> None:
        error = RuntimeError("a bug")
        scene = Scene("ab", first=error)
        scene.begin()
        x, y, z = scene.executions
        assert [scene.leases[0], (x.run, error)] == x.heard
        assert [[scene.leases[1]], [None]] == [y.heard, z.heard]

    on_loop(test)


def test_what_goes_wrong_in_the_pool_fails_all() -> None:
    async def test() -> None:
        error = RuntimeError("a bug")
        scene = Scene(pool=error)
        scene.begin()
        assert [[error]] * 3 == [each.heard for each in scene.executions]

    on_loop(test)


def test_that_the_pool_is_stopped_keeps_nobody_from_telling_it_of_an_end() -> None:
    async def test() -> None:
        scene = Scene()
        await stop_actor(scene.pool)
        scene.departures.lease_ended(end(1))
        await turns()
        assert [] == scene.asked

    on_loop(test)


def test_nothing_is_told_where_nothing_ended() -> None:
    async def test() -> None:
        scene = Scene()
        await asyncio.sleep(0)
        assert [] == scene.asked

    on_loop(test)
