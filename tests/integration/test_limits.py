"""Bounds on work: what is over one is refused at once and clearly, and what is under way goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support.cluster import Cluster, wait_for_requests
from tests.support.processes import eventually

if TYPE_CHECKING:
    from tests.support.client import Client
    from tests.support.targets import Echo

TIMEOUT = 60.0


def queued(client: Client) -> int:
    count: int = client.get("/api/stats")["executions"]["queued"]
    return count


def in_flight(client: Client) -> int:
    count: int = client.get("/api/stats")["executions"]["in_flight"]
    return count


def test_an_agent_makes_so_many_transfers_at_once_then_queues_so_many_then_refuses(
    cluster: Cluster, target: Echo
) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2], "--max-concurrency", "3", "--max-queue", "4")
    client = cluster.client
    client.wait_for_exits(2)
    client.configure(target.url("/fault/drip"), timeout=2)
    running = [client.begin(timeout=6) for _ in range(3)]
    wait_for_requests(target, 3)
    answers = [each.result() for each in [client.begin() for _ in range(9)]]
    assert {503: 5, 504: 4} == Counter(answer.status for answer in answers)
    for answer in answers:
        if answer.status == 503:
            assert (503, "failed", "overloaded", "agent") == answer.failure
            assert "the agent has 3 transfers and 4 waiting ones already" == answer.record["error"]["detail"]
            assert answer.headers["Retry-After"]
        else:
            assert (504, "failed", "timeout", "agent") == answer.failure
            assert "the time was up in phase queued" in answer.record["error"]["detail"]
    assert [504, 504, 504] == [begun.result().status for begun in running]
    assert 3 == len(target.requests)
    assert 12 == len(client.history())


def test_what_waited_in_the_queue_is_sent_when_its_turn_comes(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:4], "--max-concurrency", "1", "--max-queue", "100")
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url(), timeout=TIMEOUT)
    answers = [begun.result() for begun in [client.begin() for _ in range(60)]]
    assert {200} == {answer.status for answer in answers}
    assert Counter(dict.fromkeys(SOURCES[:4], 15)) == Counter(request.peer for request in target.requests)


def test_a_coordinator_takes_so_many_executions_at_once_and_refuses_more(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator("--max-in-flight", "2", "--max-queue", "0")
    cluster.agent("agent-01", SOURCES[:2])
    client = cluster.client
    client.wait_for_exits(2)
    client.configure(target.url(), timeout=TIMEOUT)
    hanging = [client.begin(url=target.url("/fault/drip"), timeout=5) for _ in range(2)]
    wait_for_requests(target, 2)
    refused = client.execute()
    assert 503 == refused.status
    assert "urn:http-dispatcher:problem:overloaded" == refused.json["type"]
    assert "2 executions are in flight and 0 wait, as many as this coordinator takes" == refused.json["detail"]
    assert refused.headers["Retry-After"]
    assert "execution" not in refused.json
    assert [504, 504] == [begun.result().status for begun in hanging]
    assert 200 == client.execute().status
    assert 3 == len(client.history()) == len(target.requests)


def test_past_what_a_coordinator_takes_at_once_they_wait_in_order_and_past_that_it_refuses(
    cluster: Cluster, target: Echo
) -> None:
    cluster.coordinator("--max-in-flight", "1", "--max-queue", "2")
    cluster.agent("agent-01", SOURCES[:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url(), timeout=TIMEOUT)
    hanging = client.begin(url=target.url("/fault/drip"), timeout=3)
    wait_for_requests(target, 1)
    late = client.begin(timeout=0.5)
    eventually(lambda: queued(client) == 1, "one that waits")
    patient = client.begin()
    eventually(lambda: queued(client) == 2, "two that wait")
    refused = client.execute()
    assert (503, "urn:http-dispatcher:problem:overloaded") == (refused.status, refused.json["type"])
    assert "1 executions are in flight and 2 wait, as many as this coordinator takes" == refused.json["detail"]
    assert refused.headers["Retry-After"]
    assert (504, "failed", "timeout", "coordinator") == late.result().failure
    assert late.result().record["timings"]["queued"] >= 490
    assert 504 == hanging.result().status
    assert 200 == patient.result().status
    timings = patient.result().record["timings"]
    assert timings["queued"] >= 1000
    assert timings["queued"] <= timings["total"] <= patient.result().seconds * 1000
    assert [SOURCES[0], SOURCES[1]] == [request.peer for request in target.requests]
    assert 3 == len(client.history())


def test_256_executions_run_at_once_at_an_agent_by_default(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:16])
    client = cluster.client
    client.wait_for_exits(16)
    client.configure(target.url("/fault/hang"), timeout=TIMEOUT)
    callers = [socket.create_connection(("127.0.0.1", cluster.port)) for _ in range(256)]
    try:
        for number, caller in enumerate(callers, 1):
            caller.sendall(b"GET /api/execute HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if number % 32 == 0:  # all in one turn of the loop would be a stall of the test's making
                wait_for_requests(target, number)
        assert 256 == in_flight(client)
        assert {16} == set(Counter(request.peer for request in target.requests).values())
    finally:
        for caller in callers:
            caller.close()
    cluster.processes[0].expect("agent agent-01 gone: the link was closed")
    cluster.processes[1].expect("the coordinator refused this agent")
    assert 204 == client.call("DELETE", "/api/agents/agent-01").status
    cluster.processes[1].kill()  # it would wait for what hangs


@pytest.mark.parametrize("size", [20 * 1024 * 1024, 200 * 1024 * 1024])
def test_a_request_over_the_limit_is_refused_and_nothing_else_is_lost(
    cluster: Cluster, target: Echo, size: int
) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2])
    client = cluster.client
    client.wait_for_exits(2)
    client.configure(target.url("/fault/drip"), timeout=3)
    beside = client.begin()
    wait_for_requests(target, 1)
    with socket.create_connection(("127.0.0.1", cluster.port)) as caller:
        caller.sendall(
            b"POST /api/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size
        )
        try:
            for _ in range(size // 65536):
                caller.sendall(b" " * 65536)
        except (BrokenPipeError, ConnectionResetError):
            assert size > 100 * 1024 * 1024  # it is not even read to its end
        else:
            answer = caller.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 413")
            assert 413 == json.loads(answer.partition(b"\r\n\r\n")[2])["status"]
    assert 504 == beside.result().status
    assert 200 == client.execute(url=target.url()).status
    eventually(lambda: in_flight(client) == 0, "nothing in flight")


def test_one_network_holds_so_many_connections_and_others_are_served(cluster: Cluster) -> None:
    coordinator = cluster.coordinator("--max-connections-per-client", "2", host=TARGET)
    coordinator.expect("--max-connections-per-client")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connection_from(source, cluster.port)) for source in SOURCES[:2]]
        assert [200, 200] == [asked(each).status for each in held]
        refused = asked(stack.enter_context(connection_from(SOURCES[2], cluster.port)))
        assert 429 == refused.status
        detail = "2001:db8:1::/64 has 2 connections open, as many as one client may"
        assert detail == json.loads(refused.read())["detail"]
        assert 200 == cluster.client.call("GET", "/livez").status
        held[0].close()
        eventually(lambda: served_from(SOURCES[2], cluster.port), "a place is free")
    line = coordinator.wait_for_line("over --max-connections-per-client")
    assert line.endswith("refused 1 connections over --max-connections-per-client, the last of 2001:db8:1::/64")


def connection_from(source: str, port: int) -> contextlib.closing[http.client.HTTPConnection]:
    """A connection to the coordinator from one address of this machine."""
    connection = http.client.HTTPConnection(TARGET, port, timeout=TIMEOUT, source_address=(source, 0))
    return contextlib.closing(connection)


def asked(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """What the coordinator answers on a connection that stays open."""
    connection.request("GET", "/livez")
    response = connection.getresponse()
    if response.status == 200:
        response.read()
    return response


def served_from(source: str, port: int) -> bool:
    """Whether an address gets an answer that is no refusal."""
    with connection_from(source, port) as connection:
        return asked(connection).status == 200
