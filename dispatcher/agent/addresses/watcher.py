"""The live list of this gateway's addresses: what changes is told within a second, and only what changes.

Stands before a request's way: what it tells becomes the pool's exits. Runs on the agent's event loop as one task that
does one pass after another (events, list, routes, bind tests, telling), each cut into turns of a few milliseconds.
Events are gathered for a moment first, so an address that comes with thousands of others is told with them; and
because events can be lost, the whole list is read again every minute, and all routes in question are asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING

from dispatcher.afterwards import TURN_SECONDS
from dispatcher.agent.addresses import netlink, sources
from dispatcher.agent.addresses.binding import RetestSchedule, bind_error
from dispatcher.agent.addresses.table import AddressTable
from dispatcher.wire import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.addresses.rules import AddressOptions
    from dispatcher.agent.addresses.sources import AddressSource
    from dispatcher.wire.messages import AddressReport

    OnChange = Callable[[tuple[AddressReport, ...], tuple[str, ...]], None]

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
"""How long a lost event can go unnoticed."""

_GATHER_SECONDS = 0.02  # how long a change waits for others
_FIRST_RETRY_SECONDS = 0.05  # after a list that failed or was interrupted; doubled each time
_LIST_GAP_SECONDS = 0.25  # between lists, when events are lost without end


class AddressWatcher:
    """Tells `on_change(changed, gone)` how this machine's addresses differ from what it told before.

    `changed` are reports that are new or other than before, `gone` the addresses that are no more reported; together at
    most `limits.MAX_ADDRESSES_PER_MESSAGE` a call and one call a loop turn. An address that would be usable is told
    only after a bind test.
    """

    def __init__(
        self,
        options: AddressOptions,
        on_change: OnChange,
        *,
        resync_seconds: float = RESYNC_SECONDS,
        source: AddressSource | None = None,
        test: Callable[[str, bool], str | None] = bind_error,
    ) -> None:
        """Make a watcher that is not started; `source` None takes the best that works here."""
        self._options = options
        self._on_change = on_change
        self._resync_seconds = resync_seconds
        self._source = source
        self._test = test
        self._table = AddressTable(options, self._interface_name)
        self._retests = RetestSchedule()
        self._interface_names: dict[int, str] = {}
        self._wake = asyncio.Event()
        self._listed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._next_list = 0.0
        self._last_list = float("-inf")
        self._failed_lists = 0
        self._is_listed_whole = False
        self._turn_ends = 0.0
        self._bound_logged = False

    async def start(self) -> None:
        """Start to watch; returns after the first pass, when `snapshot` holds what is there now."""
        if self._source is None:
            self._source = sources.choose_source(self._options.explicit, self._wake.set)
        else:
            self._source.open(self._wake.set)
        self._task = asyncio.create_task(self._run(self._source))
        await self._listed.wait()

    async def stop(self) -> None:
        """Stop to watch; nothing is told any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._source is not None:
            self._source.close()

    def snapshot(self) -> tuple[AddressReport, ...]:
        """Return all reports that hold, in a stable order: what `on_change` told so far, added up."""
        return self._table.snapshot()

    def is_routed(self, address: str) -> bool:
        """Say whether only a local route makes the address (canonical text) this machine's, as of now."""
        return self._table.is_routed(address)

    async def _run(self, source: AddressSource) -> None:
        while True:
            try:
                await self._pass(source)
            except Exception:  # an agent whose watching ended would offer stale addresses for ever
                logger.exception("a change of addresses could not be handled")
                self._list_later()
            self._listed.set()
            await self._wait()

    async def _wait(self) -> None:
        """Wait until there is something to do, and a moment more for what comes with it."""
        due = self._retests.next_due()
        until = self._next_list if due is None else min(due, self._next_list)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        await asyncio.sleep(_GATHER_SECONDS)
        self._wake.clear()

    async def _pass(self, source: AddressSource) -> None:
        self._interface_names.clear()
        await self._take_events(source)
        if self._now() >= self._next_list:
            await self._list(source)
        if self._is_listed_whole:  # else an address on an interface might be taken for one on none
            await self._ask_routes(source)
        for address in self._retests.due(self._now()):
            self._table.retest(address)
        await self._settle()
        await self._tell()

    async def _take_events(self, source: AddressSource) -> None:
        events = source.take_events()
        if events is None:
            self._is_listed_whole = False
            self._next_list = max(self._now(), self._last_list + _LIST_GAP_SECONDS)
            return
        for event in events:
            if event.address is not None and event.type == netlink.RTM_NEWADDR:
                self._table.put(event.address)
            elif event.address is not None:
                self._table.remove(event.address)
            elif event.route is not None:
                self._table.route_changed(event.route)
            await self._breathe()

    async def _list(self, source: AddressSource) -> None:
        """Read the whole list. One that fails or is interrupted takes nobody away, and is read again soon."""
        self._is_listed_whole = False
        self._table.begin_list()
        try:
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    for address in piece:
                        self._table.put(address)
                        await self._breathe()
        except (OSError, netlink.NetlinkError, sources.ListInterruptedError) as error:
            self._table.abandon_list()
            interrupted = isinstance(error, sources.ListInterruptedError)
            logger.log(logging.DEBUG if interrupted else logging.WARNING, "addresses were not listed: %s", error)
            self._list_later()
        else:
            self._table.end_list()
            self._is_listed_whole = True
            self._failed_lists = 0
            self._next_list = self._now() + (source.poll_seconds or self._resync_seconds)
        self._last_list = self._now()

    def _list_later(self) -> None:
        pause = _FIRST_RETRY_SECONDS * 2 ** min(self._failed_lists, 20)
        self._next_list = self._now() + min(pause, self._resync_seconds)
        self._failed_lists += 1

    async def _ask_routes(self, source: AddressSource) -> None:
        """Ask for what no list shows. Where that fails nobody is taken away, and the next pass asks again."""
        try:
            with closing(source.routed(self._table.unasked())) as answers:
                for address, is_routed in answers:
                    self._table.routed(address, is_routed)
                    await self._breathe()
        except (OSError, netlink.NetlinkError) as error:
            logger.warning("local routes could not be asked for: %s", error)

    async def _settle(self) -> None:
        for address in self._table.unsettled():
            self._retest_or_forget(address)
            self._table.settle(address)
            await self._breathe()
        self._table.fill()
        if self._table.left_out and not self._bound_logged:
            self._bound_logged = True
            logger.warning("%d addresses are over the limit and left out", self._table.left_out)

    def _retest_or_forget(self, address: str) -> None:
        error = None
        if self._table.needs_test(address):
            error = self._test(address, self._table.is_routed(address))
            self._table.tested(address, error)
        if error is None:
            self._retests.forget(address)
        else:
            self._retests.failed(address, self._now())

    async def _tell(self) -> None:
        while True:
            changed, gone = self._table.changes(limits.MAX_ADDRESSES_PER_MESSAGE)
            if not changed and not gone:
                return
            self._on_change(changed, gone)
            await asyncio.sleep(0)

    async def _breathe(self) -> None:
        """Give the loop a turn when this one has been long enough."""
        if self._now() >= self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = self._now() + TURN_SECONDS

    def _interface_name(self, index: int) -> str:
        """Return an interface's name, asked once a pass: interfaces can be renamed."""
        name = self._interface_names.get(index)
        if name is None:
            with suppress(OSError):
                name = socket.if_indextoname(index)
            self._interface_names[index] = name = name or f"number {index}"
        return name

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
