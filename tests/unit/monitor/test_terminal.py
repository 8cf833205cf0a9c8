"""`terminal.py`: keys of every kind reach a real monitor on a pseudo-terminal, and it ends when that goes away."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator

import pyte
import pytest

from tests.support.processes import dispatcher_command

URL = "http://127.0.0.1:1"
WAIT = 20.0


class Monitor:
    """The monitor on a pseudo-terminal of 80x24, read by a thread; nobody listens where its coordinator should be."""

    def __init__(self, **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [*dispatcher_command(), "monitor", "--coordinator-url", URL]
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
        )
        os.close(slave)
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._stopping.is_set():
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                content = os.read(self.master, 65536)
            except OSError:
                return
            with self._changed:
                self._stream.feed(content)
                self._changed.notify_all()

    def send(self, content: bytes) -> None:
        os.write(self.master, content)

    def wait_for(self, text: str) -> None:
        with self._changed:
            seen = self._changed.wait_for(lambda: text in "\n".join(self._screen.display), WAIT)
            assert seen, "\n".join(self._screen.display)

    def end(self) -> tuple[int, bytes]:
        """Wait for its end; return its exit status and what it said on stderr."""
        _, said = self.process.communicate(timeout=WAIT)
        return self.process.returncode, said

    def hang_up(self) -> None:
        """Close the terminal under the monitor."""
        self._stopping.set()
        self._reader.join(WAIT)
        os.close(self.master)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.hang_up()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    running = Monitor()
    try:
        running.wait_for("connection refused; trying again")
        yield running
    finally:
        running.close()


def test_q_ends_it_with_0_and_nothing_on_stderr(monitor: Monitor) -> None:
    monitor.send(b"q")
    assert (0, b"") == monitor.end()


def test_bytes_that_are_no_keys_do_not_end_it(monitor: Monitor) -> None:
    monitor.send(b"\xff\xfe\xc3\x28\x1b[999;999X\x1bO\x80\x00")
    monitor.send(b"\x1b\x1b\x1b")
    monitor.send(b"?")
    monitor.wait_for("Looking around")
    monitor.send(b"qq")
    assert (0, b"") == monitor.end()


def test_no_key_is_lost_though_many_come_at_once(monitor: Monitor) -> None:
    monitor.send(b"/" + "日本-x".encode() * 5 + b"\x7f" * 12)
    monitor.wait_for(" /日本-x日本-x   Enter keeps it")
    monitor.send(b"\x1b")
    monitor.wait_for("nothing was executed yet")


def test_a_paste_in_brackets_is_one_though_it_comes_in_parts(monitor: Monitor) -> None:
    monitor.send(b"/\x1b[20")
    monitor.send(b"0~quit")
    monitor.wait_for("Enter keeps it")
    monitor.send(b"\nq\x1b[201~")
    monitor.wait_for("/quit q")
    assert monitor.process.poll() is None


def test_a_character_and_a_key_that_come_in_parts_are_one(monitor: Monitor) -> None:
    for part in ("日".encode()[:1], "日".encode()[1:], b"\x1b[", b"B"):
        monitor.send(b"/" if part == b"\xe6" else b"")
        monitor.send(part)
    monitor.wait_for(" /日   Enter keeps it")


def test_a_new_size_is_drawn(monitor: Monitor) -> None:
    fcntl.ioctl(monitor.master, termios.TIOCSWINSZ, struct.pack("HHHH", 9, 30, 0, 0))
    os.killpg(monitor.process.pid, signal.SIGWINCH)
    monitor.wait_for("The window is too small: 30x9.")


def test_it_ends_when_its_terminal_is_closed() -> None:
    running = Monitor()
    running.wait_for("HTTP Dispatcher")
    running.hang_up()
    try:
        assert b"" == running.end()[1]
    finally:
        running.process.kill()


def test_it_draws_again_after_it_was_stopped_from_outside(monitor: Monitor) -> None:
    os.kill(monitor.process.pid, signal.SIGSTOP)
    monitor.send(b"?")
    os.kill(monitor.process.pid, signal.SIGCONT)
    monitor.wait_for("Looking around")
    monitor.send(b"qq")
    assert (0, b"") == monitor.end()
