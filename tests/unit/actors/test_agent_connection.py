"""`AgentConnection`: every execution that it takes ends exactly once, whatever the link and the agent do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pykka
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher.actors.agent_connection import AgentConnection
from dispatcher.actors.loop_actor import LoopActor, ask, stop_actor
from dispatcher.actors.messages import (
    AgentGone,
    AgentState,
    AgentStateChanged,
    AgentStatus,
    DescribeAgent,
    DropAgent,
    Ended,
    ExitsChanged,
    FromAgent,
    LinkClosed,
    LinkOpened,
    NotTaken,
    Outcome,
    ProveAlive,
    ResultInvalid,
    RunExecution,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import limits
from dispatcher.wire import messages as wire
from dispatcher.wire.version import WIRE
from tests.unit.loops import WAIT, on_loop, turns

SOURCE = "2001:db8::a"
NEVER = 1000.0
HELLO = wire.Hello(wire=(1, 0), session="s", version="1.2.3", hostname="gateway")
NEWER = wire.Hello(wire=WIRE, session="s", version="1.2.3", hostname="gateway")
OTHER_PROCESS = wire.Hello(wire=WIRE, session="t", version="1.2.3", hostname="gateway")


class Link:
    """A link in memory: notes what is sent, and keeps what it is told to keep as not yet left."""

    def __init__(self) -> None:
        self.sent: list[wire.Message] = []
        self.withdrawn: list[str] = []
        self.refusals: list[wire.Refused | None] = []
        self.unsent: set[str] = set()
        self.expected: list[str] = []
        self.aborted: list[str] = []
        self.proof: asyncio.Future[bool] | None = None

    def send(self, message: wire.Message) -> bool:
        self.sent.append(message)
        return True

    def withdraw(self, execution_id: str) -> bool:
        self.withdrawn.append(execution_id)
        return execution_id in self.unsent

    def expect(self, execution: wire.Execute) -> None:
        self.expected.append(execution.id)

    def prove_alive(self, seconds: float) -> asyncio.Future[bool]:
        self.proof = asyncio.get_running_loop().create_future()
        return self.proof

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)

    def close_link(self, refusal: wire.Refused | None = None) -> None:
        self.refusals.append(refusal)

    @property
    def codes(self) -> list[wire.RefusalCode]:
        return [refusal.code for refusal in self.refusals if refusal is not None]


class FullLink(Link):
    """Takes no execution."""

    def send(self, message: wire.Message) -> bool:
        return not isinstance(message, wire.Execute) and super().send(message)


class Told(LoopActor):
    """Stands for the pool or the registry: notes what it is told."""

    def __init__(self, heard: list[Any]) -> None:
        super().__init__()
        self._heard = heard

    def on_receive(self, message: Any) -> None:
        self._heard.append(message)


def execute(identifier: str = "x", timeout: float = NEVER, max_body_bytes: int = 100) -> wire.Execute:
    return wire.Execute(identifier, SOURCE, "GET", "http://x/", timeout, max_body_bytes=max_body_bytes)


def answer(identifier: str = "x", body: bytes = b"", **fields: Any) -> wire.Result:
    members: dict[str, Any] = {"status": 200, "source_ip": SOURCE, "body_size": len(body), **fields}
    return wire.Result(id=identifier, body=body, **members)


class Agent:
    """A connection with a link, and the shorthand of its tests."""

    def __init__(self, grace: float = 0.0, server_version: str = "9", resume: float = NEVER) -> None:
        self.pool: list[Any] = []
        self.registry: list[Any] = []
        self.ref: pykka.ActorRef[AgentConnection] = AgentConnection.start(
            agent_id="agent-01",
            hostname="registered",
            version="0",
            announced=(SOURCE,),
            pool=Told.start(self.pool),
            registry=Told.start(self.registry),
            grace_seconds=grace,
            resume_seconds=resume,
            server_version=server_version,
        )
        self.link: Link = Link()

    def open(self, link: Link | None = None, hello: wire.Hello = HELLO) -> Link:
        self.link = link or Link()
        self.ref.tell(LinkOpened(self.link, hello))
        return self.link

    def close(self, link: Link | None = None, *unsent: str) -> None:
        self.ref.tell(LinkClosed(link or self.link, "it broke", frozenset(unsent)))

    def fall_silent(self, *unsent: str) -> None:
        self.ref.tell(LinkClosed(self.link, "nothing came", frozenset(unsent), may_resume=True))

    def say(self, message: wire.Message, link: Link | None = None) -> None:
        self.ref.tell(FromAgent(link or self.link, message))

    async def run(self, what: wire.Execute | None = None) -> asyncio.Task[Ended | NotTaken]:
        """Give it an execution, and let it come there."""
        running = asyncio.create_task(ask(self.ref, RunExecution(what or execute()), timeout=WAIT))
        await turns()
        return running

    async def describe(self) -> AgentStatus:
        return await ask(self.ref, DescribeAgent())


def on_agent(test: Callable[[Agent], Any], **options: Any) -> None:
    """Run a test with an agent whose link is open."""

    async def with_agent() -> None:
        agent = Agent(**options)
        agent.open()
        await turns()
        await test(agent)

    on_loop(with_agent)


async def failure(running: asyncio.Task[Ended | NotTaken]) -> tuple[Outcome, FailureKind | None]:
    ended = await running
    assert isinstance(ended, Ended)
    assert ended.result.failure is not None
    assert "" != ended.result.failure.detail
    return ended.outcome, ended.result.error_kind


# The life of the link


def test_an_agent_without_a_link_shows_what_it_announced_and_takes_nothing() -> None:
    async def test() -> None:
        agent = Agent()
        status = await agent.describe()
        assert (AgentState.REGISTERED, "registered", None) == (status.state, status.hostname, status.connected_at)
        assert [(SOURCE, wire.AddressState.TENTATIVE)] == [(one.address, one.state) for one in status.addresses]
        assert isinstance(await (await agent.run()), NotTaken)

    on_loop(test)


def test_a_new_link_is_welcomed_and_starts_from_no_address() -> None:
    async def test(agent: Agent) -> None:
        status = await agent.describe()
        assert (AgentState.CONNECTED, "gateway", "1.2.3", ()) == (
            status.state,
            status.hostname,
            status.version,
            status.addresses,
        )
        assert [wire.Welcome(WIRE, "agent-01", "9")] == agent.link.sent
        assert [AgentStateChanged("agent-01", AgentState.CONNECTED)] == agent.registry

    on_agent(test)


def test_a_lost_link_takes_the_agents_exits_out_of_the_pool() -> None:
    async def test(agent: Agent) -> None:
        agent.say(wire.AddressesChanged((report(1),)))
        agent.close()
        status = await agent.describe()
        assert (AgentState.LOST, ()) == (status.state, status.addresses)
        await turns()
        assert AgentGone("agent-01") == agent.pool[-1]
        assert AgentStateChanged("agent-01", AgentState.LOST) == agent.registry[-1]

    on_agent(test)


def test_the_loss_of_a_link_that_was_replaced_changes_nothing() -> None:
    async def test(agent: Agent) -> None:
        old = agent.link
        agent.open()
        running = await agent.run()
        agent.close(old)
        assert AgentState.CONNECTED == (await agent.describe()).state
        agent.say(answer())
        assert isinstance(await running, Ended)

    on_agent(test)


def test_a_second_link_replaces_the_first() -> None:
    async def test(agent: Agent) -> None:
        old, running = agent.link, await agent.run()
        agent.open()
        assert (Outcome.UNKNOWN, FailureKind.AGENT_LOST) == await failure(running)
        assert [wire.RefusalCode.REPLACED] == old.codes
        assert AgentState.CONNECTED == (await agent.describe()).state

    on_agent(test)


def test_a_second_hello_breaks_the_link() -> None:
    async def test(agent: Agent) -> None:
        agent.say(HELLO)
        assert AgentState.LOST == (await agent.describe()).state
        assert [wire.RefusalCode.PROTOCOL] == agent.link.codes

    on_agent(test)


# Addresses


def report(number: int) -> wire.AddressReport:
    return wire.AddressReport(f"2001:db8::{number:x}", wire.AddressState.PREFERRED)


def test_changes_of_addresses_go_to_the_pool_and_are_shown() -> None:
    async def test(agent: Agent) -> None:
        agent.say(wire.AddressesChanged((report(1), report(2))))
        agent.say(wire.AddressesChanged((report(3),), (report(1).address,)))
        assert (report(2), report(3)) == (await agent.describe()).addresses
        assert [
            ExitsChanged("agent-01", agent.ref, (report(1), report(2))),
            ExitsChanged("agent-01", agent.ref, (report(3),), (report(1).address,)),
        ] == agent.pool

    on_agent(test)


def test_addresses_of_a_link_that_was_replaced_count_no_more() -> None:
    async def test(agent: Agent) -> None:
        old = agent.link
        agent.open()
        agent.say(wire.AddressesChanged((report(1),)), old)
        assert () == (await agent.describe()).addresses

    on_agent(test)


def test_more_addresses_than_an_agent_may_have_break_the_link() -> None:
    async def test(agent: Agent) -> None:
        step = limits.MAX_ADDRESSES_PER_MESSAGE
        for start in range(0, limits.MAX_ADDRESSES + step, step):
            agent.say(wire.AddressesChanged(tuple(map(report, range(start, start + step)))))
        assert AgentState.LOST == (await agent.describe()).state
        assert [wire.RefusalCode.PROTOCOL] == agent.link.codes
        assert AgentGone("agent-01") == agent.pool[-1]

    on_agent(test)


# Every end of an execution


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
        agent.ref.tell(ResultInvalid(agent.link, "x", "Result.status is not a whole number"))
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
        agent.ref.tell(ResultInvalid(agent.link, "x", "late"))
        assert Ended(Outcome.COMPLETED, answer(body=b"first")) == await running
        assert 1 == (await agent.describe()).completed

    on_agent(test)


def test_a_result_of_another_link_is_not_taken() -> None:
    async def test(agent: Agent) -> None:
        running = await agent.run()
        stranger = Link()
        agent.say(answer(), stranger)
        agent.ref.tell(ResultInvalid(stranger, "x", "forged"))
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
        agent.ref.tell(ResultInvalid(agent.link, "never asked", "x"))
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


# Links that fall silent, and agents that come back


def on_newer_agent(test: Callable[[Agent], Any], **options: Any) -> None:
    """Run a test with an agent that can go on with its executions on its next link."""

    async def with_agent() -> None:
        agent = Agent(**options)
        agent.open(hello=NEWER)
        await turns()
        await test(agent)

    on_loop(with_agent)


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


async def ended(running: asyncio.Task[Ended | NotTaken]) -> Ended:
    found = await running
    assert isinstance(found, Ended)
    return found


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


# Draining, and being removed


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


@pytest.mark.parametrize(("is_orderly", "level"), [(False, logging.WARNING), (True, logging.INFO)])
def test_a_link_that_the_coordinator_ends_to_shut_down_is_no_warning(
    caplog: pytest.LogCaptureFixture, is_orderly: bool, level: int
) -> None:
    async def test(agent: Agent) -> None:
        agent.ref.tell(LinkClosed(agent.link, "so it was", is_orderly=is_orderly))
        await turns()

    caplog.set_level(logging.INFO)
    on_agent(test)
    assert level == next(record.levelno for record in caplog.records if "gone: so it was" in record.getMessage())


def test_links_that_come_and_go_are_logged_by_agent(caplog: pytest.LogCaptureFixture) -> None:
    async def test(agent: Agent) -> None:
        agent.close()
        await turns()

    caplog.set_level(logging.INFO)
    on_agent(test)
    differs = "; it runs '1.2.3' (wire 1.0), this coordinator '9' (wire 1.2)"
    assert [f"agent agent-01 connected{differs}", "agent agent-01 gone: it broke"] == logged(caplog)


def test_an_agent_of_the_coordinators_own_version_has_nothing_that_differs(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        Agent(server_version=HELLO.version).open(hello=NEWER)
        await turns()

    caplog.set_level(logging.INFO)
    on_loop(test)
    assert ["agent agent-01 connected"] == logged(caplog)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what our own loggers said."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("dispatcher.")]


class AnyOrder(RuleBasedStateMachine):
    """Links, results, losses, deadlines and a removal in any order: each execution taken ends exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.agent = self._in_loop(Agent)
        self.links: list[Link] = []
        self.running: dict[str, asyncio.Task[Ended | NotTaken]] = {}
        self.ends: dict[str, Ended | NotTaken] = {}
        self.number = 0

    def _in_loop(self, make: Callable[[], Any]) -> Any:
        async def made() -> Any:
            found = make()
            await turns(8)
            return found

        return self.loop.run_until_complete(made())

    def _settle(self) -> None:
        self._in_loop(lambda: None)
        for identifier, task in list(self.running.items()):
            if task.done():
                assert identifier not in self.ends
                del self.running[identifier]
                if task.exception() is None:
                    self.ends[identifier] = task.result()
                else:
                    assert isinstance(task.exception(), pykka.ActorDeadError)

    def _tell(self, message: Any) -> None:
        if self.agent.ref.is_alive():
            self._in_loop(lambda: self.agent.ref.tell(message))
        self._settle()

    @rule(hello=st.sampled_from([HELLO, NEWER, NEWER, OTHER_PROCESS]))
    def open(self, hello: wire.Hello) -> None:
        self.links.append(Link())
        self._tell(LinkOpened(self.links[-1], hello))

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        ids = data.draw(st.sets(st.sampled_from([f"x{number}" for number in range(self.number + 2)])))
        self._tell(FromAgent(data.draw(st.sampled_from(self.links)), wire.Holding(frozenset(ids))))

    @precondition(lambda self: self.links)
    @rule(is_alive=st.booleans())
    def prove(self, is_alive: bool) -> None:
        if not self.agent.ref.is_alive():
            return
        ref = self.agent.ref
        asking = self._in_loop(lambda: asyncio.ensure_future(ask(ref, ProveAlive(1.0), timeout=WAIT)))
        for link in self.links:
            if link.proof is not None and not link.proof.done():
                self._in_loop(lambda proof=link.proof: proof.set_result(is_alive))
        self._settle()
        assert asking.done()
        assert asking.exception() is not None or asking.result() in (is_alive, False)

    @rule(timeout=st.sampled_from([0.0, NEVER, NEVER, NEVER]))
    def run(self, timeout: float) -> None:
        self.number += 1
        what = execute(f"x{self.number}", timeout)
        ref = self.agent.ref
        self.running[what.id] = self._in_loop(
            lambda: asyncio.ensure_future(ask(ref, RunExecution(what), timeout=WAIT)),
        )
        self._settle()

    @precondition(lambda self: self.links)
    @rule(data=st.data(), kind=st.sampled_from(["answer", "failure", "mismatch", "contradiction", "invalid"]))
    def result(self, data: st.DataObject, kind: str) -> None:
        link = data.draw(st.sampled_from(self.links))
        identifier = f"x{data.draw(st.integers(1, self.number + 1))}"
        said: dict[str, wire.Result] = {
            "answer": answer(identifier),
            "failure": answer(identifier, status=None, error_kind=FailureKind.RESET),
            "mismatch": answer(identifier, source_ip="::2"),
            "contradiction": answer(identifier, status=None),
        }
        if kind == "invalid":
            self._tell(ResultInvalid(link, identifier, "no good"))
        else:
            self._tell(FromAgent(link, said[kind]))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), message=st.sampled_from([wire.Draining(), HELLO, wire.AddressesChanged((report(1),))]))
    def say(self, data: st.DataObject, message: wire.Message) -> None:
        self._tell(FromAgent(data.draw(st.sampled_from(self.links)), message))

    @precondition(lambda self: self.links)
    @rule(data=st.data(), is_silent=st.booleans())
    def lose(self, data: st.DataObject, is_silent: bool) -> None:
        unsent = data.draw(st.sets(st.sampled_from(sorted(self.running) or ["x0"])))
        link = data.draw(st.sampled_from(self.links))
        self._tell(LinkClosed(link, "gone", frozenset(unsent), may_resume=is_silent))

    @rule(really=st.integers(0, 9))
    def drop(self, really: int) -> None:
        if really == 0:
            self._tell(DropAgent())

    @invariant()
    def what_it_says_is_in_flight_is_what_has_not_ended(self) -> None:
        if self.agent.ref.is_alive():
            status = self.loop.run_until_complete(self.agent.describe())
            assert len(self.running) == status.in_flight
            ended = [end for end in self.ends.values() if isinstance(end, Ended)]
            counts = [sum(end.outcome is outcome for end in ended) for outcome in Outcome]
            assert counts == [status.completed, status.failed, status.unknown]
        else:
            assert {} == self.running

    def teardown(self) -> None:
        self.open(OTHER_PROCESS)
        self._tell(LinkClosed(self.links[-1], "the end"))
        assert {} == self.running
        assert all(end.result.id == identifier for identifier, end in self.ends.items() if isinstance(end, Ended))
        for ref in pykka.ActorRegistry.get_all():
            self.loop.run_until_complete(stop_actor(ref))
        self.loop.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)
