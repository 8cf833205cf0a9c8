"""Coordinator and agent on what looks like macOS: no netlink, /proc or epoll, sockets without inodes, kqueue."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import as_macos
from tests.support.cluster import running_cluster, serving
from tests.support.processes import dispatcher_command, eventually
from tests.support.targets import Echo, Hanging
from tests.support.watching import on_lo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster import Cluster

TARGET = "2001:db8:f::1"
STABLE, OTHER = "2a00:9::1", "2a00:9::2"
UP_TO_POLL = 4.0
"""Seconds within which a change of addresses is in the pool, of which one is the agent's pause between looks."""


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A coordinator and an agent that finds its addresses by itself, both on a Mac."""
    command = ["env", f"PYTHONPATH={as_macos.FOLDER}", *dispatcher_command()]
    with on_lo(STABLE), running_cluster(tmp_path_factory.mktemp("mac"), command) as cluster:
        cluster.coordinator()
        cluster.agent("mac")
        cluster.client.wait_for_exits(1)
        yield cluster


LOOK = """
import asyncio, selectors
from dispatcher.agent.addresses.sources import choose_source
source = asyncio.run(asyncio.to_thread(choose_source, (), None))
print(selectors.DefaultSelector.__name__, type(source).__name__)
"""


def test_what_is_tried_here_is_no_linux_as_far_as_the_program_knows() -> None:
    environment = {**os.environ, "PYTHONPATH": str(as_macos.FOLDER)}
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True)
    assert ("KqueueSelector InterfaceSource\n", "") == (done.stdout, done.stderr)


def test_executions_leave_from_the_addresses_that_a_macs_agent_finds(mac: Cluster, target: Echo) -> None:
    mac.client.configure(target.url())
    with on_lo(OTHER):
        assert mac.client.wait_for_exits(2) < UP_TO_POLL
        records = [mac.client.execute().record for _ in range(20)]
    assert [STABLE, OTHER] == sorted({record["source_ip"] for record in records})
    assert [record["source_ip"] for record in records] == [request.peer for request in target.requests]
    assert 2 == target.connections, "connections are kept there too"
    assert mac.client.wait_for_exits(1) < UP_TO_POLL


def test_a_macs_flags_count(mac: Cluster) -> None:
    with on_lo(OTHER, options=("preferred_lft", "0")):
        eventually(lambda: mac.client.pool().get(OTHER, {}).get("state") == "deprecated", "a deprecated exit")
    eventually(lambda: OTHER not in mac.client.pool(), "its end")


def test_when_an_address_leaves_a_mac_what_hangs_fails_and_the_agent_stays_connected(mac: Cluster) -> None:
    with serving(Hanging(TARGET)) as hanging:
        mac.client.configure(hanging.url(), timeout=30)
        with on_lo(OTHER):
            mac.client.wait_for_exits(2)
            begun = [mac.client.begin() for _ in range(2)]
            eventually(lambda: hanging.open_connections == 2, "a connection from each")
        gone = time.monotonic()
        eventually(lambda: any(each.done() for each in begun), "the failure of the one whose address left")
        assert time.monotonic() - gone < UP_TO_POLL
        (failed,) = [each.result() for each in begun if each.done()]
        assert (502, OTHER) == (failed.status, failed.record["source_ip"])
        assert "source_address" == failed.record["error"]["kind"]
    assert 1 == len([line for line in mac.processes[-1].lines if "connected to" in line])
