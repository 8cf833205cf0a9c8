"""The printed units under a systemd that runs, in a system that `build.py test --matrix` makes."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

import build
from tests.support.booted import Booted, booted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = build.BUILD / "roots" / "trixie"
FILE = "usr/local/bin/dispatcher.pyz"
COORDINATOR, AGENT = "dispatcher-coordinator.service", "dispatcher-agent.service"
URL = "http://127.0.0.1:8000"
COMMANDS = {
    COORDINATOR: ["coordinator"],
    AGENT: ["agent", "--coordinator-url", URL, "--agent-id", "a1", "--address", "::1", "--allow-target", "::1"],
}

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="needs the systems that build.py test --matrix makes")


@pytest.fixture(scope="module")
def system(release: Path) -> Iterator[Booted]:
    """A system with both units as the file prints them, and both started."""
    shutil.copy(release, ROOT / FILE)
    for unit, command in COMMANDS.items():
        enter = ["chroot", str(ROOT), "/usr/bin/python3", f"/{FILE}", "systemd", *command]
        printed = subprocess.run(enter, check=True, capture_output=True, text=True).stdout
        (ROOT / "etc/systemd/system" / unit).write_text(printed)
    with booted(ROOT) as made:
        made.run("systemctl", "start", COORDINATOR, AGENT)
        yield made


def test_they_start_and_say_what_they_do(system: Booted) -> None:
    assert f"ready on {URL}" == system.property(COORDINATOR, "StatusText")
    system.until(AGENT, "StatusText", f"connected to {URL} as a1")
    for unit in COMMANDS:
        number = system.property(unit, "MainPID")
        (uid,) = {
            line.split()[1] for line in system.run("cat", f"/proc/{number}/status").splitlines() if "Uid:" in line
        }
        assert int(uid) >= 61184  # a dynamic user: nobody else's
        assert "no" == system.property(unit, "NeedDaemonReload")


def test_an_execution_leaves_through_the_agent(system: Booted) -> None:
    with system.start("python3", "-u", "-m", "http.server", "--bind", "::1", "8080") as target:
        try:
            assert target.stdout is not None
            assert "8080" in target.stdout.readline()
            system.run("python3", "-c", _POST, f"{URL}/api/config/request", '{"url": "http://[::1]:8080/"}')
            asked = json.loads(system.run("python3", "-c", _POST, f"{URL}/api/execute", "{}"))
            assert ("completed", "::1", 200) == (asked["outcome"], asked["source_ip"], asked["response"]["status"])
        finally:
            target.terminate()


def test_a_killed_coordinator_is_started_again_and_its_agent_comes_back(system: Booted) -> None:
    before = system.property(COORDINATOR, "MainPID")
    system.run("systemctl", "kill", "--signal", "KILL", COORDINATOR)
    system.until(COORDINATOR, "NRestarts", "1")
    system.until(COORDINATOR, "StatusText", f"ready on {URL}")
    assert before != system.property(COORDINATOR, "MainPID")
    system.until(AGENT, "StatusText", f"connected to {URL} as a1")
    assert "0" == system.property(AGENT, "NRestarts")


def test_an_agent_whose_loop_hangs_is_started_again(system: Booted) -> None:
    system.run("systemctl", "kill", "--signal", "STOP", AGENT)
    system.until(AGENT, "NRestarts", "1", seconds=90)
    system.until(AGENT, "StatusText", f"connected to {URL} as a1")


def test_an_agent_that_is_removed_is_not_started_again(system: Booted) -> None:
    system.run("python3", "-c", _DELETE)
    system.until(AGENT, "ActiveState", "failed")
    assert ("exit-code", "4") == (system.property(AGENT, "Result"), system.property(AGENT, "ExecMainStatus"))
    assert "1" == system.property(AGENT, "NRestarts")


def test_both_end_well_when_they_are_stopped(system: Booted) -> None:
    system.run("systemctl", "start", AGENT)
    system.run("systemctl", "stop", AGENT, COORDINATOR)
    for unit in COMMANDS:
        states = tuple(system.property(unit, name) for name in ("ActiveState", "Result", "ExecMainStatus"))
        assert ("inactive", "success", "0") == states


_DELETE = f"""
from urllib.request import Request, urlopen
urlopen(Request("{URL}/api/agents/a1", method="DELETE"))
"""

_POST = """
import sys
from urllib.request import Request, urlopen
url, content = sys.argv[1:]
print(urlopen(Request(url, data=content.encode(), headers={"Content-Type": "application/json"})).read().decode())
"""
