"""A history that cannot be written for a while: the files are there and can be read, and every insert fails."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dispatcher.actors import history_tables
from dispatcher.actors.database import database_path

REASON = "no room is left for the test"


@contextlib.contextmanager
def unwritable_history(state_dir: Path, *tables: str) -> Iterator[None]:
    """Let every insert into `tables` (default: all that a history writes) fail inside the block."""
    path = database_path(state_dir, history_tables.NAME)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        chosen = tables or ("record", "probe")
        for table in chosen:
            connection.execute(
                f"CREATE TRIGGER broken_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
            )
        try:
            yield
        finally:
            for table in chosen:
                connection.execute(f"DROP TRIGGER broken_{table}")
