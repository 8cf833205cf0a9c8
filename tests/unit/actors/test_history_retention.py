"""Retention against a plain model, and what is left of what went."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.actors.history_blocks import BLOCK
from dispatcher.actors.history_retention import OLDEST, Kept, Pruned, Retention, Room, prune
from dispatcher.actors.history_tables import add
from dispatcher.actors.messages import RecordRow
from tests.unit.actors.stored import MOMENTS, T0, opened, row, rows, skip


def size_of(model: Iterable[RecordRow]) -> int:
    return sum(len(one.record) for one in model)


def test_a_place_is_never_given_twice() -> None:
    with opened() as database, database.transaction() as connection:
        assert [1] == list(add(connection, [row(1)]).places)
        prune(connection, Retention(max_records=0), Kept(1, 100), 0, 10)
        assert [2] == list(add(connection, [row(2)]).places)


def test_pruning_deletes_no_more_than_it_may() -> None:
    with opened() as database, database.transaction() as connection:
        model = [row(number, finished_at_ms=T0 - number) for number in range(10)]
        add(connection, model)
        kept = Kept(10, size_of(model))
        assert Pruned(4, size_of(model[6:]), frozenset([0])) == prune(
            connection, Retention(max_records=0, max_age=0), kept, T0 / 1000 + 1, 4
        )
        left = connection.execute("SELECT id FROM record ORDER BY seq").fetchall()
        assert [(one.id,) for one in model[:6]] == left


def test_what_is_left_to_delete_after_the_too_old_ones_are_the_oldest() -> None:
    with opened() as database, database.transaction() as connection:
        model = [row(number, finished_at_ms=T0 + (number != 5) * 10_000) for number in range(10)]
        add(connection, model)
        prune(connection, Retention(max_records=6, max_age=5), Kept(10, size_of(model)), T0 / 1000 + 6, 3)
        left = connection.execute("SELECT id FROM record ORDER BY seq").fetchall()
        assert [(one.id,) for one in model[2:] if one != model[5]] == left


def kept_by(model: list[RecordRow], retention: Retention, now: float) -> list[RecordRow]:
    """Say what retention means, in the plainest way: age first, then the newest that fit."""
    young = [
        one for one in model if retention.max_age is None or one.finished_at_ms >= (now - retention.max_age) * 1000
    ]
    while len(young) > retention.max_records or size_of(young) > (retention.max_bytes or 1e9):
        young.pop(0)
    return young


@settings(deadline=None, max_examples=60)
@given(
    rows(),
    st.builds(
        Retention,
        st.integers(0, 30),
        st.none() | st.integers(1, 300),
        st.none() | st.integers(0, 300),
    ),
    MOMENTS,
    st.integers(0, 30),
    st.integers(0, 2 * BLOCK),
)
def test_what_is_kept_is_what_the_model_keeps(
    model: list[RecordRow], retention: Retention, now_ms: int, half: int, skipped: int
) -> None:
    with opened() as database, database.transaction() as connection:
        places: list[int] = []
        for part in filter(None, (model[:half], model[half:])):
            places += add(connection, part).places
            skip(connection, skipped)
        pruned = prune(connection, retention, Kept(len(model), size_of(model)), now_ms / 1000, 1000)
        kept = kept_by(model, retention, now_ms / 1000)
        found = connection.execute("SELECT id, record FROM record JOIN content USING (seq) ORDER BY seq").fetchall()
        assert [(one.id, one.record) for one in kept] == found
        assert [(len(kept),)] == connection.execute("SELECT count(*) FROM content").fetchall()
        assert (len(model) - len(kept), size_of(model) - size_of(kept)) == pruned[:2]
        gone = [place for one, place in zip(model, places, strict=True) if one not in kept]
        assert {place // BLOCK for place in gone} == pruned.blocks


@settings(deadline=None, max_examples=60)
@given(
    rows(),
    st.builds(Retention, st.integers(0, 30), st.none() | st.integers(0, 300), st.none()),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60)), min_size=1, max_size=6),
    st.integers(0, 10),
)
def test_what_room_is_made_of_is_what_is_deleted_in_the_end(
    model: list[RecordRow], retention: Retention, coming: list[tuple[int, int]], at_most: int
) -> None:
    with opened() as database, database.transaction() as connection:
        add(connection, model)
        kept = Kept(len(model), size_of(model))
        room = Room(retention, kept, iter(connection.execute(OLDEST, (at_most,)).fetchall()))
        is_made = all(room.make(records, size) for records, size in coming)
        kept = Kept(*(before + sum(more) for before, more in zip(kept, zip(*coming, strict=True), strict=True)))
        gone = prune(connection, retention, kept, 0, 1000).records
        if is_made:
            assert room.kept_from == (gone and gone + 1)
        else:
            assert gone > at_most or gone == len(model)


def test_all_are_kept_as_long_as_there_is_room() -> None:
    room = Room(Retention(3), Kept(2, 10), iter([(7, 5)]))
    found = [(room.make(1, 5), room.kept_from) for _ in range(3)]
    assert [(True, 0), (True, 8), (False, 8)] == found
    room = Room(Retention(100, 20), Kept(2, 10), iter([(7, 5), (8, 5)]))
    found = [(room.make(1, size), room.kept_from) for size in (10, 4, 7)]
    assert [(True, 0), (True, 8), (False, 9)] == found
