"""A program for `test_history.py`: one HistoryLog on a disk of 2 MiB that fills up, empties, and cannot be written.

It mounts the disk itself, so it runs in a mount namespace of its own (`unshare`). It prints one line for each step.
"""

# ruff: noqa: T201  (what it prints is its result)

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import AppendRecords, CheckStore, ReadTotals
from tests.unit.actors.stored import WAIT, answer, row, running


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=WAIT)


def outcome(log: pykka.ActorRef[Any], number: int) -> str:
    try:
        answer(log, AppendRecords((row(number, record=b"x" * 200_000),)))
    except StoreError as error:
        return str(error).replace(str(Path(sys.argv[1])), "DISK")
    return "written"


def main(disk: Path) -> None:
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk))
    with running(HistoryLog, disk, max_records=100) as log:
        print("fresh:", outcome(log, 1))
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                print("filled")
        print("full:", outcome(log, 2))
        filler.unlink()
        print("emptied:", outcome(log, 2))
        print("check:", answer(log, CheckStore()))
        print("counted:", answer(log, ReadTotals()).by_outcome["completed"])
    mount("-o", "remount,ro", str(disk))
    try:
        HistoryLog.start(disk, max_records=100)
    except StoreError as error:
        print("read-only:", str(error).replace(str(disk), "DISK"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
