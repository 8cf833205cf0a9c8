"""Pages of the history against a list: every filter, any cursor, while records arrive and old ones go."""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.database import connect_read_only, database_path
from dispatcher.actors.errors import StoreError
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_blocks import BLOCK
from dispatcher.actors.history_reader import HistoryReader, page_query
from dispatcher.actors.messages import HistoryFilter, HistoryPage, ReadHistory, ReadRecord, RecordRow
from tests.unit.actors.stored import FILTERS, T0, answer, append, matches, row, rows, running, settle, skip

Ref = pykka.ActorRef[Any]

ASKED: dict[str, Any] = {
    "agent_id": "agent-01",
    "source_ip": "2001:db8::1",
    "outcome": row().outcome,
    "status": 200,
    "error": "dns",
}


@contextmanager
def history(state_dir: Path | None = None, **options: Any) -> Iterator[tuple[Ref, Ref]]:
    with (
        tempfile.TemporaryDirectory() as name,
        running(HistoryLog, state_dir or Path(name), max_records=1000) as log,
        running(HistoryReader, state_dir or Path(name), **options) as reader,
    ):
        yield log, reader


def read(reader: Ref, limit: int, before: int | None = None, where: HistoryFilter | None = None) -> HistoryPage:
    page = answer(reader, ReadHistory(limit, before, where or HistoryFilter()))
    assert isinstance(page, HistoryPage)
    return page


def batches(model: list[RecordRow]) -> Iterator[list[RecordRow]]:
    return (model[start : start + 7] for start in range(0, len(model), 7))


def skip_places(state_dir: Path, places: int) -> None:
    """Let what is appended next lie in another block."""
    with closing(sqlite3.connect(database_path(state_dir, "history"), isolation_level=None)) as other:
        skip(other, places)


def pages(reader: Ref, limit: int, where: HistoryFilter | None = None) -> Iterator[HistoryPage]:
    page = read(reader, limit, None, where)
    yield page
    while page.next_cursor is not None:
        page = read(reader, limit, page.next_cursor, where)
        yield page


def test_an_empty_history_is_one_empty_page() -> None:
    with history() as (_, reader):
        assert HistoryPage((), None) == read(reader, 50)


def test_a_page_that_ends_with_the_last_record_has_no_next() -> None:
    with history() as (log, reader):
        append(log, row(1), row(2))
        assert HistoryPage((row(2).record, row(1).record), None) == read(reader, 2)
        assert None is not read(reader, 1).next_cursor


def test_a_record_is_found_by_its_id_as_it_was_given() -> None:
    with history() as (log, reader):
        append(log, row(1, record=bytes(range(256))), row(2))
        assert bytes(range(256)) == answer(reader, ReadRecord(row(1).id))
        assert None is answer(reader, ReadRecord("unknown"))


@settings(deadline=None, max_examples=80)
@given(rows(), FILTERS, st.integers(1, 8), st.lists(st.integers(0, 2 * BLOCK), max_size=5))
def test_every_filter_gives_what_the_model_gives(
    model: list[RecordRow], where: HistoryFilter, limit: int, skipped: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name, history(Path(name)) as (log, reader):
        for part, places in itertools.zip_longest(batches(model), skipped):
            append(log, *(part or ()))
            if places:
                settle(log)
                skip_places(Path(name), places)
        found = [record for page in pages(reader, limit, where) for record in page.records]
    assert [one.record for one in reversed(model) if matches(where, one)] == found


@settings(deadline=None, max_examples=50)
@given(rows(), FILTERS, st.integers(1, 4), st.integers(0, 3))
def test_pages_neither_shift_nor_repeat_nor_hide_while_records_arrive(
    model: list[RecordRow], where: HistoryFilter, limit: int, arriving: int
) -> None:
    new = (row(number, record=b"new") for number in itertools.count(1000))
    found: list[bytes] = []
    with history() as (log, reader):
        append(log, *model)
        for page in pages(reader, limit, where):
            found += page.records
            append(log, *itertools.islice(new, arriving))
    assert [one.record for one in reversed(model) if matches(where, one)] == found


def test_pages_go_on_while_retention_takes_the_oldest(tmp_path: Path) -> None:
    with running(HistoryLog, tmp_path, max_records=4) as log, running(HistoryReader, tmp_path) as reader:
        append(log, *(row(number) for number in range(4)))
        first = read(reader, 2)
        append(log, row(4))
        assert (row(3).record, row(2).record) == first.records
        assert HistoryPage((row(1).record,), None) == read(reader, 2, first.next_cursor)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (HistoryFilter(since_ms=T0), 1),
        (HistoryFilter(since_ms=T0 + 1), 0),
        (HistoryFilter(until_ms=T0), 0),
        (HistoryFilter(until_ms=T0 + 1), 1),
    ],
)
def test_a_time_range_takes_in_its_first_moment_and_not_its_last(where: HistoryFilter, found: int) -> None:
    with history() as (log, reader):
        append(log, row(0))
        assert found == len(read(reader, 50, None, where).records)


def test_what_is_too_old_is_not_shown_even_before_it_is_deleted() -> None:
    now = [T0 / 1000 + 60]
    with history(max_age=60, clock=lambda: now[0]) as (log, reader):
        append(log, row(0), row(500))
        assert 2 == len(read(reader, 50).records)
        now[0] += 0.25
        assert (row(500).record,) == read(reader, 50).records
        assert None is answer(reader, ReadRecord(row(0).id))
        assert row(500).record == answer(reader, ReadRecord(row(500).id))


def test_no_filter_reads_the_whole_history(tmp_path: Path) -> None:
    with history(tmp_path), closing(connect_read_only(tmp_path, "history")) as connection:
        for count in range(len(ASKED) + 1):
            for names in itertools.combinations(ASKED, count):
                where = HistoryFilter(**{name: ASKED[name] for name in names}, since_ms=T0, until_ms=T0 + 1)
                query, values = page_query(connection, 5, where, 0)
                plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 51))]
                if names:
                    assert "SEARCH seen USING PRIMARY KEY (what=? AND value=? AND block>? AND block<?)" == plan.pop(0)
                    others = [step for step in plan if "(what=? AND value=? AND block=?)" in step]
                    assert count - 1 == len(others)
                    plan = [step for step in plan if "SUBQUERY" not in step and step not in others]
                assert "SEARCH record USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" == plan[0]
                assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step]


def test_each_filter_is_known_to_the_plan() -> None:
    assert {*ASKED, "since_ms", "until_ms"} == {field.name for field in fields(HistoryFilter)}


def test_the_rarest_of_several_values_leads_the_search(tmp_path: Path) -> None:
    with history(tmp_path) as (log, _), closing(connect_read_only(tmp_path, "history")) as connection:
        append(log, row(0))
        settle(log)
        skip_places(tmp_path, BLOCK)
        append(log, row(1), row(2, agent_id="rare"))
        settle(log)
        _, common = page_query(connection, None, HistoryFilter(status=200, source_ip="2001:db8::1"), 0)
        _, rare = page_query(connection, None, HistoryFilter(status=200, agent_id="rare"), 0)
    assert ["source_ip", "2001:db8::1"] == common[:2]
    assert ["agent_id", "rare"] == rare[:2]


def test_damage_that_a_read_meets_is_told_and_the_reader_lives_on(tmp_path: Path) -> None:
    with history(tmp_path) as (log, _):
        append(log, *(row(number, record=b"x" * 3000) for number in range(20)))
    path = database_path(tmp_path, "history")
    whole = path.read_bytes()
    path.write_bytes(b"".join(b"\xff" * 4096 if b"x" * 2000 in page else page for page in chunks(whole)))
    with history(tmp_path) as (_, reader):
        with pytest.raises(StoreError, match=r"cannot read .*history\.sqlite3: .*malformed"):
            read(reader, 50)
        assert None is answer(reader, ReadRecord("unknown"))


def chunks(whole: bytes) -> Iterator[bytes]:
    return (whole[start : start + 4096] for start in range(0, len(whole), 4096))


def test_a_reader_without_a_history_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*history\.sqlite3"):
        HistoryReader.start(tmp_path)
