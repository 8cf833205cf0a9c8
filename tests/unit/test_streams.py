"""What comes and goes over a stream, plain and with TLS: whole, in order, bounded, and to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from tornado.iostream import IOStream, SSLIOStream, StreamBufferFullError, StreamClosedError

from dispatcher import streams
from dispatcher.afterwards import Afterwards
from dispatcher.streams import LITTLE_BYTES, READ_BYTES, Arrivals
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

AUTHORITY = trustme.CA()
MUCH = bytes(range(256)) * (1 << 14)
"""4 MiB: more than the sockets of a test hold."""

_SERVER = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.issue_cert("127.0.0.1").configure_cert(_SERVER)
_CLIENT = ssl.create_default_context()
AUTHORITY.configure_trust(_CLIENT)


class Both:
    """The two ends of a connection: the one under test, and an ordinary one."""

    def __init__(self, stream: IOStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = stream
        self.reader = reader
        self.writer = writer
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.ends = 0
        self.arrivals = Arrivals(stream, self.arrived.put_nowait, self._end)

    def _end(self) -> None:
        self.ends += 1
        self.ended.set()

    def reset(self) -> None:
        """End the connection from the other side, not as one that has said all."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def take(self, size: int) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            taken += await self.arrived.get()
        return bytes(taken)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Two ends that hold little, so that a peer that does not read is soon noticed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        far.connect(server.getsockname())
        near, _ = server.accept()
    return near, far


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[Both]:
    near, far = _sockets()
    reader, writer = await asyncio.open_connection(sock=far)
    async with _ends(Both(IOStream(near), reader, writer)) as both:
        yield both


@contextlib.asynccontextmanager
async def tls() -> AsyncIterator[Both]:
    near, far = _sockets()
    near.setblocking(False)
    wrapped = _SERVER.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    stream = SSLIOStream(wrapped)
    opening = asyncio.open_connection(sock=far, ssl=_CLIENT, server_hostname="127.0.0.1")
    (reader, writer), _ = await asyncio.gather(opening, stream.wait_for_handshake())
    async with _ends(Both(stream, reader, writer)) as both:
        yield both


@contextlib.asynccontextmanager
async def _ends(both: Both) -> AsyncIterator[Both]:
    try:
        yield both
    finally:
        both.stream.close()
        both.writer.transport.abort()


Kind = Callable[[], contextlib.AbstractAsyncContextManager[Both]] if TYPE_CHECKING else Any
both_kinds = pytest.mark.parametrize("kind", [plain, tls])


# Reading


def test_what_an_arrival_causes_is_done_in_the_turn_of_the_loop_that_brought_it() -> None:
    async def test() -> None:
        async with plain() as both:
            order: list[str] = []
            done = asyncio.Event()

            def finish() -> None:
                order.append("done afterwards")
                done.set()

            def hear(_: bytes) -> None:
                Afterwards.here().call(finish)
                order.append("heard")

            def read() -> None:
                arrivals._read()
                order.append("read")

            arrivals = Arrivals(both.stream, hear, lambda: None)
            arrivals.listen()
            both.stream._handle_read = read  # type: ignore[method-assign]  # what it is called in
            both.writer.write(b"something")
            await done.wait()
            assert ["heard", "done afterwards", "read"] == order

    on_loop(test)


@both_kinds
def test_what_comes_is_handed_over_in_the_turn_in_which_the_socket_tells_of_it(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            assert b"" == both.arrivals.listen()
            tasks = asyncio.all_tasks()
            for number in range(3):
                both.writer.write(b"%d" % number)
                assert b"%d" % number == await both.arrived.get()
            assert tasks == asyncio.all_tasks()

    on_loop(test)


def test_nothing_is_asked_of_the_socket_again_after_little_has_come() -> None:
    async def test() -> None:
        async with plain() as both:
            asked: list[int] = []

            class Asked:
                """The socket, of which it is known how often it was read."""

                def __getattr__(self, name: str) -> Any:
                    return getattr(near, name)

                def recv(self, size: int) -> bytes:
                    asked.append(size)
                    return near.recv(size)

            both.arrivals.listen()
            near, both.stream.socket = both.stream.socket, Asked()  # type: ignore[assignment]  # all that is used of it
            both.writer.write(b"x")
            await both.arrived.get()
            assert [LITTLE_BYTES] == asked
            both.writer.write(bytes(LITTLE_BYTES))
            await both.take(LITTLE_BYTES)
            assert [LITTLE_BYTES, LITTLE_BYTES, READ_BYTES] == asked
            both.stream.socket = near

    on_loop(test)


@both_kinds
@pytest.mark.parametrize(
    "size", [1, LITTLE_BYTES - 1, LITTLE_BYTES, LITTLE_BYTES + 1, 16_384, 16_385, READ_BYTES, len(MUCH)]
)
def test_all_of_it_comes_and_in_order_however_much_it_is(kind: Kind, size: int) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(MUCH[:size])
            assert MUCH[:size] == await both.take(size)

    on_loop(test)


@both_kinds
def test_a_turn_hands_over_so_much_at_most_and_others_have_theirs_in_between(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            turn = 0
            handed: list[tuple[int, int]] = []

            def count() -> None:
                nonlocal turn, counting
                turn += 1
                counting = asyncio.get_running_loop().call_soon(count)

            def take(came: bytes) -> None:
                handed.append((turn, len(came)))
                both.arrived.put_nowait(came)

            counting = asyncio.get_running_loop().call_soon(count)
            Arrivals(both.stream, take, both.ended.set).listen()
            both.writer.write(MUCH)
            await both.take(len(MUCH))
            counting.cancel()
            assert LITTLE_BYTES + READ_BYTES >= max(size for _, size in handed)
            assert len(handed) == len({turn for turn, _ in handed})

    on_loop(test)


@both_kinds
def test_the_end_comes_after_all_else_and_once(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(b"last")
            both.writer.close()
            assert b"last" == await both.arrived.get()
            await both.ended.wait()
            both.stream.close()
            await turns()
            assert (1, True, None) == (both.ends, both.stream.closed(), both.stream.error)

    on_loop(test)


def test_a_reset_is_an_end_that_says_what_it_was() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.reset()
            await both.ended.wait()
            assert isinstance(both.stream.error, ConnectionResetError)

    on_loop(test)


def test_what_is_no_tls_ends_a_stream_with_tls_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with tls() as both:
            both.arrivals.listen()
            os.write(both.writer.get_extra_info("socket").fileno(), b"no record of TLS")
            await both.ended.wait()
            assert isinstance(both.stream.error, ssl.SSLError)

    on_loop(test)
    assert ["a connection broke"] == [record.getMessage().split(":")[0] for record in caplog.records]


def test_a_stream_that_closes_on_its_own_side_ends_too() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.stream.close()
            await both.ended.wait()

    on_loop(test)


def test_who_listens_to_a_stream_that_is_closed_hears_its_end() -> None:
    async def test() -> None:
        async with plain() as both:
            both.stream.close()
            assert b"" == both.arrivals.listen()
            assert 0 == both.ends
            await both.ended.wait()

    on_loop(test)


@both_kinds
def test_what_was_given_back_is_what_tornado_reads_next(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(b"one\ntwo\n")
            assert b"one\ntwo\n" == await both.arrived.get()
            both.arrivals.release(b"two\n")
            assert b"two\n" == await both.stream.read_until(b"\n")
            both.writer.write(b"three\nfour\n")
            assert b"three\n" == await both.stream.read_until(b"\n")
            assert b"four\n" == both.arrivals.listen()
            both.writer.write(b"five\n")
            assert b"five\n" == await both.arrived.get()

    on_loop(test)


@both_kinds
def test_while_nobody_reads_a_little_waits_here_and_the_rest_at_the_sender(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            both.arrivals.listen()
            both.writer.write(MUCH)
            first = await both.arrived.get()
            both.arrivals.release()
            rests = 0
            while rests < 100:  # turns in which nothing more is read
                size = both.stream._read_buffer_size  # nobody else says what it keeps
                await turns(1)
                rests = 0 if size != both.stream._read_buffer_size else rests + 1
            assert both.arrived.empty()
            assert 2 * both.stream.read_chunk_size >= size
            waited = both.arrivals.listen()
            assert MUCH == first + waited + await both.take(len(MUCH) - len(first) - len(waited))

    on_loop(test)


def test_an_end_that_comes_while_nobody_reads_is_told() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            both.arrivals.release()
            both.writer.close()
            await both.ended.wait()
            assert 1 == both.ends

    on_loop(test)


def test_what_comes_is_read_while_much_waits_to_be_written() -> None:
    async def test() -> None:
        async with plain() as both:
            both.arrivals.listen()
            assert streams.write(both.stream, MUCH) is not None
            for content in (b"one", b"two"):
                both.writer.write(content)
                assert content == await both.arrived.get()
            assert both.stream.writing()

    on_loop(test)


class User:
    """Whoever has arrivals, and is known to them."""

    def __init__(self, stream: IOStream, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self.arrivals = Arrivals(stream, self._take, self._end)

    def _take(self, came: bytes) -> None:
        raise AssertionError(came)

    def _end(self) -> None:
        self._on_end()


def test_who_listens_is_let_go_of_at_the_end() -> None:
    async def test() -> None:
        async with plain() as both:
            user = User(both.stream, both.ended.set)
            user.arrivals.listen()
            both.writer.close()
            await both.ended.wait()
            known = weakref.ref(user)
            del user
            assert known() is None  # by counting alone: the collector has not looked

    on_loop(test)


# Writing


@both_kinds
def test_what_the_system_takes_at_once_is_written_at_once(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            assert streams.write(both.stream, b"one") is None
            assert b"one" == await both.reader.readexactly(3)

    on_loop(test)


@both_kinds
def test_what_it_does_not_take_follows_and_in_order(kind: Kind) -> None:
    async def test() -> None:
        async with kind() as both:
            much, more = streams.write(both.stream, MUCH), streams.write(both.stream, b"more")
            assert much is not None
            assert more is not None
            assert (False, False) == (much.done(), more.done())
            assert MUCH + b"more" == await both.reader.readexactly(len(MUCH) + 4)
            await much
            await more
            assert streams.write(both.stream, b"then") is None

    on_loop(test)


@both_kinds
@pytest.mark.parametrize("before", [b"", MUCH[: 1 << 20]])
def test_a_stream_takes_no_more_than_its_limit_and_nothing_of_it(kind: Kind, before: bytes) -> None:
    async def test() -> None:
        async with kind() as both:
            both.stream.max_write_buffer_size = len(before) + 9
            if before:
                streams.write(both.stream, before)
            with pytest.raises(StreamBufferFullError):
                streams.write(both.stream, bytes(1 << 21))
            streams.write(both.stream, b"the next")
            assert before + b"the next" == await both.reader.readexactly(len(before) + 8)

    on_loop(test)


def test_who_writes_to_a_closed_stream_is_told() -> None:
    async def test() -> None:
        async with plain() as both:
            both.stream.close()
            with pytest.raises(StreamClosedError):
                streams.write(both.stream, b"x")

    on_loop(test)


def test_who_writes_to_nobody_is_told_and_the_stream_is_closed() -> None:
    async def test() -> None:
        async with plain() as both:
            both.reset()
            await turns()
            with pytest.raises(StreamClosedError) as raised:
                streams.write(both.stream, b"x")
            assert isinstance(raised.value.real_error, ConnectionError)
            assert both.stream.closed()

    on_loop(test)
