"""Tells systemd what a process does: ready, stopping, a line of status, and that its event loop still turns.

Speaks the datagram protocol of sd_notify(3) itself; without systemd (no NOTIFY_SOCKET) it does nothing. The watchdog is
fed by the event loop, so a process whose loop hangs is restarted although it lives.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Send these assignments, such as `READY=1`. A systemd that does not listen is none of our worries."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.sendto("\n".join(lines).encode(), address.replace("@", "\0", 1))


def ready(status: str) -> None:
    """Say that the start is over."""
    notify("READY=1", f"STATUS={status}")


def stopping(status: str) -> None:
    """Say that the end has begun; systemd then waits as long as the unit's TimeoutStopSec."""
    notify("STOPPING=1", f"STATUS={status}")


def tell(status: str) -> None:
    """Show this line in `systemctl status`."""
    notify(f"STATUS={status}")


async def feed_watchdog() -> None:
    """Feed the watchdog twice in its time until cancelled; returns at once where the unit has none."""
    seconds = watchdog_seconds()
    while seconds:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds / 2)


def watchdog_seconds() -> float:
    """Return the unit's WatchdogSec, 0.0 where it has none or it is meant for another process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    digits = os.environ.get("WATCHDOG_USEC", "")
    return int(digits) / 1e6 if digits.isascii() and digits.isdigit() else 0.0
