"""The main job out of the one file, as it runs on a gateway: configured once, executed from every address in turn."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import build
from tests.integration.conftest import SOURCES
from tests.support.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.targets import Echo


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Processes that run the built file with a bare Python, in a home of their own, far from the checkout."""
    file = Path(os.environ.get("DISPATCHER_PYZ", Path(build.__file__).parent / "dist" / "dispatcher.pyz")).resolve()
    assert file.is_file(), f"{file} is missing: python3 build.py build"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    bare = os.path.realpath(sys.executable)
    with running_cluster(tmp_path, [bare, "-I", "-W", "error", str(file)]) as made:
        yield made


def test_the_main_job_runs_out_of_the_one_file(installed: Cluster, target: Echo) -> None:
    coordinator = installed.coordinator()
    installed.agent("agent-01", SOURCES[:16])
    installed.agent("agent-02", SOURCES[16:32])
    client = installed.client
    client.wait_for_exits(32)
    client.configure(target.url())
    records = [client.execute().record for _ in range(64)]
    assert dict.fromkeys(SOURCES[:32], 2) == Counter(request.peer for request in target.requests)
    assert [request.peer for request in target.requests] == [record["source_ip"] for record in records]
    assert records == client.history()
    assert 64 == client.get("/api/stats")["executions"]["completed"]
    coordinator.kill()
    for agent in installed.processes[1:]:
        agent.expect("WARNING")
    installed.coordinator(port=installed.port)
    installed.client.wait_for_exits(32, seconds=60)
    assert records == installed.client.history()
    assert 200 == installed.client.execute().status


def test_the_older_form_of_the_command_line_runs_the_same(installed: Cluster, target: Echo) -> None:
    place = ("--host", "127.0.0.1", "--port", "0", "--state-dir", str(installed.state_dir))
    coordinator = installed.start("coordinator", "--mode", "coordinator", *place)
    url = coordinator.wait_for_line("coordinator ready on ").rpartition(" ")[2]
    agent = ("--coordinator-url", url, "--agent-id", "agent-01", "--address", SOURCES[0])
    installed.start("agent-01", "--mode", "agent", *agent).wait_for_line("agent agent-01 connected to ")
