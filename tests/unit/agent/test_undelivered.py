from __future__ import annotations

from dispatcher.agent.undelivered import OVERHEAD_BYTES, Undelivered
from dispatcher.wire.messages import Result


def result(identifier: str, size: int = 0) -> Result:
    return Result(id=identifier, status=200, body=bytes(size), body_size=size)


def ids(kept: Undelivered) -> list[str]:
    return [each.id for each in kept]


def test_results_are_kept_in_their_order_until_they_are_let_go_of() -> None:
    kept = Undelivered(100_000)
    assert [0, 0, 0] == [kept.add(result(each)) for each in "abc"]
    kept.discard(("b", "unknown"))
    assert (["a", "c"], frozenset("ac")) == (ids(kept), kept.ids)
    assert 2 == kept.clear()
    assert [] == ids(kept)


def test_past_the_limit_the_oldest_go() -> None:
    kept = Undelivered(3 * OVERHEAD_BYTES)
    assert [0, 0, 0, 1] == [kept.add(result(each)) for each in "abcd"]
    assert 2 == kept.add(result("e", OVERHEAD_BYTES))
    assert ["d", "e"] == ids(kept)


def test_what_was_let_go_of_makes_room() -> None:
    kept = Undelivered(2 * OVERHEAD_BYTES)
    for number in range(10):
        assert 0 == kept.add(result(str(number)))
        kept.discard((str(number),))
    kept.add(result("x"))
    kept.clear()
    assert [0, 0] == [kept.add(result(each)) for each in "ab"]


def test_a_result_that_is_too_large_by_itself_is_not_kept() -> None:
    kept = Undelivered(OVERHEAD_BYTES)
    assert 1 == kept.add(result("a", 1))
    assert [] == ids(kept)


def test_the_same_result_counts_once() -> None:
    kept = Undelivered(2 * OVERHEAD_BYTES)
    assert [0, 0, 0, 0] == [kept.add(result(each)) for each in "aaab"]


def test_headers_count() -> None:
    kept = Undelivered(OVERHEAD_BYTES + 5)
    assert 1 == kept.add(Result(id="a", status=200, headers=(("abc", "def"),)))
