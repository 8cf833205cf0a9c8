"""What goes next on a link: small before large, large in turns, never more than the window."""

from __future__ import annotations

import sys

import pytest

from dispatcher.wire import codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.messages import Message
from dispatcher.wire.outbox import Outbox, OutboxFullError
from dispatcher.wire.phases import PHASES
from tests.unit.wire.said import ALL_MESSAGES
from tests.unit.wire.test_codec import worst_headers, worst_result

CHUNK = limits.CHUNK_BYTES
WINDOW_CHUNKS = limits.BULK_WINDOW_BYTES // CHUNK


LONGEST_REPORT = wire.AddressReport("2001:db8::1", wire.AddressState.DADFAILED, "€" * limits.MAX_TEXT_CHARS)


def result(identifier: str, size: int, **fields: object) -> wire.Result:
    timings = dict.fromkeys(PHASES, 0.0)
    return wire.Result(id=identifier, status=200, body_size=size, timings=timings, body=bytes(size), **fields)  # type: ignore[arg-type]  # of a Result


def execute(identifier: str, size: int) -> wire.Execute:
    return wire.Execute(id=identifier, source="::1", method="POST", url="x", timeout=1.0, body=bytes(size))


def next_messages(outbox: Outbox) -> list[Message]:
    frame = outbox.next_frame()
    assert frame is not None
    found = codec.decode(frame, ALL_MESSAGES)
    assert all(isinstance(message, Message) for message in found)
    return found  # type: ignore[return-value]  # just asserted


def all_frames(outbox: Outbox) -> list[list[Message]]:
    frames = []
    while not outbox.is_empty:
        frames.append(next_messages(outbox))
        outbox.taken(CHUNK)
    return frames


def filled(*messages: Message) -> Outbox:
    outbox = Outbox()
    for message in messages:
        outbox.put(message)
    return outbox


def test_an_empty_outbox_has_no_frame() -> None:
    outbox = Outbox()
    assert outbox.is_empty
    assert outbox.next_frame() is None


@pytest.mark.parametrize("message", [wire.Cancel("a"), execute("a", 0), execute("a", CHUNK), result("a", 5)])
def test_a_message_that_is_alone_leaves_as_it_would_among_others(message: Message) -> None:
    alone = filled(message)
    assert codec.encode([message]) == alone.next_frame()
    assert (True, 0) == (alone.is_empty, alone._queued_bytes)
    assert codec.encode([message, wire.Cancel("b")]) == filled(message, wire.Cancel("b")).next_frame()


def test_small_messages_share_a_frame_in_their_order() -> None:
    messages = [wire.Cancel(str(number)) for number in range(500)]
    outbox = filled(*messages)
    assert messages == next_messages(outbox)
    assert outbox.is_empty


def test_a_body_of_one_chunk_goes_whole_and_one_byte_more_in_two_pieces() -> None:
    assert [[result("a", CHUNK)]] == all_frames(filled(result("a", CHUNK)))
    (first,), (last,) = all_frames(filled(result("a", CHUNK + 1)))
    assert wire.BodyChunk("a", bytes(CHUNK)) == first
    assert isinstance(last, wire.Result)
    assert bytes(1) == last.body


def test_a_shared_frame_ends_before_it_passes_its_bound() -> None:
    each = 60 * 1024
    for frame in all_frames(filled(*(result(str(number), each) for number in range(20)))):
        assert len(frame) <= limits.SHARED_FRAME_BYTES // each


@pytest.mark.parametrize("beside", [0, 1, 3])
def test_no_mixture_of_the_largest_messages_makes_a_frame_that_the_peer_refuses(beside: int) -> None:
    outbox = filled(worst_result(bytes(CHUNK + 1)))
    outbox.next_frame()  # its first chunk; the message itself is next
    for _ in range(beside):
        outbox.put(wire.Cancel("x" * 64))
        outbox.put(result("b", CHUNK, headers=worst_headers(), reason="\x00" * 1024))
        outbox.put(worst_result(bytes(CHUNK)))
    while (frame := outbox.next_frame()) is not None:
        assert len(frame) <= limits.MAX_FRAME_BYTES


def test_the_longest_message_has_a_frame_for_itself() -> None:
    outbox = filled(worst_result(bytes(CHUNK + 1)))
    outbox.next_frame()
    outbox.put(wire.AddressesChanged((LONGEST_REPORT,) * limits.MAX_ADDRESSES_PER_MESSAGE))
    for _ in range(2):
        frame = outbox.next_frame()
        assert frame is not None
        assert limits.MAX_FRAME_BYTES / 3 < len(frame) <= limits.MAX_FRAME_BYTES


def test_a_small_message_finds_one_chunk_before_it_at_most() -> None:
    outbox = filled(result("a", 50 * CHUNK), result("b", 50 * CHUNK))
    next_messages(outbox)
    outbox.put(wire.Cancel("small"))
    assert wire.Cancel("small") == next_messages(outbox)[0]


def test_a_frame_holds_one_chunk_at_most() -> None:
    outbox = filled(*(result(str(number), 3 * CHUNK) for number in range(4)))
    for frame in all_frames(outbox):
        assert len(frame) == 1


def test_large_messages_take_turns() -> None:
    frames = all_frames(filled(result("a", 3 * CHUNK), result("b", 3 * CHUNK), result("c", 2 * CHUNK)))
    assert ["a", "b", "c", "a", "b", "c", "a", "b"] == [frame[0].id for frame in frames]  # type: ignore[attr-defined]  # they have one


def test_no_more_than_the_window_goes_unacknowledged() -> None:
    outbox = filled(result("a", 100 * CHUNK))
    frames = [next_messages(outbox) for _ in range(WINDOW_CHUNKS)]
    assert limits.BULK_WINDOW_BYTES == sum(len(message.body) for (message,) in frames)
    assert outbox.next_frame() is None
    outbox.taken(CHUNK - 1)
    assert outbox.next_frame() is None
    outbox.taken(1)
    assert outbox.next_frame() is not None
    assert outbox.next_frame() is None


def test_a_small_message_goes_while_the_window_is_shut() -> None:
    outbox = filled(result("a", 100 * CHUNK))
    while outbox.next_frame() is not None:
        pass
    outbox.put(wire.Cancel("small"))
    assert [wire.Cancel("small")] == next_messages(outbox)


def test_a_peer_that_acknowledges_too_much_does_not_open_the_window_further() -> None:
    outbox = filled(result("a", 100 * CHUNK))
    outbox.taken(limits.BULK_WINDOW_BYTES)
    outbox.taken(limits.BULK_WINDOW_BYTES)
    frames = 0
    while outbox.next_frame() is not None:
        frames += 1
    assert WINDOW_CHUNKS == frames


@pytest.mark.parametrize("size", [0, 10 * CHUNK])
def test_what_is_discarded_before_it_left_never_leaves(size: int) -> None:
    outbox = filled(execute("a", size), execute("b", size))
    assert outbox.discard("a")
    assert not outbox.discard("a")
    assert {"b"} == outbox.unsent()
    assert {"b"} == {message.id for frame in all_frames(outbox) for message in frame}  # type: ignore[attr-defined]  # they have one


def test_what_is_discarded_while_it_leaves_stops_and_is_said_to_have_left() -> None:
    outbox = filled(execute("a", 10 * CHUNK))
    next_messages(outbox)
    assert not outbox.discard("a")
    assert outbox.is_empty
    assert outbox.next_frame() is None


@pytest.mark.parametrize("size", [0, 2 * CHUNK])
def test_what_is_discarded_after_it_left_has_left(size: int) -> None:
    outbox = filled(execute("a", size))
    all_frames(outbox)
    assert not outbox.discard("a")


def test_what_has_not_left_as_a_whole_is_unsent() -> None:
    outbox = filled(execute("large", 10 * CHUNK), execute("small", 1), execute("new", 10 * CHUNK), wire.Draining())
    assert {"large", "small", "new"} == outbox.unsent()
    next_messages(outbox)
    assert {"large", "new"} == outbox.unsent()


def test_bodies_over_the_bound_are_refused_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_BYTES", 10 * CHUNK)
    outbox = filled(result("a", 6 * CHUNK), result("b", 4 * CHUNK))
    with pytest.raises(OutboxFullError):
        outbox.put(result("c", 1))
    next_messages(outbox)  # a chunk of a
    outbox.put(result("c", CHUNK))
    assert outbox.discard("b")
    outbox.put(result("d", 4 * CHUNK))
    assert outbox.discard("c")
    outbox.discard("a")
    outbox.put(result("e", 6 * CHUNK))
    with pytest.raises(OutboxFullError):
        outbox.put(result("f", 1))
    all_frames(outbox)
    outbox.put(result("g", 10 * CHUNK))


def test_messages_over_the_bound_are_refused_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_MESSAGES", 3)
    outbox = filled(wire.Cancel("a"), wire.Cancel("a"), result("b", 1))
    for refused in (wire.Cancel("c"), result("c", 1), result("c", 10 * CHUNK)):
        with pytest.raises(OutboxFullError, match="3 messages wait to be sent"):
            outbox.put(refused)
    assert outbox.discard("b")
    outbox.put(result("d", 10))
    all_frames(outbox)
    assert 0 == outbox._queued_bytes
    outbox.put(wire.Cancel("e"))


def test_messages_without_a_body_pass_a_full_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_BYTES", 10)
    outbox = filled(result("a", 10))
    outbox.put(wire.Cancel("x"))
    outbox.put(wire.BodyTaken(1))


def test_that_nothing_more_is_given_is_said_after_all_that_was_given() -> None:
    outbox = filled(execute("a", 3 * CHUNK), execute("b", 2 * CHUNK), wire.Draining(), wire.Cancel("c"))
    frames = all_frames(outbox)
    sent = [message for frame in frames for message in frame]
    assert wire.Draining() == sent[-1]
    assert wire.Cancel("c") == sent[0]
    assert 7 == len(sent)


def test_that_nothing_more_is_given_does_not_wait_for_what_is_withdrawn() -> None:
    outbox = filled(execute("a", 3 * CHUNK), wire.Draining())
    next_messages(outbox)
    assert not outbox.is_empty
    outbox.discard("a")
    assert [[wire.Draining()]] == all_frames(outbox)


def test_an_agent_says_at_once_that_it_drains_whatever_results_wait() -> None:
    outbox = filled(result("a", 30 * CHUNK), wire.Draining())
    assert wire.Draining() == next_messages(outbox)[0]


def test_two_messages_of_one_id_both_leave_and_neither_is_lost() -> None:
    outbox = filled(result("a", 3 * CHUNK), result("a", 2 * CHUNK), wire.Cancel("a"), wire.Cancel("a"))
    assert 7 == sum(len(frame) for frame in all_frames(outbox))
    assert frozenset() == outbox.unsent()


@pytest.mark.parametrize("size", [0, CHUNK + 1])
def test_taking_all_back_costs_a_step_for_each_however_many_wait(size: int) -> None:
    def compared(count: int) -> int:
        outbox = filled(*(execute(str(number), size) for number in range(count)))
        steps = 0

        def count_line(*_: object) -> None:
            nonlocal steps
            steps += 1

        sys.setprofile(count_line)
        try:
            for number in reversed(range(count)):
                outbox.discard(str(number))
        finally:
            sys.setprofile(None)
        assert outbox.is_empty
        return steps

    assert compared(400) < 5 * compared(100)


def test_no_frame_has_more_messages_than_the_peer_takes() -> None:
    outbox = Outbox()
    for number in range(2 * limits.MAX_MESSAGES):
        outbox.put(wire.Cancel(str(number)))
    outbox.put(
        wire.Execute("large", "::1", "POST", "http://x/", 1.0, has_body=True, body=bytes(2 * limits.CHUNK_BYTES))
    )
    sizes = []
    while (frame := outbox.next_frame()) is not None:
        sizes.append(len(codec.decode(frame, wire.FROM_COORDINATOR)))
    assert limits.MAX_MESSAGES == max(sizes)
    assert 2 * limits.MAX_MESSAGES < sum(sizes)


def test_of_two_messages_of_one_id_the_first_is_taken_back_and_the_other_is_still_unsent() -> None:
    outbox = filled(wire.Draining(), wire.Cancel("a"), wire.Cancel("a"), result("b", CHUNK + 1))
    assert {"a", "b"} == outbox.unsent()
    assert outbox.discard("a")
    assert {"a", "b"} == outbox.unsent()
    assert [wire.Draining(), wire.Cancel("a")] == next_messages(outbox)[:2]
    assert {"b"} == outbox.unsent()
