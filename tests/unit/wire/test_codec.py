"""Frames: what is written is read again, and whatever else comes is refused without harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.errors import FailureKind, Party
from dispatcher.wire import codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import Message
from dispatcher.wire.phases import PHASES
from tests.unit.wire import said
from tests.unit.wire.said import ALL_MESSAGES, decoded, frame

CONTROLS = "\x00"
"""Takes six bytes of JSON a character, more than any other."""


def worst_headers() -> tuple[tuple[str, str], ...]:
    share = limits.MAX_HEADER_BYTES // limits.MAX_HEADERS
    return (("", CONTROLS * share),) * limits.MAX_HEADERS


def worst_result(body: bytes = b"") -> wire.Result:
    return wire.Result(
        id=CONTROLS * 64,
        status=999,
        reason=CONTROLS * limits.MAX_TEXT_CHARS,
        http_version=CONTROLS * 8,
        remote_ip=CONTROLS * 64,
        source_ip=CONTROLS * 64,
        headers=worst_headers(),
        body_size=2**63 - 1,
        timings=dict.fromkeys(PHASES, 1 / 3),
        error_kind=FailureKind.TARGET_HAS_NO_IPV6,
        error_detail=CONTROLS * 4096,
        error_party=Party.COORDINATOR,
        body=body,
    )


@given(listed=st.lists(said.messages, max_size=6))
@settings(deadline=None)
def test_what_is_encoded_is_decoded_as_the_same(listed: list[Message]) -> None:
    assert listed == decoded(codec.encode(listed))


@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"\x00\x00\x00")
@example(data=b"\x00\x00\x00\x02[]")
def test_arbitrary_bytes_are_read_or_raise_a_wire_error(data: bytes) -> None:
    try:
        codec.decode(data, ALL_MESSAGES)
    except WireError:
        return


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
members = sorted({name for cls in ALL_MESSAGES for name in cls.__dataclass_fields__} | {"b"})  # type: ignore[attr-defined]  # dataclasses
items = st.builds(
    lambda tag, content: {"t": tag, **content},
    st.sampled_from([cls.tag for cls in ALL_MESSAGES]),
    st.dictionaries(st.sampled_from(members), any_json, max_size=8),
)


@given(head=st.lists(items, max_size=4), bodies=st.binary(max_size=20))
@settings(deadline=None)
def test_arbitrary_members_are_read_or_invalid_or_raise_a_wire_error(head: list[object], bodies: bytes) -> None:
    try:
        codec.decode(frame(json.dumps(head).encode(), bodies), ALL_MESSAGES)
    except WireError:
        return


def test_a_frame_is_a_length_the_json_and_the_bodies_in_order() -> None:
    chunks = [wire.BodyChunk("1", b"ab"), wire.Cancel("2"), wire.BodyChunk("3", b"c")]
    head = b'[{"t":"body_chunk","id":"1","b":2},{"t":"cancel","id":"2"},{"t":"body_chunk","id":"3","b":1}]'
    assert len(head).to_bytes(4, "big") + head + b"abc" == codec.encode(chunks)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing", b""),
        ("a length alone that is cut", b"\x00\x00"),
        ("a length past the end", (9).to_bytes(4, "big") + b"[]"),
        ("the longest length", b"\xff\xff\xff\xff[]"),
        ("a length that cuts the JSON", (1).to_bytes(4, "big") + b"[]"),
        ("JSON cut short", frame(b'[{"t":"drain')),
        ("no JSON", frame(b"draining")),
        ("no UTF-8", frame(b'["\xff"]')),
        ("no list", frame(b'{"t":"draining"}')),
        ("a list of no objects", frame(b"[1]")),
        ("an object without a tag", frame(b"[{}]")),
        ("a tag that is no string", frame(b'[{"t":["draining"]}]')),
        ("a body longer than the frame", frame(b'[{"t":"body_chunk","id":"x","b":3}]', b"ab")),
        ("a body of an unknown message longer than the frame", frame(b'[{"t":"new","b":1}]')),
        ("a body of negative length", frame(b'[{"t":"body_chunk","id":"x","b":-1}]', b"ab")),
        ("a body of a fraction of a byte", frame(b'[{"t":"body_chunk","id":"x","b":1.0}]', b"a")),
        ("a body of true bytes", frame(b'[{"t":"body_chunk","id":"x","b":true}]', b"a")),
        ("bytes of no message", frame(b'[{"t":"body_chunk","id":"x","b":1}]', b"ab")),
        ("deep nesting", frame(b"[" * 100_000 + b"]" * 100_000)),
        ("deep nesting of objects", frame(b'[{"t":' * 50_000)),
        ("a number of 5,000 digits", frame(b'[{"t":"body_taken","size":' + b"9" * 5000 + b"}]")),
    ],
)
def test_a_frame_that_lies_is_refused_as_a_whole(what: str, data: bytes) -> None:
    with pytest.raises(WireError):
        codec.decode(data, ALL_MESSAGES)


def test_a_frame_at_the_bound_is_read_and_one_past_it_is_not() -> None:
    head = codec.message_json(wire.BodyChunk("x", bytes(limits.MAX_FRAME_BYTES)))
    room = limits.MAX_FRAME_BYTES - 4 - len(b"[" + head + b"]")
    chunk = wire.BodyChunk("x", bytes(room))
    assert [chunk] == codec.decode(codec.encode([chunk]), ALL_MESSAGES)
    with pytest.raises(WireError, match=f"a frame of {limits.MAX_FRAME_BYTES + 1} bytes"):
        codec.decode(codec.encode([wire.BodyChunk("x", bytes(room + 1))]), ALL_MESSAGES)


def test_a_frame_of_too_many_messages_is_refused() -> None:
    most = [wire.Cancel(str(number)) for number in range(limits.MAX_MESSAGES)]
    assert most == codec.decode(codec.encode(most), ALL_MESSAGES)
    with pytest.raises(WireError, match=f"a frame of {limits.MAX_MESSAGES + 1} messages"):
        codec.decode(codec.encode([*most, wire.Cancel("x")]), ALL_MESSAGES)


def test_too_many_messages_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(_: str) -> None:
        raise AssertionError("they are made")

    monkeypatch.setattr(codec.json, "loads", make)
    with pytest.raises(WireError, match="a frame of 50000 messages, more than 1024"):
        codec.decode(frame(b"[" + b",".join([b'{"t":"other"}'] * 50_000) + b"]"), ALL_MESSAGES)


def test_the_largest_result_there_can_be_fits_a_frame() -> None:
    result = worst_result(bytes(limits.CHUNK_BYTES))
    encoded = codec.encode([result])
    assert 1_800_000 < len(encoded) < limits.MAX_FRAME_BYTES / 2
    assert [result] == codec.decode(encoded, [wire.Result])


def test_the_most_addresses_that_one_message_may_name_fit_a_frame() -> None:
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    report = wire.AddressReport(address, wire.AddressState.DADFAILED, "€" * limits.MAX_TEXT_CHARS)
    most = limits.MAX_ADDRESSES_PER_MESSAGE
    change = wire.AddressesChanged((report,) * most, (address,) * most)
    assert [change] == codec.decode(codec.encode([change]), [wire.AddressesChanged])


def test_messages_of_unknown_tags_and_their_bodies_are_left_out() -> None:
    head = b'[{"t":"tomorrow","b":3},{"t":"body_chunk","id":"x","b":2}]'
    assert [wire.BodyChunk("x", b"de")] == codec.decode(frame(head, b"abcde"), ALL_MESSAGES)


def test_a_message_that_this_side_does_not_take_is_left_out() -> None:
    assert [] == codec.decode(codec.encode([wire.Cancel("x")]), wire.FROM_AGENT)


def test_unknown_members_are_ignored() -> None:
    head = b'[{"t":"cancel","id":"x","because":{"of":["a","wonderful","thing"]}}]'
    assert [wire.Cancel("x")] == codec.decode(frame(head), ALL_MESSAGES)


def test_the_last_of_duplicate_members_counts() -> None:
    assert [wire.Cancel("b")] == codec.decode(frame(b'[{"t":"cancel","id":"a","id":"b"}]'), ALL_MESSAGES)


def test_an_invalid_message_is_told_with_its_id_and_the_others_are_read() -> None:
    head = b'[{"t":"result","id":"x","status":99,"b":1},{"t":"cancel","id":"y"}]'
    expected = [Invalid("result", "x", "Result.status is not a whole number from 100 to 999"), wire.Cancel("y")]
    assert expected == codec.decode(frame(head, b"a"), ALL_MESSAGES)


@pytest.mark.parametrize("identifier", [b"1", b"null", b"[]", b"{}"])
def test_an_invalid_message_whose_id_is_no_string_has_none(identifier: bytes) -> None:
    (found,) = codec.decode(frame(b'[{"t":"result","id":' + identifier + b"}]"), ALL_MESSAGES)
    assert isinstance(found, Invalid)
    assert found.id is None


def test_a_body_where_none_belongs_makes_a_message_invalid() -> None:
    head = b'[{"t":"cancel","id":"x","b":1}]'
    assert [Invalid("cancel", None, "Cancel has a body")] == codec.decode(frame(head, b"a"), ALL_MESSAGES)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "-" + "9" * 400])
def test_a_number_that_is_none_makes_a_message_invalid(number: str) -> None:
    for member in ('"timings":{"total":%s}', '"body_size":%s'):
        head = '[{"t":"result","id":"x",%s}]' % (member % number)
        (found,) = codec.decode(frame(head.encode()), ALL_MESSAGES)
        assert isinstance(found, Invalid)
        assert "x" == found.id


def test_lone_surrogates_survive_both_as_escapes_and_as_bytes() -> None:
    assert [wire.Cancel("\ud800")] == codec.decode(frame(b'[{"t":"cancel","id":"\\ud800"}]'), ALL_MESSAGES)
    assert [wire.Cancel("\ud800")] == codec.decode(codec.encode([wire.Cancel("\ud800")]), ALL_MESSAGES)
