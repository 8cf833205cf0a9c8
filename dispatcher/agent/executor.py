"""Each `Execute` becomes exactly one `Result`: step 6 of a request's way, on the event loop.

Keeps the limits (so many transfers, so long a queue, the deadline), follows redirects hop by hop, and turns whatever
happens outside into a failure with a kind. What would surprise: the deadline is kept here and not by libcurl, because
it counts from the moment the execution came, its wait in the queue included; libcurl is told what is left of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn

from dispatcher.agent import results
from dispatcher.agent.run import InterruptedRunError, Interruption, Run
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.targets.resolver import ask_for_ipv4
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers import curl_errors
from dispatcher.agent.transfers.curl import MAX_CONNECTIONS, MAX_IDLE_SECONDS, SourceBoundClient
from dispatcher.agent.transfers.hop import Hop, canonical_source, first_hop, next_hop
from dispatcher.agent.transfers.response import (
    MalformedResponseError,
    Response,
    UnfinishedResponseError,
    parse_response,
)
from dispatcher.agent.transfers.speed import MIN_SPEED, MIN_SPEED_SECONDS
from dispatcher.agent.transfers.transfer import Ending, Transfer, same_address
from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.slots import FullError, Slots
from dispatcher.tls import trust
from dispatcher.wire.messages import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.wire.messages import Execute, Result

log = logging.getLogger(__name__)

NO_PHASES = (0,) * (len(PHASES) - 1)
_QUEUED, _DNS = PHASES.index("queued"), PHASES.index("dns")
_ASKED_VERSIONS = ("2", "3")


class Executor:
    """Makes requests from source addresses of this machine. Make it, and use it, on one event loop.

    `max_concurrency` transfers at a time, then `max_queue` executions in order, then `overloaded` at once.
    `max_connections` and `max_idle_seconds` bound the kept connections, and `is_routed` knows the sources that no
    interface has, see `SourceBoundClient`. `ca_file` holds the trusted certificates; None finds the machine's own.
    `guard` says which targets may be asked; None refuses what it refuses by default. Below `min_speed` bytes a second
    over `min_speed_seconds` a transfer ends as `timeout`; 0 sets no limit.
    """

    client_class = SourceBoundClient

    def __init__(  # noqa: PLR0913 - each has a name and, but for tests and the agent's process, its default
        self,
        *,
        max_concurrency: int = 256,
        max_queue: int = 1024,
        max_connections: int = MAX_CONNECTIONS,
        max_idle_seconds: int = MAX_IDLE_SECONDS,
        ca_file: str | None = None,
        is_routed: Callable[[str], bool] | None = None,
        guard: TargetGuard | None = None,
        min_speed: int = MIN_SPEED,
        min_speed_seconds: float = MIN_SPEED_SECONDS,
    ) -> None:
        self._guard = guard or TargetGuard()
        self._loop = asyncio.get_running_loop()
        self._slots = Slots(max_concurrency, max_queue)
        self._runs: dict[str, Run] = {}
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._client = self.client_class(
            force_instance=True,
            ca_file=ca_file or trust.find_ca_file(),
            max_connections=max_connections,
            max_idle_seconds=max_idle_seconds,
            is_routed=is_routed,
            guard=self._guard,
            min_speed=min_speed,
            min_speed_seconds=min_speed_seconds,
        )

    @property
    def in_flight(self) -> int:
        """How many executions have no result yet, queued ones included."""
        return len(self._runs)

    async def execute(self, execute: Execute) -> Result:
        """Make the request and return its result, within `execute.timeout` seconds and a loop turn.

        Never raises for what the outside does, only `asyncio.CancelledError` when cancelled (by `cancel`, `close`
        or the caller's task).
        """
        try:
            run = self._admit(execute)
        except ExecutionError as error:
            return results.failed(execute, error.failure, NO_PHASES, 0)
        try:
            return await self._run(run)
        except ExecutionError as error:
            return results.failed(execute, error.failure, run.phases, run.elapsed)
        except Exception:  # an execution has one result, whatever is wrong with us
            log.exception("execution %s failed by a fault of the agent", execute.id)
            failure = Failure.of(FailureKind.INTERNAL, "the agent has a fault; its log says more", Party.AGENT)
            return results.failed(execute, failure, run.phases, run.elapsed)
        finally:
            del self._runs[execute.id]
            if not self._runs:
                self._idle.set()

    def cancel(self, execution_id: str) -> None:
        """Nobody waits any more: end it and free what it holds. Unknown ids are ignored."""
        run = self._runs.get(execution_id)
        if run is not None:
            run.interrupt(Interruption.CANCELLED)

    def drop_source(self, address: str) -> None:
        """The address has left: end its connections at once, and its executions as `source_address`."""
        try:
            source = canonical_source(address)
        except ExecutionError:
            return  # nothing can have been sent from what is no IPv6 address
        for run in list(self._runs.values()):
            if run.source == source:
                run.interrupt(Interruption.SOURCE_GONE)
        self._client.drop_source(source)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - part of the interface; it bounds, and never raises
        """Take nothing new (`overloaded`) and wait up to `timeout` seconds; say whether all have ended."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End everything at once; executions that have no result yet are cancelled."""
        self._draining = True
        for run in list(self._runs.values()):
            run.interrupt(Interruption.CANCELLED)
        self._client.close()

    def _admit(self, execute: Execute) -> Run:
        if self._draining:
            raise ExecutionError.of(FailureKind.OVERLOADED, "the agent is shutting down and takes nothing new")
        if execute.id in self._runs:
            raise ExecutionError.of(FailureKind.INTERNAL, f"an execution {execute.id} is under way already")
        run = Run(execute, canonical_source(execute.source), self._loop)
        if not self._runs:
            self._idle.clear()
        self._runs[execute.id] = run
        return run

    async def _run(self, run: Run) -> Result:
        hop = first_hop(run.execute)
        slot = self._take_slot()
        try:
            if not slot.done():
                await self._wait_for_slot(run, slot)
            for _ in range(run.execute.max_redirects + 1):
                transfer, ending = await self._transfer(run, hop)
                response = _conclude(transfer, ending)
                following = next_hop(hop, response)
                if following is None:
                    return results.completed(run, response, transfer, ending)
                hop = following
        finally:
            self._slots.give_back(slot)
        detail = f"more than {run.execute.max_redirects} redirects, the last to {hop.target.place}"
        raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail)

    def _take_slot(self) -> asyncio.Future[None]:
        try:
            return self._slots.take()
        except FullError as error:
            detail = f"the agent has {self._slots.size} transfers and {self._slots.max_waiting} waiting ones already"
            raise ExecutionError.of(FailureKind.OVERLOADED, detail) from error

    async def _wait_for_slot(self, run: Run, slot: asyncio.Future[None]) -> None:
        try:
            await run.wait(slot)
        except InterruptedRunError as interrupted:
            _raise_for(interrupted.why, run, "queued", "")
        finally:
            run.phases[_QUEUED] = run.elapsed

    async def _transfer(self, run: Run, hop: Hop) -> tuple[Transfer, Ending]:
        refusal = self._guard.name_refusal(hop.target.host)
        if refusal is not None:
            raise ExecutionError.of(FailureKind.BLOCKED_TARGET, refusal)
        seconds = run.seconds_left
        if not seconds:
            raise ExecutionError(curl_errors.timeout("dns", hop.target.place))
        transfer = self._client.start(hop, run.source, seconds=seconds)
        try:
            ending = await run.bound(transfer.done)
        except InterruptedRunError as interrupted:
            ending = self._client.stop(transfer)
            run.add_hop(ending.phases)
            _raise_for(interrupted.why, run, ending.phase, hop.target.place)
        except asyncio.CancelledError:
            self._client.stop(transfer)
            raise
        run.add_hop(ending.phases)
        if ending.errno == curl_errors.NO_SUCH_NAME:
            await self._explain_name(run, hop)
        return transfer, ending

    async def _explain_name(self, run: Run, hop: Hop) -> None:
        asked = run.elapsed
        try:
            has_ipv4 = await run.wait(ask_for_ipv4(hop.target.host))
        except InterruptedRunError as interrupted:
            _raise_for(interrupted.why, run, "dns", hop.target.place)
        finally:
            run.phases[_DNS] += run.elapsed - asked
        if has_ipv4:
            detail = f"the name {hop.target.host} has IPv4 addresses only"
            raise ExecutionError.of(FailureKind.TARGET_HAS_NO_IPV6, detail)


def _raise_for(why: Interruption, run: Run, phase: str, place: str) -> NoReturn:
    if why is Interruption.CANCELLED:
        raise asyncio.CancelledError
    if why is Interruption.SOURCE_GONE:
        raise ExecutionError.of(FailureKind.SOURCE_ADDRESS, f"the source address {run.source} left this machine")
    raise ExecutionError(curl_errors.timeout(phase, place))


def _conclude(transfer: Transfer, ending: Ending) -> Response:
    """Return the response of a transfer that has one. Raises `ExecutionError`."""
    hop, source = transfer.hop, transfer.source
    before, after = transfer.seen_source, ending.local_ip
    if before is not None and before != source and not same_address(before, source):
        raise ExecutionError(curl_errors.mismatch(before, transfer))
    if after != source and (ending.errno == 0 or transfer.cut) and not same_address(after, source):
        raise ExecutionError(curl_errors.mismatch(after, transfer))
    if ending.errno != 0 and not transfer.cut:
        raise ExecutionError(curl_errors.failure_of(ending, transfer))
    if hop.http_version in _ASKED_VERSIONS and hop.http_version != ending.http_version:
        raise ExecutionError(curl_errors.wrong_version(ending, hop))
    try:
        return parse_response(transfer.header_lines)
    except UnfinishedResponseError as error:
        detail = f"{hop.target.place} ended the connection within its headers: {error}"
        raise ExecutionError.of(FailureKind.RESET, detail) from error
    except MalformedResponseError as error:
        detail = f"{hop.target.place} sent a response that cannot be taken: {error}"
        raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail) from error
