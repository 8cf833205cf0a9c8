"""The open WebSockets, and how all of them are ended."""

from __future__ import annotations

import asyncio
import time

from dispatcher.web.services import OpenSockets


class Polite:
    """A socket that closes when it is asked to."""

    def __init__(self, sockets: OpenSockets) -> None:
        self._sockets = sockets

    def close_link(self) -> None:
        asyncio.get_running_loop().call_soon(self._sockets.discard, self)


class Deaf:
    """A socket that never closes."""

    def close_link(self) -> None:
        """Do nothing."""


def test_without_sockets_there_is_nothing_to_wait_for() -> None:
    async def close() -> None:
        async with asyncio.timeout(1):
            await OpenSockets().close_all(100)

    asyncio.run(close())


def test_all_sockets_are_closed() -> None:
    async def close() -> OpenSockets:
        sockets = OpenSockets()
        for _ in range(3):
            sockets.add(Polite(sockets))
        async with asyncio.timeout(10):
            await sockets.close_all(100)
        return sockets

    assert set() == asyncio.run(close())._sockets


def test_a_socket_that_does_not_close_is_waited_for_no_longer_than_said() -> None:
    async def close() -> float:
        sockets = OpenSockets()
        sockets.add(Deaf())
        begun = time.monotonic()
        await sockets.close_all(0.05)
        return time.monotonic() - begun

    assert 0.04 < asyncio.run(close()) < 5


def test_a_socket_that_is_discarded_twice_is_gone_once() -> None:
    async def discard() -> set[object]:
        sockets = OpenSockets()
        first, second = Deaf(), Deaf()
        sockets.add(first)
        sockets.add(second)
        sockets.discard(first)
        sockets.discard(first)
        return {second} ^ sockets._sockets

    assert set() == asyncio.run(discard())
