"""`AgentConnection`: every execution that it takes ends exactly once, however it ends."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher.actors.messages import (
    Ended,
    Outcome,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from tests.unit.actors.linked import Agent, FullLink, Link, answer, execute, failure, on_agent


def test_a_result_ends_its_execution() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        assert execute() == agent.link.sent[-1]
        assert 1 == (await agent.describe()).in_flight
        agent.say(answer(body=b"abc"))
        assert Ended(Outcome.COMPLETED, answer(body=b"abc")) == await running
        status = await agent.describe()
        assert (0, 1, 0) == (status.in_flight, status.completed, status.failed)

    on_agent(test)


def test_a_failure_ends_its_execution() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(answer(status=None, source_ip="", error_kind=FailureKind.DNS, error_detail="no such name"))
        assert (Outcome.FAILED, FailureKind.DNS) == await failure(running)
        assert 1 == (await agent.describe()).failed

    on_agent(test)


@pytest.mark.parametrize("source_ip", ["2001:db8::b", "", "2001:db8::A"])
def test_an_answer_that_came_to_another_address_is_a_failure(source_ip: str) -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(answer(source_ip=source_ip))
        assert (Outcome.FAILED, FailureKind.SOURCE_MISMATCH) == await failure(running)

    on_agent(test)


@pytest.mark.parametrize(
    "contradiction",
    [
        answer(status=None),
        answer(error_kind=FailureKind.DNS),
        answer(body=bytes(101)),
        answer(body=b"abc", body_size=2),
        answer(body=b"abc", body_size=4),
    ],
    ids=["neither", "both", "more than asked for", "fewer received than there are", "cut and not said"],
)
def test_a_result_that_contradicts_itself_is_a_failure(contradiction: wire.Result) -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(contradiction)
        assert (Outcome.FAILED, FailureKind.INVALID_RESULT) == await failure(running)

    on_agent(test)


def test_a_body_that_was_cut_and_says_so_is_an_answer() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        cut = answer(body=bytes(100), body_size=5000, truncated=True)
        agent.say(cut)
        assert Ended(Outcome.COMPLETED, cut) == await running

    on_agent(test)


def test_a_result_that_cannot_be_read_is_a_failure() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(Invalid("result", "x", "Result.status is not a whole number"))
        assert (Outcome.FAILED, FailureKind.INVALID_RESULT) == await failure(running)

    on_agent(test)


def test_a_link_lost_after_the_request_left_leaves_its_outcome_unknown() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.close()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)

    on_agent(test)


def test_a_link_lost_before_the_request_left_is_a_failure() -> None:
    async def test(agent: Agent) -> None:
        left, stayed = await agent.run(execute("left")), await agent.run(execute("stayed"))
        agent.close(None, "stayed", "nobody's")
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(left)
        assert (Outcome.FAILED, FailureKind.AGENT_LOST) == await failure(stayed)

    on_agent(test)


def test_a_link_that_is_full_is_an_overload() -> None:
    async def test(agent: Agent) -> None:
        agent.open(FullLink())
        assert (Outcome.FAILED, FailureKind.OVERLOADED) == await failure(await agent.run())

    on_agent(test)


def test_a_deadline_after_the_request_left_cancels_it_and_leaves_its_outcome_unknown() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run(execute(timeout=0.01))
        assert (Outcome.UNKNOWN, FailureKind.AGENT_TIMEOUT) == await failure(running)
        assert ["x"] == agent.link.withdrawn
        assert wire.Cancel("x") == agent.link.sent[-1]

    on_agent(test)


def test_a_deadline_before_the_request_left_takes_it_back_and_is_a_failure() -> None:
    async def test(agent: Agent) -> None:
        agent.link.unsent.add("x")
        running = await agent.run(execute(timeout=0.01))
        assert (Outcome.FAILED, FailureKind.AGENT_TIMEOUT) == await failure(running)
        assert wire.Cancel("x") not in agent.link.sent

    on_agent(test)


def test_the_deadline_is_the_timeout_and_the_grace() -> None:
    async def test(agent: Agent) -> None:
        started = asyncio.get_running_loop().time()
        ended = await (await agent.run(execute(timeout=0.05)))
        assert 0.15 <= asyncio.get_running_loop().time() - started < 5
        assert isinstance(ended, Ended)
        assert "did not answer within 0.15 s" in ended.result.error_detail

    on_agent(test, grace=0.1)


def test_a_result_after_the_deadline_is_for_nobody() -> None:
    async def test(agent: Agent) -> None:
        await (await agent.run(execute(timeout=0.0)))
        agent.say(answer())
        status = await agent.describe()
        assert (0, 0, 0, 1) == (status.in_flight, status.completed, status.failed, status.unknown)

    on_agent(test)


def test_a_deadline_that_passes_after_the_result_changes_nothing() -> None:
    async def test(agent: Agent) -> None:
        answered = await agent.run(execute("x", timeout=0.01))
        late = await agent.run(execute("y", timeout=0.05))
        agent.say(answer())
        assert isinstance(await answered, Ended)
        await late
        assert ["y"] == agent.link.withdrawn
        assert (1, 1) == ((await agent.describe()).completed, (await agent.describe()).unknown)

    on_agent(test)


def test_a_second_result_is_for_nobody() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        agent.say(answer(body=b"first"))
        agent.say(answer(body=b"second"))
        agent.say(Invalid("result", "x", "late"))
        assert Ended(Outcome.COMPLETED, answer(body=b"first")) == await running
        assert 1 == (await agent.describe()).completed

    on_agent(test)


def test_a_result_of_another_link_is_not_taken() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        stranger = Link()
        agent.say(answer(), stranger)
        agent.say(Invalid("result", "x", "forged"), stranger)
        assert 1 == (await agent.describe()).in_flight
        agent.say(answer())
        assert isinstance(await running, Ended)

    on_agent(test)


def test_a_result_of_before_the_link_was_lost_is_not_taken_after() -> None:
    async def test(agent: Agent) -> None:
        await agent.run()
        agent.close()
        agent.open()
        agent.say(answer())
        assert 0 == (await agent.describe()).completed

    on_agent(test)


def test_a_result_for_what_was_never_asked_is_for_nobody() -> None:
    async def test(agent: Agent) -> None:
        agent.say(answer("never asked"))
        agent.say(Invalid("result", "never asked", "x"))
        assert (0, 0) == ((await agent.describe()).completed, (await agent.describe()).failed)

    on_agent(test)


def test_an_asker_that_went_away_does_not_end_the_execution() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        running.cancel()
        await asyncio.wait([running])
        agent.say(answer())
        assert 1 == (await agent.describe()).completed

    on_agent(test)
