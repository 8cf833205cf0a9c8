"""Clients of the REST API that are slow or stop reading: they hold up nobody, and their executions are kept."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.conftest import SOURCES
from tests.support import invariants
from tests.support.client import Client
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster import Cluster
    from tests.support.processes import Process
    from tests.support.targets import Echo

LARGE = 4_000_000
EXITS = SOURCES[:4]


class Slow(NamedTuple):
    """A running pool, and the way of a client that is slow."""

    cluster: Cluster
    coordinator: Process
    proxy: FaultProxy
    client: Client


@pytest.fixture
def slow(cluster: Cluster, target: Echo) -> Iterator[Slow]:
    with slow_client(cluster, target) as slow:
        yield slow


@contextlib.contextmanager
def slow_client(cluster: Cluster, target: Echo, *options: str) -> Iterator[Slow]:
    """A pool whose coordinator has these options."""
    coordinator = cluster.coordinator(*options)
    cluster.agent("agent-01", EXITS)
    cluster.client.wait_for_exits(len(EXITS))
    cluster.client.configure(target.url("/"))
    with FaultProxy("127.0.0.1", cluster.port) as proxy:
        client = Client(proxy.url)
        yield Slow(cluster, coordinator, proxy, client)
        client.close()


def test_clients_that_stop_reading_hold_up_nobody_and_get_their_replies_when_they_go_on(
    slow: Slow, target: Echo
) -> None:
    slow.proxy.commit(Fault(piece=64))
    begun = [slow.client.begin(url=target.url(f"/bytes/{LARGE}?{number}")) for number in range(8)]
    slow.proxy.commit(Fault(reads=False))
    others = [slow.cluster.client.execute(url=target.url(f"/{number}")) for number in range(40)]
    assert [200] * 40 == [answer.status for answer in others]
    slow.proxy.heal()
    answers = [each.result() for each in begun]
    assert [LARGE] * 8 == [len(invariants.content(each.record["response"]["body"])) for each in answers]
    client = slow.cluster.client
    invariants.check(client, slow.cluster.state_dir, answers=[*others, *answers], requests=target.requests)
    invariants.check_rotation(client.history(), EXITS)


def test_clients_that_send_a_byte_at_a_time_are_served_like_others(slow: Slow, target: Echo) -> None:
    slow.proxy.commit(Fault(piece=1))
    begun = [slow.client.begin(url=target.url(f"/slow/{number}")) for number in range(8)]
    others = [slow.cluster.client.execute(url=target.url(f"/{number}")) for number in range(8)]
    answers = [*others, *(each.result() for each in begun)]
    assert [200] * 16 == [answer.status for answer in answers]
    invariants.check(slow.cluster.client, slow.cluster.state_dir, answers=answers, requests=target.requests)


def test_what_was_begun_for_clients_that_are_cut_off_is_recorded(slow: Slow, target: Echo) -> None:
    slow.proxy.commit(Fault(cut_after=3000))
    begun = [slow.client.begin(url=target.url(f"/bytes/{LARGE}?{number}")) for number in range(4)]
    assert [True] * 4 == [isinstance(each.exception(30), (OSError, http.client.HTTPException)) for each in begun]
    # One after the other, so that its record comes behind theirs.
    for number in range(2):
        assert 200 == slow.cluster.client.execute(url=target.url(f"/after/{number}")).status
    records = invariants.check(slow.cluster.client, slow.cluster.state_dir, requests=target.requests)
    assert len(target.requests) == len(records)


def test_a_batch_whose_reader_has_stopped_for_good_ends_and_the_log_says_why(cluster: Cluster, target: Echo) -> None:
    with slow_client(cluster, target, "--send-timeout", "1") as slow:
        slow.proxy.commit(Fault(piece=64))
        asked = [{"url": target.url(f"/bytes/{LARGE // 10}?{number}")} for number in range(1000)]
        begun = slow.client.begin(requests=asked, concurrency=4)
        eventually(lambda: len(target.requests) > 0, "the batch begins")
        slow.proxy.commit(Fault(reads=False))
        said = slow.coordinator.wait_for_line("(--send-timeout)")
        assert "ended a connection of 127.0.0.1: it took nothing of its answer for 1 s" in said
        client = slow.cluster.client
        eventually(lambda: client.get("/api/stats")["executions"]["in_flight"] == 0, "nothing is in flight")
        assert 200 == client.execute(url=target.url("/after")).status
        slow.proxy.heal()
        assert isinstance(begun.exception(30), (OSError, http.client.HTTPException))
        records = invariants.check(client, slow.cluster.state_dir, requests=target.requests)
        assert len(target.requests) == len(records) < 1000
