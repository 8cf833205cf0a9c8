"""What executions of a frame share is said once, and means the same as if each had said it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.wire import codec, limits, version
from dispatcher.wire import messages as wire
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.sharing import Likewise, Reader
from tests.unit.wire.said import executes, identifiers, texts

if TYPE_CHECKING:
    from dispatcher.wire.messages import Message

FIRST = wire.Execute("x1", "::1", "GET", "http://a.test/", 5.0, (("Accept", "*/*"),), has_body=True)
own = st.fixed_dictionaries(
    {"id": identifiers, "source": texts(64, 2), "timeout": st.floats(0, limits.MAX_TIMEOUT_SECONDS)}
)


def like_first(identifier: str, source: str = "::2", timeout: float = 4.0) -> wire.Execute:
    return dataclasses.replace(FIRST, id=identifier, source=source, timeout=timeout)


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


def in_full(messages: list[Message | Invalid]) -> list[Message | Invalid]:
    """Make ordinary executions of all that share, by what they say when they are asked for each member."""
    names = [field.name for field in dataclasses.fields(wire.Execute)]
    return [
        wire.Execute(**{name: getattr(each, name) for name in names}) if isinstance(each, Likewise) else each
        for each in messages
    ]


def test_executions_that_ask_for_the_same_say_it_once_and_are_known_to() -> None:
    asked = [FIRST, like_first("x2"), like_first("x3", "::3")]
    (frame,) = sent(*asked)
    assert 1 == frame.count(b"http://a.test/")
    found = heard(frame)
    assert asked == in_full(found)
    assert [found[0]] * 3 == [each.like for each in found if isinstance(each, wire.Execute)]
    assert all(isinstance(each, wire.Execute) for each in found)


def test_an_agent_that_does_not_know_it_is_told_all_in_full() -> None:
    asked = [FIRST, like_first("x2")]
    (frame,) = sent(*asked, peer=(1, 3))
    assert asked == codec.decode(frame, (wire.Execute,))
    assert asked == heard(frame)


@given(st.lists(st.tuples(st.integers(0, 2), own), max_size=12), st.lists(executes(), min_size=3, max_size=3))
def test_whatever_is_shared_all_is_heard_as_it_was_said(
    asked: list[tuple[int, dict[str, object]]], kinds: list[wire.Execute]
) -> None:
    said = [dataclasses.replace(kinds[kind], **mine) for kind, mine in asked]  # type: ignore[arg-type]  # its members
    assert said == in_full(heard(*sent(*said)))


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
def test_what_has_nothing_to_be_like_is_not_valid(before: list[Message]) -> None:
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
