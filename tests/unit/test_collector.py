from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator

from dispatcher.collector import FULL_AFTER, MIDDLE_AFTER, YOUNG_AFTER, Collector, settle_memory

MANY = 5_000
FEW = 50


class Node:
    """Part of a cycle where `other` is a node that knows it too."""

    other: Node | None = None


@contextlib.contextmanager
def collecting(*, freeze_from: int = 1_000, thaw_after: int = 1_000_000) -> Iterator[None]:
    collector = Collector(freeze_from=freeze_from, thaw_after=thaw_after)
    collector.start()
    try:
        yield
    finally:
        collector.stop()


def cycle() -> tuple[list[Node], weakref.ref[Node]]:
    one, other = Node(), Node()
    one.other, other.other = other, one
    return [one], weakref.ref(one)


def test_what_was_loaded_at_the_start_is_collected_no_more() -> None:
    before = gc.get_freeze_count()
    try:
        settle_memory()
        assert gc.get_freeze_count() > before + 1000
    finally:
        gc.unfreeze()


def test_new_objects_may_be_looked_at_more_rarely() -> None:
    before = gc.get_threshold()
    try:
        settle_memory()
        assert before == gc.get_threshold()
        settle_memory(look_after=5_000)
        assert (5_000, 2) == gc.get_threshold()[:2]
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_what_survives_a_full_collection_is_looked_at_no_more() -> None:
    with collecting():
        kept = [Node() for _ in range(MANY)]
        gc.collect()
        assert MANY <= gc.get_freeze_count()
        assert 1_000 > len(gc.get_objects(generation=2))
        assert MANY == len(kept)


def test_a_few_survivors_are_not_frozen() -> None:
    with collecting():
        before = gc.get_freeze_count()
        kept = [Node() for _ in range(FEW)]
        gc.collect()
        assert before >= gc.get_freeze_count()
        assert FEW == len(kept)


def test_collections_of_the_young_freeze_nothing() -> None:
    with collecting():
        before = gc.get_freeze_count()
        kept = [Node() for _ in range(MANY)]
        gc.collect(1)
        assert before >= gc.get_freeze_count()
        assert MANY == len(kept)


def test_what_is_frozen_and_in_no_cycle_is_freed_at_once() -> None:
    with collecting():
        kept = [Node() for _ in range(MANY)]
        watched = weakref.ref(kept[0])
        gc.collect()
        kept.clear()
        assert watched() is None


def test_garbage_that_was_frozen_is_found_after_so_many_objects() -> None:
    with collecting(thaw_after=2 * MANY):
        frozen, garbage = cycle()
        rounds = []
        while gc.get_freeze_count() and len(rounds) < 10:
            rounds.append([Node() for _ in range(MANY)])
            gc.collect()
            frozen.clear()
            if len(rounds) == 1:
                assert garbage() is not None
        assert 3 == len(rounds)
        gc.collect()
        assert garbage() is None
        assert gc.get_freeze_count() > MANY


def test_full_collections_come_before_many_objects_wait_and_a_stop_undoes_that() -> None:
    before = gc.get_threshold()
    with collecting():
        assert (YOUNG_AFTER, MIDDLE_AFTER, FULL_AFTER) == gc.get_threshold()
    assert (before, 0) == (gc.get_threshold(), gc.get_freeze_count())
