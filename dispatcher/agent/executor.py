"""Each `Execute` becomes exactly one `Result`: step 6 of a request's way, on the event loop.

Keeps the limits (so many transfers, so long a queue, the deadline), and knows what is under way; how one execution goes
is `run.py`'s business. What would surprise: the deadline is kept here and not by libcurl alone, because it counts from
the moment the execution came, its wait in the queue included; libcurl is told what is left of it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.agent import results
from dispatcher.agent.run import Interruption, Means, Run
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers.curl import MAX_IDLE_CONNECTIONS, SourceBoundClient
from dispatcher.agent.transfers.engine import MAX_IDLE_SECONDS, Engine
from dispatcher.agent.transfers.hop import canonical_sources
from dispatcher.agent.transfers.speed import MIN_SPEED, MIN_SPEED_SECONDS
from dispatcher.errors import Failure, FailureKind
from dispatcher.slots import Slots
from dispatcher.tls import trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dispatcher.agent.run import OnResult
    from dispatcher.wire.messages import Execute, Result

log = logging.getLogger(__name__)


class Executor:
    """Makes requests from source addresses of this machine. Make it, and use it, on one event loop.

    `max_concurrency` transfers at a time, then `max_queue` executions in order, then `overloaded` at once.
    `max_idle_connections` and `max_idle_seconds` bound the kept connections, and `is_routed` knows the sources that no
    interface has, see `Engine`. `ca_file` holds the trusted certificates; None finds the machine's own.
    `guard` says which targets may be asked; None refuses what it refuses by default. Below `min_speed` bytes a second
    over `min_speed_seconds` a transfer ends as `timeout`; 0 sets no limit.
    """

    engine_class = Engine

    def __init__(  # noqa: PLR0913 - each has a name and, but for tests and the agent's process, its default
        self,
        *,
        max_concurrency: int = 256,
        max_queue: int = 1024,
        max_idle_connections: int = MAX_IDLE_CONNECTIONS,
        max_idle_seconds: int = MAX_IDLE_SECONDS,
        ca_file: str | None = None,
        is_routed: Callable[[str], bool] | None = None,
        guard: TargetGuard | None = None,
        min_speed: int = MIN_SPEED,
        min_speed_seconds: float = MIN_SPEED_SECONDS,
    ) -> None:
        guard = guard or TargetGuard()
        self._runs: dict[str, Run] = {}
        self._draining = False
        self._idle = asyncio.Event()
        make_engine = functools.partial(
            self.engine_class,
            ca_file=ca_file or trust.find_ca_file(),
            max_idle_seconds=max_idle_seconds,
            is_routed=is_routed,
            guard=guard,
            min_speed=min_speed,
            min_speed_seconds=min_speed_seconds,
        )
        max_connections = max_concurrency + max_idle_connections
        self._client = SourceBoundClient(force_instance=True, max_connections=max_connections, make_engine=make_engine)
        self._engine = self._client.engine
        self._means = Means(
            asyncio.get_running_loop(), Slots(max_concurrency, max_queue), guard, self._engine, self._ended
        )

    @property
    def in_flight(self) -> int:
        """How many executions have no result yet, queued ones included."""
        return len(self._runs)

    def start(self, execute: Execute, on_result: OnResult) -> None:
        """Make the request and call `on_result` with its result, within `execute.timeout` seconds and a loop turn.

        It leaves with `begin`, which is to follow. `on_result` is called once, on the loop, and not before this has
        returned; never for an execution that is cancelled (by `cancel` or `close`). It may start the next one, which
        leaves by itself.
        """
        if self._draining or execute.id in self._runs:
            self._means.loop.call_soon(self._tell, on_result, self._refusal(execute))
            return
        run = self._runs[execute.id] = Run(execute, on_result, self._means)
        run.start()

    def begin(self) -> None:
        """Have what was started leave now: once for all that came together. Some may have their results at once."""
        self._engine.begin()

    def keep_secret(self, headers: Iterable[str]) -> None:
        """Let no redirect of what begins from now on take headers of these names to another origin."""
        self._means = replace(self._means, secret_headers=frozenset(name.lower() for name in headers))

    def cancel(self, execution_id: str) -> None:
        """Nobody waits any more: end it and free what it holds. Unknown ids are ignored."""
        run = self._runs.get(execution_id)
        if run is not None:
            run.interrupt(Interruption.CANCELLED)

    def drop_source(self, address: str) -> None:
        """The address has left: end its connections at once, and its executions as `source_address`."""
        try:
            source = canonical_sources[address]
        except ExecutionError:
            return  # nothing can have been sent from what is no IPv6 address
        for run in list(self._runs.values()):
            if run.source == source:
                run.interrupt(Interruption.SOURCE_GONE)
        self._engine.drop_source(source)

    async def drain(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - part of the interface; it bounds, and never raises
        """Take nothing new (`overloaded`) and wait up to `timeout` seconds; say whether all have ended."""
        self._draining = True
        if not self._runs:
            return True
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

    def _refusal(self, execute: Execute) -> Result:
        if self._draining:
            failure = Failure.of(FailureKind.OVERLOADED, "the agent is shutting down and takes nothing new")
        else:
            failure = Failure.of(FailureKind.INTERNAL, f"an execution {execute.id} is under way already")
        return results.failed(execute, failure, results.NO_PHASES, 0)

    def _ended(self, run: Run, result: Result | None) -> None:
        del self._runs[run.execute.id]
        if run.slot is not None:
            self._means.slots.give_back(run.slot)
        if self._draining and not self._runs:
            self._idle.set()
        if result is None:
            return
        self._tell(run.on_result, result)

    def _tell(self, on_result: OnResult, result: Result) -> None:
        try:
            on_result(result)
        except Exception:  # whoever calls us has other executions to go on with
            log.exception("the result of execution %s could not be told", result.id)
        self._engine.turn_soon()
