from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from dispatcher.web.server import Server
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
async def serving() -> AsyncIterator[tuple[Server, Application, int]]:
    application = Application(
        [("/", Held), ("/ws", Echo)], begun=asyncio.Event(), let_go=asyncio.Event(), log_function=lambda _: None
    )
    server = Server(application)
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
