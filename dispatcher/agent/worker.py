"""Brings link, executor and addresses together: steps 5 to 7 of a request's way and the first of the way back.

Runs on the agent's event loop. A result goes back in the session that its execution came in, on whatever link that
session has by then; the coordinator takes it from no other. One that no link can take is kept until there is one.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

from dispatcher.agent.addresses.rules import USABLE
from dispatcher.agent.undelivered import Undelivered
from dispatcher.wire import limits
from dispatcher.wire.messages import AddressesChanged, Draining, Holding

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dispatcher.agent.addresses.watcher import AddressWatcher
    from dispatcher.agent.executor import Executor
    from dispatcher.agent.link import Link
    from dispatcher.wire.messages import AddressReport, Execute, Result

logger = logging.getLogger(__name__)


class Worker:
    """What one agent does; the `LinkUser` of its links."""

    def __init__(self, executor: Executor, undelivered_bytes: int) -> None:
        """Make requests with `executor`; keep `undelivered_bytes` of results that the coordinator may not have."""
        self._executor = executor
        self._undelivered = Undelivered(undelivered_bytes)
        self._session = ""
        self._wanted: set[str] = set()  # the executions under way whose results the coordinator waits for
        self.watcher: AddressWatcher | None = None
        self._link: Link | None = None
        self._is_draining = False
        self._drain_answered = asyncio.Event()
        self._link_lost = asyncio.Event()
        self._link_lost.set()
        self._usable: set[str] = set()

    # What the link calls

    def on_welcome(self, link: Link) -> None:
        """Tell what the session has under way and all addresses: a new link starts from none."""
        self._link = link
        self._link_lost.clear()
        self._executor.keep_secret(link.secret_headers)
        self._resume(link)
        if self._is_draining:
            link.send(Draining())
        elif self.watcher is not None:
            self._tell(self.watcher.snapshot(), ())

    def on_lost(self, link: Link) -> None:
        """Nothing can be told until the next welcome; what runs goes on."""
        if link is self._link:
            self._link = None
            self._link_lost.set()

    def on_execute(self, link: Link, execute: Execute) -> None:
        """Make a request, with the others of its frame."""
        self._wanted.add(execute.id)
        self._executor.start(execute, self._on_result)

    def on_heard(self) -> None:
        """Have the requests of a frame leave."""
        self._executor.begin()

    def on_cancel(self, execution_id: str) -> None:
        """End an execution for which nobody waits."""
        self._executor.cancel(execution_id)
        self._wanted.discard(execution_id)
        self._undelivered.discard((execution_id,))

    def on_delivered(self, execution_ids: Collection[str]) -> None:
        """The coordinator has these results."""
        self._undelivered.discard(execution_ids)

    def on_draining(self) -> None:
        """The coordinator gives this agent nothing more."""
        self._drain_answered.set()

    # What the watcher calls

    def on_addresses(self, changed: Sequence[AddressReport], gone: Sequence[str]) -> None:
        """Tell what changed, and let go of the connections of what can no longer be used."""
        had_some = bool(self._usable)
        lost = (*gone, *[report.address for report in changed if report.state not in USABLE])
        for address in lost:
            self._executor.drop_source(address)
        self._usable.difference_update(lost)
        self._usable.update(report.address for report in changed if report.state in USABLE)
        if had_some and not self._usable:
            self.warn_without_exits()
        if self._link is not None and not self._is_draining:
            self._tell(changed, gone)

    def warn_without_exits(self) -> None:
        """Say that this machine has no address that may be used, if that is so."""
        if not self._usable:
            logger.warning("no IPv6 address of this machine may be used; addresses are taken up as they come")

    # What the process calls

    async def drain(self, seconds: float) -> None:
        """Take nothing new and let what is in flight finish, `seconds` at most.

        Without a link there is nobody to finish it for: the coordinator waits only for an agent that comes back.
        """
        self._is_draining = True
        finishing = asyncio.create_task(self._finish())
        lost = asyncio.create_task(self._link_lost.wait())
        _, late = await asyncio.wait((finishing, lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if len(late) == 2 and self._executor.in_flight:
            logger.warning("%d executions outlasted --drain-timeout", self._executor.in_flight)
        elif len(late) == 2:
            logger.warning("the coordinator did not answer that this agent drains")
        for task in (finishing, lost):
            task.cancel()

    async def _finish(self) -> None:
        if self._link is None:
            return
        self._link.send(Draining())
        await self._drain_answered.wait()
        await self._executor.drain(None)
        if self._link is not None:
            await self._link.flush()

    def _resume(self, link: Link) -> None:
        """Go on where the last link of this session ended; what belongs to another session finds nobody."""
        if link.session != self._session or not link.can_resume:
            self._session = link.session
            self._wanted.clear()
            if dropped := self._undelivered.clear():
                logger.warning("dropped %d results: the coordinator does not wait for them any more", dropped)
            return
        held = self._wanted | self._undelivered.ids
        link.send(Holding(frozenset(itertools.islice(held, limits.MAX_HELD))))
        for result in itertools.islice(self._undelivered, limits.MAX_HELD):
            link.send(result)

    def _on_result(self, result: Result) -> None:
        if result.id not in self._wanted:
            logger.warning("dropped the result of %r: the coordinator does not wait for it any more", result.id)
            return
        self._wanted.discard(result.id)
        if self._undelivered.add(result):
            logger.info("results that the coordinator may not have take more than --undelivered-bytes; dropped some")
        if self._link is not None:
            self._link.send(result)

    def _tell(self, changed: Sequence[AddressReport], gone: Sequence[str]) -> None:
        assert self._link is not None
        step = limits.MAX_ADDRESSES_PER_MESSAGE
        for start in range(0, max(len(changed), len(gone)), step):
            part = AddressesChanged(tuple(changed[start : start + step]), tuple(gone[start : start + step]))
            self._link.send(part)
