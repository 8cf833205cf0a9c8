from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from dispatcher.tls.contexts import ServerFiles
from dispatcher.tls.reload import Certificates
from dispatcher.web.server import Server
from dispatcher.web.turnstile import PASSING_A_TURN, Turnstile
from tests.support.certificates import Authority
from tests.unit.loops import on_loop, turns

LARGE = 20 * 1024 * 1024


class Held(RequestHandler):
    """Answers when it is let go."""

    async def get(self) -> None:
        self.settings["begun"].set()
        await self.settings["let_go"].wait()
        self.write(b"x" * LARGE if self.get_query_argument("large", "") else b"done")


class Echo(WebSocketHandler):
    """A link that stays open."""


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Server, Application, int]]:
    application = Application(
        [("/", Held), ("/ws", Echo)], begun=asyncio.Event(), let_go=asyncio.Event(), log_function=lambda _: None
    )
    server = Server(application, **options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield server, application, sockets[0].getsockname()[1]
    server.stop()
    await server.close_all_connections()


async def ask(port: int, path: str = "/", *, limit: int = 2**16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return reader, writer


def test_a_server_that_answers_nothing_has_nothing_to_finish() -> None:
    async def test() -> None:
        async with serving() as (server, _, port):
            assert await server.finish_replies(0.0) is True
            idle = await asyncio.open_connection("127.0.0.1", port)
            await turns()
            assert await server.finish_replies(0.0) is True
            idle[1].close()

    on_loop(test)


def test_a_request_under_way_is_waited_for() -> None:
    async def test() -> None:
        async with serving() as (server, application, port):
            reader, writer = await ask(port)
            await application.settings["begun"].wait()
            assert await server.finish_replies(0.05) is False
            application.settings["let_go"].set()
            assert await server.finish_replies(5.0) is True
            assert b"done" in await reader.read(1000)
            writer.close()

    on_loop(test)


def test_a_large_reply_is_waited_for_until_its_reader_has_it() -> None:
    async def test() -> None:
        async with serving() as (server, application, port):
            application.settings["let_go"].set()
            reader, writer = await ask(port, "/?large=1")
            await application.settings["begun"].wait()
            assert await server.finish_replies(0.2) is False
            finishing = asyncio.create_task(server.finish_replies(10.0))
            head = await reader.readuntil(b"\r\n\r\n")
            assert LARGE == len(await reader.readexactly(LARGE))
            assert head.startswith(b"HTTP/1.1 200")
            assert await finishing is True
            writer.close()

    on_loop(test)


def test_a_caller_that_goes_away_is_not_waited_for() -> None:
    async def test() -> None:
        async with serving() as (server, application, port):
            _, writer = await ask(port)
            await application.settings["begun"].wait()
            writer.transport.abort()
            assert await server.finish_replies(5.0) is True
            application.settings["let_go"].set()

    on_loop(test)


def test_a_websocket_is_not_waited_for() -> None:
    async def test() -> None:
        async with serving() as (server, _, port):
            link = await websocket_connect(f"ws://127.0.0.1:{port}/ws")
            assert await server.finish_replies(5.0) is True
            link.close()
            assert await link.read_message() is None

    on_loop(test)


def test_requests_that_come_later_are_not_waited_for() -> None:
    async def test() -> None:
        async with serving() as (server, application, port):
            first = await ask(port)
            await application.settings["begun"].wait()
            finishing = asyncio.create_task(server.finish_replies(5.0))
            await turns()
            application.settings["begun"].clear()
            second = await ask(port)
            await application.settings["begun"].wait()
            first[1].transport.abort()
            assert await finishing is True
            assert await server.finish_replies(0.0) is False
            second[1].transport.abort()
            assert await server.finish_replies(5.0) is True
            application.settings["let_go"].set()

    on_loop(test)


def test_a_fleet_that_connects_at_once_is_let_in_a_few_in_each_turn() -> None:
    async def test() -> None:
        async with serving() as (server, _, port):
            fleet = [socket.create_connection(("127.0.0.1", port)) for _ in range(5 * PASSING_A_TURN)]
            for each in fleet:
                each.sendall(b"GET ")
            let_in: list[int] = []
            while sum(let_in) < len(fleet):
                before = len(server._connections)
                await asyncio.sleep(0)
                let_in.append(len(server._connections) - before)
            assert [PASSING_A_TURN] * 5 == [count for count in let_in if count]
            for each in fleet:
                each.close()

    on_loop(test)


class Counting(Turnstile):
    """Counts who comes."""

    came = 0

    async def pass_through(self) -> None:
        self.came += 1
        await super().pass_through()


def test_a_connection_of_which_nothing_came_takes_no_turn() -> None:
    async def test() -> None:
        async with serving() as (server, application, port):
            server._turnstile = turnstile = Counting()
            application.settings["let_go"].set()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write_eof()
            assert b"" == await reader.read()
            writer.close()
            reader, writer = await ask(port)
            assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
            assert 1 == turnstile.came
            writer.close()

    on_loop(test)


def test_who_waits_at_the_turnstile_is_closed_with_the_server() -> None:
    async def test() -> None:
        async with serving() as (server, _, port):
            server._turnstile = turnstile = Counting(per_turn=0)
            reader, writer = await ask(port)
            while not turnstile.came:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            server.stop()
            await server.close_all_connections()
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await reader.read()
            writer.close()

    on_loop(test)


@pytest.mark.parametrize("most", [1, 0], ids=["greeted", "turned away"])
def test_who_is_accepted_in_the_turn_in_which_all_are_closed_is_closed_too(most: int) -> None:
    async def test() -> None:
        async with serving(max_connections=most) as (server, _, _):
            ours, theirs = socket.socketpair()
            with theirs:
                stream = IOStream(ours)
                server.handle_stream(stream, ("127.0.0.1", 1))
                await server.close_all_connections()
                assert stream.closed()
                assert b"" == theirs.recv(1)

    on_loop(test)


def certificates(folder: Path) -> Certificates:
    pair = Authority(folder).pair("coordinator")
    return Certificates(ServerFiles(pair.cert, pair.key))


def test_a_greeting_that_is_ended_within_its_handshake_ends_as_cancelled(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(certificates=certificates(tmp_path)) as (server, _, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16\x03\x01")
            while not server._greetings:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            (greeting,) = server._greetings
            await turns(50)
            greeting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await greeting
            writer.close()

    on_loop(test)


def test_a_handshake_that_fails_where_all_places_are_taken_harms_nobody(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(certificates=certificates(tmp_path), max_connections=0) as (server, _, port):
            distrusting = ssl.create_default_context()
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection("127.0.0.1", port, ssl=distrusting, server_hostname="localhost")
            while server._turned_away:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            await turns(50)

    on_loop(test)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"])
def test_a_connection_of_which_nothing_came_leaves_its_place(said: bytes, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(certificates=certificates(tmp_path), max_connections=1) as (server, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            if not said:
                writer.write_eof()
            await reader.read()
            while server._greetings:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
                await asyncio.sleep(0)
            await turns()
            assert server._callers.refusal("127.0.0.1") is None
            writer.close()

    on_loop(test)
