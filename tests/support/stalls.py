"""How long an event loop worked without a pause, judged by promise 7: whatever comes back each time is ours.

Processor time is measured, but on a virtual machine it holds what the host took away meanwhile: four times the work of
a turn was seen. So a hold that is too long is not judged by itself. Its test file is run again when all tests are done
(`tests/conftest.py`), and fails if one is too long in each of the runs; a real stall is there every time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT_SECONDS = 0.05
"""Promise 7: how long the event loop may work without a pause."""

RUNS = 3
"""How often a file is run in all before its stall counts as ours."""

_FATAL = "TESTS_STALL_FAILS"
_RUN_SECONDS = 240.0

_noticed: dict[str, list[str]] = {}


class StalledError(AssertionError):
    """The event loop was held for too long."""


@contextlib.contextmanager
def collecting_only_what_is_new() -> Iterator[None]:
    """For a loop of pytest's own process: keep the garbage collector from what pytest has loaded, as a command does.

    A full collection over all tests takes 150 to 350 ms, and comes in whichever test it comes.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def judge(held: Iterable[float], whose: str, limit: float = LIMIT_SECONDS) -> None:
    """Take in how long the loop of `whose` was held, in seconds; `limit` or more is kept for a second run of the file.

    Raises:
        StalledError: it was too long, and this is such a run.
    """
    worst = max(held, default=0.0)
    if worst < limit:
        return
    said = f"the event loop of {whose} was held for {worst * 1000:.0f} ms of work"
    if os.environ.get(_FATAL):
        raise StalledError(said)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if not test:
        sys.stderr.write(f"{said}\n")  # a bench: it has no file to be run again
        return
    _noticed.setdefault(test.partition("::")[0], []).append(f"{test}: {said}")


def noticed() -> dict[str, list[str]]:
    """Take out what was noticed: lines for each test file."""
    taken = dict(_noticed)
    _noticed.clear()
    return taken


def comes_back(file: str, root: str) -> str | None:
    """Run a test file again, up to `RUNS` times in all; None when one run is good, else what the last one printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", file]
    printed = ""
    for _ in range(RUNS - 1):
        run = subprocess.run(
            command,
            cwd=root,
            env=os.environ | {_FATAL: "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        if run.returncode == 0:
            return None
        printed = run.stdout
    return printed
