"""Frames that were valid and were then changed, and garbage: only the declared error comes out, within bounds."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.wire import codec, limits
from dispatcher.wire import messages as wire
from dispatcher.wire.channel import Channel
from dispatcher.wire.codec import Invalid
from dispatcher.wire.fields import WireError
from dispatcher.wire.messages import Message
from tests.unit.wire import said
from tests.unit.wire.said import ALL_MESSAGES

SPLICES = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"\\u0000",
    b"[",
    b"{",
    b"]",
    b"}",
    b",",
    b"-",
    b"1e999",
    b"null",
    b"NaN",
    b'"b":',
)
"""What is put into a frame: bytes that mean something to JSON, and such that mean nothing."""


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[Message] = said.messages) -> bytes:
    """A frame of a few messages in which some bytes were replaced, and whose length may or may not still be right."""
    content = codec.encode(draw(st.lists(messages, min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 12)))
        splice = draw(st.sampled_from(SPLICES) | st.binary(max_size=6) | st.just(content[start:end] * 2))
        content = content[:start] + splice + content[end:]
    if draw(st.booleans()):
        closing = content.rfind(b"]") + 1
        content = max(0, closing - 4).to_bytes(4, "big") + content[4:]
    return content


@given(frame=mutated())
@settings(deadline=None, max_examples=150)
def test_a_mutated_frame_is_read_or_raises_a_wire_error(frame: bytes) -> None:
    try:
        found = said.decoded(frame)
    except WireError:
        return
    for message in found:
        if isinstance(message, Invalid):
            assert len(message.detail) < 500
        else:
            # What was let through is within the bounds: it can be written and read again as the same.
            assert [message] == said.decoded(codec.encode([message]))


@given(frames=st.lists(mutated(), max_size=8), allowed=st.none() | st.integers(0, 300))
@settings(deadline=None, max_examples=40)
def test_a_side_that_is_sent_mutated_frames_keeps_no_more_than_it_allows(
    frames: list[bytes], allowed: int | None
) -> None:
    channel = Channel(wire.FROM_AGENT, lambda _: allowed)
    for frame in frames:
        try:
            channel.receive(frame)
        except WireError:
            break
    kept = [arrived for arrived in channel._assembler._arrived.values() if arrived is not None]
    assert all(len(arrived.getvalue()) <= (allowed or 0) for arrived in kept)


BLOATED = {
    "brackets": b"[" * (limits.MAX_FRAME_BYTES - 4),
    "nested tags": b'{"t":' * (limits.MAX_FRAME_BYTES // 5 - 1),
    "digits": b"1" * (limits.MAX_FRAME_BYTES - 4),
    "one long string": b'["' + b"x" * (limits.MAX_FRAME_BYTES - 8) + b'"]',
    "empty messages": b"[" + b",".join([b'{"t":""}'] * (limits.MAX_FRAME_BYTES // 9 - 1)) + b"]",
}


@pytest.mark.parametrize("what", BLOATED)
def test_a_frame_made_to_cost_much_is_refused_within_bounds_of_memory(what: str) -> None:
    frame = len(BLOATED[what]).to_bytes(4, "big") + BLOATED[what]
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            codec.decode(frame, ALL_MESSAGES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * limits.MAX_FRAME_BYTES
