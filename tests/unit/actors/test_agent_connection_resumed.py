"""`AgentConnection`: links that fall silent, and agents that come back."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import (
    AgentGone,
    AgentState,
    DropAgent,
    Ended,
    Outcome,
    ProveAlive,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from tests.unit.actors.linked import (
    NEWER,
    OTHER_PROCESS,
    Agent,
    answer,
    ended,
    execute,
    failure,
    on_agent,
    on_newer_agent,
)
from tests.unit.loops import turns


def test_a_result_that_was_finished_while_the_link_was_silent_counts_on_the_next_one() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.fall_silent()
        assert (AgentState.LOST, 1) == ((status := await agent.describe()).state, status.in_flight)
        assert AgentGone("agent-01") in agent.pool
        link = agent.open(hello=NEWER)
        agent.say(wire.Holding(frozenset("x")))
        agent.say(answer(body=b"late"))
        assert Ended(Outcome.COMPLETED, answer(body=b"late")) == await running
        assert ["x"] == link.expected

    on_newer_agent(test)


def test_the_same_process_takes_its_old_link_over_and_what_it_has_goes_on() -> None:
    async def test(agent: Agent) -> None:
        old, running = agent.link, await agent.run()
        agent.open(hello=NEWER)
        await turns()
        assert [wire.RefusalCode.REPLACED] == old.codes
        assert AgentGone("agent-01") in agent.pool
        agent.say(answer(), old)
        assert 1 == (await agent.describe()).in_flight
        agent.say(answer())
        assert Outcome.COMPLETED == (await ended(running)).outcome

    on_newer_agent(test)


@pytest.mark.parametrize("is_silent", [False, True])
def test_another_process_of_the_same_agent_has_nothing_of_what_the_first_was_given(is_silent: bool) -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        if is_silent:
            agent.fall_silent()
        agent.open(hello=OTHER_PROCESS)
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)
        agent.say(answer())
        assert 0 == (await agent.describe()).completed

    on_newer_agent(test)


def test_an_agent_that_is_too_old_to_go_on_loses_what_it_had() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.fall_silent()
        agent.open()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)

    on_agent(test)


def test_an_agent_that_does_not_come_back_in_time_ends_what_it_had() -> None:
    async def test(agent: Agent) -> None:
        left, stayed = await agent.run(execute("left")), await agent.run(execute("stayed"))
        agent.fall_silent("stayed")
        assert (Outcome.FAILED, FailureKind.AGENT_LOST) == await failure(stayed)
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(left)
        agent.open(hello=NEWER)
        agent.say(answer("left"))
        assert 0 == (await agent.describe()).completed

    on_newer_agent(test, resume=0.02)


def test_a_coordinator_may_wait_for_nobody() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.fall_silent()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)

    on_newer_agent(test, resume=0.0)


def test_a_link_that_was_closed_is_waited_for_by_nobody() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.close()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)

    on_newer_agent(test)


def test_what_an_agent_comes_back_without_is_unknown_and_what_nobody_waits_for_is_cancelled() -> None:
    async def test(agent: Agent) -> None:
        kept, lost = await agent.run(execute("kept")), await agent.run(execute("lost"))
        link = agent.open(hello=NEWER)
        new = await agent.run(execute("new"))
        agent.say(wire.Holding(frozenset({"kept", "stale"})))
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(lost)
        assert [wire.Cancel("stale")] == [said for said in link.sent if isinstance(said, wire.Cancel)]
        for identifier, running in (("kept", kept), ("new", new)):
            agent.say(answer(identifier))
            assert Outcome.COMPLETED == (await ended(running)).outcome

    on_newer_agent(test)


def test_what_had_not_left_by_a_link_that_is_taken_over_is_a_failure() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.link.unsent.add("x")
        agent.open(hello=NEWER)
        assert (Outcome.FAILED, FailureKind.AGENT_LOST) == await failure(running)

    on_newer_agent(test)


def test_the_deadline_ends_what_waits_for_an_agent_to_come_back() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run(execute(timeout=0.02))
        agent.fall_silent()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_TIMEOUT) == await failure(running)

    on_newer_agent(test)


def test_an_agent_that_is_removed_while_its_link_is_silent_ends_what_it_had() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.fall_silent()
        agent.ref.tell(DropAgent())
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)
        await turns()
        assert not agent.ref.is_alive()

    on_newer_agent(test)


def test_a_link_that_answers_is_alive_and_keeps_its_place() -> None:
    async def test(agent: Agent) -> None:
        asking = asyncio.create_task(ask(agent.ref, ProveAlive(1.0)))
        await turns()
        assert agent.link.proof is not None
        agent.link.proof.set_result(True)
        assert await asking
        assert AgentState.CONNECTED == (await agent.describe()).state
        assert [] == agent.link.aborted

    on_newer_agent(test)


def test_a_link_that_does_not_answer_is_lost_without_a_word() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        asking = asyncio.create_task(ask(agent.ref, ProveAlive(1.0)))
        await turns()
        assert agent.link.proof is not None
        agent.link.proof.set_result(False)
        assert not await asking
        assert AgentState.LOST == (await agent.describe()).state
        assert ([], ["it did not answer when an agent of this id came again"]) == (agent.link.codes, agent.link.aborted)
        agent.open(hello=NEWER)
        agent.say(answer())
        assert Outcome.COMPLETED == (await ended(running)).outcome

    on_newer_agent(test)


def test_a_link_that_closes_while_it_is_asked_for_a_proof_is_not_alive() -> None:
    async def test(agent: Agent) -> None:
        asking = asyncio.create_task(ask(agent.ref, ProveAlive(1.0)))
        await turns()
        agent.close()
        await turns()
        assert agent.link.proof is not None
        agent.link.proof.cancel()
        assert not await asking
        assert not await ask(agent.ref, ProveAlive(1.0))

    on_newer_agent(test)
