"""AgentKeys: whose agent id is whose, kept over a restart of the coordinator. Stands before a request's way.

Runs on a thread of its own, over a file of its own, and is told, never asked, once the coordinator runs: an agent
does not wait for the disk. What would surprise: a change that cannot be written is logged and not made good later;
the agent is known in memory all the same, and is written again when it connects or is lost the next time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from dispatcher.actors.database import Database, Migration
from dispatcher.actors.errors import StoreError
from dispatcher.actors.messages import AgentOwner, ForgetOwner, KeepOwner, ReadOwners
from dispatcher.actors.thread_actor import BatchingActor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dispatcher.actors.thread_actor import Request

logger = logging.getLogger(__name__)

NAME = "agents"

MIGRATIONS: tuple[Migration, ...] = (
    ("CREATE TABLE owner (agent_id TEXT PRIMARY KEY, key_hash TEXT NOT NULL, lost_at REAL) WITHOUT ROWID",),
)


class AgentKeys(BatchingActor):
    """Keeps the owners. Takes `KeepOwner` and `ForgetOwner`, which are told, and `ReadOwners`."""

    def __init__(self, state_dir: Path) -> None:
        """Open the owners of `state_dir`.

        Raises:
            StoreError: they cannot be opened.
        """
        super().__init__()
        self._database = Database(state_dir, NAME, MIGRATIONS)
        with self._database.first_reading():
            self._owners = self._load()

    def on_batch(self, requests: Sequence[Request]) -> None:
        """Write all changes in one transaction: a fleet comes and goes together."""
        changes = [each for each in requests if isinstance(each.message, (KeepOwner, ForgetOwner))]
        try:
            if changes:
                self._write([each.message for each in changes])
        except StoreError as error:
            logger.warning("whose agent ids are whose cannot be kept: %s", error)
        for each in requests:
            if each in changes:
                each.answer(None)
            else:
                self.handle(each)

    def on_receive(self, message: Any) -> Any:
        """Read the owners."""
        match message:
            case ReadOwners():
                return self._owners
            case _:
                return super().on_receive(message)

    def on_stop(self) -> None:
        """Close the file."""
        self._database.close()

    def _write(self, changes: Sequence[KeepOwner | ForgetOwner]) -> None:
        with self._database.transaction() as connection:
            for change in changes:
                if isinstance(change, KeepOwner):
                    kept = change.owner
                    row = (kept.agent_id, kept.key_hash, kept.lost_at)
                    connection.execute("INSERT OR REPLACE INTO owner VALUES (?, ?, ?)", row)
                else:
                    connection.execute("DELETE FROM owner WHERE agent_id = ?", (change.agent_id,))

    def _load(self) -> tuple[AgentOwner, ...]:
        rows = self._database.connection.execute("SELECT agent_id, key_hash, lost_at FROM owner")
        return tuple(AgentOwner(*row) for row in rows)
