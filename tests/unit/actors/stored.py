"""What the tests of the storing actors share: records to append, and actors that are stopped in the end."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pykka
from hypothesis import strategies as st

from dispatcher.actors import history_tables
from dispatcher.actors.database import Database, database_path
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import AppendRecords, CheckStore, HistoryFilter, Outcome, RecordRow

WAIT = 20
"""Seconds that a test waits for what should take milliseconds."""

T0 = 1_700_000_000_000
"""The `finished_at` of the first record, milliseconds since 1970."""


@contextlib.contextmanager
def running(actor: type[pykka.Actor], *args: Any, **options: Any) -> Iterator[pykka.ActorRef[Any]]:
    ref = actor.start(*args, **options)
    try:
        yield ref
    finally:
        ref.stop(timeout=WAIT)


def answer(ref: pykka.ActorRef[Any], message: object) -> Any:
    """Ask and wait for the answer."""
    return ref.ask(message, timeout=WAIT)


@contextlib.contextmanager
def opened() -> Iterator[Database]:
    """Open an empty history without an actor."""
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.closing(Database(Path(name), history_tables.NAME, history_tables.MIGRATIONS)) as database,
    ):
        yield database


def skip(connection: sqlite3.Connection, places: int) -> None:
    """Let the next record have a place that is so much further on, as in a history that lost as many."""
    change = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'record'"
    if not connection.execute(change, (places,)).rowcount:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('record', ?)", (places,))


def row(number: int = 0, **fields: Any) -> RecordRow:
    """Make a completed record; `fields` replace members."""
    members: dict[str, Any] = {
        "id": f"{number:08}",
        "outcome": Outcome.COMPLETED,
        "agent_id": "agent-01",
        "source_ip": "2001:db8::1",
        "status": 200,
        "error_kind": None,
        "finished_at_ms": T0 + number,
        "total_ms": 1.5,
        "record": b'{"id": "%08d"}' % number,
    }
    return RecordRow(**(members | fields))


def append(log: pykka.ActorRef[Any], *rows: RecordRow) -> None:
    """Append records one after the other, each after the answer to the one before."""
    for one in rows:
        assert frozenset() == answer(log, AppendRecords((one,)))


def settle(log: pykka.ActorRef[Any]) -> None:
    """Have what is staged moved into the tables."""
    assert None is answer(log, CheckStore())


def kept_ids(state_dir: Path) -> list[str]:
    """Return the ids that are in the file, in the order of the commits, staged or not."""
    query = "SELECT seq, id FROM record UNION ALL SELECT seq, id FROM staged ORDER BY seq"
    with contextlib.closing(sqlite3.connect(database_path(state_dir, history_tables.NAME))) as other:
        return [one for _, one in other.execute(query)]


@dataclass(frozen=True)
class Hold:
    """Keeps a `HeldLog` busy until it is released."""

    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class HeldLog(HistoryLog):
    """A HistoryLog that a test can keep busy, and whose SQL statements are noted in `trace`."""

    def __init__(self, *args: Any, trace: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._database.connection.set_trace_callback(trace.append)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Hold):
            message.entered.set()
            return message.released.wait(WAIT)
        return super().on_receive(message)


@contextlib.contextmanager
def held(log: pykka.ActorRef[Any]) -> Iterator[None]:
    """Keep a `HeldLog` busy, so that what the block sends waits together."""
    hold = Hold()
    log.tell(hold)
    assert hold.entered.wait(WAIT)
    try:
        yield
    finally:
        hold.released.set()


OUTCOMES = st.sampled_from(Outcome)
AGENTS = st.sampled_from([None, "agent-01", "agent-02"])
SOURCES = st.sampled_from([None, "2001:db8::1", "2001:db8::2", "2001:db8::3"])
STATUSES = st.sampled_from([None, 200, 404, 503])
ERRORS = st.sampled_from([None, "dns", "timeout"])
MOMENTS = st.integers(0, 30).map(lambda step: T0 + step * 10_000)
"""Five minutes in steps of ten seconds, in any order: the clock may jump."""


@st.composite
def rows(draw: st.DrawFn, max_size: int = 30) -> list[RecordRow]:
    """Records in the order of their commits, with ids that count up."""
    return [
        row(
            number,
            outcome=draw(OUTCOMES),
            agent_id=draw(AGENTS),
            source_ip=draw(SOURCES),
            status=draw(STATUSES),
            error_kind=draw(ERRORS),
            finished_at_ms=draw(MOMENTS),
            total_ms=draw(st.none() | st.floats(0, 3_600_000)),
            record=b"record %d" % number,
        )
        for number in range(draw(st.integers(0, max_size)))
    ]


ASKED: dict[str, st.SearchStrategy[Any]] = {
    "agent_id": AGENTS,
    "source_ip": SOURCES,
    "outcome": OUTCOMES,
    "status": STATUSES,
    "error": ERRORS,
    "since_ms": MOMENTS,
    "until_ms": MOMENTS,
}
FILTERS = st.sets(st.sampled_from(sorted(ASKED)), max_size=3).flatmap(
    lambda names: st.builds(HistoryFilter, **{name: ASKED[name] for name in names})
)
"""At most three conditions: with more, hardly any record matches and nothing is tested."""


def matches(where: HistoryFilter, one: RecordRow) -> bool:
    """Say what `where` means, in the plainest way."""
    wanted = [
        (where.agent_id, one.agent_id),
        (where.source_ip, one.source_ip),
        (where.outcome, one.outcome),
        (where.status, one.status),
        (where.error, one.error_kind),
    ]
    return (
        all(asked is None or asked == found for asked, found in wanted)
        and (where.since_ms is None or where.since_ms <= one.finished_at_ms)
        and (where.until_ms is None or one.finished_at_ms < where.until_ms)
    )
