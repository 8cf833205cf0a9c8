"""What is sent again as the target sees it: another address each time, and no request that nobody asked for."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING

from tests.integration.conftest import SOURCES
from tests.support.cluster import wait_for_requests

if TYPE_CHECKING:
    from tests.support.cluster import Cluster
    from tests.support.targets import Echo


def test_a_target_that_gives_no_answer_is_asked_again_from_other_addresses_only_where_that_was_asked_for(
    cluster: Cluster, target: Echo
) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2])
    cluster.agent("agent-02", SOURCES[2:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url("/fault/reset"))
    assert (502, "failed", "reset", "target") == client.execute().failure
    assert 1 == len(target.requests)

    retried = client.execute(retries=2)
    assert (502, "failed", "reset", "target") == retried.failure
    attempts = retried.record["attempts"]
    assert 3 == len({attempt["source_ip"] for attempt in attempts})
    assert [attempt["source_ip"] for attempt in attempts] == [request.peer for request in target.requests[1:]]
    assert {"agent-01", "agent-02"} == {attempt["agent_id"] for attempt in attempts}
    assert attempts == client.get(f"/api/history/{retried.record['id']}")["attempts"]

    keyed = client.execute(method="POST", headers={"Idempotency-Key": "k"}, retries=1)
    assert 2 == len(keyed.record["attempts"])
    refused = client.execute(method="POST", retries=1)
    assert (422, "/retries") == (refused.status, refused.json["errors"][0]["pointer"])
    answered = client.execute(url=target.url(), retries=3)
    assert (200, 1) == (answered.status, len(answered.record["attempts"]))
    assert 7 == len(target.requests)
    assert 7 == sum(known["leased"] for known in client.pool().values())


def test_a_key_whose_coordinator_was_killed_is_refused_after_the_restart_and_one_with_a_record_replayed(
    cluster: Cluster, target: Echo
) -> None:
    coordinator = cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2]).expect("WARNING dispatcher.agent.connector")
    client = cluster.client
    client.wait_for_exits(2)
    client.configure(target.url())
    first = client.call("POST", "/api/execute", {}, headers={"Idempotency-Key": "done"})
    slow = {"url": target.url("/fault/hang")}
    body = json.dumps(slow).encode()
    with socket.create_connection(("127.0.0.1", cluster.port)) as caller:
        caller.sendall(
            b"POST /api/execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: lost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        wait_for_requests(target, 2)
    coordinator.signal(signal.SIGKILL)
    coordinator.wait()

    cluster.coordinator(port=cluster.port)
    client = cluster.client
    again = client.call("POST", "/api/execute", {}, headers={"Idempotency-Key": "done"})
    assert (first.json, "true") == (again.json, again.headers["Idempotent-Replayed"])
    lost = client.call("POST", "/api/execute", slow, headers={"Idempotency-Key": "lost"})
    assert (409, "urn:http-dispatcher:problem:idempotency_key_lost") == (lost.status, lost.json["type"])
    assert 2 == len(target.requests)
