"""Stores that cannot be written for a while: the files are there and can be read, and every insert fails."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dispatcher.actors import config, history_tables
from dispatcher.actors.database import database_path

REASON = "no room is left for the test"


@contextlib.contextmanager
def unwritable(path: Path, *tables: str) -> Iterator[None]:
    """Let every insert into `tables` of a database fail inside the block."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in tables:
            connection.execute(
                f"CREATE TRIGGER broken_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
            )
        try:
            yield
        finally:
            for table in tables:
                connection.execute(f"DROP TRIGGER broken_{table}")


def unwritable_history(state_dir: Path) -> contextlib.AbstractContextManager[None]:
    """Let history take neither a record nor a probe inside the block; of a record, the last that it writes fails."""
    return unwritable(database_path(state_dir, history_tables.NAME), "total", "probe")


def unwritable_config(state_dir: Path) -> contextlib.AbstractContextManager[None]:
    """Let no configuration be stored inside the block."""
    return unwritable(database_path(state_dir, config.NAME), "request")
