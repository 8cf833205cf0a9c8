"""Processes that are asked to end: they drain, lose nothing, and say so by their exit status."""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support.cluster import Cluster, serving, wait_for_requests
from tests.support.processes import eventually
from tests.support.target_http import respond
from tests.support.targets import Echo, known_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes import Process

TIMEOUT = 60.0
AT_ONCE = 15.0


class Holding(Echo):
    """Answers with the peer's address, but nothing before `let_go` is called; the path ``/now`` at once."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._released = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def let_go(self) -> None:
        """Answer everything, now and later."""
        assert self._loop is not None, "nothing has come yet"
        self._loop.call_soon_threadsafe(self._released.set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        while request := await self._next(reader, writer):
            if request.path != "/now":
                await self._released.wait()
            await respond(writer, request, request.peer.encode())


@pytest.fixture
def holding() -> Iterator[Holding]:
    with serving(Holding(TARGET)) as made:
        yield made


@pytest.fixture
def coordinator(cluster: Cluster) -> Process:
    return cluster.coordinator()


def test_an_agent_that_is_asked_to_end_finishes_what_it_has(
    cluster: Cluster, coordinator: Process, holding: Holding
) -> None:
    agent = cluster.agent("agent-01", SOURCES[:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(holding.url(), timeout=TIMEOUT)
    begun = [client.begin() for _ in range(16)]
    wait_for_requests(holding, 16)
    agent.signal(signal.SIGTERM)
    client.wait_for_agent("agent-01", "draining")
    assert 0 == client.available()
    assert (503, "no_exit") == (client.execute().status, client.execute().record["error"]["kind"])
    assert agent.is_running
    holding.let_go()
    assert [200] * 16 == [each.result().status for each in begun]
    assert 0 == agent.wait()
    client.wait_for_agent("agent-01", "lost")


def test_an_agent_that_ends_under_load_loses_nothing(cluster: Cluster, coordinator: Process, target: Echo) -> None:
    cluster.agent("agent-01", SOURCES[:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url(), timeout=TIMEOUT)
    for _ in range(3):
        leaving = cluster.agent("agent-02", SOURCES[4:8])
        client.wait_for_exits(8)
        before = len(target.requests)
        begun = [client.begin() for _ in range(150)]
        wait_for_requests(target, before + 30)
        leaving.signal(signal.SIGTERM)
        assert {200} == {each.result().status for each in begun}
        assert 0 == leaving.wait()
        client.wait_for_agent("agent-02", "lost")
    assert 450 == len(target.requests) == client.get("/api/stats")["executions"]["completed"]


def test_what_outlasts_the_agents_drain_timeout_is_unknown(
    cluster: Cluster, coordinator: Process, holding: Holding
) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1], "--drain-timeout", "0.5")
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(holding.url(), timeout=TIMEOUT)
    begun = client.begin()
    wait_for_requests(holding, 1)
    agent.expect("1 executions outlasted --drain-timeout")
    agent.signal(signal.SIGTERM)
    assert 0 == agent.wait()
    assert (502, "unknown", "agent_lost", "agent") == begun.result(AT_ONCE).failure


def test_a_second_signal_ends_an_agent_at_once(cluster: Cluster, coordinator: Process, holding: Holding) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1])
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(holding.url(), timeout=TIMEOUT)
    begun = client.begin()
    wait_for_requests(holding, 1)
    agent.signal(signal.SIGTERM)
    agent.wait_for_line("draining: 1 executions in flight")
    agent.expect("ended at once by a second signal")
    agent.signal(signal.SIGINT)
    assert 0 == agent.wait(AT_ONCE)
    assert (502, "unknown", "agent_lost", "agent") == begun.result(AT_ONCE).failure


def test_an_agent_that_ends_without_a_coordinator_ends_with_0(cluster: Cluster, coordinator: Process) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1])
    agent.expect("WARNING")
    assert 0 == coordinator.end()
    agent.wait_for_line("connecting again")
    agent.signal(signal.SIGINT)
    assert 0 == agent.wait(AT_ONCE)


def test_a_coordinator_that_is_asked_to_end_finishes_what_it_has(
    cluster: Cluster, coordinator: Process, holding: Holding
) -> None:
    agent = cluster.agent("agent-01", SOURCES[:4])
    agent.expect("WARNING")
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(holding.url(), timeout=TIMEOUT)
    assert 200 == client.call("GET", "/readyz").status
    begun = [client.begin() for _ in range(16)]
    wait_for_requests(holding, 16)
    coordinator.signal(signal.SIGTERM)
    coordinator.wait_for_line("draining: 16 executions in flight")
    refused = client.call("GET", "/readyz")
    assert (503, "the coordinator is shutting down") == (refused.status, refused.json["detail"])
    assert refused.headers["Retry-After"]
    assert 503 == client.execute(url=holding.url("/now")).status
    assert 200 == client.call("GET", "/livez").status
    holding.let_go()
    answers = [each.result() for each in begun]
    assert [200] * 16 == [answer.status for answer in answers]
    assert 0 == coordinator.wait()
    cluster.coordinator(port=cluster.port)
    kept = {record["id"]: record for record in cluster.client.history()}
    assert {answer.record["id"]: answer.record for answer in answers} == kept


def test_a_coordinator_that_ends_under_load_answers_everything_that_it_took(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    agent = cluster.agent("agent-01", SOURCES[:8])
    agent.expect("WARNING")
    client = cluster.client
    client.wait_for_exits(8)
    client.configure(target.url(), timeout=TIMEOUT)
    begun = [client.begin() for _ in range(300)]
    wait_for_requests(target, 50)
    coordinator.signal(signal.SIGTERM)
    replied = {}
    for each in begun:
        # Past the end of the coordinator a connection is refused, and that is no loss: nothing was taken.
        if not isinstance(each.exception(), OSError) and each.result().status == 200:
            replied[each.result().record["id"]] = each.result().record
        else:
            assert each.exception() is None or isinstance(
                each.exception(), (ConnectionRefusedError, http.client.RemoteDisconnected, ConnectionResetError)
            )
    assert 0 == coordinator.wait()
    assert len(replied) == len(target.requests)
    cluster.coordinator(port=cluster.port)
    assert replied == {record["id"]: record for record in cluster.client.history()}


def test_a_large_reply_that_is_being_read_when_the_coordinator_is_asked_to_end_arrives_whole(
    cluster: Cluster, coordinator: Process, target: Echo
) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1])
    agent.expect("WARNING")
    client = cluster.client
    client.wait_for_exits(1)
    size = 20 * 1024 * 1024
    client.configure(target.url(f"/bytes/{size}"), max_body_bytes=size, timeout=TIMEOUT)
    with socket.create_connection(("127.0.0.1", cluster.port)) as reader:
        reader.settimeout(TIMEOUT)
        reader.sendall(b"GET /api/execute HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        pieces = [reader.recv(1000)]
        coordinator.signal(signal.SIGTERM)
        coordinator.wait_for_line("draining")
        while piece := reader.recv(1024 * 1024):
            pieces.append(piece)
    assert 0 == coordinator.wait()
    answer = b"".join(pieces)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert len(answer) > len(known_bytes(size)) * 4 / 3


def test_a_second_signal_ends_a_coordinator_at_once(cluster: Cluster, coordinator: Process, holding: Holding) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1])
    agent.expect("WARNING")
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(holding.url(), timeout=TIMEOUT)
    begun = client.begin()
    wait_for_requests(holding, 1)
    coordinator.signal(signal.SIGTERM)
    coordinator.wait_for_line("draining: 1 executions in flight")
    coordinator.expect("ended at once by a second signal")
    coordinator.signal(signal.SIGTERM)
    assert 0 == coordinator.wait(AT_ONCE)
    assert isinstance(begun.exception(AT_ONCE), OSError)


def test_what_outlasts_the_coordinators_drain_timeout_is_unknown_and_recorded(
    cluster: Cluster, holding: Holding
) -> None:
    coordinator = cluster.coordinator("--drain-timeout", "0.5")
    agent = cluster.agent("agent-01", SOURCES[:1])
    coordinator.expect("1 executions outlasted --drain-timeout")
    agent.expect("WARNING")
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(holding.url(), timeout=TIMEOUT)
    begun = client.begin()
    wait_for_requests(holding, 1)
    coordinator.signal(signal.SIGTERM)
    answer = begun.result(AT_ONCE)
    assert (502, "unknown", "agent_lost", "agent") == answer.failure
    assert 0 == coordinator.wait()
    cluster.coordinator(port=cluster.port)
    assert [answer.record] == cluster.client.history()


def test_callers_that_go_away_do_not_end_what_they_started(
    cluster: Cluster, coordinator: Process, holding: Holding
) -> None:
    cluster.agent("agent-01", SOURCES[:1])
    client = cluster.client
    client.wait_for_exits(1)
    client.configure(holding.url(), timeout=TIMEOUT)
    with socket.create_connection(("127.0.0.1", cluster.port)) as caller:
        caller.sendall(b"GET /api/execute HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for_requests(holding, 1)
    holding.let_go()
    eventually(lambda: len(client.history()) == 1, "the record")
    assert "completed" == client.history()[0]["outcome"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_fleet_ends_fast_and_with_0(cluster: Cluster, coordinator: Process, number: signal.Signals) -> None:
    agent = cluster.agent("agent-01", SOURCES[:1])
    for process in (agent, coordinator):
        begun = time.monotonic()
        process.signal(number)
        assert 0 == process.wait()
        assert time.monotonic() - begun < 10
