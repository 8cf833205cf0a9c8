"""What the tests of what is staged share: what is where in the file, and a trace that tells when something begins."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pykka

from dispatcher.actors.database import database_path
from dispatcher.actors.messages import AppendRecords, ReadHistory
from tests.unit.actors.stored import answer, row


def ids(state_dir: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(database_path(state_dir, "history"))) as other:
        return [one for (one,) in other.execute(f"SELECT id FROM {table} ORDER BY seq")]


def ids_of(*numbers: int) -> list[str]:
    return [row(number).id for number in numbers]


def append_together(log: pykka.ActorRef[Any], *numbers: int) -> None:
    assert frozenset() == answer(log, AppendRecords(tuple(row(number) for number in numbers)))


def newest(reader: pykka.ActorRef[Any], limit: int = 100) -> Sequence[bytes]:
    found: Sequence[bytes] = answer(reader, ReadHistory(limit)).records
    return found


class Seen(list[str]):
    """A trace of SQL statements that says when one was begun."""

    def __init__(self, statement: str) -> None:
        super().__init__()
        self.is_seen = threading.Event()
        self._statement = statement

    def append(self, statement: str) -> None:
        if statement.startswith(self._statement):
            self.is_seen.set()
