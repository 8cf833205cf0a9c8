"""systemd reads the units without a complaint, and hears from the processes that they would run."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.artifact.conftest import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.artifact.conftest import Gateway

URL = "http://[2001:db8::1]:8000"
COMMANDS = {
    "agent": ["agent", "--coordinator-url", URL, "--agent-id", "gateway-1"],
    "coordinator": ["coordinator", "--host", "::", "--port", "443"],
}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
@pytest.mark.parametrize("role", COMMANDS)
def test_systemd_takes_the_unit_and_finds_it_well_protected(
    gateway: Gateway, pyz: Path, tmp_path: Path, role: str
) -> None:
    done = gateway.run(pyz, "systemd", *COMMANDS[role])
    assert (0, "") == (done.returncode, done.stderr)
    unit = tmp_path / f"dispatcher-{role}.service"
    unit.write_text(done.stdout)
    verified = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    assert (0, "", "") == (verified.returncode, verified.stdout, verified.stderr)
    # systemd's own measure, from 0.0 (nothing is exposed) to 10.0; 2.0 is what it calls OK. In tenths here.
    rate = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit]
    rated = subprocess.run(rate, check=False, capture_output=True, text=True)
    assert 0 == rated.returncode, rated.stdout


@pytest.fixture
def heard(gateway: Gateway, tmp_path: Path) -> Iterator[socket.socket]:
    """Listen as systemd does, with a watchdog."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(TIMEOUT)
        gateway.env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        yield listening


def until(heard: socket.socket, text: str) -> list[str]:
    """Listen until `text` is told; return all that was, without the watchdog's food."""
    told: list[str] = []
    while not told or text not in told[-1]:
        told.append(heard.recv(4096).decode())
    return [line for message in told for line in message.splitlines() if line != "WATCHDOG=1"]


def test_a_coordinator_tells_systemd_how_it_is(gateway: Gateway, pyz: Path, heard: socket.socket) -> None:
    with gateway.start(pyz, "coordinator", "--port", "0") as process:
        try:
            told = until(heard, "READY=1")
            assert "READY=1" == told[0]
            assert told[1].startswith("STATUS=ready on http://127.0.0.1:")
            until(heard, "WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            assert ["STOPPING=1", "STATUS=draining"] == until(heard, "STOPPING=1")
            assert 0 == process.wait(TIMEOUT)
        finally:
            process.kill()


def test_an_agent_is_ready_before_its_coordinator_and_tells_when_it_is_connected(
    gateway: Gateway, pyz: Path, heard: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    agent = ["agent", "--coordinator-url", url, "--agent-id", "a", "--address", "::1", "--reconnect-max", "0.1"]
    with gateway.start(pyz, *agent) as process:
        try:
            assert ["READY=1", f"STATUS=connecting to {url}"] == until(heard, "READY=1")[:2]
            assert f"STATUS=connecting to {url} again" == until(heard, "again")[-1]
            port = url.rpartition(":")[2]
            environment = gateway.env.copy()
            gateway.env.clear()
            with gateway.start(pyz, "coordinator", "--port", port) as coordinator:
                try:
                    assert f"STATUS=connected to {url} as a" == until(heard, "connected")[-1]
                finally:
                    coordinator.kill()
            gateway.env |= environment
            process.send_signal(signal.SIGTERM)
            until(heard, "STOPPING=1")
            assert 0 == process.wait(TIMEOUT)
        finally:
            process.kill()
