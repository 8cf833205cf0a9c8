"""Ids of executions: UUIDs of version 7 whose text only grows."""

from __future__ import annotations

import time
import uuid
from itertools import islice

import pytest

from dispatcher.ids import make_ids
from dispatcher.wire.messages import IDENTIFIER_CHARS


def test_an_id_is_a_uuid_of_version_7_that_fits_the_wire() -> None:
    made = next(make_ids())
    assert (7, uuid.RFC_4122) == (uuid.UUID(made).version, uuid.UUID(made).variant)
    assert made == str(uuid.UUID(made))
    assert len(made) <= IDENTIFIER_CHARS


def test_an_id_begins_with_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid.UUID(next(make_ids())).int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_only_grow_and_never_repeat() -> None:
    ids = make_ids()
    made = [next(ids) for _ in range(20_000)]
    assert sorted(made) == made
    assert len(made) == len(set(made))


@pytest.mark.parametrize("clock", [[5, 5, 5], [5, 4, 3], [5, 0, 6]], ids=["still", "back", "back and forth"])
def test_ids_grow_when_the_clock_does_not(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(clock)
    monkeypatch.setattr(time, "time_ns", lambda: next(moments) * 1_000_000)
    ids = make_ids()
    made = [next(ids) for _ in clock]
    assert sorted(made) == made
    assert 3 == len(set(made))


def test_more_ids_than_a_millisecond_has_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_000)
    ids = make_ids()
    made = [next(ids) for _ in range(3 * 4096)]
    assert sorted(made) == made
    assert {5, 6, 7} == {uuid.UUID(one).int >> 80 for one in made}
    assert {7} == {uuid.UUID(one).version for one in made}


def test_two_makers_do_not_make_the_same() -> None:
    first, second = make_ids(), make_ids()
    assert not set(islice(first, 1000)) & set(islice(second, 1000))


def test_every_random_bit_is_as_often_set_as_not() -> None:
    made = [uuid.UUID(one).int for one in islice(make_ids(), 20_000)]
    bits = [bit for bit in range(64) if bit not in (62, 63)]  # those two are the variant's
    ones = [sum(one >> bit & 1 for one in made) for bit in bits]
    assert 9_000 < min(ones) <= max(ones) < 11_000  # 14 standard deviations: never by chance
    assert len(made) == len({one & (1 << 62) - 1 for one in made})
