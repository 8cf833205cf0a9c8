"""A WebSocket's frames, with Tornado's own as the other end: each reads what the other writes, and refuses the same."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.websocket import WebSocketProtocol13, _WebSocketParams

from dispatcher.wire import frames
from dispatcher.wire.frames import BrokenFrameError, FrameReader, TooLongError

MOST = 70_000
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
KNOWN = (0x0, TEXT, BINARY, CLOSE, PING, PONG)
Frame = tuple[int, bytes]


class BrokenError(Exception):
    """What Tornado does not take."""


class Tornados(WebSocketProtocol13):
    """Tornado's own, which reads from `arrived` and writes to `written`."""

    def __init__(self, *, is_client: bool) -> None:
        super().__init__(None, is_client, _WebSocketParams(max_message_size=MOST))  # type: ignore[arg-type]  # asks nobody
        self.stream = self  # type: ignore[assignment]  # of which `write` alone is asked for
        self.arrived = b""
        self.written = bytearray()
        self.heard: list[Frame] = []

    def write(self, frame: bytes) -> None:
        self.written += frame

    def read_all(self) -> list[Frame]:
        """Return what `arrived` says, and fail over what is not to be taken; what is left is no whole frame."""
        while self.arrived:
            if self.arrived[0] & 0xF not in KNOWN:
                raise BrokenError  # of a message in parts it says so only at its end
            reading = self._receive_frame()
            try:
                reading.send(None)
            except StopIteration:
                continue
            except EOFError:
                break
        return self.heard

    async def _read_bytes(self, n: int) -> bytes:
        if len(self.arrived) < n:
            raise EOFError
        taken, self.arrived = self.arrived[:n], self.arrived[n:]
        return taken

    def _handle_message(self, opcode: int, data: bytes) -> None:
        self.heard.append((opcode, data))

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Say why; `_abort` does the rest."""

    def _abort(self) -> None:
        raise BrokenError


def read(content: Iterable[bytes], *, are_masked: bool = True, most: int = MOST) -> list[Frame]:
    """Read what comes in these pieces."""
    reader = FrameReader(most, are_masked=are_masked)
    heard: list[Frame] = []
    for piece in content:
        reader.add(piece)
        while (frame := reader.next()) is not None:
            heard.append(frame)
    return heard


def pieces(content: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({cut % (len(content) + 1) for cut in cuts} | {0, len(content)})
    return [content[start:end] for start, end in itertools.pairwise(places)]


CONTENTS = st.binary(max_size=300) | st.sampled_from([125, 126, 127, 65_535, 65_536]).map(os.urandom)
PARTINGS = st.just(b"") | st.text(max_size=30).map(lambda reason: b"\x03\xe8" + reason.encode("utf-8", "replace"))
CONTROLS = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)) | st.tuples(st.just(CLOSE), PARTINGS)
CUTS = st.lists(st.integers(min_value=0, max_value=MOST), max_size=6)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[bool, int, bytes]]:
    """Frames as a peer that keeps to the protocol sends them: whether it is the last part, its opcode, its content."""
    said: list[tuple[bool, int, bytes]] = []
    for _ in range(draw(st.integers(min_value=0, max_value=5))):
        said += [(True, *each) for each in draw(st.lists(CONTROLS, max_size=1))]
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        parts = [*draw(st.lists(st.binary(max_size=200), max_size=3)), draw(CONTENTS)]
        for place, part in enumerate(parts):
            said.append((place == len(parts) - 1, opcode if not place else 0, part))
            said += [(True, *each) for each in draw(st.lists(CONTROLS, max_size=1))]
    return said


@given(conversations(), st.booleans(), CUTS)
def test_what_tornado_writes_is_read_as_tornado_reads_it_wherever_it_is_cut(
    said: list[tuple[bool, int, bytes]], is_client: bool, cuts: list[int]
) -> None:
    peer = Tornados(is_client=is_client)
    for fin, opcode, content in said:
        peer._write_frame(fin, opcode, content)
    peer.arrived = bytes(peer.written)
    assert peer.read_all() == read(pieces(bytes(peer.written), cuts), are_masked=is_client)


@given(st.lists(CONTENTS, max_size=4), st.booleans())
def test_what_is_written_tornado_reads(contents: list[bytes], is_client: bool) -> None:
    peer = Tornados(is_client=not is_client)
    peer.arrived = b"".join(frames.write(content, os.urandom(4) if is_client else b"") for content in contents)
    assert [(BINARY, content) for content in contents] == peer.read_all()


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=255),
            st.sampled_from([b"\x80", b"\x85", b"\xfd", b"\xfe\x00\x7e", b"\xfe\xff\xff"])
            | st.integers(min_value=1 << 16, max_value=(1 << 64) - 1).map(
                lambda size: b"\xff" + size.to_bytes(8, "big")
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_tornado_refuses_is_refused_and_nothing_else(heads: list[tuple[int, bytes]]) -> None:
    peer = Tornados(is_client=False)
    for first, length in heads:
        said = int.from_bytes(length[1:], "big") if len(length) > 1 else length[0] & 0x7F
        content = b"\x03\xe8" + bytes(min(said, MOST))  # as a close it is one
        peer.arrived += bytes((first,)) + length + bytes(4) + content[: min(said, MOST)]
    whole = peer.arrived
    try:
        expected: Any = peer.read_all()
    except BrokenError:
        with pytest.raises((BrokenFrameError, TooLongError)):
            read([whole])
    else:
        assert expected == read([whole])


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535])
@pytest.mark.parametrize("length_bytes", [2, 8])
def test_a_length_has_to_be_written_in_as_few_bytes_as_it_takes(size: int, length_bytes: int) -> None:
    length = bytes((126 if length_bytes == 2 else 127,)) + size.to_bytes(length_bytes, "big")
    whole = b"\x82" + length + bytes(size)
    if length_bytes == 2 and size > 125:
        assert [(BINARY, bytes(size))] == read([whole], are_masked=False)
    else:
        with pytest.raises(BrokenFrameError, match="a length in more bytes"):
            read([whole[: 1 + len(length)]], are_masked=False)


def test_the_bound_of_messages_may_change_also_in_the_midst_of_one() -> None:
    reader = FrameReader(6, are_masked=False)
    reader.add(b"\x02\x03abc")
    assert reader.next() is None
    reader.take(7)
    reader.add(b"\x80\x04defg" + b"\x82\x07" + bytes(7) + b"\x82\x08")
    assert [(BINARY, b"abcdefg"), (BINARY, bytes(7))] == [reader.next(), reader.next()]
    with pytest.raises(TooLongError, match="a message of more than 7 bytes"):
        reader.next()


@pytest.mark.parametrize("are_masked", [True, False])
def test_a_client_has_to_mask_and_a_server_must_not(are_masked: bool) -> None:
    wrong = frames.write(b"x", b"" if are_masked else b"mask")
    with pytest.raises(BrokenFrameError):
        read([wrong], are_masked=are_masked)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_message_of_the_most_bytes_is_taken_and_one_more_refused_by_its_head_alone(size: int) -> None:
    content = os.urandom(size)
    assert [(BINARY, content)] == read([frames.write(content, b"mask")], most=size)
    head = frames.write(content + b"x", b"mask")[: -size - 5]
    with pytest.raises(TooLongError):
        read([head], most=size)


def test_the_parts_of_a_message_count_together() -> None:
    part = b"\x02\x83mask" + b"abc"
    last = b"\x80\x83mask" + b"abc"
    assert 1 == len(read([part, last], most=6))
    with pytest.raises(TooLongError):
        read([part, last], most=5)


def test_what_was_read_is_not_kept() -> None:
    reader = FrameReader(MOST, are_masked=True)
    whole = frames.write(bytes(50_000), b"mask")
    for _ in range(20):
        for piece in (whole[:10], whole[10:] + whole[:1], whole[1:]):
            reader.add(piece)
            while reader.next() is not None:
                assert len(reader._arrived) <= 2 * len(whole)
    assert reader._at == len(reader._arrived)
