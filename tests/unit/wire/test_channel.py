"""Two channels back to back: bodies arrive byte for byte, and what nobody expects costs nothing."""

from __future__ import annotations

import dataclasses
import random
import sys
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.wire import channel, codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import Message
from dispatcher.wire.phases import PHASES

CHUNK = limits.CHUNK_BYTES


def coordinator(allowance: Callable[[str], int | None] = lambda _: limits.MAX_BODY_BYTES) -> Channel:
    """A channel that hears an agent."""
    return Channel(wire.FROM_AGENT, allowance)


def agent() -> Channel:
    return Channel(wire.FROM_COORDINATOR, lambda _: limits.MAX_BODY_BYTES)


def body(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def result(identifier: str, content: bytes = b"") -> wire.Result:
    return wire.Result(identifier, 200, body_size=len(content), timings=dict.fromkeys(PHASES, 0.0), body=content)


def execute(identifier: str, content: bytes = b"") -> wire.Execute:
    return wire.Execute(id=identifier, source="::1", method="POST", url="x", timeout=1.0, body=content)


def chunk(identifier: str, size: int) -> bytes:
    return codec.encode([wire.BodyChunk(identifier, bytes(size))])


def test_messages_come_out_as_they_went_in() -> None:
    sender, receiver = agent(), coordinator()
    said = [wire.Hello((1, 0), "s"), result("a", b"abc"), wire.Draining()]
    for message in said:
        sender.outbox.put(message)
    frame = sender.outbox.next_frame()
    assert frame is not None
    assert said == receiver.receive(frame)


def test_a_frame_of_text_is_refused() -> None:
    with pytest.raises(WireError, match="a frame of text"):
        coordinator().receive("[]")


class TwoSides:
    """A link in memory: frames of both ways wait in order, and acknowledgements only as the test lets them."""

    def __init__(self) -> None:
        self.sides = (coordinator(), agent())
        self.wires: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self.got: tuple[list[Message | Invalid], list[Message | Invalid]] = ([], [])

    def step(self, side: int, *, send: bool) -> bool:
        """Have a side send its next frame, or take the next one that it was sent; False where there was none."""
        if send:
            frame = self.sides[side].outbox.next_frame()
            if frame is not None:
                assert len(frame) <= limits.MAX_FRAME_BYTES
                self.wires[1 - side].append(frame)
            return frame is not None
        if not self.wires[side]:
            return False
        self.got[side].extend(self.sides[side].receive(self.wires[side].popleft()))
        return True

    def finish(self) -> None:
        while any([self.step(side, send=send) for side in (0, 1) for send in (True, False)]):  # noqa: C419 (each takes its turn)
            pass


sizes = st.one_of(
    st.integers(0, 100),
    st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7, limits.BULK_WINDOW_BYTES + 1]),
)
actions = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 1), sizes),
    st.tuples(st.just("step"), st.integers(0, 1), st.booleans()),
)


@given(script=st.lists(actions, max_size=40))
@settings(deadline=None, max_examples=60)
def test_any_mixture_arrives_byte_for_byte_however_slowly_it_is_acknowledged(
    script: list[tuple[str, int, int]],
) -> None:
    link = TwoSides()
    put: tuple[dict[str, Message], dict[str, Message]] = ({}, {})
    for number, (action, side, value) in enumerate(script):
        if action == "put":
            make = (execute, result)[side]
            message = make(f"m{number}", body(number, value))
            link.sides[side].outbox.put(message)
            put[1 - side][message.id] = message
        else:
            link.step(side, send=bool(value))
    link.finish()
    for side in (0, 1):
        assert len(put[side]) == len(link.got[side])
        assert put[side] == {message.id: message for message in link.got[side]}  # type: ignore[union-attr]  # all have one
        assert link.sides[side].outbox.is_empty


def test_fifty_megabytes_arrive_while_small_messages_go_by() -> None:
    link = TwoSides()
    large = result("large", body(1, 50_000_000))
    link.sides[1].outbox.put(large)
    for number in range(50):
        link.sides[1].outbox.put(wire.Result(id=f"small{number}", status=200))
        link.step(1, send=True)
        link.step(0, send=False)
        assert f"small{number}" == getattr(link.got[0][-1], "id", None)
        link.step(0, send=True)
        link.step(1, send=False)
    link.finish()
    assert large == link.got[0][-1]


def test_what_was_taken_in_is_acknowledged() -> None:
    receiver = coordinator()
    receiver.receive(chunk("a", 10))
    answer = receiver.outbox.next_frame()
    assert answer is not None
    assert [wire.BodyTaken(10)] == codec.decode(answer, wire.FROM_COORDINATOR)


def test_chunks_that_nobody_expects_are_acknowledged_and_not_kept() -> None:
    receiver = coordinator(lambda _: None)
    assert [] == receiver.receive(chunk("a", CHUNK))
    assert {} == receiver._assembler._arrived
    assert not receiver.outbox.is_empty


def test_what_has_come_is_dropped_with_the_next_chunk_once_nobody_expects_it() -> None:
    allowances: dict[str, int] = {"a": 10 * CHUNK}
    receiver = coordinator(allowances.get)
    receiver.receive(chunk("a", CHUNK))
    allowances.clear()
    receiver.receive(chunk("a", CHUNK))
    assert {} == receiver._assembler._arrived


def test_a_message_that_nobody_expects_comes_through_without_what_went_ahead() -> None:
    receiver = coordinator(lambda _: None)
    receiver.receive(chunk("a", CHUNK))
    assert [result("a", b"x")] == receiver.receive(codec.encode([result("a", b"x")]))


def test_a_body_at_its_allowance_is_taken() -> None:
    receiver = coordinator({"a": 10}.get)
    assert [] == receiver.receive(chunk("a", 7))
    assert [result("a", bytes(10))] == receiver.receive(
        codec.encode([dataclasses.replace(result("a", bytes(10)), body=bytes(3))])
    )


def test_a_body_past_its_allowance_is_invalid_once_and_costs_no_memory() -> None:
    receiver = coordinator({"a": 10}.get)
    assert [] == receiver.receive(chunk("a", 10))
    expected = Invalid("body_chunk", "a", "its body has more than the 10 bytes allowed")
    assert [expected] == receiver.receive(chunk("a", 1))
    assert {"a": None} == receiver._assembler._arrived
    assert [] == receiver.receive(chunk("a", 1))
    assert [] == receiver.receive(codec.encode([result("a", b"x")]))
    assert {} == receiver._assembler._arrived


def test_a_body_past_its_allowance_and_then_an_invalid_message_are_invalid_once() -> None:
    receiver = coordinator({"a": 10}.get)
    assert 1 == len(receiver.receive(chunk("a", 11)))
    assert [] == receiver.receive(codec.encode([wire.Result(id="a", status=1)]))


def test_a_last_piece_past_the_allowance_is_invalid() -> None:
    receiver = coordinator({"a": 10}.get)
    receiver.receive(chunk("a", 8))
    expected = [Invalid("result", "a", "its body has more than the 10 bytes allowed")]
    assert expected == receiver.receive(codec.encode([result("a", b"xyz")]))
    assert {} == receiver._assembler._arrived


def test_an_allowance_of_nothing_takes_no_byte() -> None:
    receiver = coordinator({"a": 0}.get)
    assert [result("a")] == receiver.receive(codec.encode([result("a")]))
    assert isinstance(receiver.receive(codec.encode([result("a", b"x")]))[0], Invalid)


def test_an_invalid_message_drops_what_went_ahead_of_it() -> None:
    receiver = coordinator()
    receiver.receive(chunk("a", 10))
    (invalid,) = receiver.receive(codec.encode([wire.Result(id="a", status=1)]))
    assert isinstance(invalid, Invalid)
    assert {} == receiver._assembler._arrived


def test_what_is_forgotten_is_dropped_and_begins_anew() -> None:
    receiver = coordinator()
    receiver.receive(chunk("a", 10))
    receiver.forget("a")
    assert [result("a", b"x")] == receiver.receive(codec.encode([result("a", b"x")]))


BOUNDED = 10 * CHUNK


def bounded_agent() -> Channel:
    return Channel(wire.FROM_COORDINATOR, lambda _: limits.MAX_BODY_BYTES, most_arriving=BOUNDED)


def test_bodies_that_do_not_end_are_bounded_together() -> None:
    receiver = bounded_agent()
    for name in ("a", "b"):
        for _ in range(4):
            receiver.receive(chunk(name, CHUNK))
    receiver.receive(chunk("c", CHUNK))
    with pytest.raises(WireError, match=f"bodies of more than {BOUNDED} bytes that do not end"):
        receiver.receive(chunk("a", CHUNK))


def test_empty_bodies_that_do_not_end_are_bounded_too() -> None:
    receiver = bounded_agent()
    most = BOUNDED // channel.ENTRY_BYTES
    for number in range(most):
        receiver.receive(chunk(f"x{number}", 0))
    with pytest.raises(WireError, match="that do not end"):
        receiver.receive(chunk("one more", 0))
    assert most == len(receiver._assembler._arrived)


def test_bodies_that_end_in_any_way_make_room_for_others() -> None:
    receiver = bounded_agent()
    for number in range(20):
        name = f"x{number}"
        for _ in range(8):
            receiver.receive(chunk(name, CHUNK))
        if number % 3 == 0:
            (whole,) = receiver.receive(codec.encode([execute(name, b"end")]))
            assert isinstance(whole, wire.Execute)
            assert 8 * CHUNK + 3 == len(whole.body)
        elif number % 3 == 1:
            receiver.forget(name)
        else:
            receiver.receive(codec.encode([dataclasses.replace(execute(name), timeout=-1.0)]))
    assert ({}, 0) == (receiver._assembler._arrived, receiver._assembler._bytes)


def test_what_is_past_its_own_allowance_makes_room_for_others() -> None:
    receiver = Channel(wire.FROM_COORDINATOR, lambda _: 2 * CHUNK, most_arriving=3 * CHUNK)
    for name in "abcdef":
        answers = [receiver.receive(chunk(name, CHUNK)) for _ in range(4)]
        assert [0, 0, 1, 0] == [len(each) for each in answers]


@pytest.mark.parametrize("size", [0, 1])
def test_tiny_chunks_take_no_more_memory_than_their_bytes(size: int) -> None:
    receiver = coordinator()
    count = 5000
    for _ in range(10):
        receiver.receive(codec.encode([wire.BodyChunk("a", bytes(size))] * (count // 10)))
    (arrived,) = receiver._assembler._arrived.values()
    assert sys.getsizeof(arrived) < 2 * count * size + 200


@given(data=st.binary(max_size=200))
@settings(deadline=None)
def test_arbitrary_bytes_are_read_or_raise_a_wire_error(data: bytes) -> None:
    try:
        coordinator().receive(data)
    except WireError:
        return
