"""Rotation as the target sees it: every address in its turn, from real processes on real addresses."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns, nginx
from tests.support.cluster import Cluster
from tests.support.processes import Process, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.targets import Echo

THIRTY_TWO = SOURCES[:32]

_SITE = """
daemon off; master_process off; error_log stderr notice; pid {directory}/pid;
events {{ worker_connections 1024; }}
http {{
  log_format seen '$remote_addr';
  access_log {directory}/access.log seen;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen [{address}]:8081; location / {{ return 200 "$remote_addr"; }} }}
}}
"""


class Nginx:
    """nginx on port 8081 of `TARGET`; `seen` are the addresses in its access log, in order."""

    url = f"http://[{TARGET}]:8081/"

    def __init__(self, directory: Path) -> None:
        assert nginx.BINARY is not None, "nginx is not installed"
        self._log = directory / "access.log"
        (directory / "nginx.conf").write_text(_SITE.format(directory=directory, address=TARGET))
        self.process = Process("nginx", [nginx.BINARY, "-p", str(directory), "-c", str(directory / "nginx.conf")])
        self.process.wait_for_line("event method")

    def seen(self, count: int) -> list[str]:
        """The first `count` entries; nginx writes each a moment after its answer."""
        eventually(lambda: self._log.read_text().count("\n") >= count, f"{count} lines in nginx's log")
        return self._log.read_text().split()


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[Nginx]:
    directory = tmp_path / "nginx"
    directory.mkdir()
    made = Nginx(directory)
    yield made
    made.process.end()


@pytest.fixture
def two_agents(cluster: Cluster) -> Cluster:
    """A coordinator and two agents of 16 addresses each."""
    cluster.coordinator()
    cluster.agent("agent-01", THIRTY_TWO[:16])
    cluster.agent("agent-02", THIRTY_TWO[16:])
    cluster.client.wait_for_exits(32)
    return cluster


def test_64_executions_one_by_one_hit_each_of_32_addresses_twice_in_the_same_order(
    two_agents: Cluster, web_server: Nginx
) -> None:
    client = two_agents.client
    client.configure(web_server.url)
    records = [client.execute().record for _ in range(64)]
    seen = web_server.seen(64)
    assert dict.fromkeys(THIRTY_TWO, 2) == Counter(seen)
    assert seen[:32] == seen[32:]
    assert seen == [record["source_ip"] for record in records]
    assert seen == [record["response"]["body"]["data"] for record in records]
    assert [16, 16] == [client.agents()[agent_id]["completed"] // 2 for agent_id in ("agent-01", "agent-02")]


def test_64_executions_32_at_a_time_hit_each_of_32_addresses_twice(two_agents: Cluster, web_server: Nginx) -> None:
    client = two_agents.client
    client.configure(web_server.url)
    for _ in range(2):
        answers = [begun.result() for begun in [client.begin() for _ in range(32)]]
        assert set(THIRTY_TWO) == {answer.record["source_ip"] for answer in answers}
        assert all(answer.record["source_ip"] == answer.record["response"]["body"]["data"] for answer in answers)
    assert dict.fromkeys(THIRTY_TWO, 2) == Counter(web_server.seen(64))


def test_next_in_the_pool_status_is_the_exit_that_the_next_execution_takes(two_agents: Cluster, target: Echo) -> None:
    client = two_agents.client
    client.configure(target.url())
    for _ in range(33):
        promised = client.get("/api/pool/status")["next"]
        record = client.execute().record
        assert promised == {"agent_id": record["agent_id"], "address": record["source_ip"]}


def test_the_order_of_the_pool_status_is_the_order_of_the_next_leases(two_agents: Cluster, target: Echo) -> None:
    client = two_agents.client
    client.configure(target.url())
    client.execute()
    promised = [known["address"] for known in client.get("/api/pool/status")["exits"]]
    assert promised == [client.execute().record["source_ip"] for _ in range(32)]


def test_a_new_exit_and_one_that_comes_back_go_to_the_back(two_agents: Cluster, target: Echo) -> None:
    client = two_agents.client
    client.configure(target.url())
    client.execute()
    before = [known["address"] for known in client.get("/api/pool/status")["exits"]]
    gone = before[3]
    netns.remove_address("lo", gone)
    try:
        client.wait_for_exits(31)
        two_agents.agent("agent-03", SOURCES[40:41])
        client.wait_for_exits(32)
    finally:
        netns.add_addresses("lo", [gone])
    client.wait_for_exits(33)
    expected = [*(address for address in before if address != gone), SOURCES[40], gone]
    assert expected == [known["address"] for known in client.get("/api/pool/status")["exits"]]
    assert expected == [client.execute().record["source_ip"] for _ in range(33)]
