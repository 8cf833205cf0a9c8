"""What tests of the watcher need: what it told, addresses on lo for a while, and a bound on the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from dispatcher.agent.addresses.rules import AddressOptions
from dispatcher.agent.addresses.watcher import AddressWatcher
from tests.support.netns import THIS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from dispatcher.agent.addresses.sources import AddressSource
    from dispatcher.wire.messages import AddressReport, AddressState

LIMIT_SECONDS = 10.0


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run an async test within a limit."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS * 4):
            await coroutine

    asyncio.run(limited())


class Told:
    """What a watcher told: the reports that hold, and the states that each address went through (None: gone)."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self.watcher: AddressWatcher | None = None
        self.reports: dict[str, AddressReport] = {}
        self.past: dict[str, list[AddressState | None]] = {}
        self.news = asyncio.Event()

    def __call__(self, changed: tuple[AddressReport, ...], gone: tuple[str, ...]) -> None:
        for report in changed:
            self.reports[report.address] = report
            self.past.setdefault(report.address, []).append(report.state)
        for address in gone:
            del self.reports[address]
            self.past[address].append(None)
        self.news.set()

    def is_routed(self, address: str) -> bool:
        """What the watcher says of the address now."""
        return self.watcher is not None and self.watcher.is_routed(address)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something told makes the condition true."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def until_there(self, address: str, there: bool) -> None:
        """Wait until the address is reported, or is not."""
        await self.until(lambda: (address in self.reports) == there)

    async def until_past(self, address: str, *states: AddressState | None) -> None:
        """Wait until the address went through just these states."""
        try:
            await self.until(lambda: len(self.past.get(address, ())) >= len(states))
        finally:
            assert list(states) == self.past.get(address)


@asynccontextmanager
async def watching(source: AddressSource | None = None, **options: Any) -> AsyncIterator[Told]:
    """A watcher for the length of a block; gives what it told."""
    told = Told()
    told.watcher = watcher = AddressWatcher(AddressOptions(**options), told, source=source)
    await watcher.start()
    try:
        yield told
    finally:
        await watcher.stop()


@contextmanager
def on_lo(*addresses: str, options: tuple[str, ...] = ()) -> Iterator[None]:
    """These addresses on lo for the length of a block."""
    THIS.add_addresses("lo", addresses, options=options)
    try:
        yield
    finally:
        THIS.remove_addresses("lo", addresses)
