"""A worker with what stands around it: an executor that ends when it is told to, and a link that keeps what is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dispatcher.agent.worker import Worker
from dispatcher.wire.messages import AddressReport, AddressState, Draining, Execute, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULT = Result(id="x1", status=200)
EXECUTE = Execute(id="x1", source="::1", method="GET", url="http://[::1]/", timeout=5.0)


class HeldExecutor:
    """Ends an execution when it is told to; keeps what it was asked."""

    def __init__(self) -> None:
        self.held: dict[str, Callable[[Result], None]] = {}
        self.begun: list[list[str]] = []  # what was held each time
        self.cancelled: list[str] = []
        self.dropped: list[str] = []
        self.secret: tuple[str, ...] = ()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        return len(self.held)

    def start(self, execute: Execute, on_result: Callable[[Result], None]) -> None:
        self.held[execute.id] = on_result
        self._idle.clear()

    def begin(self) -> None:
        self.begun.append(list(self.held))

    def finish(self, *ids: str) -> None:
        for each in ids:
            self.held.pop(each)(Result(id=each, status=200))
        if not self.held:
            self._idle.set()

    async def drain(self, _timeout: None) -> None:
        await self._idle.wait()

    def cancel(self, execution_id: str) -> None:
        self.cancelled.append(execution_id)

    def drop_source(self, address: str) -> None:
        self.dropped.append(address)

    def keep_secret(self, headers: tuple[str, ...]) -> None:
        self.secret = headers


class KeptLink:
    """A link that keeps what is sent; with `answers_drain` it answers like the coordinator."""

    def __init__(
        self, worker: Worker, *, answers_drain: bool = True, session: str = "s", can_resume: bool = True
    ) -> None:
        self.session = session
        self.can_resume = can_resume
        self.secret_headers = ("X-Token", session)
        self.sent: list[Any] = []
        self._worker = worker
        self._answers_drain = answers_drain

    def send(self, message: Any) -> None:
        self.sent.append(message)
        if isinstance(message, Draining) and self._answers_drain:
            self._worker.on_draining()

    async def flush(self) -> None:
        self.sent.append("flushed")


class FixedWatcher:
    def __init__(self, reports: Sequence[AddressReport]) -> None:
        self._reports = reports

    def snapshot(self) -> Sequence[AddressReport]:
        return self._reports


def report(address: str, state: AddressState = AddressState.PREFERRED) -> AddressReport:
    return AddressReport(address, state)


class Bench:
    """A worker with its executor and one link that is welcome."""

    def __init__(self, *reports: AddressReport, answers_drain: bool = True) -> None:
        executor: Any = HeldExecutor()
        self.executor: HeldExecutor = executor
        self.worker = Worker(executor, 10_000)
        watcher: Any = FixedWatcher(reports)
        self.worker.watcher = watcher
        link: Any = KeptLink(self.worker, answers_drain=answers_drain)
        self.link = link
        self.worker.on_welcome(link)
