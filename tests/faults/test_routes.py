"""Routes that go missing: an exit without one is put aside and comes back; what lies beyond is not its fault."""

from __future__ import annotations

import http.server
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES
from tests.support.netns import THIS, Host, connect
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.client import Client
    from tests.support.cluster import Cluster

EXITS = SOURCES[:3]
FAR, REFUSED, UNREACHABLE, FORBIDDEN = (f"2001:db8:{net}::1" for net in ("9", "9", "a", "b"))
SERVE = f"{http.server.__name__} 80 --bind {FAR}"


@pytest.fixture
def router() -> Iterator[Host]:
    """Another machine that serves `FAR`, and says of two networks behind it that they cannot be reached."""
    with Host() as host:
        ends = ("tothere", "tohere")
        connect(THIS, host, interfaces=ends, a_addresses=["fd00:1::1/64"], b_addresses=["fd00:1::2/64"])
        host.sysctl("ipv6/conf/all/forwarding", 1)
        host.add_addresses("lo", [FAR])
        host.add_route("2001:db8:1::/64", via="fd00:1::1")
        for kind, net in (("unreachable", "a"), ("prohibit", "b")):
            host.run(["ip", "-6", "route", "add", kind, f"2001:db8:{net}::/64"])
        for net in ("9", "a", "b"):
            THIS.add_route(f"2001:db8:{net}::/64", via="fd00:1::2")
        with host.popen([sys.executable, "-m", *SERVE.split()]) as server:
            yield host
            server.terminate()


@pytest.fixture
def client(cluster: Cluster, router: Host) -> Client:
    """A user of a coordinator whose one agent has `EXITS`."""
    cluster.coordinator("--exit-pause-max", "0.3")
    cluster.agent("agent-01", EXITS)
    cluster.client.wait_for_exits(len(EXITS))
    cluster.client.configure(f"http://[{FAR}]/")
    eventually(lambda: cluster.client.execute().status == 200, "the server")
    while cluster.client.get("/api/pool/status")["next"]["address"] != EXITS[0]:
        cluster.client.execute()  # round to the first exit again, however often the server was asked
    return cluster.client


def test_an_exit_without_a_route_is_put_aside_and_comes_back_with_its_route(client: Client, cluster: Cluster) -> None:
    rule = ["from", EXITS[0], "unreachable", "pref", "5"]
    THIS.run(["ip", "-6", "rule", "add", *rule])
    try:
        failed = client.execute()
        assert (502, "failed", "connect", "agent") == failed.failure
        assert EXITS[0] == failed.record["source_ip"]
        eventually(lambda: client.pool()[EXITS[0]]["state"] == "aside", "the exit aside")
        why = f"connecting to [{FAR}]:80 from {EXITS[0]} failed: {failed.record['error']['detail'].rpartition(': ')[2]}"
        assert f"{why} (execution {failed.record['id']})" in client.pool()[EXITS[0]]["reason"]
        answers = [client.execute() for _ in range(4)]
        known = {answer.record["source_ip"] for answer in answers if answer.status == 200}
        assert known == set(EXITS[1:])
        assert {EXITS[0]} >= {answer.record["source_ip"] for answer in answers if answer.status != 200}
    finally:
        THIS.run(["ip", "-6", "rule", "del", *rule])
    client.wait_for_exits(len(EXITS))
    eventually(lambda: client.execute().record["source_ip"] == EXITS[0], "the exit's turn")
    assert {"preferred"} == {known["state"] for known in client.pool().values()}
    assert set(EXITS) == {client.execute().record["source_ip"] for _ in EXITS}
    said = [line.partition("actors.pool: ")[2] for line in cluster.processes[0].lines if "actors.pool" in line]
    assert [f"exit {EXITS[0]} of agent-01 is set aside: {why} (execution {failed.record['id']})"] == said[:1]
    assert said[-1].startswith(f"exit {EXITS[0]} of agent-01 works again, after ")
    assert 2 == len(said)


def test_what_lies_beyond_the_gateway_is_the_targets_fault_and_never_the_exits(client: Client) -> None:
    for url in (f"http://[{REFUSED}]:81/", f"http://[{UNREACHABLE}]/", f"http://[{FORBIDDEN}]/"):
        begun = [client.begin(url=url) for _ in range(2 * len(EXITS))]
        answers = [each.result() for each in begun]
        assert {(502, "failed", "connect", "target")} == {answer.failure for answer in answers}
        assert sorted([*EXITS, *EXITS]) == sorted(answer.record["source_ip"] for answer in answers)
        assert {"preferred"} == {known["state"] for known in client.pool().values()}
