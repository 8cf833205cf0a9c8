"""Real processes for tests: each is waited for by what it says, ended by its id, and must not say anything alarming.

Every line on stderr is kept. What is neither the line that says that a process is ready nor an INFO or DEBUG record
must have been expected by the test; stalls of the event loop are judged by `stalls.py`.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING

from tests.support import netns, one_file, stalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READY_SECONDS = 30.0
"""How long a process may take to say something that a test waits for."""

PACE_SECONDS = 0.02

_QUIET = re.compile(r"^coordinator ready on |^agent \S+ connected to |^\S+ \S+ (INFO|DEBUG) ")
_STALL = re.compile(r"the event loop was held for \d+ ms \((\d+) ms of work\)")


def dispatcher_command(python_options: Sequence[str] = ("-W", "error")) -> list[str]:
    """The program: the one file that the environment names, or the checkout."""
    file = one_file.path()
    return [sys.executable, *python_options, *(["-m", "dispatcher"] if file is None else [file])]


def eventually(condition: Callable[[], bool], what: str, *, seconds: float = READY_SECONDS) -> float:
    """Wait until a state that cannot be waited for by an event holds; return the seconds that it took."""
    begun = time.monotonic()
    pace = threading.Event()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds:g} s: {what}"
        pace.wait(PACE_SECONDS)
    return time.monotonic() - begun


class Process:
    """A process under test, in our own network or another machine's.

    `lines` is what it has said on stderr, `out` on stdout. Its event loop may work for `stall_limit` seconds at once.
    """

    stall_limit = stalls.LIMIT_SECONDS

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        machine: netns.Machine | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.lines: list[str] = []
        self.out: list[str] = []
        self._expected: list[str] = []
        self._said = threading.Condition()
        self._popen: subprocess.Popen[str] = subprocess.Popen(
            machine.argv(argv) if machine is not None else list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(environment or {}),
        )
        assert self._popen.stderr is not None
        assert self._popen.stdout is not None
        streams = ((self._popen.stderr, self.lines), (self._popen.stdout, self.out))
        self._readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in streams]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def wait_for_line(self, text: str, *, times: int = 1, seconds: float = READY_SECONDS) -> str:
        """Wait until `text` stands on a line of stderr or stdout for the `times`th time; return that line."""
        deadline = time.monotonic() + seconds
        with self._said:
            while len(found := [line for line in (*self.lines, *self.out) if text in line]) < times:
                left = deadline - time.monotonic()
                ended = not any(reader.is_alive() for reader in self._readers)
                assert left > 0, f"{self.name} did not say {text!r}:\n{self.everything()}"
                assert not ended, f"{self.name} ended without saying {text!r}:\n{self.everything()}"
                self._said.wait(min(left, 0.2))
            return found[times - 1]

    def expect(self, *texts: str) -> None:
        """Lines that hold one of these texts are no alarm."""
        self._expected += texts

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def wait(self, seconds: float = READY_SECONDS) -> int:
        """Wait for its end and return the exit status, negative for a signal."""
        status = self._popen.wait(seconds)
        for reader in self._readers:
            reader.join(READY_SECONDS)
        return status

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._popen.kill()
        self.wait()

    def end(self, seconds: float = READY_SECONDS) -> int:
        """End it as a service manager would, and return the exit status."""
        if self.is_running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def alarms(self) -> list[str]:
        """The lines that nobody expected, without those of stalls."""
        return [line for line in list(self.lines) if self._is_alarming(line)]

    def stalls(self) -> list[float]:
        """How long its event loop worked in each stall, in seconds; one with little work is the machine's."""
        found = [_STALL.search(line) for line in list(self.lines)]
        return [int(stall[1]) / 1000 for stall in found if stall is not None]

    def everything(self) -> str:
        """All that it said, for a failure's message."""
        return "\n".join(f"[{self.name}] {line}" for line in (*self.lines, *self.out))

    def _is_alarming(self, line: str) -> bool:
        quiet = _QUIET.match(line) or _STALL.search(line)
        return not quiet and not any(text in line for text in self._expected)

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._said:
                    lines.append(line.rstrip("\n"))
                    self._said.notify_all()
        with self._said:
            self._said.notify_all()


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without settings of this program, and without the proxies and the state of this machine's user."""
    unwanted = ("DISPATCHER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in one_file.VARIABLES or not name.upper().startswith(unwanted)
    }
    return kept | {"XDG_STATE_HOME": _state_home()} | dict(extra)


@functools.cache
def _state_home() -> str:
    """Make a folder for the state of whoever is not given one; it goes with this process."""
    folder = tempfile.mkdtemp(prefix="dispatcher-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
