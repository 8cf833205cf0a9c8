"""The monitor's process on a pseudo-terminal that a test on an event loop reads: what it draws, and when."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import AsyncIterator

from tests.support.processes import dispatcher_command

WAIT = 20.0
KEPT_BYTES = 200_000


class Drawn:
    """What a monitor has written. `content` is the newest of it."""

    def __init__(self, master: int) -> None:
        self.content = b""
        self._master = master
        self._arrived = asyncio.Event()
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing to read yet, or the monitor has ended
            self.content = (self.content + os.read(self._master, 1 << 20))[-KEPT_BYTES:]
            self._arrived.set()

    def press(self, keys: bytes) -> None:
        """Send keys."""
        os.write(self._master, keys)

    async def until(self, text: str) -> None:
        """Wait until a text was drawn."""
        async with asyncio.timeout(WAIT):
            while text.encode() not in self.content:
                self._arrived.clear()
                await self._arrived.wait()


def _started(url: str, columns: int, rows: int) -> tuple[int, subprocess.Popen[bytes]]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*dispatcher_command(), "monitor", "--coordinator-url", url],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
    os.close(slave)
    return master, process


@contextlib.asynccontextmanager
async def monitor_drawing(url: str, columns: int = 120, rows: int = 35) -> AsyncIterator[Drawn]:
    """Run the monitor of a coordinator for the length of a block, and end it as its user does."""
    master, process = _started(url, columns, rows)
    drawn = Drawn(master)
    try:
        yield drawn
        drawn.press(b"q")
        _, said = await asyncio.to_thread(process.communicate, timeout=WAIT)
        assert (0, b"") == (process.returncode, said)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
