"""`AgentConnection`: draining, and being removed."""

from __future__ import annotations

import pykka
import pytest

from dispatcher.actors.loop_actor import stop_actor
from dispatcher.actors.messages import (
    AgentGone,
    AgentState,
    DropAgent,
    Ended,
    NotTaken,
    Outcome,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import Agent, answer, execute, failure, on_agent, report
from tests.unit.loops import turns


def test_an_agent_that_drains_is_answered_and_given_nothing_more() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(wire.Draining())
        assert isinstance(await (await agent.run(execute("y"))), NotTaken)
        assert [wire.Draining()] == agent.link.sent[2:]
        assert AgentState.DRAINING == (await agent.describe()).state
        assert AgentGone("agent-01") in agent.pool
        agent.say(answer())
        assert isinstance(await running, Ended)

    on_agent(test)


def test_an_agent_that_drains_again_and_again_is_answered_once() -> None:
    async def test(agent: Agent) -> None:
        for _ in range(100):
            agent.say(wire.Draining())
        await turns()
        assert [wire.Draining()] == agent.link.sent[1:]

    on_agent(test)


def test_addresses_of_an_agent_that_drains_do_not_come_into_the_pool() -> None:
    async def test(agent: Agent) -> None:
        agent.say(wire.Draining())
        agent.say(wire.AddressesChanged((report(1),)))
        await turns()
        assert [AgentGone("agent-01")] == agent.pool

    on_agent(test)


def test_a_removed_agent_leaves_the_pool_and_is_told() -> None:
    async def test(agent: Agent) -> None:
        agent.ref.tell(DropAgent())
        await turns()
        assert [AgentGone("agent-01")] == agent.pool
        assert [wire.RefusalCode.REMOVED] == agent.link.codes
        assert not agent.ref.is_alive()

    on_agent(test)


@pytest.mark.parametrize("lost", [False, True])
def test_what_a_removed_agent_has_in_flight_finishes_first(lost: bool) -> None:
    async def test(agent: Agent) -> None:
        first, second = await agent.run(execute("a")), await agent.run(execute("b"))
        agent.ref.tell(DropAgent())
        assert isinstance(await (await agent.run(execute("c"))), NotTaken)
        agent.say(answer("a"))
        assert isinstance(await first, Ended)
        assert ([], True) == (agent.link.codes, agent.ref.is_alive())
        if lost:
            agent.close()
            assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(second)
        else:
            agent.say(answer("b"))
            assert isinstance(await second, Ended)
        await turns()
        assert ([] if lost else [wire.RefusalCode.REMOVED]) == agent.link.codes
        assert not agent.ref.is_alive()
        assert [AgentGone("agent-01")] == agent.pool

    on_agent(test)


def test_a_removed_agent_whose_last_execution_times_out_is_told() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run(execute(timeout=0.02))
        agent.ref.tell(DropAgent())
        await running
        await turns()
        assert [wire.RefusalCode.REMOVED] == agent.link.codes
        assert not agent.ref.is_alive()

    on_agent(test)


def test_a_removed_agent_that_comes_back_is_told_and_what_it_has_goes_on() -> None:
    async def test(agent: Agent) -> None:
        first, running = agent.link, await agent.run()
        agent.ref.tell(DropAgent())
        second = agent.open()
        await turns()
        assert ([], [wire.RefusalCode.REMOVED]) == (first.codes, second.codes)
        assert [] == second.sent
        agent.say(answer(), first)
        assert isinstance(await running, Ended)

    on_agent(test)


def test_a_removed_agent_says_nothing_of_an_id_that_may_be_anothers_by_now() -> None:
    async def test(agent: Agent) -> None:
        await agent.run()
        agent.ref.tell(DropAgent())
        await turns()
        agent.pool.clear()
        agent.registry.clear()
        agent.say(wire.AddressesChanged((report(1),)))
        agent.close()
        await turns()
        assert ([], []) == (agent.pool, agent.registry)

    on_agent(test)


def test_a_connection_that_is_stopped_ends_what_is_in_flight() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        await stop_actor(agent.ref)
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)

    on_agent(test)


def test_what_waits_when_a_removed_agent_stops_is_answered_that_it_is_gone() -> None:
    async def test(agent: Agent) -> None:
        agent.ref.tell(DropAgent())
        agent.ref.stop(block=False)
        with pytest.raises(pykka.ActorDeadError):
            await (await agent.run())

    on_agent(test)
