"""What must hold of a history after any fault, read twice: through the REST API, and straight from the SQLite file.

`check` takes what the callers were answered and what the target saw, and asserts: every record has one outcome that
fits the rest of it; every answer is in the history once and as it was answered; nothing was sent twice; every request
left from the address that its record names, at the agent that has that address; totals count what is there; and, for
exits that were steady, rotation was exact.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.support.client import Answer, Client
    from tests.support.target_http import Request

Record = dict[str, Any]

OUTCOMES = ("completed", "failed", "unknown")


def kept_in_file(state_dir: Path) -> list[Record]:
    """Read every record from the file in the order of the commits, past the program; the file is not changed."""
    uri = f"{(state_dir / 'history.sqlite3').absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")  # all of it as of one moment: what is staged is moved while this looks
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        _check_file(connection)
        rows = connection.execute(
            "SELECT seq, record FROM content UNION ALL SELECT seq, record FROM staged ORDER BY seq"
        )
        return [json.loads(content) for _, content in rows]


def _check_file(connection: sqlite3.Connection) -> None:
    """The tables of a file agree: what is counted, what is searched and what is read are the same records."""
    (records,) = connection.execute("SELECT count(*) FROM record").fetchone()
    (counted,) = connection.execute("SELECT n FROM total WHERE what = 'kept' AND value = 'records'").fetchone()
    later = "SELECT count(*) FROM record WHERE seq > (SELECT n FROM total WHERE what = 'counted')"
    (uncounted,) = connection.execute(later).fetchone()
    assert records == counted + uncounted
    for seq, identifier, outcome, agent_id, source_ip, content in connection.execute(
        """SELECT r.seq, r.id, r.outcome, r.agent_id, r.source_ip, c.record
            FROM record r LEFT JOIN content c USING (seq)
            UNION ALL SELECT seq, id, outcome, agent_id, source_ip, record FROM staged"""
    ):
        record = json.loads(content)
        named = (record["id"], record["outcome"], record["agent_id"], record["source_ip"])
        assert named == (identifier, outcome, agent_id, source_ip), f"row {seq}"


def check(
    client: Client,
    state_dir: Path,
    *,
    answers: Iterable[Answer] = (),
    requests: Sequence[Request] = (),
    owners: Mapping[str, str] | None = None,
    steady: Sequence[str] = (),
) -> list[Record]:
    """Check a history whose retention has deleted nothing, and return its records, oldest first.

    `requests` are what the target read, where each execution had a path of its own; `owners` says which agent has
    which address; `steady` are all exits of a pool in which none came or went during the whole history.
    """
    shown, filed = client.history(), kept_in_file(state_dir)
    assert filed == shown
    for record in shown:
        check_record(record)
    _check_ids(shown)
    _check_answers(shown, answers)
    _check_totals(client, shown)
    check_target(shown, requests)
    if owners is not None:
        for record in shown:
            assert owners.get(record["source_ip"]) == record["agent_id"], record
    check_rotation(shown, steady)
    return shown


def check_record(record: Record) -> None:
    """A record has one outcome, and a response or an error that goes with it."""
    assert record["outcome"] in OUTCOMES, record
    has_response = record["outcome"] == "completed"
    assert has_response == (record["response"] is not None) == (record["error"] is None), record
    assert record["started_at"] <= record["finished_at"], record


def _check_ids(records: Sequence[Record]) -> None:
    assert {} == {one: count for one, count in Counter(each["id"] for each in records).items() if count > 1}


def _check_answers(records: Sequence[Record], answers: Iterable[Answer]) -> None:
    """What was answered is kept as it was answered; a refusal that began nothing has no record to look for."""
    kept = {record["id"]: record for record in records}
    for answer in answers:
        record = answer.json if answer.status == 200 else answer.json.get("execution")
        if record is not None:
            found = kept.get(record["id"])
            assert found is not None, record
            assert as_kept(record, found) == found


def as_kept(answered: Record, kept: Record) -> Record:
    """What was answered, with its body as far as history keeps it."""
    if kept["response"] is None or not kept["response"]["body"]["truncated"]:
        return answered
    whole, part = content(answered["response"]["body"]), content(kept["response"]["body"])
    assert whole.startswith(part)
    return {**answered, "response": {**answered["response"], "body": kept["response"]["body"]}}


def content(body: dict[str, Any]) -> bytes:
    """The bytes of a body as a record shows it."""
    data: str = body["data"]
    return base64.b64decode(data) if body["encoding"] == "base64" else data.encode()


def _check_totals(client: Client, records: Sequence[Record]) -> None:
    counted = client.get("/api/stats")["executions"]
    found = Counter(record["outcome"] for record in records)
    assert {name: found[name] for name in OUTCOMES} == {name: counted[name] for name in OUTCOMES}


def check_target(records: Sequence[Record], requests: Sequence[Request]) -> None:
    """The target saw each path once at most, from the address of its record, and every path that completed."""
    if not requests:
        return
    seen = Counter(request.target for request in requests)
    assert {} == {path: count for path, count in seen.items() if count > 1}
    peers = {request.target: request.peer for request in requests}
    for record in records:
        path = "/" + record["request"]["url"].split("/", 3)[3]
        if record["outcome"] == "completed":
            assert path in peers, record
        if path in peers:
            assert record["source_ip"] == peers[path], record


def check_rotation(records: Sequence[Record], steady: Sequence[str]) -> None:
    """Any n leases in a row are n different exits of the n that are there; ids are in the order of the leases."""
    if not steady:
        return
    turns = [record["source_ip"] for record in sorted(records, key=lambda record: record["id"])]
    assert sorted(set(turns[: len(steady)])) == sorted(steady)[: len(turns)] or len(turns) < len(steady)
    assert turns[: -len(steady)] == turns[len(steady) :]
