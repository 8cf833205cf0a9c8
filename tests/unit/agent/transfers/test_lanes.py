"""Handles that stay set up: whose they may be, and that no option reaches another request."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from dispatcher.agent.transfers.hop import Hop, first_hop
from dispatcher.agent.transfers.lanes import Lane, Lanes
from dispatcher.agent.transfers.transfer import Transfer
from dispatcher.wire.messages import HttpVersion
from tests.support.executing import echoed, executed, execution, executor, run
from tests.support.targets import Echo, Hanging


def hop(path: str, **rest: Any) -> Hop:
    return first_hop(execution(f"http://a.test/{path}", **rest))


def used(lanes: Lanes, wanted: Hop, source: str = "::1") -> Lane:
    """Take a lane and set it up, as the client does."""
    lane = lanes.take(wanted, source)
    lane.hop, lane.source, lane.milliseconds = wanted, source, 7
    return lane


def test_a_lane_is_kept_for_its_hop() -> None:
    lanes = Lanes(lambda _: False)
    one, other = used(lanes, hop("one")), used(lanes, hop("other"))
    lanes.give(other)
    lanes.give(one)
    assert other is lanes.take(hop("other"), "::1")
    assert one is lanes.take(hop("one"), "::1")
    assert (hop("one"), 7) == (one.hop, one.milliseconds)
    lanes.close()


def test_a_lane_is_kept_for_its_source_where_there_is_one() -> None:
    lanes = Lanes(lambda _: False)
    made = [used(lanes, hop("one"), source) for source in ("::1", "::2", "::1", "::3")]
    for lane in made:
        lanes.give(lane)
    first, second, third, fourth = made
    assert [third, second, first] == [lanes.take(hop("one"), source) for source in ("::1", "::2", "::1")]
    assert fourth is lanes.take(hop("one"), "::1"), "rather another source's than a new one"
    assert "::3" == fourth.source
    assert lanes.take(hop("one"), "::1") not in made
    lanes.close()


def test_a_lane_of_another_hop_comes_without_anything_set() -> None:
    lanes = Lanes(lambda _: False)
    one = used(lanes, hop("one"))
    lanes.give(one)
    assert one is lanes.take(hop("other"), "::1")
    assert (None, "", 0) == (one.hop, one.source, one.milliseconds)
    lanes.close()


def test_a_lane_that_is_set_up_for_nothing_goes_first_and_a_new_one_last() -> None:
    lanes = Lanes(lambda _: False)
    one, two = used(lanes, hop("one")), used(lanes, hop("two", body=b"x" * 20_000))
    lanes.give(one)
    lanes.give(two)
    assert None is two.hop
    assert [two, one] == [lanes.take(hop("other"), "::1"), lanes.take(hop("other"), "::1")]
    assert lanes.take(hop("other"), "::1") not in (one, two)
    lanes.close()


def test_a_spoiled_lane_is_not_kept_as_it_is() -> None:
    lanes = Lanes(lambda _: False)
    one = used(lanes, hop("one"))
    one.is_spoiled = True
    lanes.give(one)
    assert one is lanes.take(hop("one"), "::1")
    assert (None, False) == (one.hop, one.is_spoiled)
    lanes.close()


def test_lanes_at_rest_keep_nothing_of_what_was_asked() -> None:
    lanes = Lanes(lambda _: False)
    made = [used(lanes, hop(str(number))) for number in range(3)]
    for lane in made:
        lanes.give(lane)
    lanes.clear()
    assert [None] * 3 == [lane.hop for lane in made]
    assert set(made) == {lanes.take(hop("0"), "::1") for _ in range(3)}
    lanes.close()


def test_what_came_for_one_transfer_stays_with_it_and_is_not_the_next_ones() -> None:
    lanes = Lanes(lambda _: False)
    wanted = hop("one")
    lane = used(lanes, wanted)
    first, second = (Transfer(wanted, "::1", lambda *_: None, 0.0) for _ in range(2))
    callback = lane.header_lines.append
    lane.use(first)
    callback(b"first")
    assert lane.write(b"1") is None
    lane.end_use(first)
    assert (None, None) == (lane.transfer, first.lane)
    lane.use(second)
    callback(b"second")
    assert lane.write(b"2") is None
    lane.end_use(second)
    assert [([b"first"], b"1"), ([b"second"], b"2")] == [(each.header_lines, each.body) for each in (first, second)]
    assert [] == lane.header_lines
    lanes.close()


TEMPLATES: tuple[dict[str, Any], ...] = (
    {},
    {"method": "PUT", "body": b"secret", "headers": (("X-Key", "k"), ("User-Agent", "mine"), ("Accept", "a/b"))},
    {"method": "HEAD"},
    {"method": "POST"},
    {"method": "DELETE", "body": b"", "http_version": HttpVersion.HTTP_1_1},
    {"method": "PURGE", "headers": (("Expect", ""), ("Content-Type", "t"), ("Accept-Encoding", "gzip"))},
    {"max_body_bytes": 3},
    {"userinfo": "user:hush@"},
)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(range(len(TEMPLATES)), 2)))
def test_no_option_of_one_request_reaches_another(first: int, second: int) -> None:
    async def seen_of(*wanted: int) -> Any:
        async with Echo() as target, executor(max_concurrency=1) as made:
            for number in wanted:
                rest = dict(TEMPLATES[number])
                url = target.url().replace("//", f"//{rest.pop('userinfo', '')}")
                result = await executed(made, execution(url, **rest))
                assert result.error_kind is None, result.error_detail
            saw = target.requests[-1]
            headers = [(name, value) for name, value in saw.headers if name != "Host"]
            return saw.method, saw.target, headers, saw.body, result.truncated

    assert run(seen_of(second)) == run(seen_of(first, second))


def test_the_time_of_one_request_is_not_that_of_another() -> None:
    async def test() -> None:
        async with Hanging() as slow, executor(max_concurrency=1) as made:
            short = await executed(made, execution(slow.url(), timeout=0.05))
            assert 50 <= short.timings["total"] < 500
            longer = await executed(made, execution(slow.url(), timeout=0.6))
            assert 600 <= longer.timings["total"]
            again = await executed(made, execution(slow.url(), timeout=0.05))
            assert 50 <= again.timings["total"] < 500

    run(test())


def test_a_lane_is_used_again_for_the_same_request_and_the_answers_are_kept_apart() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            for _ in range(3):
                asked = [execution(target.url(f"/bytes/{size}")) for size in range(8)]
                results = await asyncio.gather(*(executed(made, each) for each in asked))
                assert list(range(8)) == [len(result.body) for result in results]
            assert "/" == echoed(await executed(made, execution(target.url())))["target"]

    run(test())
