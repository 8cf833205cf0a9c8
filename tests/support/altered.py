"""The program with some of its constants changed, or with a wall clock of its own: for faults that take long, or time.

``python -m tests.support.altered dispatcher.agent.link:PING_SECONDS=1 clock=FILE -- agent --coordinator-url ...``
changes the constant, and has the wall clock (`time.time`, `time.time_ns`) go wrong by as many seconds as FILE says at
that moment; the monotonic clock stays as it is, as it does when an administrator or NTP sets the time. ``code=…`` runs
Python that changes something else. It is the one file's program where `one_file` has one.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path


def _set_clock(file: Path) -> None:
    right, right_ns = time.time, time.time_ns

    def offset() -> float:
        return float(file.read_text() or 0)

    time.time = lambda: right() + offset()
    time.time_ns = lambda: right_ns() + round(offset() * 1e9)


def _set_constant(name: str, value: str) -> None:
    module, _, constant = name.partition(":")
    loaded = importlib.import_module(module)
    setattr(loaded, constant, type(getattr(loaded, constant))(float(value)))


def main(arguments: list[str]) -> int:
    """Change what stands before ``--``, then run the program with what stands behind it."""
    place = arguments.index("--")
    changes = [change.partition("=") for change in arguments[:place]]
    # The clock first: modules may take it as a default when they are loaded.
    for name, _, value in sorted(changes, key=lambda change: change[0] != "clock"):
        if name == "clock":
            _set_clock(Path(value))
        elif name == "code":
            exec(value, {})
        else:
            _set_constant(name, value)
    from dispatcher.cli import main as run  # noqa: PLC0415 (see above)

    return run(arguments[place + 1 :])


def command(*changes: str) -> list[str]:
    """The command of a `Cluster` whose processes are changed so."""
    return [sys.executable, "-W", "error", "-m", "tests.support.altered", *changes, "--"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
