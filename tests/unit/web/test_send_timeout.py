"""When a caller has taken nothing for too long: looked at with a clock of the test's, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from tornado.iostream import IOStream

from dispatcher.web import send_timeout
from dispatcher.web.send_timeout import SendTimeout
from tests.unit.loops import on_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 60.0
MUCH = b"x" * 40_000_000
"""More than the systems of both ends take of what nobody reads."""


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[IOStream, socket.socket]]:
    """The end that writes, and the socket of the one that reads, or does not."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as peer:
        peer.setblocking(False)
        stream = IOStream(listening.accept()[0])
        try:
            yield stream, peer
        finally:
            stream.close()


def done(stream: IOStream) -> int:
    """How many bytes this end's system has taken."""
    return stream._total_write_done_index


async def stuck(stream: IOStream) -> None:
    """Write until nothing more is taken."""
    stream.write(MUCH)
    kept = -1, -1
    while kept != (kept := (done(stream), send_timeout._kept(stream.socket))):  # noqa: ASYNC110 (nobody is told)
        await asyncio.sleep(0.05)


async def read_until(peer: socket.socket, size: int) -> None:
    loop = asyncio.get_running_loop()
    while size > 0:
        size -= len(await loop.sock_recv(peer, min(size, 65_536)))


def test_who_takes_nothing_has_so_many_seconds_from_the_first_look() -> None:
    async def test() -> None:
        async with connected() as (stream, _):
            patience = SendTimeout(stream, SECONDS)
            await stuck(stream)
            looks = (1000.0, 1000.0 + 0.5 * SECONDS, 999.9 + SECONDS, 1000.0 + SECONDS)
            assert [False, False, False, True] == [patience.has_ended(now) for now in looks]

    on_loop(test)


def test_nothing_that_waits_is_nothing_that_is_not_taken() -> None:
    async def test() -> None:
        async with connected() as (stream, _):
            patience = SendTimeout(stream, SECONDS)
            stream.write(b"small")
            assert [False] * 3 == [patience.has_ended(now) for now in (0.0, 100.0, 1e9)]

    on_loop(test)


def test_what_waits_again_begins_anew() -> None:
    async def test() -> None:
        async with connected() as (stream, peer):
            patience = SendTimeout(stream, SECONDS)
            await stuck(stream)
            assert patience.has_ended(0.0) is False
            await read_until(peer, len(MUCH))
            assert patience.has_ended(50.0) is False
            await stuck(stream)
            assert [False, False, True] == [patience.has_ended(now) for now in (100.0, 150.0, 160.0)]

    on_loop(test)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what was acknowledged")
def test_a_reader_that_is_merely_slow_goes_on_though_this_end_may_write_nothing_yet() -> None:
    async def test() -> None:
        async with connected() as (stream, peer):
            patience = SendTimeout(stream, SECONDS)
            await stuck(stream)
            before = done(stream)
            for look in range(3):
                assert patience.has_ended(look * 0.9 * SECONDS) is False
                kept = send_timeout._kept(stream.socket)
                while kept == send_timeout._kept(stream.socket):
                    await read_until(peer, 65_536)
            assert before == done(stream)

    on_loop(test)


def test_where_the_system_does_not_say_what_was_acknowledged_it_is_what_was_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with connected() as (stream, peer):
            patience = SendTimeout(stream, SECONDS)
            await stuck(stream)
            monkeypatch.setattr(sys, "platform", "darwin")
            assert patience.has_ended(0.0) is False
            before = done(stream)
            while before == done(stream):
                await read_until(peer, 65_536)
            looks = (50.0, 100.0, 110.0)
            assert [False, False, True] == [patience.has_ended(now) for now in looks]
            monkeypatch.undo()

    on_loop(test)


def test_no_seconds_are_no_end() -> None:
    async def test() -> None:
        async with connected() as (stream, _):
            patience = SendTimeout(stream, 0)
            await stuck(stream)
            assert [False, False] == [patience.has_ended(now) for now in (0.0, 1e9)]

    on_loop(test)


def test_a_stream_that_was_closed_is_no_longer_looked_at() -> None:
    async def test() -> None:
        async with connected() as (stream, _):
            patience = SendTimeout(stream, SECONDS)
            await stuck(stream)
            patience.has_ended(0.0)
            stream.close()
            assert patience.has_ended(SECONDS) is False

    on_loop(test)


def test_looks_are_a_quarter_of_the_timeout_apart_and_never_without_a_pause() -> None:
    async def test() -> None:
        async with connected() as (stream, _):
            assert 115.0 == SendTimeout(stream, SECONDS).next_look(100.0)
            assert 100.02 == SendTimeout(stream, 0.000_1).next_look(100.0)

    on_loop(test)
