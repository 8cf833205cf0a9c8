"""What systemd is told, as it hears it."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from dispatcher import sd_notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT = 20.0


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listen as systemd does, on a path and on an abstract name."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@dispatcher-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.settimeout(WAIT)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listening


def test_systemd_hears_of_start_status_and_end(heard: socket.socket) -> None:
    sd_notify.ready("ready on http://[::1]:80")
    sd_notify.tell("three agents")
    sd_notify.stopping("draining")
    expected = [b"READY=1\nSTATUS=ready on http://[::1]:80", b"STATUS=three agents", b"STOPPING=1\nSTATUS=draining"]
    assert expected == [heard.recv(4096) for _ in expected]


@pytest.mark.parametrize("address", ["", "relative", "/nobody/listens/here", "vsock:2:1"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    sd_notify.ready("ready")


def test_a_systemd_that_does_not_read_holds_up_nothing(heard: socket.socket) -> None:
    del heard
    for number in range(10_000):
        sd_notify.tell(f"{number} " + "x" * 1000)


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [("30000000", None, 30.0), ("500000", "own", 0.5), ("500000", "1", 0.0), ("", None, 0.0), ("soon", None, 0.0)],
)
def test_the_watchdog_has_the_time_that_the_unit_gives_this_process(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, expected: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert expected == sd_notify.watchdog_seconds()


def test_the_loop_feeds_the_watchdog_again_and_again(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")

    async def listen() -> None:
        feeding = asyncio.create_task(sd_notify.feed_watchdog())
        fed = [await asyncio.to_thread(heard.recv, 4096) for _ in range(3)]
        feeding.cancel()
        assert [b"WATCHDOG=1"] * 3 == fed

    asyncio.run(listen())


def test_without_a_watchdog_nothing_is_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    asyncio.run(asyncio.wait_for(sd_notify.feed_watchdog(), WAIT))
