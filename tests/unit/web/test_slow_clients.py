"""Clients that are slow on purpose, and those that are too many: each is dropped or told, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tornado.websocket import websocket_connect

from tests.support.api import Served, exchange, parse_reply, raw_request, served
from tests.support.scripted_agent import WAIT

PACE = 0.02
HEAD = b"POST /api/execute HTTP/1.1\r\nHost: test\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator that waits for nobody."""
    with served(tmp_path_factory.mktemp("state"), idle_timeout="0.2", body_timeout="0.2") as api:
        yield api


@contextlib.asynccontextmanager
async def connected(api: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a byte at a time until the other side has enough; return what it said."""
    async with asyncio.timeout(WAIT):
        while True:
            with contextlib.suppress(TimeoutError, ConnectionError):
                return await asyncio.wait_for(reader.read(), PACE)
            if writer.is_closing() or reader.at_eof():
                return b""
            writer.write(b"x")


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /livez HTTP/1.1\r\nHost: test\r\nX-Slow: ", HEAD + b"Content-Length: 100000\r\n\r\n"],
    ids=["first line", "header", "body"],
)
def test_who_sends_a_byte_at_a_time_is_dropped(hasty: Served, begun: bytes) -> None:
    async def test() -> None:
        async with connected(hasty) as (reader, writer):
            writer.write(begun)
            assert b"" == await drip(reader, writer)

    hasty.run(test())


def test_who_says_nothing_is_dropped(hasty: Served) -> None:
    async def test() -> None:
        async with connected(hasty) as (reader, _), asyncio.timeout(WAIT):
            assert b"" == await reader.read()

    hasty.run(test())


def test_who_says_nothing_more_is_dropped_after_its_answer(hasty: Served) -> None:
    async def test() -> None:
        async with connected(hasty) as (reader, writer), asyncio.timeout(WAIT):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await reader.read()).endswith(b'{"status":"ok"}')

    hasty.run(test())


def test_a_websocket_may_be_silent_for_as_long_as_it_likes(hasty: Served) -> None:
    async def test() -> None:
        monitor = await websocket_connect(f"ws{hasty.running.url.removeprefix('http')}/ws/monitor")
        async with asyncio.timeout(WAIT):
            for _ in range(2):
                async with connected(hasty) as (reader, _):
                    await reader.read()
            await monitor.write_message("snapshot")
            while '"snapshot"' not in str(await monitor.read_message()):
                pass
        monitor.close()

    hasty.run(test())


def test_a_monitor_that_answers_no_ping_is_dropped(tmp_path: Path) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    asked = raw_request("GET", "/ws/monitor", headers=upgrade | {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
    with served(tmp_path, ping_interval="0.2", ping_timeout="0.2") as api:

        async def test() -> None:
            async with connected(api) as (reader, writer):
                writer.write(asked)
                # Said to a reader that would hear it; five seconds later the connection is cut.
                said = await reader.readuntil(b"ping timed out")
                assert said.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")

        api.run(asyncio.wait_for(test(), WAIT))


def test_one_connection_too_many_is_told_so_and_the_next_is_served_when_one_has_gone(tmp_path: Path) -> None:
    with served(tmp_path, max_connections="16") as api:

        async def test() -> None:
            async with contextlib.AsyncExitStack() as stack:
                held = [await stack.enter_async_context(connected(api)) for _ in range(16)]
                for reader, writer in held:
                    writer.write(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
                    await reader.readuntil(b'{"status":"ok"}')
                async with connected(api) as (reader, writer):
                    writer.write(raw_request("GET", "/livez"))
                    reply = parse_reply(await reader.read(), "GET")
                assert (503, "1") == (reply.status, reply.headers["retry-after"])
                assert "urn:http-dispatcher:problem:too_many_connections" == reply.json["type"]
                held[0][1].close()
                await held[0][1].wait_closed()
                while (await exchange(api.running.port, raw_request("GET", "/livez"))).status != 200:
                    pass

        api.run(asyncio.wait_for(test(), WAIT))


def test_a_websocket_counts_among_the_connections_until_it_is_closed(tmp_path: Path) -> None:
    with served(tmp_path, max_connections="16") as api:

        async def status() -> int:
            return (await exchange(api.running.port, raw_request("GET", "/livez"))).status

        async def test() -> None:
            place = f"ws{api.running.url.removeprefix('http')}/ws/monitor"
            monitors = [await websocket_connect(place) for _ in range(16)]
            assert 503 == await status()
            for monitor in monitors:
                monitor.close()
            while 200 != await status():
                pass

        api.run(asyncio.wait_for(test(), WAIT))


def test_who_is_turned_away_without_having_asked_is_closed(tmp_path: Path) -> None:
    with served(tmp_path, max_connections="16") as api:

        async def test() -> None:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(16):
                    await stack.enter_async_context(connected(api))
                more = [await stack.enter_async_context(connected(api)) for _ in range(100)]
                # 64 at once are waited for; the others are closed at once, all of them soon.
                assert [b""] * 100 == [await reader.read() for reader, _ in more]

        api.run(asyncio.wait_for(test(), WAIT))
