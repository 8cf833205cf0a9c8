"""Retries as the target sees them: another address each time, and no request that nobody asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.conftest import SOURCES

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
