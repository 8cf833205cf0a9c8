"""New connections: a few a turn, and a pause where none can be taken."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

from dispatcher.web import accepting
from dispatcher.web.accepting import ACCEPTED_A_TURN, Acceptor
from tests.unit.loops import on_loop, turns


class FullOnce(socket.socket):
    """Finds once that no more files may be open."""

    is_full = True

    def accept(self) -> tuple[socket.socket, Any]:
        if self.is_full:
            self.is_full = False
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


class Door:
    """A listening socket and its connections, all closed at the end of the test."""

    def __init__(self, stack: ExitStack, kind: type[socket.socket] = socket.socket) -> None:
        self.taken: list[socket.socket] = []
        self._stack = stack
        self.listening = stack.enter_context(kind(socket.AF_INET6))
        self.listening.bind(("::1", 0))
        self.listening.listen(128)
        self.listening.setblocking(False)
        self.came = asyncio.Event()

    def knock(self, count: int) -> None:
        for _ in range(count):
            self._stack.enter_context(socket.create_connection(self.listening.getsockname()[:2]))

    def take(self, connection: socket.socket, _address: Any) -> None:
        self.taken.append(self._stack.enter_context(connection))
        self.came.set()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def with_door(stack: ExitStack, test: Callable[[Door], Any], kind: type[socket.socket] = socket.socket) -> None:
    async def run() -> None:
        await test(Door(stack, kind))

    on_loop(run)


def test_each_turn_takes_a_few_connections_and_all_are_taken(stack: ExitStack) -> None:
    async def test(door: Door) -> None:
        door.knock(3 * ACCEPTED_A_TURN)
        acceptor = Acceptor(door.listening, door.take)
        seen = [0]
        while len(door.taken) < 3 * ACCEPTED_A_TURN:
            await asyncio.sleep(0)
            seen.append(len(door.taken))
        assert ACCEPTED_A_TURN == max(after - before for before, after in pairwise(seen))
        acceptor.stop()

    with_door(stack, test)


def test_connections_that_come_later_are_taken_too(stack: ExitStack) -> None:
    async def test(door: Door) -> None:
        acceptor = Acceptor(door.listening, door.take)
        for number in range(1, 4):
            door.came.clear()
            door.knock(1)
            await asyncio.wait_for(door.came.wait(), 10)
            assert number == len(door.taken)
        acceptor.stop()

    with_door(stack, test)


def test_where_no_more_files_may_be_open_it_waits_and_says_so(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "PAUSE_SECONDS", 0.05)

    async def test(door: Door) -> None:
        door.knock(1)
        acceptor = Acceptor(door.listening, door.take)
        await asyncio.wait_for(door.came.wait(), 10)
        acceptor.stop()

    with_door(stack, test, FullOnce)
    assert ["cannot take new connections for 0.05 s: Too many open files"] == caplog.messages


@pytest.mark.parametrize("kind", [socket.socket, FullOnce])
def test_after_a_stop_nothing_is_taken(
    stack: ExitStack, kind: type[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "PAUSE_SECONDS", 0.0)

    async def test(door: Door) -> None:
        acceptor = Acceptor(door.listening, door.take)
        door.knock(1)
        if kind is FullOnce:
            acceptor._accept()
        acceptor.stop()
        await turns(10)
        assert [] == door.taken

    with_door(stack, test, kind)
