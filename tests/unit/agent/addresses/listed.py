"""What the tests of the watcher share: hand-written sources of addresses, and who is told."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses import watcher as module
from dispatcher.agent.addresses.netlink import KernelAddress, NetlinkMessage
from dispatcher.agent.addresses.rules import AddressOptions
from dispatcher.agent.addresses.sources import ListInterruptedError
from dispatcher.agent.addresses.watcher import AddressWatcher
from dispatcher.wire.messages import AddressReport, AddressState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable


LIMIT_SECONDS = 10.0


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS * 2):
            await coroutine

    asyncio.run(limited())


class ListedSource:
    """A kernel that has these addresses, and local routes that cover others; a test changes them, or tells of it."""

    poll_seconds: float | None = None

    def __init__(self, *addresses: str) -> None:
        """Have these addresses."""
        self.addresses = list(addresses)
        self.events: list[NetlinkMessage] | None = []
        self.covered: set[str] = set()
        self.asked: list[list[str]] = []
        self.lists = 0
        self.closed = False
        self.wake: Callable[[], None] = lambda: None

    def open(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def close(self) -> None:
        self.closed = True

    def take_events(self) -> list[NetlinkMessage] | None:
        events, self.events = self.events, []
        return events

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        yield [KernelAddress(address, 1) for address in self.addresses]

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        self.asked.append(sorted(addresses))
        for address in self.asked[-1]:
            yield address, address in self.covered

    def tell(self, kind: int, address: str) -> None:
        assert self.events is not None
        self.events.append(NetlinkMessage(kind, 0, False, KernelAddress(address, 1)))
        self.wake()

    def tell_route(self) -> None:
        assert self.events is not None
        route = netlink.LocalRoute("2001:db8:77::", 64)
        self.events.append(NetlinkMessage(netlink.RTM_NEWROUTE, 0, False, route=route))
        self.wake()

    def lose(self) -> None:
        self.events = None
        self.wake()


class SourceInPieces(ListedSource):
    """A kernel that lists its addresses as the real one does: some 400 at a time, a loop turn each."""

    def __init__(self, *addresses: str) -> None:
        """Make the pieces beforehand: their making is the kernel's work."""
        super().__init__()
        known = [KernelAddress(address, 1) for address in addresses]
        self.ready = [known[start : start + 400] for start in range(0, len(known), 400)]

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        for piece in self.ready:
            yield piece
            await asyncio.sleep(0)


class InterruptedSource(ListedSource):
    """A kernel whose first list lacks its addresses, and says so."""

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        if self.lists == 1:
            yield []
            raise ListInterruptedError("changed")
        yield [KernelAddress(address, 1) for address in self.addresses]


class RefusingSource(ListedSource):
    """A kernel that refuses the first list."""

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        if self.lists == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        yield [KernelAddress(address, 1) for address in self.addresses]


class Told:
    """Keeps what a watcher told and wakes the test that waits for it."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self.states: dict[str, AddressState] = {}
        self.calls: list[tuple[tuple[AddressReport, ...], tuple[str, ...]]] = []
        self.news = asyncio.Event()

    def __call__(self, changed: tuple[AddressReport, ...], gone: tuple[str, ...]) -> None:
        self.calls.append((changed, gone))
        self.states.update({report.address: report.state for report in changed})
        for address in gone:
            del self.states[address]
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self.news.clear()
                await self.news.wait()


def bindable(address: str, is_routed: bool) -> str | None:
    return None


def watcher(source: ListedSource, told: Any, **more: Any) -> AddressWatcher:
    options = AddressOptions(**more.pop("options", {}))
    return AddressWatcher(options, told, source=source, **{"test": bindable, **more})


@contextlib.asynccontextmanager
async def watched(source: ListedSource, **more: Any) -> AsyncIterator[tuple[AddressWatcher, Told]]:
    """A watcher that has begun, and what it told; stopped in the end."""
    told = Told()
    watching = watcher(source, told, **more)
    await watching.start()
    try:
        yield watching, told
    finally:
        await watching.stop()


def preferred(*addresses: str) -> dict[str, AddressState]:
    return dict.fromkeys(addresses, AddressState.PREFERRED)


async def wait_for_record(caplog: pytest.LogCaptureFixture, text: str) -> None:
    said = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == text:
                loop.call_soon(said.set)

    listener = Listener()
    module.logger.addHandler(listener)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await said.wait()
    finally:
        module.logger.removeHandler(listener)
    assert text in caplog.text
