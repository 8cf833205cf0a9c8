"""An answer says what an ordinary result of the same says, to whoever asks and on the wire."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.agent.answer import Answer, in_full
from dispatcher.agent.transfers.response import Response
from dispatcher.errors import FailureKind
from dispatcher.wire import codec, limits, native, structs, version
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.messages import FROM_AGENT, FROM_COORDINATOR, Message, Result, Welcome
from dispatcher.wire.outbox import Outbox
from dispatcher.wire.phases import timings_of
from tests.unit.wire.said import identifiers, texts

latin = st.text(st.characters(max_codepoint=0xFF), max_size=20)
heads = st.builds(
    Response,
    status=st.integers(100, 999),
    reason=latin,
    headers=st.lists(st.tuples(latin, latin), max_size=4).map(tuple),
    http_version=st.sampled_from(["1.0", "1.1", "2", "3"]),
)
microseconds = st.integers(0, int(limits.MAX_TIMEOUT_SECONDS * 1_000_000))
members: dict[str, st.SearchStrategy[Any]] = {
    "identifier": identifiers,
    "response": heads,
    "remote_ip": texts(64),
    "source_ip": texts(64),
    "body": st.binary(max_size=50),
    "body_size": st.integers(0, 2**63 - 1),
    "truncated": st.booleans(),
    "phases": st.lists(microseconds, min_size=7, max_size=7).map(tuple),
    "total": microseconds,
}
answers = st.builds(Answer, **members)
HEAD = Response(200, "OK", (("A", "1"), ("B", "\xe4")), "1.1")
PLAIN = Answer("x1", HEAD, "2001:db8::f", "2001:db8::1", b"body", 4, False, (0, 1, 20, 300, 4_000, 50_000, 7), 54_328)


def ordinary(answer: Answer) -> Result:
    """Make a `Result` of what an answer says when it is asked for each member, but for the times, which it has not."""
    said = {field.name: getattr(answer, field.name) for field in dataclasses.fields(Result)}
    assert {} == said["timings"]
    result = Result(**(said | {"timings": in_full(answer).timings}))
    assert result == in_full(answer)
    return result


def test_an_answer_is_a_result() -> None:
    result = ordinary(PLAIN)
    assert ("x1", 200, "OK", "1.1", HEAD.headers) == (
        result.id,
        result.status,
        result.reason,
        result.http_version,
        result.headers,
    )
    assert ("2001:db8::f", "2001:db8::1", b"body", 4, False) == (
        result.remote_ip,
        result.source_ip,
        result.body,
        result.body_size,
        result.truncated,
    )
    assert timings_of((0, 1, 20, 300, 4_000, 50_000, 7, 54_328)) == result.timings
    assert (None, "", None) == (result.error_kind, result.error_detail, result.error_party)
    assert PLAIN.failure is None
    assert (4, result.header_chars) == (PLAIN.header_chars, PLAIN.header_chars)


def test_it_has_the_members_of_a_result_and_none_in_the_place_of_one() -> None:
    assert set() == vars(Answer).keys() & {field.name for field in dataclasses.fields(Result)}
    assert PLAIN != ordinary(PLAIN), "it is no plain result"
    assert in_full(ordinary(PLAIN)) == ordinary(PLAIN), "of which it is in full already"


@given(answers)
@example(PLAIN)
@example(Answer('\ud800"\\', HEAD, "", "", b"", 0, True, (1234,) * 7, 999_999_999))
def test_the_other_side_reads_what_it_would_read_of_an_ordinary_result(answer: Answer) -> None:
    expected = ordinary(answer)
    assert [expected] == codec.decode(codec.encode([answer]), FROM_AGENT)


def test_it_is_read_the_quick_way() -> None:
    assert structs.write(ordinary(PLAIN)) is not None, "this machine has msgspec"
    frame = codec.encode([PLAIN])
    assert [ordinary(PLAIN)] == structs.read(frame, 4 + int.from_bytes(frame[:4], "big"), FROM_AGENT)


def test_it_is_written_the_same_without_c(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = PLAIN.as_json(), PLAIN.json_after(PLAIN)
    assert native.encode is codec.native_encode
    monkeypatch.setattr(codec, "native_encode", None)
    slow = Answer("x1", Response(200, "OK", HEAD.headers), "2001:db8::e", "2001:db8::2", b"", 0, False, (0,) * 7, 0)
    assert [ordinary(slow)] == codec.decode(codec.encode([slow]), FROM_AGENT)
    assert quick == (PLAIN.as_json(), PLAIN.json_after(PLAIN))


def test_a_large_body_goes_ahead_of_it_in_pieces() -> None:
    body = bytes(2 * limits.CHUNK_BYTES + 1)
    large = Answer("x1", HEAD, "::f", "::1", body, len(body), False, (0,) * 7, 1)
    outbox = Outbox()
    outbox.put(large)
    frames = []
    while (frame := outbox.next_frame()) is not None:
        frames += codec.decode(frame, FROM_AGENT)
    assert [limits.CHUNK_BYTES, limits.CHUNK_BYTES, 1] == [len(each.body) for each in frames]  # type: ignore[union-attr]  # none is invalid
    assert dataclasses.replace(ordinary(large), body=bytes(1)) == frames[-1]


def told(*answers: Result, coordinator: tuple[int, int] = version.WIRE) -> list[bytes]:
    """Return the frames of an agent that was welcomed by a coordinator that speaks `coordinator`."""
    channel = Channel(FROM_COORDINATOR, lambda _: 0)
    channel.receive(codec.encode([Welcome(coordinator, "agent-01")]))
    for answer in answers:
        channel.outbox.put(answer)
    frames = []
    while (frame := channel.outbox.next_frame()) is not None:
        frames.append(frame)
        channel.outbox.taken(limits.CHUNK_BYTES)
    return frames


def heard(frames: list[bytes]) -> list[Message | Invalid]:
    """Return what a coordinator makes of them."""
    coordinator = Channel(FROM_AGENT, lambda _: limits.MAX_BODY_BYTES)
    return [each for frame in frames for each in coordinator.receive(frame)]


def one_of(head: Response, number: int, remote_ip: str = "::f", body: bytes = b"") -> Answer:
    return Answer(f"x{number}", head, remote_ip, f"::{number:x}", body, len(body), False, (number,) * 7, 7 * number)


def test_answers_of_a_frame_with_the_same_head_say_it_once() -> None:
    answers = [one_of(HEAD, number, body=bytes(number)) for number in range(9)]
    (frame,) = told(*answers)
    assert 1 == frame.count(b'"headers"')
    found = heard([frame])
    assert list(map(ordinary, answers)) == found
    assert {id(found[0].headers)} == {id(each.headers) for each in found}  # type: ignore[union-attr]  # none is invalid


@given(
    st.lists(heads, min_size=1, max_size=3),
    st.lists(st.fixed_dictionaries(members | {"response": st.integers(0, 2)}), max_size=9),
    st.sampled_from([(1, 4), version.WIRE]),
)
def test_whatever_answers_share_all_is_heard_as_it_was_said(
    kinds: list[Response], said: list[dict[str, Any]], coordinator: tuple[int, int]
) -> None:
    answers = [Answer(**(each | {"response": kinds[each["response"] % len(kinds)]})) for each in said]
    frames = told(*answers, coordinator=coordinator)
    assert list(map(ordinary, answers)) == heard(frames)
    assert (1, 5) <= coordinator or b'"alike"' not in b"".join(frames)


def test_an_answer_from_another_address_says_so() -> None:
    answers = [one_of(HEAD, number, remote_ip) for number, remote_ip in enumerate(("::e", "::f", "::e", "::f"))]
    (frame,) = told(*answers)
    assert 1 == frame.count(b'"headers"')
    assert list(map(ordinary, answers)) == heard([frame])


def test_what_follows_a_failure_is_said_in_full() -> None:
    failure = Result("x9", timings=timings_of((0,) * 8), error_kind=FailureKind.DNS)
    before, *behind = [one_of(HEAD, number) for number in range(3)]
    (frame,) = told(before, failure, *behind)
    assert 1 == frame.count(b'"alike"')
    assert [ordinary(before), failure, *map(ordinary, behind)] == heard([frame])


LONGEST = limits.MAX_SHARED_HEADER_CHARS


@pytest.mark.parametrize(("chars", "times"), [(LONGEST, 1), (LONGEST + 1, 2)])
def test_headers_that_are_too_long_to_be_shared_are_said_again(chars: int, times: int) -> None:
    head = Response(200, "OK", (("", "v" * chars),))
    answers = [one_of(head, number) for number in range(2)]
    (frame,) = told(*answers)
    assert times == frame.count(b'"headers"')
    assert list(map(ordinary, answers)) == heard([frame])


def test_a_large_body_is_told_with_its_head_and_small_ones_share_another() -> None:
    large = one_of(HEAD, 1, body=bytes(limits.CHUNK_BYTES + 1))
    small = [one_of(HEAD, number) for number in range(2, 5)]
    found = heard(told(large, *small))
    assert sorted([ordinary(large), *map(ordinary, small)], key=str) == sorted(found, key=str)
