"""Stores that cannot be written for a while: the files are there and can be read, and every commit fails at its end."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dispatcher.actors import config, history_tables
from dispatcher.actors.database import database_path

REASON = "FOREIGN KEY constraint failed"
"""What SQLite says of a commit that leaves a row whose parent is missing."""


@contextlib.contextmanager
def unwritable(path: Path, *tables: str) -> Iterator[None]:
    """Let every commit that inserted into one of the `tables` of a database fail inside the block.

    A copy of the file that is made inside may be used after its triggers were dropped, and made unwritable again.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            """CREATE TABLE IF NOT EXISTS broken (
                id INTEGER PRIMARY KEY, parent INTEGER REFERENCES broken (id) DEFERRABLE INITIALLY DEFERRED
            )"""
        )
        for table in tables:
            connection.execute(
                f"""CREATE TRIGGER broken_{table} BEFORE INSERT ON {table}
                    BEGIN INSERT INTO broken (parent) VALUES (-1); END"""
            )
        try:
            yield
        finally:
            for table in tables:
                connection.execute(f"DROP TRIGGER broken_{table}")
            connection.execute("DROP TABLE broken")


def unwritable_history(state_dir: Path) -> contextlib.AbstractContextManager[None]:
    """Let history take neither a record nor a probe inside the block."""
    return unwritable(database_path(state_dir, history_tables.NAME), "staged", "record", "probe")


def unwritable_config(state_dir: Path) -> contextlib.AbstractContextManager[None]:
    """Let no configuration be stored inside the block."""
    return unwritable(database_path(state_dir, config.NAME), "request")
