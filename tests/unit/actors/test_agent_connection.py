"""`AgentConnection`: its link, its addresses, and what is logged of them."""

from __future__ import annotations

import logging

import pytest

from dispatcher.actors.messages import (
    AgentGone,
    AgentState,
    AgentStateChanged,
    Ended,
    ExitsChanged,
    LinkClosed,
    NotTaken,
    Outcome,
)
from dispatcher.errors import FailureKind
from dispatcher.wire import limits
from dispatcher.wire import messages as wire
from dispatcher.wire.version import WIRE
from tests.unit.actors.linked import HELLO, NEWER, SOURCE, Agent, answer, failure, on_agent, report
from tests.unit.loops import on_loop, turns


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
        await turns()  # the pool's, which may have its own turn behind the answer
        assert AgentGone("agent-01") == agent.pool[-1]

    on_agent(test)


# What is logged


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
    differs = "; it runs '1.2.3' (wire 1.0), this coordinator '9' (wire 1.5)"
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
