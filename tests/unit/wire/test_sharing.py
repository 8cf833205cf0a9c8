"""What messages of a frame share is said once, and means the same as if each had said it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.errors import FailureKind
from dispatcher.wire import codec, limits, version
from dispatcher.wire import messages as wire
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.phases import timings_of
from dispatcher.wire.sharing import Likewise, Reader
from tests.unit.wire.said import alikes, executes, identifiers, results, texts
from tests.unit.wire.said import frame as by_hand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.wire.messages import Message

FIRST = wire.Execute("x1", "::1", "GET", "http://a.test/", 5.0, (("Accept", "*/*"),), has_body=True)
ANSWER = wire.Result(
    "x1", 404, "Not Found", "1.1", "::f", "::1", (("A", "b"),), 3, True, timings_of(range(8)), body=b"abc"
)
FAILURE = wire.Result("x1", timings=ANSWER.timings, error_kind=FailureKind.DNS)
own = st.fixed_dictionaries(
    {"id": identifiers, "source": texts(64, 2), "timeout": st.floats(0, limits.MAX_TIMEOUT_SECONDS)}
)


def like_first(identifier: str, source: str = "::2", timeout: float = 4.0) -> wire.Execute:
    return Likewise(identifier, source, timeout, FIRST)


def sent(*messages: Message, peer: tuple[int, int] = version.WIRE) -> list[bytes]:
    """Return the frames of a coordinator that was greeted by an agent that speaks `peer`."""
    channel = Channel(wire.FROM_AGENT, lambda _: 0)
    assert [wire.Hello(peer, "s")] == channel.receive(codec.encode([wire.Hello(peer, "s")]))
    for message in messages:
        channel.outbox.put(message)
    frames = []
    while (frame := channel.outbox.next_frame()) is not None:
        frames.append(frame)
        channel.outbox.taken(limits.CHUNK_BYTES)
    return frames


def heard(*frames: bytes) -> list[Message | Invalid]:
    agent = Channel(wire.FROM_COORDINATOR, lambda _: limits.MAX_BODY_BYTES)
    return [message for frame in frames for message in agent.receive(frame)]


def in_full(messages: Sequence[Message | Invalid]) -> list[Message | Invalid]:
    """Make ordinary executions of all that share, by what they say when they are asked for each member."""
    names = [field.name for field in dataclasses.fields(wire.Execute) if field.init]
    return [
        wire.Execute(**{name: getattr(each, name) for name in names}) if isinstance(each, Likewise) else each
        for each in messages
    ]


def test_executions_that_ask_for_the_same_say_it_once_and_are_known_to() -> None:
    asked = [FIRST, like_first("x2"), like_first("x3", "::3")]
    (frame,) = sent(*asked)
    assert 1 == frame.count(b"http://a.test/")
    found = heard(frame)
    assert in_full(asked) == in_full(found)
    assert [found[0]] * 3 == [each.like for each in found if isinstance(each, wire.Execute)]
    assert all(isinstance(each, wire.Execute) for each in found)


def test_requests_that_are_equal_are_the_same_and_others_are_not() -> None:
    asked = [Likewise(f"x{number}", "::1", 1.0, dataclasses.replace(FIRST)) for number in range(2)]
    others = [Likewise(f"y{number}", "::1", 1.0, dataclasses.replace(FIRST, verify_tls=False)) for number in range(2)]
    (frame,) = sent(*asked, *others)
    assert 2 == frame.count(b"http://a.test/")
    assert in_full([*asked, *others]) == in_full(heard(frame))


def test_what_is_alike_has_each_member_of_what_it_is_like() -> None:
    every = dataclasses.replace(
        FIRST, follow_redirects=True, max_redirects=7, verify_tls=False, http_version="2", max_body_bytes=9
    )
    (found,) = in_full([Likewise("x2", "::2", 4.0, every)])
    assert dataclasses.replace(every, id="x2", source="::2", timeout=4.0) == found


def test_what_is_alike_has_no_member_in_the_place_of_one_of_an_execution() -> None:
    assert set() == vars(Likewise).keys() & {field.name for field in dataclasses.fields(wire.Execute)}


def test_what_is_written_of_an_execution_for_others_is_no_part_of_what_it_says() -> None:
    first = dataclasses.replace(FIRST)
    Likewise("x2", "::2", 4.0, first).as_json()
    assert first.asked_json
    assert codec.message_json(FIRST) == codec.message_json(first)
    assert FIRST == first
    assert repr(FIRST) == repr(first)
    assert b"" == dataclasses.replace(first).asked_json


def test_what_is_alike_has_no_body_whatever_went_ahead_of_it() -> None:
    _, found = heard(codec.encode([wire.BodyChunk("x2", b"ab"), FIRST, wire.Again("x2", "::2", 1.0)]))
    assert isinstance(found, Likewise)
    assert not found.body


def test_an_agent_that_does_not_know_it_is_told_all_in_full() -> None:
    asked = [FIRST, like_first("x2")]
    (frame,) = sent(*asked, peer=(1, 3))
    assert in_full(asked) == codec.decode(frame, (wire.Execute,))
    assert in_full(asked) == heard(frame)


@given(executes(body=st.just(b"")), st.lists(own, min_size=2, max_size=2))
def test_one_that_is_alone_in_its_frame_is_said_in_full_each_time(
    kind: wire.Execute, asked: list[dict[str, Any]]
) -> None:
    for mine in asked:  # the second is written with what is kept of the first
        said = dataclasses.replace(kind, **mine)
        (frame,) = sent(Likewise(said.id, said.source, said.timeout, kind))
        assert [said] == codec.decode(frame, (wire.Execute,)) == heard(frame)


@given(st.lists(st.tuples(st.integers(0, 2), own), max_size=12), st.lists(executes(), min_size=3, max_size=3))
def test_whatever_is_shared_all_is_heard_as_it_was_said(
    asked: list[tuple[int, dict[str, object]]], kinds: list[wire.Execute]
) -> None:
    said = [dataclasses.replace(kinds[kind], **mine) for kind, mine in asked]  # type: ignore[arg-type]  # its members
    likes = [
        each if each.body else Likewise(each.id, each.source, each.timeout, kinds[kind])
        for each, (kind, _) in zip(said, asked, strict=True)
    ]
    assert said == in_full(heard(*sent(*likes)))


def test_each_frame_stands_by_itself() -> None:
    url = "http://a.test/" + "x" * 8000
    frames = sent(*(like_first(f"x{number}") for number in range(3 * limits.MAX_MESSAGES)))
    assert len(frames) > 2
    assert all(frame.count(b"http://a.test/") == 1 for frame in frames)
    for frame in frames:
        assert all(isinstance(each, wire.Execute) for each in heard(frame))
    different = [dataclasses.replace(FIRST, id=f"x{number}", url=f"{url}{number}") for number in range(40)]
    assert different == heard(*sent(*different))


@pytest.mark.parametrize("size", [1, limits.CHUNK_BYTES, limits.CHUNK_BYTES + 1])
def test_an_execution_with_a_body_is_always_said_in_full(size: int) -> None:
    asked = [dataclasses.replace(FIRST, id=name, method="POST", body=bytes(size)) for name in "ab"]
    found = heard(*sent(*asked))
    assert asked == found
    assert not any(isinstance(each, Likewise) for each in found)


@pytest.mark.parametrize(
    "before",
    [
        [],
        [wire.Cancel("x")],
        [dataclasses.replace(FIRST, body=b"b")],
        [FIRST, dataclasses.replace(FIRST, id="x0", body=b"b")],
    ],
    ids=["nothing", "something else", "a body", "a body last"],
)
def test_an_execution_that_has_nothing_to_be_like_is_not_valid(before: list[Message]) -> None:
    *others, last = heard(codec.encode([*before, wire.Again("x2", "::2", 1.0)]))
    assert before == others
    assert Invalid("again", "x2", "no execution without a body is before it in its frame") == last


def test_what_is_like_an_execution_that_is_not_valid_is_not_valid_either() -> None:
    reader = Reader()
    assert FIRST is reader.take(FIRST)
    broken = Invalid("execute", "x0", "Execute.url is missing")
    assert broken is reader.take(broken)
    assert isinstance(reader.take(wire.Again("x2", "::2", 1.0)), Invalid)
    assert FIRST is reader.take(FIRST)
    assert isinstance(reader.take(Invalid("cancel", None, "Cancel has a body")), Invalid)
    assert isinstance(reader.take(wire.Again("x2", "::2", 1.0)), Likewise)


# Results


def alike(identifier: str, body: bytes = b"", **more: Any) -> wire.Alike:
    return wire.Alike(identifier, "::2", len(body), (0, 1, 2, 3, 4, 5, 6, 21), body=body, **more)


def reported(*messages: Message, allowance: int | None = 1000) -> list[Message | Invalid]:
    """Return what a coordinator hears of a frame of these."""
    return Channel(wire.FROM_AGENT, lambda _: allowance).receive(codec.encode(messages))


def test_a_result_that_is_alike_says_all_that_one_in_full_would_with_the_very_head() -> None:
    first, second, third = reported(ANSWER, alike("x2", b"ab"), alike("x3", truncated=True, remote_ip="::e"))
    assert ANSWER == first
    timings = timings_of((0, 1, 2, 3, 4, 5, 6, 21))
    expected = dataclasses.replace(
        ANSWER, id="x2", source_ip="::2", body_size=2, timings=timings, body=b"ab", truncated=False
    )
    assert expected == second
    assert dataclasses.replace(expected, id="x3", remote_ip="::e", body_size=0, truncated=True, body=b"") == third
    assert isinstance(first, wire.Result)
    assert all(isinstance(each, wire.Result) and each.headers is first.headers for each in (second, third))


@given(results(status=st.integers(100, 999)), st.lists(alikes, max_size=4), st.booleans())
def test_results_are_the_same_whoever_reads_them(like: wire.Result, said: list[wire.Alike], quickly: bool) -> None:
    frame = codec.encode([like, *said])
    read = (
        codec.decode(frame, wire.FROM_AGENT)
        if quickly
        else codec.read_any(frame, 4 + int.from_bytes(frame[:4], "big"), wire.FROM_AGENT)
    )
    take = Reader().take
    found = [take(each) for each in read]
    assert [like] + [
        dataclasses.replace(
            like,
            id=each.id,
            source_ip=each.source_ip,
            remote_ip=like.remote_ip if each.remote_ip is None else each.remote_ip,
            body_size=each.body_size,
            truncated=each.truncated,
            timings=timings_of(each.microseconds),
            error_kind=None,
            error_detail="",
            error_party=None,
            body=each.body,
        )
        for each in said
    ] == found


LONGEST = limits.MAX_SHARED_HEADER_CHARS


@pytest.mark.parametrize(
    ("before", "shares"),
    [
        ([], False),
        ([wire.Draining()], False),
        ([FAILURE], False),
        ([ANSWER, FAILURE], False),
        ([ANSWER, wire.Draining()], True),
        ([dataclasses.replace(ANSWER, headers=(("n", "v" * (LONGEST - 1)),))], True),
        ([dataclasses.replace(ANSWER, headers=(("n", "v" * LONGEST),))], False),
    ],
    ids=["nothing", "something else", "a failure", "a failure last", "an answer", "long headers", "too long ones"],
)
def test_a_result_that_has_nothing_to_be_like_is_not_valid(before: list[Message], shares: bool) -> None:
    *others, first, second = reported(*before, alike("x2"), alike("x3"))
    no_answer = "no answer with short headers is before it in its frame"
    assert before == others
    if shares:
        assert ["x2", "x3"] == [each.id for each in (first, second) if isinstance(each, wire.Result)]
    else:
        assert [Invalid("alike", each, no_answer) for each in ("x2", "x3")] == [first, second]


def test_short_headers_before_long_ones_do_not_let_those_be_shared() -> None:
    long = dataclasses.replace(ANSWER, headers=(("n", "v" * LONGEST),))
    found = reported(ANSWER, alike("x2"), long, alike("x3"), ANSWER, alike("x4"))
    assert ["Result", "Result", "Result", "Invalid", "Result", "Result"] == [type(each).__name__ for each in found]


def test_what_is_like_a_result_that_is_not_valid_is_not_valid_either() -> None:
    head = b'[{"t":"result","id":"x1","status":200},{"t":"result","id":"x2","status":99},%b,{"t":"alike","id":"x4"}]'
    said = codec.message_json(alike("x3"))
    found = Channel(wire.FROM_AGENT, lambda _: 9).receive(by_hand(head % said))
    assert ["Result", "Invalid", "Invalid", "Invalid"] == [type(each).__name__ for each in found]
    assert ["x1", "x2", "x3", "x4"] == [each.id for each in found]


def test_the_body_of_a_result_that_is_alike_is_bounded_as_every_body_is() -> None:
    _, within, past = reported(ANSWER, alike("x2", bytes(9)), alike("x3", bytes(10)), allowance=9)
    assert isinstance(within, wire.Result)
    assert Invalid("result", "x3", "its body has more than the 9 bytes allowed") == past


def test_a_body_that_went_ahead_of_a_result_that_is_alike_is_its_own() -> None:
    _, found = reported(wire.BodyChunk("x2", b"ab"), ANSWER, alike("x2", b"c"))
    assert isinstance(found, wire.Result)
    assert b"abc" == found.body


def test_a_frame_cannot_say_more_headers_by_sharing_than_in_full() -> None:
    assert limits.MAX_SHARED_HEADER_CHARS * limits.MAX_MESSAGES <= limits.MAX_FRAME_BYTES


def test_what_refers_to_another_is_never_taken_from_the_wrong_side() -> None:
    assert [FIRST] == heard(codec.encode([FIRST, alike("x2")]))
    assert [ANSWER] == reported(ANSWER, wire.Again("x2", "::2", 1.0))
