"""What RFC 6455 asks of whoever reads frames, at both ends of a link: cases as Autobahn's test suite has them.

Each peer is written by hand and says what it says in one piece, and byte by byte.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketError

from dispatcher.wire import limits, websocket
from dispatcher.wire.frames import FrameReader
from tests.unit.loops import on_loop, turns
from tests.unit.wire.test_websocket import SOON, raw_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MORE, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80

Frame = tuple[int, bytes]


class Said(NamedTuple):
    """A frame, right or wrong. `length` is how its length is written, where that is not by its size."""

    opcode: int
    content: bytes = b""
    first: int = FINAL
    length: bytes = b""
    is_mask_right: bool = True

    def written(self, *, masked: bool) -> bytes:
        """Write it as one end does."""
        masked = masked is self.is_mask_right
        size = len(self.content)
        length = self.length or (bytes((size,)) if size < 126 else b"\x7e" + struct.pack("!H", size))
        head = bytes((self.first | self.opcode, length[0] | (MASKED if masked else 0))) + length[1:]
        return head + (bytes(4) if masked else b"") + self.content  # a mask that changes nothing


def parting(code: int, reason: bytes = b"") -> Said:
    return Said(CLOSE, struct.pack("!H", code) + reason)


class Raw(NamedTuple):
    """A peer written by hand, and what the end before it heard and was told at last."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    masks: bool
    heard: asyncio.Queue[Any]
    gone: asyncio.Event
    told: Callable[[], tuple[int | None, str | None]]

    async def says(self, said: list[Said], *, in_pieces: bool) -> None:
        whole = b"".join(each.written(masked=self.masks) for each in said)
        with contextlib.suppress(ConnectionError):  # it may have ended by then
            for start in range(0, len(whole), 1 if in_pieces else len(whole)):
                self.writer.write(whole[start : start + 1] if in_pieces else whole)
                await turns(3 if in_pieces else 1)

    async def hears(self) -> list[Frame]:
        """Read to the end."""
        frames = FrameReader(limits.MAX_FRAME_BYTES, are_masked=not self.masks)
        frames.add(await asyncio.wait_for(self.reader.read(), SOON))
        found: list[Frame] = []
        while (frame := frames.next()) is not None:
            found.append(frame)
        return found

    async def end(self) -> tuple[int | None, str | None]:
        """Wait for the end; return the code and the reason that it was told with."""
        await asyncio.wait_for(self.gone.wait(), SOON)
        return self.told()

    def all_heard(self) -> list[Any]:
        return [each for each in (self.heard.get_nowait() for _ in range(self.heard.qsize())) if each is not None]


@contextlib.asynccontextmanager
async def raw_agent() -> AsyncIterator[Raw]:
    """Be an agent."""
    async with raw_link() as (reader, writer, far):
        yield Raw(reader, writer, True, far.heard, far.closed, lambda: (far.close_code, far.close_reason))


def accept_for(asked: bytes) -> str:
    """Return what proves that a handshake was read."""
    lines = asked.decode().split("\r\n")
    key = next(line.split()[1] for line in lines if line.lower().startswith("sec-websocket-key"))
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


@contextlib.asynccontextmanager
async def raw_coordinator(behind_handshake: bytes = b"") -> AsyncIterator[Raw]:
    """Be a coordinator, which sends something in one piece with its handshake."""
    peers: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accept = accept_for(await reader.readuntil(b"\r\n\r\n"))
        said = (
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
        )
        writer.write(said % accept.encode() + behind_handshake)
        peers.put_nowait((reader, writer))

    heard: asyncio.Queue[Any] = asyncio.Queue()
    gone = asyncio.Event()

    def hear(frame: str | bytes | None) -> None:
        heard.put_nowait(frame)
        if frame is None:
            gone.set()

    server = await asyncio.start_server(greet, "127.0.0.1")
    async with server:
        client = await websocket.connect(HTTPRequest(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), hear)
        reader, writer = await peers.get()
        try:
            yield Raw(reader, writer, False, heard, gone, lambda: (client.close_code, client.close_reason))
        finally:
            writer.close()
            client.close()
            await asyncio.wait_for(gone.wait(), SOON)


GOOD: dict[str, tuple[list[Said], list[Any], list[Frame]]] = {
    # what is said, what is heard of it, and what is answered before the goodbye
    "an empty message": ([Said(BINARY)], [b""], []),
    "lengths about their forms": (
        [Said(BINARY, bytes(size)) for size in (125, 126, 127, 128)],
        [bytes(size) for size in (125, 126, 127, 128)],
        [],
    ),
    "an empty ping": ([Said(PING)], [], [(PONG, b"")]),
    "a ping of the most bytes": ([Said(PING, b"\xfe" * 125)], [], [(PONG, b"\xfe" * 125)]),
    "ten pings": ([Said(PING, b"%d" % each) for each in range(10)], [], [(PONG, b"%d" % each) for each in range(10)]),
    "pongs that nobody asked for": ([Said(PONG), Said(PONG, b"unasked"), Said(BINARY, b"x")], [b"x"], []),
    "a message in parts": (
        [Said(BINARY, b"a", 0), Said(MORE, b"b", 0), Said(MORE, b"c")],
        [b"abc"],
        [],
    ),
    "a message in empty parts": ([Said(BINARY, b"", 0), Said(MORE, b"", 0), Said(MORE)], [b""], []),
    "pings between all parts of a message": (
        [Said(BINARY, b"a", 0), Said(PING, b"1"), Said(MORE, b"b", 0), Said(PING, b"2"), Said(PONG), Said(MORE, b"c")],
        [b"abc"],
        [(PONG, b"1"), (PONG, b"2")],
    ),
    "a text": ([Said(TEXT, "ä".encode())], ["ä"], []),
    "a text whose parts end in the midst of a character": (
        [Said(TEXT, "ä".encode()[:1], 0), Said(MORE, "ä".encode()[1:])],
        ["ä"],
        [],
    ),
}

BROKEN: dict[str, tuple[list[Said], str]] = {
    **{
        f"reserved bits {bits:#x} of a {name}": (
            [Said(opcode, b"", FINAL | bits)],
            "a frame of an extension that nobody agreed on",
        )
        for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)
        for name, opcode in (("message", BINARY), ("ping", PING), ("close", CLOSE))
    },
    **{
        f"opcode {opcode:#x}": ([Said(opcode, b"x")], "a frame of an extension that nobody agreed on")
        for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
    },
    "a wrong mask": (
        [Said(BINARY, b"x", is_mask_right=False)],
        "a frame of a server that is masked, or of a client that is not",
    ),
    "a ping of 126 bytes": ([Said(PING, bytes(126))], "a control frame in parts, or with more than 125 bytes"),
    "a ping in parts": (
        [Said(PING, b"a", 0), Said(MORE, b"b")],
        "a control frame in parts, or with more than 125 bytes",
    ),
    "a close in parts": ([Said(CLOSE, b"", 0)], "a control frame in parts, or with more than 125 bytes"),
    "a part of nothing": ([Said(MORE, b"x")], "a part of no message, or a message within another"),
    "a part of nothing that is not the last": (
        [Said(MORE, b"x", 0), Said(BINARY)],
        "a part of no message, or a message within another",
    ),
    "a message within another": (
        [Said(BINARY, b"a", 0), Said(BINARY, b"b")],
        "a part of no message, or a message within another",
    ),
    "a text within a message": (
        [Said(BINARY, b"a", 0), Said(TEXT, b"b", 0)],
        "a part of no message, or a message within another",
    ),
    "a length in 2 bytes for one": (
        [Said(BINARY, bytes(125), length=b"\x7e\0\x7d")],
        "a length in more bytes than it takes",
    ),
    "a length in 8 bytes for one": (
        [Said(BINARY, b"", length=b"\x7f" + bytes(8))],
        "a length in more bytes than it takes",
    ),
    "a length in 8 bytes for 2": (
        [Said(BINARY, length=b"\x7f" + (65_535).to_bytes(8, "big"))],
        "a length in more bytes than it takes",
    ),
    "a close of one byte": ([Said(CLOSE, b"\x03")], "a close with a code that may not be sent"),
    **{
        f"a close with {code}": ([parting(code)], "a close with a code that may not be sent")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    },
    "a close whose reason is no text": ([parting(1000, b"\xce\xba\xed\xa0\x80")], "a close whose reason is not UTF-8"),
    "a close of 126 bytes": ([parting(1000, bytes(124))], "a control frame in parts, or with more than 125 bytes"),
}

ENDS = pytest.mark.parametrize("peer", [raw_agent, raw_coordinator])
CUTS = pytest.mark.parametrize("in_pieces", [False, True])
Peer = Any


@ENDS
@CUTS
@pytest.mark.parametrize("case", GOOD)
def test_what_keeps_to_the_protocol_is_heard_and_answered(peer: Peer, in_pieces: bool, case: str) -> None:
    said, heard, answered = GOOD[case]

    async def test() -> None:
        async with peer() as raw:
            await raw.says([*said, parting(1000)], in_pieces=in_pieces)
            assert [*answered, (CLOSE, struct.pack("!H", 1000))] == await raw.hears()
            assert (1000, None) == await raw.end()
            assert heard == raw.all_heard()

    on_loop(test)


@ENDS
@CUTS
@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_protocol_ends_the_link_and_is_named_at_both_ends(
    peer: Peer, in_pieces: bool, case: str
) -> None:
    said, why = BROKEN[case]

    async def test() -> None:
        async with peer() as raw:
            before = [Said(BINARY, b"before")]
            behind = [Said(PING, b"behind"), Said(BINARY, b"behind")]
            await raw.says([*before, *said, *behind], in_pieces=in_pieces)
            with contextlib.suppress(ConnectionError):  # what lies unread resets it, and takes the goodbye along
                assert [(CLOSE, struct.pack("!H", 1002) + why.encode())] == await raw.hears()
            assert (None, f"the peer broke the protocol: {why}") == await raw.end()
            assert [each.content for each in before] == raw.all_heard()

    on_loop(test)


@ENDS
@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_close_is_answered_with_its_code_and_nothing_behind_it_is_heard(peer: Peer, code: int) -> None:
    async def test() -> None:
        async with peer() as raw:
            behind = [
                Said(BINARY, b"x"),
                Said(PING, b"x"),
                Said(3),
                parting(1001),
                Said(BINARY, bytes(70_000)[:65_535]),
            ]
            await raw.says([Said(BINARY, b"part", 0), parting(code, b"enough"), *behind], in_pieces=False)
            with contextlib.suppress(ConnectionError):
                assert [(CLOSE, struct.pack("!H", code))] == await raw.hears()
            assert (code, "enough") == await raw.end()
            assert [] == raw.all_heard()

    on_loop(test)


@ENDS
def test_what_a_peer_says_at_last_is_told_in_one_line(peer: Peer) -> None:
    async def test() -> None:
        async with peer() as raw:
            await raw.says([parting(4000, "gone\n\x1b[31m\u202e ä".encode())], in_pieces=False)
            assert (4000, "gone??[31m? ä") == await raw.end()

    on_loop(test)


ANSWER = {"Upgrade": "websocket", "Connection": "Upgrade"}
WRONG = {
    "it does not upgrade to WebSocket": [
        {"Connection": "Upgrade"},
        {"Upgrade": "websocket"},
        {"Upgrade": "h2c", "Connection": "Upgrade"},
    ],
    "its Sec-WebSocket-Accept is not for the key that was sent": [
        ANSWER,
        ANSWER | {"Sec-WebSocket-Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    ],
    "it wants an extension that was not offered": [
        ANSWER | {"Sec-WebSocket-Accept": "right", "Sec-WebSocket-Extensions": "permessage-deflate"}
    ],
}


@pytest.mark.parametrize(("why", "headers"), [(why, each) for why, found in WRONG.items() for each in found])
def test_a_wrong_answer_to_the_handshake_is_named(
    why: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accept = accept_for(await reader.readuntil(b"\r\n\r\n"))
        lines = [f"{name}: {accept if value == 'right' else value}" for name, value in headers.items()]
        writer.write("\r\n".join(["HTTP/1.1 101 Switching", *lines, "", ""]).encode())
        assert b"" == await reader.read()
        writer.close()

    async def test() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1") as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            with pytest.raises(WebSocketError, match=f"^a wrong answer to the handshake: {why}$"):
                await websocket.connect(HTTPRequest(url, request_timeout=SOON), lambda _: None)
            await turns()

    on_loop(test)
    assert [] == caplog.messages


def test_frames_that_come_with_the_handshake_are_heard() -> None:
    async def test() -> None:
        behind = Said(BINARY, b"early").written(masked=False) + Said(BINARY, bytes(100)).written(masked=False)[:50]
        async with raw_coordinator(behind) as raw:
            raw.writer.write(bytes(52))
            assert b"early" == await raw.heard.get()
            assert bytes(100) == await raw.heard.get()

    on_loop(test)


@ENDS
def test_a_length_past_all_bounds_is_refused_by_its_head(peer: Peer) -> None:
    async def test() -> None:
        async with peer() as raw:
            await raw.says([Said(BINARY, length=b"\x7f\xff" + bytes(7))], in_pieces=False)
            answered = await raw.hears()
            assert [(CLOSE, struct.pack("!H", 1009) + b"a message of more than 4194304 bytes")] == answered
            assert [] == raw.all_heard()

    on_loop(test)


@ENDS
def test_a_flood_of_pings_that_is_not_read_is_answered_without_keeping_what_cannot_leave(peer: Peer) -> None:
    async def test() -> None:
        async with peer() as raw:
            flood = [Said(PING, os.urandom(125)) for _ in range(2000)]
            for _ in range(10):  # 2.6 MB
                await raw.says(flood, in_pieces=False)
            await raw.says([Said(PING, b"last"), parting(1000)], in_pieces=False)
            answered = await raw.hears()
            assert (CLOSE, struct.pack("!H", 1000)) == answered[-1]
            assert {PONG} == {opcode for opcode, _ in answered[:-1]}

    on_loop(test)
