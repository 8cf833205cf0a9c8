"""What tests of the driver share: a driver with real handles, and a `CurlMulti` that notes what it is told."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher.agent.transfers import driver as module
from dispatcher.agent.transfers.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Fetching:
    """A driver with handles for one URL, and what has ended."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ended: asyncio.Queue[tuple[pycurl.Curl, int]] = asyncio.Queue()
        self.multi = pycurl.CurlMulti()
        self.driver = Driver(self.multi, self._note)
        self.handles: list[pycurl.Curl] = []

    def _note(self, handle: pycurl.Curl, number: int, _: str) -> None:
        self.ended.put_nowait((handle, number))

    def start(self, milliseconds: int = 5000) -> pycurl.Curl:
        """Begin a transfer that has so much time, with others in the next turn of the loop."""
        handle = self.add(milliseconds)
        self.driver.turn_soon()
        return handle

    def add(self, milliseconds: int = 5000) -> pycurl.Curl:
        """Take up a transfer."""
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self.url)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
        self.handles.append(handle)
        self.driver.add(handle)
        return handle

    async def end(self) -> tuple[pycurl.Curl, int]:
        """Wait for the next end; return whose it is, and its error number."""
        handle, number = await asyncio.wait_for(self.ended.get(), 5)
        self.multi.remove_handle(handle)
        return handle, number


@contextlib.contextmanager
def fetching(url: str) -> Iterator[Fetching]:
    """A driver that is closed again, with its handles."""
    made = Fetching(url)
    try:
        yield made
    finally:
        made.driver.close()
        for handle in made.handles:
            handle.close()
        made.multi.close()


class NotingMulti:
    """The `CurlMulti` of a driver, noting `calls` (the socket of each) and which transfers were `begun` before each."""

    def __init__(self, made: Fetching, patched: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        self.begun: list[list[pycurl.Curl]] = [[]]
        self._multi = made.multi
        self._patched = patched
        patched.setattr(made.driver, "_multi", self)

    def take_long(self) -> None:
        """Have each call take up all that a turn may take, by a clock of its own."""
        clock = SimpleNamespace(monotonic=lambda: 2 * module.SLICE_SECONDS * len(self.calls))
        self._patched.setattr(module, "time", clock)

    def add_handle(self, handle: pycurl.Curl) -> None:
        """As pycurl's, and noted."""
        self.begun[-1].append(handle)
        self._multi.add_handle(handle)

    def socket_action(self, fd: int, action: int) -> tuple[int, int]:
        """As pycurl's, and noted."""
        self.calls.append(fd)
        self.begun.append([])
        return self._multi.socket_action(fd, action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._multi, name)
