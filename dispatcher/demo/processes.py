"""The demo's processes: this program started again as coordinator and agents, and ended whatever happens."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING

from dispatcher.bootstrap import self_command
from dispatcher.errors import DispatcherError
from dispatcher.option import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from types import TracebackType

READY_SECONDS = 30.0
"""How long a process may take until it says that it is ready; the first start unpacks its packages."""

_STOP_SECONDS = 10.0
_KEPT_VARIABLES = ("DISPATCHER_CACHE",)


def _environment() -> dict[str, str]:
    """The user's environment without settings that are meant for another coordinator or agent."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _KEPT_VARIABLES
    }


class Processes:
    """Processes that end with the block they were started in, the last one first."""

    def __init__(self) -> None:
        """Start none yet."""
        self._started: list[tuple[subprocess.Popen[str], threading.Thread, list[str]]] = []

    def __enter__(self) -> Processes:
        """Begin the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes."""
        for process, reader, _ in reversed(self._started):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join(_STOP_SECONDS)

    def start(self, arguments: list[str], ready: str) -> str:
        """Start this program with `arguments` and return what follows `ready` on the line that says so.

        Raises:
            DispatcherError: it ended, or did not become ready in time; with what it said.
        """
        process = subprocess.Popen(  # noqa: S603 (this program itself)
            [*self_command(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        assert process.stderr is not None
        lines: list[str] = []
        arrived = threading.Condition()
        reader = threading.Thread(target=_read, args=(process.stderr, lines, arrived), daemon=True)
        reader.start()
        self._started.append((process, reader, lines))
        return _await_line(lines, arrived, ready, reader)


def _read(stream: IO[str], lines: list[str], arrived: threading.Condition) -> None:
    with stream:
        for line in stream:
            with arrived:
                lines.append(line.rstrip("\n"))
                arrived.notify_all()
    with arrived:
        arrived.notify_all()


def _await_line(lines: list[str], arrived: threading.Condition, ready: str, reader: threading.Thread) -> str:
    deadline = time.monotonic() + READY_SECONDS
    with arrived:
        while True:
            for line in lines:
                if ready in line:
                    return line.partition(ready)[2].strip()
            left = deadline - time.monotonic()
            if left <= 0 or not reader.is_alive():
                said = "\n".join(lines) or "it said nothing"
                raise DispatcherError(f"a process of the demo did not become ready:\n{said}")
            arrived.wait(min(left, 0.5))
