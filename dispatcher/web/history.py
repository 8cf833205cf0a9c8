"""`/api/history`: the records that step 9 of a request's way committed, newest first.

Records are kept as the JSON that they are answered with, so a page costs the event loop no encoding.
"""

from __future__ import annotations

from typing import Any

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import HistoryFilter, Outcome, ReadHistory, ReadRecord
from dispatcher.auth.roles import Permission
from dispatcher.web import cursors, problems
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem
from dispatcher.web.representations import HistorySchema, RecordSchema
from dispatcher.web.schemas import HistoryQuerySchema
from dispatcher.web.store_faults import store_faults_told

_QUERY = HistoryQuerySchema()
_WRITE_BYTES = 1024 * 1024
"""How much of a page goes to the socket before the loop has its turn."""


class HistoryHandler(BaseHandler):
    """`GET /api/history`."""

    operations = {
        "GET": Operation(
            "Read the history",
            {200: HistorySchema},
            query=HistoryQuerySchema,
            problems=(400, 422, 503),
            needs=Permission.READ,
        )
    }

    async def get(self) -> None:
        """Read a page of history."""
        asked = self.query(_QUERY)
        where = _filter(asked)
        try:
            before = None if asked["cursor"] is None else cursors.decode(asked["cursor"], where)
        except cursors.CursorError as error:
            raise problems.invalid({"cursor": [str(error)]}) from error
        with store_faults_told("the history"):
            page = await ask(self.services.history_reader, ReadHistory(asked["limit"], before, where))
        following = "null" if page.next_cursor is None else f'"{cursors.encode(page.next_cursor, where)}"'
        await self._write_page(page.records, following)

    async def _write_page(self, records: tuple[bytes, ...], following: str) -> None:
        self.set_header("Content-Type", "application/json")
        separator, waiting = b'{"items":[', 0
        for record in records:
            self.write(separator)
            self.write(record)
            separator, waiting = b",", waiting + len(record)
            if waiting > _WRITE_BYTES:
                await self.flush_in_turns()
                waiting = 0
        if not records:
            self.write(separator)
        self.write(f'],"next":{following}}}')


class HistoryRecordHandler(BaseHandler):
    """`GET /api/history/{id}`."""

    operations = {
        "GET": Operation(
            "Read one record",
            {200: RecordSchema},
            problems=(404, 503),
            path_parameters={"id": "the record's id"},
            needs=Permission.READ,
        )
    }

    async def get(self, id: str) -> None:  # noqa: A002 (the name in the path of the contract)
        """Read one record."""
        with store_faults_told("the history"):
            record = await ask(self.services.history_reader, ReadRecord(id))
        if record is None:
            raise Problem(404, "not_found", f"there is no record {id}, or it is no longer kept")
        self.write_json(record)


def _filter(asked: dict[str, Any]) -> HistoryFilter:
    return HistoryFilter(
        agent_id=asked["agent_id"],
        source_ip=asked["source_ip"],
        outcome=None if asked["outcome"] is None else Outcome(asked["outcome"]),
        status=asked["status"],
        error=asked["error"],
        since_ms=asked["since"],
        until_ms=asked["until"],
    )
