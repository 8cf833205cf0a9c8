"""What the monitor costs, at rest and under load, and how soon it draws a change. Run by hand: prints a table.

    python -m tests.bench.bench_monitor [CHANGES A SECOND ...]        (default: 0 100 500 1000)

A coordinator process; a process with an agent that answers at once (over the real wire, with 1,000 addresses) and the
clients that make the load; and the real monitor in a pseudo-terminal of 120x35 that is read here. CPU is that of the
monitor's process, of one core; the coordinator's beside it. Delay is from an execution's answer at the client to its
first mark on the terminal, for `SAMPLES` executions, each of a URL of its own, which a filter picks out of the others.
The promise is 250 ms.
"""

# ruff: noqa: T201  (what it prints is its result)

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support import netns
from tests.support.processes import Process, dispatcher_command
from tests.support.scripted_agent import post_json, scripted_agent

EXITS = 1000
SECONDS = 8.0
SAMPLES = 20
SIZE = (35, 120)
MARK = "m-"
_TICKS = os.sysconf("SC_CLK_TCK")


class Watched:
    """The monitor in a pseudo-terminal: what it draws, and what it costs."""

    def __init__(self, url: str) -> None:
        """Start it."""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = [*dispatcher_command(), "monitor", "--coordinator-url", url]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environment, start_new_session=True
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.drawn = b""
        self.writes = 0
        self.arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing to read yet, or the monitor has ended
            content = os.read(self.master, 1 << 20)
            self.writes += 1
            self.drawn = (self.drawn + content)[-200_000:]
            self.arrived.set()

    async def until(self, text: bytes) -> None:
        """Wait until a text was drawn."""
        async with asyncio.timeout(20):
            while text not in self.drawn:
                self.arrived.clear()
                await self.arrived.wait()

    async def only(self, text: str) -> None:
        """Show nothing but what has a text, so that it is in sight however much else comes."""
        os.write(self.master, f"/{text}\r".encode())
        await self.until(f"/{text}".encode())

    async def end(self) -> None:
        """End it as its user does."""
        os.write(self.master, b"q")
        await asyncio.to_thread(self.process.wait, 10)
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def load(url: str, rate: float, until: float) -> int:
    """Execute so many times a second until then; return how many ended."""
    if not rate:
        await asyncio.sleep(until - time.monotonic())
        return 0
    done = 0

    async def worker(share: float) -> None:
        nonlocal done
        pause = 1.0 / share
        due = time.monotonic()
        while time.monotonic() < until:
            await post_json(f"{url}/api/execute", {"url": "http://x.test/"})
            done += 1
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    workers = max(1, int(rate / 20))
    await asyncio.gather(*(worker(rate / workers) for _ in range(workers)))
    return done


async def serve_load(url: str) -> None:
    """Be the agent and the clients: for each line `rate seconds` on stdin make that load, and write how many ended."""
    addresses = [f"2001:db8:1::{number:x}" for number in range(1, EXITS + 1)]
    async with scripted_agent(url, addresses):
        while line := await asyncio.to_thread(sys.stdin.readline):
            rate, seconds = map(float, line.split())
            print(await load(url, rate, time.monotonic() + seconds), flush=True)


class Load:
    """The process of `serve_load`."""

    def __init__(self, url: str) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bench_monitor", "load", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def make(self, rate: float, seconds: float) -> int:
        """Execute so many times a second for so long; return how many ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{rate} {seconds}\n")
        self._process.stdin.flush()
        return int(await asyncio.to_thread(self._process.stdout.readline))

    def end(self) -> None:
        """End it."""
        self._process.communicate(timeout=20)


@contextlib.contextmanager
def pool_of(folder: str) -> Iterator[tuple[str, int, Load]]:
    """Run a coordinator and the load's process; yield the coordinator's URL and process id, and the load."""
    arguments = ["coordinator", "--port", "0", "--state-dir", folder]
    coordinator = Process("coordinator", [*dispatcher_command(), *arguments])
    try:
        url = coordinator.wait_for_line("coordinator ready on ").rpartition(" ")[2]
        making = Load(url)
        try:
            yield url, coordinator.pid, making
        finally:
            making.end()
    finally:
        coordinator.end()


async def measure(url: str, coordinator: int, making: Load, rate: float) -> str:
    """Measure one rate; return a row of the table."""
    watched = Watched(url)
    await watched.until(f"{EXITS}/{EXITS}".encode())
    await watched.only(MARK)
    before, writes = (cpu_seconds(watched.process.pid), cpu_seconds(coordinator)), watched.writes
    begun = time.monotonic()
    loading = asyncio.create_task(making.make(rate, SECONDS))
    delays = sorted([await delay(url, watched, number) for number in range(SAMPLES)])
    done = await loading
    took = time.monotonic() - begun
    used = cpu_seconds(watched.process.pid) - before[0], cpu_seconds(coordinator) - before[1]
    frames = (watched.writes - writes) / took
    await watched.end()
    told = f"{delays[len(delays) // 2] * 1000:6.0f} {delays[-1] * 1000:6.0f}"
    return f"{done / took:9.0f} {used[0] / took:9.1%} {used[1] / took:12.1%} {frames:9.1f} {told}"


async def delay(url: str, watched: Watched, number: int) -> float:
    """Execute once and return how long until its mark is on the terminal. Each falls elsewhere between two frames."""
    mark = f"{MARK}{number}.{time.monotonic_ns() % 1000}"
    await post_json(f"{url}/api/execute", {"url": f"http://{mark}/"})
    begun = time.monotonic()
    await watched.until(mark.encode())
    took = time.monotonic() - begun
    await asyncio.sleep(0.2 + 0.037 * (number % 5))
    return took


async def main(rates: list[float]) -> None:
    """Print the table."""
    print(f"{'per s':>9} {'monitor':>9} {'coordinator':>12} {'reads/s':>9} {'delay ms, median max'}")
    with tempfile.TemporaryDirectory() as folder, pool_of(folder) as (url, coordinator, making):
        for rate in rates:
            print(await measure(url, coordinator, making, rate))


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        asyncio.run(serve_load(sys.argv[2]))
    else:
        netns.enter_private_network()
        asyncio.run(main([float(word) for word in sys.argv[1:]] or [0.0, 100.0, 500.0, 1000.0]))
