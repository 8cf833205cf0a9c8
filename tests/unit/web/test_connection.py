"""A caller's connection: what the short way takes, what goes on as if nobody had looked, and the end of patience."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
from tornado.netutil import bind_sockets
from tornado.platform.asyncio import BaseAsyncIOLoop
from tornado.web import Application, RequestHandler

from dispatcher.streams import READ_BYTES
from dispatcher.tls.contexts import ServerFiles
from dispatcher.tls.reload import Certificates
from dispatcher.web.connection import LOOK_BYTES
from dispatcher.web.server import Server
from tests.support.certificates import Authority
from tests.unit.loops import on_loop, turns

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tornado.iostream import IOStream

    from dispatcher.web.connection import Asked, Caller

PATIENCE = 0.2
MUCH = b"x" * 40_000_000
"""More than the systems of both ends take of what nobody reads."""


class Said:
    """`say WORD.`, which is answered with the word once it is let go; in pieces where it is `slow`."""

    def __init__(self, way: Way, word: bytes) -> None:
        self._way = way
        self._word = word
        self._caller: Caller | None = None
        self.size = len(b"say .") + len(word)
        self.is_last = word == b"bye"

    def begin(self, caller: Caller) -> None:
        self._caller = caller
        self._way.begun.append(self._word)
        if self._word == b"early fault":
            raise ZeroDivisionError
        if self._way.is_held:
            self._way.waiting.append(self)
        else:
            caller.take_answer()

    def let_go(self) -> None:
        if self._caller is not None:
            self._caller.take_answer()

    def answer(self) -> bytes | Callable[[IOStream], Awaitable[None]]:
        if self._word == b"fault":
            raise ZeroDivisionError
        if self._word in (b"slow", b"slow fault"):
            return self._write
        return (MUCH if self._word == b"much" else self._word) + b"\n"

    async def _write(self, stream: IOStream) -> None:
        for letter in b"slow":
            await stream.write(bytes([letter]))
            await asyncio.sleep(0)
        if self._word == b"slow fault":
            raise ZeroDivisionError
        await stream.write(b"\n")

    def end(self) -> None:
        self._caller = None
        self._way.ended.append(self._word)


class Way:
    """A short way for whoever says something."""

    def __init__(self) -> None:
        self.is_held = False
        self.begun: list[bytes] = []
        self.waiting: list[Said] = []
        self.ended: list[bytes] = []
        self.lasts: list[Asked | None] = []

    async def begins(self, word: bytes) -> None:
        """Wait until this is asked."""
        while word not in self.begun:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
            await asyncio.sleep(0)

    def let_go(self) -> None:
        """Answer what waits, and all that comes."""
        self.is_held = False
        for said in self.waiting:
            said.let_go()

    def look(self, arrived: bytes, last: Asked | None) -> Said | None:
        self.lasts.append(last)
        word, end, _ = arrived.removeprefix(b"say ").partition(b".")
        return Said(self, word) if arrived.startswith(b"say ") and end else None


class Size(RequestHandler):
    """Answers with the size of what was sent, or with much."""

    def get(self) -> None:
        self.write(MUCH)

    def post(self) -> None:
        self.write(f"{len(self.request.body)} bytes\n")


@contextlib.asynccontextmanager
async def talking(
    context: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[Server, Way, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server, its short way, and both ends of a connection to it, over TLS where there is a `context`."""
    way = Way()
    server = Server(Application([("/", Size)], log_function=lambda _: None), short_way=way, **options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    name = None if context is None else "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        yield server, way, reader, writer
    finally:
        writer.close()
        server.stop()
        await server.close_all_connections()


async def server_forgets(server: Server) -> None:
    """Wait until the server has seen its one connection begin and end."""
    while not server._connections:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
        await asyncio.sleep(0)
    while server._connections:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0)


def post(size: int) -> bytes:
    """A request that is Tornado's."""
    return b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size + b"say x." * (size // 6)


@pytest.mark.parametrize("size", [0, 6, 600_000])
def test_what_the_short_way_does_not_take_goes_on_whole(size: int) -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            writer.write(b"say one.say two." + post(size) + b"say three." + post(size))
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            said = b"%d bytes\n" % size
            assert (await reader.readuntil(said)).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            assert (await reader.readuntil(said)).startswith(b"HTTP/1.1 200 OK\r\n")

    on_loop(test)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n"])
@pytest.mark.parametrize("early", range(1, 5))
def test_a_head_may_end_in_two_pieces(end: bytes, early: int) -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            request = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3" + end + b"abc"
            cut = len(request) - len(b"abc") - early
            writer.write(request[:cut])
            while not way.lasts:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            writer.write(request[cut:])
            assert (await reader.readuntil(b"3 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")

    on_loop(test)


def test_the_short_way_is_told_what_it_took_before() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            for word in (b"one", b"two", b"three"):
                writer.write(b"say %s." % word)
                assert word + b"\n" == await reader.readline()
            first, second, third = way.lasts
            assert first is None
            assert isinstance(second, Said)
            assert isinstance(third, Said)
            assert second is not third

    on_loop(test)


def test_what_is_longer_than_a_look_is_not_for_the_short_way() -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            longest = b"x" * (LOOK_BYTES - len(b"say ."))
            writer.write(b"say %s." % longest)
            assert longest + b"\n" == await reader.readline()
            writer.write(b"say x%s.\r\n\r\n" % longest)
            assert b"HTTP/1.1 400 Bad Request\r\n" == await reader.readline()

    on_loop(test)


def test_a_request_of_the_short_way_neither_leaves_nor_joins_the_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with talking() as (_, _, reader, writer):
            writer.write(b"say first.")
            assert b"first\n" == await reader.readline()
            changes: list[Any] = []
            monkeypatch.setattr(BaseAsyncIOLoop, "update_handler", lambda *change: changes.append(change))
            for _ in range(10):
                writer.write(b"say again.")
                assert b"again\n" == await reader.readline()
            assert [] == changes
            monkeypatch.undo()

    on_loop(test)


def test_a_request_of_the_short_way_takes_no_task_and_its_answer_no_turn() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            way.is_held = True
            for word in (b"one", b"two", b"three"):
                writer.write(b"say %s." % word)
                await way.begins(word)
                assert {asyncio.current_task()} == asyncio.all_tasks()
                way.waiting.pop().let_go()
                assert word == way.ended[-1]
                assert word + b"\n" == await reader.readline()

    on_loop(test)


def test_what_comes_before_an_answer_is_served_after_it_and_in_order() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say one.")
            await way.begins(b"one")
            writer.write(b"say two." + post(6) + b"say three.")
            await turns(50)
            assert [b"one"] == way.begun
            way.let_go()
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            assert (await reader.readuntil(b"6 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            assert [b"one", b"two", b"three"] == way.begun == way.ended

    on_loop(test)


def test_no_more_is_read_while_an_answer_is_awaited_than_fits_two_reads() -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = True
            writer.write(b"say one.")
            await way.begins(b"one")
            writer.write(MUCH)
            unsent = -1
            while unsent != (unsent := writer.transport.get_write_buffer_size()):  # type: ignore[attr-defined]  # it has
                await turns(100)
            (connection,) = server._connections
            assert unsent > len(MUCH) // 2
            assert 2 * (READ_BYTES + LOOK_BYTES) > connection.stream._read_buffer_size  # type: ignore[attr-defined]  # ours

    on_loop(test)


def test_the_next_request_waits_until_the_answer_before_it_was_taken() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say much.say next.")
            await way.begins(b"much")
            await turns(50)
            assert [b"much"] == way.begun
            assert [] == way.ended
            assert MUCH == await reader.readexactly(len(MUCH))
            assert b"\nnext\n" == await reader.readexactly(len(b"\nnext\n"))
            assert [b"much", b"next"] == way.ended

    on_loop(test)


def test_an_answer_may_leave_in_pieces_and_the_next_request_waits_for_them() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say slow.say next.")
            assert [b"slow\n", b"next\n"] == [await reader.readline() for _ in range(2)]
            writer.write(b"say slow.")
            assert b"slow\n" == await reader.readline()
            writer.write(b"say last.")
            assert b"last\n" == await reader.readline()
            assert [b"slow", b"next", b"slow", b"last"] == way.ended

    on_loop(test)


def test_many_requests_in_one_piece_leave_others_their_turn() -> None:
    async def test() -> None:
        async with talking() as (_, way, reader, writer):
            writer.write(b"say it." * 2000)
            reading = asyncio.create_task(reader.readexactly(len(b"it\n") * 2000))
            turned = 0
            while not reading.done():
                turned += 1
                await asyncio.sleep(0)
            assert b"it\n" * 2000 == await reading
            assert turned > 2000
            assert 2000 == len(way.ended)

    on_loop(test)


@pytest.mark.parametrize("behind", [b"", b"say more."])
def test_the_last_request_of_a_connection_is_answered_and_closes_it(behind: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say one.say bye." + behind)
            with contextlib.suppress(ConnectionResetError):  # where something was left unread
                assert b"one\nbye\n" == await reader.read(8)
                assert b"" == await reader.read()
            await turns()
            assert [b"one", b"bye"] == way.begun == way.ended
            assert set() == server._connections

    on_loop(test)


def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("coordinator")
    certificates = Certificates(ServerFiles(pair.cert, pair.key))

    async def test() -> None:
        async with talking(authority.client(), certificates=certificates) as (_, way, reader, writer):
            writer.write(b"say one.say two." + post(60_000) + b"say three.")
            assert [b"one\n", b"two\n"] == [await reader.readline() for _ in range(2)]
            assert (await reader.readuntil(b"60000 bytes\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"three\n" == await reader.readline()
            # More than a look in one record: what OpenSSL has of it already is not forgotten.
            writer.write(b"say four." * 1000)
            assert b"four\n" * 1000 == await reader.readexactly(5000)
            writer.write(b"say much.")
            assert MUCH == await reader.readexactly(len(MUCH))
            assert 1004 == len(way.begun)

    on_loop(test)


@pytest.mark.parametrize("before", [b"", b"say one."])
def test_an_idle_connection_is_closed_when_patience_ends(before: bytes) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with talking(idle_connection_timeout=PATIENCE) as (_, _, reader, writer):
            writer.write(before or b"P")
            assert before[4:-1] == (await reader.read()).rstrip()
            assert loop.time() - began >= PATIENCE

    on_loop(test)


def test_an_answer_may_take_longer_than_a_connection_may_be_idle() -> None:
    async def test() -> None:
        async with talking(idle_connection_timeout=PATIENCE) as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say late.")
            await way.begins(b"late")
            asyncio.get_running_loop().call_later(3 * PATIENCE, way.let_go)
            assert b"late\n" == await reader.read()

    on_loop(test)


ASKS_FOR_MUCH = [b"say much.", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"]


@pytest.mark.parametrize("asked", ASKS_FOR_MUCH, ids=["the short way", "Tornado"])
@pytest.mark.parametrize("idle", [None, 60.0])
def test_who_takes_nothing_of_an_answer_is_closed_and_it_is_said(
    asked: bytes, idle: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with talking(send_timeout=PATIENCE, idle_connection_timeout=idle) as (server, _, _, writer):
            writer.write(asked)
            await server_forgets(server)

    caplog.set_level(logging.INFO, "dispatcher")
    on_loop(test)
    said = [one.getMessage() for one in caplog.records if one.name == "dispatcher.web.connection"]
    assert ["ended a connection of 127.0.0.1: it took nothing of its answer for 0.2 s (--send-timeout)"] == said


@pytest.mark.parametrize("asked", ASKS_FOR_MUCH, ids=["the short way", "Tornado"])
def test_without_a_send_timeout_an_answer_waits_for_its_reader(asked: bytes) -> None:
    async def test() -> None:
        async with talking(send_timeout=0.0, idle_connection_timeout=PATIENCE) as (_, _, reader, writer):
            writer.write(asked)
            said_nothing, idle = await asyncio.open_connection("127.0.0.1", writer.get_extra_info("peername")[1])
            # By the time that one which is idle was closed, this one was looked at too.
            assert b"" == await said_nothing.read()
            idle.close()
            assert MUCH in await reader.read()

    on_loop(test)


def test_an_answer_that_has_not_begun_may_take_longer_than_a_reader_may() -> None:
    async def test() -> None:
        async with talking(send_timeout=PATIENCE) as (_, way, reader, writer):
            way.is_held = True
            writer.write(b"say late.")
            await way.begins(b"late")
            asyncio.get_running_loop().call_later(3 * PATIENCE, way.let_go)
            assert b"late\n" == await reader.readline()

    on_loop(test)


def test_an_answer_of_the_short_way_is_waited_for() -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            way.is_held = True
            writer.write(b"say it.")
            await way.begins(b"it")
            assert await server.finish_replies(0.05) is False
            way.let_go()
            assert await server.finish_replies(5.0) is True
            assert b"it\n" == await reader.readline()

    on_loop(test)


@pytest.mark.parametrize("word", [b"fault", b"early fault", b"slow fault"])
def test_a_fault_is_logged_and_ends_its_connection_alone(word: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say %s.say next." % word)
            with contextlib.suppress(ConnectionResetError):  # where something was left unread
                assert (await reader.read()) in (b"", b"slow")
            await turns()
            assert set() == server._connections
            assert [word] == way.begun == way.ended

    on_loop(test)
    assert [(logging.ERROR, "a connection failed")] == [(one.levelno, one.getMessage()) for one in caplog.records]


@pytest.mark.parametrize("word", [b"it", b"much", b"slow"])
def test_who_goes_away_is_forgotten_and_what_was_asked_is_told(word: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with talking() as (server, way, _, writer):
            way.is_held = word == b"it"
            writer.write(b"say %s.say next." % word)
            await way.begins(word)
            writer.transport.abort()
            await server_forgets(server)
            assert [word] == way.ended
            way.let_go()
            await turns()
            assert [word] == way.begun == way.ended

    on_loop(test)
    assert [] == [one for one in caplog.records if one.levelno > logging.DEBUG]


@pytest.mark.parametrize("asked", [b"", b"say held.", b"say much.", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"POST /"])
def test_whatever_is_under_way_ends_when_all_connections_are_closed(asked: bytes) -> None:
    async def test() -> None:
        async with talking() as (server, way, reader, writer):
            writer.write(b"say one.")
            assert b"one\n" == await reader.readline()
            way.is_held = b"held" in asked
            writer.write(asked)
            await turns(20)
            await server.close_all_connections()
            assert set() == server._connections
            assert way.begun == way.ended
            assert await server.finish_replies(0.0)

    on_loop(test)
