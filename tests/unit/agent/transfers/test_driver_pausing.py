"""Bodies that wait for the next turn of the loop, with a target that sends 4 KB which become 4 MiB."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pycurl

from dispatcher.agent.transfers import driver as module
from tests.support.driving import Fetching, fetching
from tests.support.executing import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


GROWN = 4 * 1024 * 1024
PIECE = 16 * 1024
"""What libcurl hands over at a time."""


@contextlib.asynccontextmanager
async def growing_target() -> AsyncIterator[str]:
    """Serve 4 KB that are 4 MiB when unpacked, which libcurl hands over within one call; give the URL."""
    packed = gzip.compress(bytes(GROWN))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        with contextlib.closing(writer):
            await writer.drain()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        yield f"http://[::1]:{server.sockets[0].getsockname()[1]}/"


class Unpacking:
    """A transfer whose body waits for the next turn of the loop whenever the time of one is up.

    The clock is its own: each look at it takes a third of a turn. `came` is how much each turn of the loop brought.
    """

    def __init__(self, made: Fetching, patched: pytest.MonkeyPatch, limit: int = GROWN) -> None:
        looks = itertools.count()
        patched.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(looks) * module.SLICE_SECONDS / 3))
        self.made = made
        self.came = [0]
        self.limit = limit
        self.handle = made.start()
        self.handle.setopt(pycurl.ACCEPT_ENCODING, "")
        self.handle.setopt(pycurl.WRITEFUNCTION, self._write)

    def _write(self, chunk: bytes) -> int | None:
        if self.made.driver.pauses(self.handle):
            return int(pycurl.WRITEFUNC_PAUSE)
        self.came[-1] += len(chunk)
        return None if sum(self.came) <= self.limit else 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)
                self.came.append(0)


def test_what_grows_a_thousandfold_comes_in_many_turns_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch)
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, 0) == await made.end()
                assert GROWN == sum(unpacking.came)
                assert max(unpacking.came) <= 4 * PIECE

    run(test())


def test_one_that_ends_over_what_had_to_wait_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch, limit=GROWN // 2)
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, pycurl.E_WRITE_ERROR) == await made.end()
                await asyncio.sleep(0)
                assert made.ended.empty()

    run(test())


def test_one_that_is_stopped_while_it_has_to_wait_gets_nothing_more_and_its_handle_serves_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch)
                await unpacking.until(lambda: sum(unpacking.came) > 0)
                assert made.driver._next_turn is not None
                made.driver.disregard(unpacking.handle)
                made.multi.remove_handle(unpacking.handle)
                before = sum(unpacking.came)
                await unpacking.until(lambda: made.driver._next_turn is None)
                assert before == sum(unpacking.came) < GROWN
                assert made.ended.empty()
                unpacking.came = [0]
                made.driver.add(unpacking.handle)
                made.driver.turn_soon()
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, 0) == await made.end()
                assert GROWN == sum(unpacking.came)

    run(test())
