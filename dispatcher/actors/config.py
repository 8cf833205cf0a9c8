"""ConfigStore: the one configured request, committed before it is confirmed, so that it survives a restart.

Step 1 of a request's way reads it. Runs on a thread of its own, over a file of its own, so that a busy history never
holds it up. What would surprise: what a reader gets is made from the JSON each time; nobody shares it with another.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dispatcher.actors.database import Database, Migration
from dispatcher.actors.messages import ReadRequest, StoredRequest, StoreRequest
from dispatcher.actors.thread_actor import BatchingActor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "config"

MIGRATIONS: tuple[Migration, ...] = (
    ("CREATE TABLE request (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, request TEXT NOT NULL)",),
)

_STORE = """INSERT INTO request VALUES (0, 1, ?) ON CONFLICT (id)
    DO UPDATE SET revision = revision + 1, request = excluded.request"""


class ConfigStore(BatchingActor):
    """Keeps the configured request. Takes `StoreRequest`, which may raise `StoreError`, and `ReadRequest`."""

    def __init__(self, state_dir: Path) -> None:
        """Open the configuration of `state_dir`.

        Raises:
            StoreError: it cannot be opened.
        """
        super().__init__()
        self._database = Database(state_dir, NAME, MIGRATIONS)
        with self._database.first_reading():
            self._stored = self._load()

    def on_receive(self, message: Any) -> Any:
        """Store the request or read it."""
        match message:
            case StoreRequest(request=request):
                return self._store(request)
            case ReadRequest():
                return self._current()
            case _:
                return super().on_receive(message)

    def on_stop(self) -> None:
        """Close the file."""
        self._database.close()

    def _store(self, request: Mapping[str, Any]) -> StoredRequest | None:
        text = json.dumps(dict(request), ensure_ascii=False, allow_nan=False)
        with self._database.transaction() as connection:
            connection.execute(_STORE, (text,))
            stored = self._load()
        self._stored = stored
        return self._current()

    def _current(self) -> StoredRequest | None:
        if self._stored is None:
            return None
        revision, text = self._stored
        return StoredRequest(revision, json.loads(text))

    def _load(self) -> tuple[int, str] | None:
        row = self._database.connection.execute("SELECT revision, request FROM request").fetchone()
        return None if row is None else (row[0], row[1])
