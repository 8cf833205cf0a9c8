"""A link's WebSocket: what Tornado's reads and writes, however it is cut, and without what makes that dear."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.platform.asyncio import BaseAsyncIOLoop
from tornado.web import Application

from dispatcher.streams import READ_BYTES
from dispatcher.wire import limits, websocket
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: %s\r\n\r\n"
)
BINARY, PING, CLOSE = 0x2, 0x9, 0x8
FINAL = 0x80

SOON = 5.0
"""Seconds that the end of a link may take, also where a test has failed already."""


class Far(websocket.LinkServer):
    """The coordinator's end; keeps what it hears."""

    def initialize(self, links: asyncio.Queue[Far]) -> None:
        self._links = links
        self.heard: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    def open(self, *_: str, **__: str) -> None:
        self._links.put_nowait(self)

    def on_message(self, message: str | bytes) -> None:
        self.heard.put_nowait(message)

    def on_close(self) -> None:
        self.closed.set()

    def send(self, frame: bytes) -> asyncio.Future[None] | None:
        return self.send_frame(frame)


@contextlib.asynccontextmanager
async def served(end: type[Far] = Far) -> AsyncIterator[tuple[int, asyncio.Queue[Far]]]:
    """Run a server on a free port; `links` are those that were opened."""
    links: asyncio.Queue[Far] = asyncio.Queue()
    server = HTTPServer(
        Application(
            [("/", end, {"links": links})],
            websocket_max_message_size=limits.MAX_FRAME_BYTES,
            log_function=lambda _: None,
        )
    )
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1], links
    finally:
        server.stop()
        await server.close_all_connections()


@contextlib.asynccontextmanager
async def raw_link(end: type[Far] = Far) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Far]]:
    """Open a link by hand, so that a test may cut what it sends."""
    async with served(end) as (port, links):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HANDSHAKE % b"13")
        await reader.readuntil(b"\r\n\r\n")
        far = await links.get()
        try:
            yield reader, writer, far
        finally:
            writer.close()
            await asyncio.wait_for(far.closed.wait(), SOON)


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[tuple[websocket.LinkClient, asyncio.Queue[Any], Far]]:
    """Open a link as an agent does; what it heard is in the queue."""
    async with served() as (port, links):
        heard: asyncio.Queue[Any] = asyncio.Queue()
        closed = asyncio.Event()

        def hear(frame: str | bytes | None) -> None:
            heard.put_nowait(frame)
            if frame is None:
                closed.set()

        client = await websocket.connect(HTTPRequest(f"ws://127.0.0.1:{port}/"), hear)
        far = await links.get()
        try:
            yield client, heard, far
        finally:
            client.close()
            await asyncio.wait_for(closed.wait(), SOON)
            await asyncio.wait_for(far.closed.wait(), SOON)


def frame(content: bytes, opcode: int = BINARY | FINAL) -> bytes:
    """A frame as a client sends it, with a mask that changes nothing."""
    size = len(content)
    if size < 126:
        head = struct.pack("!BB", opcode, 0x80 | size)
    elif size < 2**16:
        head = struct.pack("!BBH", opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", opcode, 0x80 | 127, size)
    return head + bytes(4) + content


LARGE = bytes(range(256)) * (3 * READ_BYTES // 256)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 200, LARGE])
def test_a_frame_arrives_whole_wherever_it_is_cut(content: bytes) -> None:
    async def test() -> None:
        async with raw_link() as (_, writer, far):
            whole = frame(content)
            for cut in (1, 2, 3, 5, 7, len(whole) - 1):
                for piece in (whole[:cut], whole[cut:]):
                    writer.write(piece)
                    await turns()
                assert content == await far.heard.get()

    on_loop(test)


def test_frames_that_come_together_arrive_one_by_one() -> None:
    async def test() -> None:
        async with raw_link() as (_, writer, far):
            contents = [b"%d" % number * 50 for number in range(300)]
            writer.write(b"".join(map(frame, contents)))
            assert contents == [await far.heard.get() for _ in contents]

    on_loop(test)


def test_what_is_due_by_time_comes_before_more_of_a_peer_that_sends_without_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "TURN_SECONDS", -1.0)  # as if each frame took its whole turn

    async def test() -> None:
        async with raw_link() as (_, writer, far):
            order: list[str] = []

            def hear(message: str | bytes) -> None:
                order.append("frame")
                asyncio.get_running_loop().call_later(0, order.append, "timer")
                far.heard.put_nowait(message)

            monkeypatch.setattr(far, "on_message", hear)
            writer.write(frame(bytes(READ_BYTES)) * 16)
            for _ in range(16):
                await far.heard.get()
            await turns()
            assert ["frame", "timer"] * 16 == order

    on_loop(test)


@pytest.mark.parametrize("size", [1, READ_BYTES])  # all of them come at once, or each by itself
def test_a_peer_that_sends_as_fast_as_it_is_read_does_not_hold_the_loop(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "TURN_SECONDS", -1.0)  # as if each frame took its whole turn

    async def test() -> None:
        async with raw_link() as (_, writer, far):
            turn = 0
            heard_in: list[int] = []

            def count() -> None:
                nonlocal turn, counting
                turn += 1
                counting = asyncio.get_running_loop().call_soon(count)

            def hear(message: str | bytes) -> None:
                heard_in.append(turn)
                far.heard.put_nowait(message)

            counting = asyncio.get_running_loop().call_soon(count)
            monkeypatch.setattr(far, "on_message", hear)
            frames = 16
            writer.write(frame(bytes(size)) * frames)
            for _ in range(frames):
                await far.heard.get()
            counting.cancel()
            assert frames == len(set(heard_in)), heard_in

    on_loop(test)


def test_a_peer_that_sends_more_than_is_dealt_with_has_no_more_read_in_each_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "TURN_SECONDS", -1.0)  # as if each frame took its whole turn

    async def test() -> None:
        async with raw_link() as (_, writer, far):
            much = frame(b"x") * 5_000_000
            writer.write(much)
            for _ in range(1000):
                await far.heard.get()
            assert writer.transport.get_write_buffer_size() > len(much) // 2  # type: ignore[attr-defined]  # it has one
            writer.transport.abort()
            monkeypatch.undo()  # what has come is still heard before the end

    on_loop(test)


class Thinking(Far):
    """Takes its time over each message."""

    def initialize(self, links: asyncio.Queue[Far]) -> None:
        super().initialize(links)
        self.thought = asyncio.Semaphore(0)
        self.order: list[str | bytes] = []

    async def on_message(self, message: str | bytes) -> None:  # type: ignore[override]  # Tornado takes either
        self.heard.put_nowait(message)
        await self.thought.acquire()
        self.order.append(message)

    def on_close(self) -> None:
        self.order.append("closed")
        super().on_close()


def test_what_is_behind_a_message_that_takes_its_time_waits_for_it() -> None:
    async def test() -> None:
        async with raw_link(Thinking) as (_, writer, far):
            assert isinstance(far, Thinking)
            writer.write(frame(b"1") + frame(b"2") + frame(b"3")[:4])
            assert b"1" == await far.heard.get()
            writer.write(frame(b"3")[4:] + frame(LARGE))
            await turns()
            assert far.heard.empty()
            for expected in (b"2", b"3", LARGE):
                far.thought.release()
                assert expected == await far.heard.get()
            far.thought.release()

    on_loop(test)


def test_the_end_of_a_link_is_told_after_all_that_came_before_it() -> None:
    async def test() -> None:
        async with raw_link(Thinking) as (_, writer, far):
            assert isinstance(far, Thinking)
            assert far.ws_connection is not None
            assert far.ws_connection.stream is not None
            writer.write(frame(b"1") + frame(b"2"))
            assert b"1" == await far.heard.get()
            far.ws_connection.stream.close()
            await turns()
            for _ in range(2):
                far.thought.release()
            await asyncio.wait_for(far.closed.wait(), SOON)
            assert [b"1", b"2", "closed"] == far.order

    on_loop(test)


def test_a_frame_without_a_mask_ends_the_link() -> None:
    async def test() -> None:
        async with raw_link() as (reader, writer, far):
            writer.write(b"\x82\x01x")
            assert CLOSE | FINAL == (await reader.read())[0]
            await asyncio.wait_for(far.closed.wait(), SOON)
            assert far.heard.empty()

    on_loop(test)


def test_a_ping_is_answered_in_the_midst_of_a_message_in_parts() -> None:
    async def test() -> None:
        async with raw_link() as (reader, writer, far):
            writer.write(frame(b"one ", BINARY) + frame(b"ping", PING | FINAL) + frame(b"whole", FINAL))
            assert b"one whole" == await far.heard.get()
            assert b"\x8a\x04ping" == await reader.readexactly(6)

    on_loop(test)


def test_a_frame_over_the_limit_ends_the_link() -> None:
    async def test() -> None:
        async with raw_link() as (reader, writer, far):
            writer.write(frame(bytes(limits.MAX_FRAME_BYTES + 1))[:20])
            assert CLOSE | FINAL == (await reader.readexactly(1))[0]
            await asyncio.wait_for(far.closed.wait(), SOON)
            assert far.heard.empty()

    on_loop(test)


def test_a_version_that_nobody_speaks_is_refused() -> None:
    async def test() -> None:
        async with served() as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE % b"12")
            assert b"HTTP/1.1 426 Upgrade Required\r\n" == await reader.readline()
            writer.close()

    on_loop(test)


def test_both_ends_hear_each_other_and_of_the_end() -> None:
    async def test() -> None:
        async with linked() as (client, heard, far):
            client.send_frame(LARGE)
            far.send(LARGE)
            assert LARGE == await far.heard.get()
            assert LARGE == await heard.get()
            far.close(4001, "enough")
            assert await heard.get() is None
            assert (4001, "enough") == (client.close_code, client.close_reason)

    on_loop(test)


def test_reading_a_frame_neither_leaves_nor_joins_the_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked() as (client, heard, far):
            far.send(b"first")
            assert b"first" == await heard.get()
            client.send_frame(b"first")
            assert b"first" == await far.heard.get()
            changes: list[Any] = []
            monkeypatch.setattr(BaseAsyncIOLoop, "update_handler", lambda *change: changes.append(change))
            for number in range(10):
                far.send(b"%d" % number)
                assert b"%d" % number == await heard.get()
                client.send_frame(b"%d" % number)
                assert b"%d" % number == await far.heard.get()
            assert [] == changes
            monkeypatch.undo()

    on_loop(test)


def test_a_frame_that_the_system_takes_at_once_is_written_at_once_and_without_a_task() -> None:
    async def test() -> None:
        async with linked() as (client, _, far):
            tasks = asyncio.all_tasks()
            assert (None, None) == (client.send_frame(b"x"), far.send(b"x"))
            assert tasks == asyncio.all_tasks()

    on_loop(test)


def test_whoever_writes_to_nobody_is_told() -> None:
    async def test() -> None:
        async with linked() as (client, heard, far):
            assert far.ws_connection is not None
            assert far.ws_connection.stream is not None
            protocol = client.protocol
            assert protocol is not None
            far.ws_connection.stream.close()
            assert await heard.get() is None
            assert isinstance(protocol, websocket.LinkProtocol)
            with pytest.raises(StreamClosedError):
                protocol.send(b"x")

    on_loop(test)
