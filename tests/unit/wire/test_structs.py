"""The quick way of the codec: where it says something, it says to the letter what the Python codec says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.wire import codec, fields, limits, structs
from dispatcher.wire import messages as wire
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import Message
from dispatcher.wire.phases import PHASES
from tests.unit.wire.said import ALL_MESSAGES, EXAMPLES, decoded, frame, messages, of_its_class
from tests.unit.wire.test_codec import items
from tests.unit.wire.test_messages import BOUNDS
from tests.unit.wire.test_mutated_frames import mutated

Found = list[Message | Invalid]

QUICK = (wire.Result, wire.Alike, wire.Execute, wire.Again, wire.Cancel, wire.Draining, wire.BodyChunk, wire.BodyTaken)
"""What is said again and again; a link says the others when it begins, or when addresses change."""

QUICK_EXAMPLES = [each for each in EXAMPLES if isinstance(each, QUICK)]


def exact(found: Found | None) -> object:
    """Return what tells 1 from 1.0 and from true, and 0.0 from -0.0, as equality does not."""
    if found is None:
        return None
    return [(type(each), [_exact(getattr(each, field.name)) for field in dataclasses.fields(each)]) for each in found]  # type: ignore[arg-type]  # dataclasses


def _exact(value: object) -> str:
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


def quickly(data: bytes, accepted: tuple[type[Message], ...] = ALL_MESSAGES) -> Found | None:
    """Read a frame whose length is right; None where that is left to the Python codec."""
    found = structs.read(data, 4 + int.from_bytes(data[:4], "big"), accepted)
    return None if found is None else list(map(of_its_class, found))


def in_python(data: bytes, accepted: tuple[type[Message], ...] = ALL_MESSAGES) -> Found | None:
    """Read a frame whose length is right by the Python codec; None where it refuses."""
    try:
        return list(map(of_its_class, codec.read_any(data, 4 + int.from_bytes(data[:4], "big"), accepted)))
    except WireError:
        return None


def assert_says_no_more_than_python(data: bytes) -> None:
    """Whatever is read quickly is read by the Python codec as the same, and whole."""
    found = quickly(data)
    if found is not None:
        assert exact(in_python(data)) == exact(found)


def is_plain(message: Message) -> bool:
    """Say whether a message is UTF-8 as it stands."""
    try:
        codec.write_any(message).decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("cls", ALL_MESSAGES)
def test_what_is_said_again_and_again_has_a_quick_way(cls: type[Message]) -> None:
    assert (cls in QUICK) == (structs.layout(cls) is not None)


@pytest.mark.parametrize("cls", QUICK)
def test_a_struct_has_the_members_of_its_message_in_their_order(cls: type[Message]) -> None:
    layout = structs.layout(cls)
    assert layout is not None
    declared = [field.name for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]  # every message is one
    assert declared == ["body" if name == "b" else name for name in layout.struct.__struct_fields__]


@pytest.mark.parametrize("message", [each for each in QUICK_EXAMPLES if not isinstance(each, wire.Draining)])
def test_what_refers_to_another_stays_as_it_was_read_until_that_is_known(message: Message) -> None:
    (found,) = codec.decode(codec.encode([message]), ALL_MESSAGES)
    assert message.refers == (type(found) is not type(message))
    assert message.refers == (not isinstance(found, Message))
    said = [(name, getattr(message, name)) for name in ("tag", "refers", *type(message).__match_args__)]  # type: ignore[attr-defined]  # a dataclass
    assert said == [(name, getattr(found, name)) for name, _ in said]


@given(listed=st.lists(messages.filter(lambda each: isinstance(each, QUICK) and is_plain(each)), max_size=4))
@settings(deadline=None)
def test_what_this_version_writes_is_read_and_written_quickly(listed: list[Message]) -> None:
    written = [structs.write(each) for each in listed]
    assert None not in written
    assert [json.loads(codec.write_any(each)) for each in listed] == [json.loads(each or b"") for each in written]
    data = codec.encode(listed)
    assert listed == quickly(data)
    assert exact(in_python(data)) == exact(quickly(data))
    by_python = codec.join(map(codec.write_any, listed), [each.body for each in listed])
    assert exact(listed) == exact(quickly(by_python))


@given(message=messages)
@settings(deadline=None)
def test_both_ways_write_the_same_members_in_the_same_order(message: Message) -> None:
    written = structs.write(message)
    if written is not None:
        assert json.loads(codec.write_any(message), object_pairs_hook=list) == json.loads(
            written, object_pairs_hook=list
        )


@given(data=mutated(st.sampled_from(QUICK_EXAMPLES)))
@settings(deadline=None, max_examples=300)
def test_a_mutated_frame_is_read_as_the_python_codec_reads_it_or_left_to_it(data: bytes) -> None:
    assert_says_no_more_than_python(data)


@given(head=st.lists(items, max_size=3), bodies=st.binary(max_size=20))
@settings(deadline=None)
def test_arbitrary_members_are_read_as_the_python_codec_reads_them_or_left_to_it(
    head: list[object], bodies: bytes
) -> None:
    assert_says_no_more_than_python(frame(json.dumps(head).encode(), bodies))


VALUES = (
    *("0", "-0", "0.0", "-0.0", "1", "1.0", "1e0", "1E2", "200", "2e2", "200.0", "0.5", "true", "false", "null"),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "1e-999",
        "9" * 19,
        "9" * 400,
        "9" * 5000,
        "0." + "1" * 5000,
        "01",
        "+1",
    ),
    *("9223372036854775807", "9223372036854775808", "-1", "0.1000000000000000055511151231257827", "5e-324", "36000000"),
    *(
        '""',
        '"x"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\/"',
        '"\\x"',
        '"\x7f"',
        '"\n"',
    ),
    *("[]", "{}", "[[]]", "[[1,2]]", '[["a"]]', '[["a","b"]]', '[["a","b","c"]]', '["ab"]', '[["a",null]]', "[" * 2000),
    *('{"total":1}', '{"lunch":"long"}', '{"total":1,"total":2}', '"http_protocol"', '"2"', '"TARGET"', '"target"'),
)
"""JSON, and what is nearly JSON, for any member."""

MEMBERS = [(each, member) for each in QUICK_EXAMPLES for member in (*fields.as_json(each), "b", "t", "new")]


@pytest.mark.parametrize(("message", "member"), MEMBERS, ids=lambda each: getattr(each, "tag", each))
def test_each_value_of_each_member_is_read_as_the_python_codec_reads_it(message: Message, member: str) -> None:
    written = json.loads(codec.write_any(message))
    for value in VALUES:
        others = json.dumps(written | {member: None})
        # As it stands, first as another, and last as another: of duplicates the last one counts.
        for head in (
            others.replace(f'"{member}": null', f'"{member}": {value}', 1),
            others[:-1] + f', "{member}": {value}}}',
            json.dumps(written)[:-1] + f', "{member}": {value}}}',
            f'{{"{member}": {value}, {json.dumps(written)[1:]}',
        ):
            for bodies in (message.body, b"", b"\x00"):
                assert_says_no_more_than_python(frame(f"[{head}]".encode(errors="surrogatepass"), bodies))


def test_each_value_of_a_list_of_microseconds_is_read_as_the_python_codec_reads_it() -> None:
    others = json.dumps({"t": "alike", "id": "x", "source_ip": "::1", "body_size": 0, "microseconds": [0] * 7 + ["?"]})
    for value in VALUES:
        assert_says_no_more_than_python(frame(f"[{others}]".replace('"?"', value).encode(errors="surrogatepass")))


@pytest.mark.parametrize(("cls", "member", "allowed", "refused"), [each for each in BOUNDS if each[0] in QUICK])
def test_a_type_has_the_bounds_of_its_check(cls: type[Message], member: str, allowed: Any, refused: Any) -> None:
    (message,) = [each for each in QUICK_EXAMPLES if type(each) is cls]
    valid = json.loads(codec.write_any(message))
    data = [frame(json.dumps([valid | {member: value}]).encode(), message.body) for value in (allowed, refused)]
    assert exact(decoded(data[0], ALL_MESSAGES)) == exact(in_python(data[0]))
    is_long = member == "headers" and len(data[0]) > limits.MAX_HEADER_BYTES
    is_partial = member == "timings"
    assert (is_long or is_partial) == (quickly(data[0]) is None)
    assert quickly(data[1]) is None
    (found,) = decoded(data[1], ALL_MESSAGES)
    assert isinstance(found, Invalid)


def test_headers_that_are_too_long_in_all_are_never_read_quickly() -> None:
    lines = (("", "v" * (limits.MAX_HEADER_BYTES // 4)),) * 4
    timings = dict.fromkeys(PHASES, 0.0)
    most, more = (wire.Result("x", headers=(*lines, *added), timings=timings) for added in ((), (("", "v"),)))
    expected = f"Result.headers has {limits.MAX_HEADER_BYTES + 1} bytes, more than {limits.MAX_HEADER_BYTES}"
    assert [most, Invalid("result", "x", expected)] == decoded(codec.encode([most, more]), ALL_MESSAGES)


def test_a_message_alone_needs_its_tag_too() -> None:
    with pytest.raises(WireError, match="not objects with a tag"):
        decoded(frame(b'[{"id":"x"}]'), [wire.Cancel])


@pytest.mark.parametrize(
    "head",
    [
        b'[{"t":"cancel","id":"x","new":1}]',
        b'[{"t":"cancel","id":"x"},{"t":"new"}]',
        b'[{"t":"cancel","id":"x"},{"t":"welcome","wire":[1,0],"agent_id":"a"}]',
        b'[{"t":"cancel","id":"\xed\xa0\x80"}]',
        b'[{"t":"result","id":"x","timings":{"total":1.0}}]',
    ],
    ids=["an unknown member", "an unknown message", "a rare message", "a lone surrogate", "some phases"],
)
def test_what_this_version_does_not_write_often_is_left_to_the_python_codec(head: bytes) -> None:
    assert quickly(frame(head)) is None
    assert isinstance(decoded(frame(head), ALL_MESSAGES)[0], (wire.Cancel, wire.Result))


def test_what_is_no_utf8_is_written_by_the_python_codec() -> None:
    message = wire.Result("\ud800", body=b"x")
    assert structs.write(message) is None
    assert codec.write_any(message) == codec.message_json(message)


@pytest.fixture
def no_msgspec(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that msgspec has no wheel for."""
    monkeypatch.setattr(structs, "msgspec", None)
    monkeypatch.setattr(structs, "_LAYOUTS", {})
    structs._reader.cache_clear()
    yield
    structs._reader.cache_clear()


@pytest.mark.parametrize(
    ("head", "count"), [(b"[]", 0), (b'[{"t": "x"}, 1, [2, 3]]', 3), (b"{}", None), (b"[1", None), (b"\xff", None)]
)
def test_the_messages_of_a_frame_are_counted_where_they_are_a_list(head: bytes, count: int | None) -> None:
    assert count == structs.count(head)


def test_without_msgspec_the_python_codec_does_all(no_msgspec: None) -> None:
    assert structs.count(b"[]") is None
    assert [None] * len(EXAMPLES) == [structs.write(each) for each in EXAMPLES]
    data = codec.encode(EXAMPLES)
    assert quickly(data) is None
    assert list(EXAMPLES) == decoded(data, ALL_MESSAGES)


@given(data=mutated())
@example(data=codec.encode(EXAMPLES))
@settings(deadline=None, max_examples=50)
def test_reading_quickly_first_changes_nothing(data: bytes) -> None:
    try:
        found = decoded(data, ALL_MESSAGES)
    except WireError:
        start = 4 + int.from_bytes(data[:4], "big")
        assert start > len(data) or in_python(data) is None
    else:
        assert exact(in_python(data)) == exact(found)
