"""One execution's attempts, steps 2 to 8 of a request's way: lease, run, and run again elsewhere where that was asked.

Runs on the event loop in the execution's task. At most once is the rule: a second attempt needs `retries` in the
request, which `web/schemas.py` takes only for what may be repeated. (A lease whose agent turns out to have left before
anything was sent goes to the next exit within the same attempt; that is not sending again.)
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pykka

from dispatcher.actors.loop_actor import ask_at_once, tell_or_drop
from dispatcher.actors.messages import Ended, Lease, LeaseEnded, LeaseExit, NotTaken, Outcome, RunExecution
from dispatcher.actors.setbacks import Finding
from dispatcher.errors import FailureKind, Party
from dispatcher.record import Attempt
from dispatcher.wire.messages import Result

if TYPE_CHECKING:
    from dispatcher.request import RequestSpec

logger = logging.getLogger(__name__)

ANSWER_MARGIN_SECONDS = 5.0
"""How much longer than its deadline an answer of `AgentConnection` is waited for; it always comes before."""

LEASES_AT_MOST = 8
"""How many agents may turn out to have just left before an attempt gives up. Nothing was sent to any of them."""

RETRIED = frozenset(
    (
        FailureKind.SOURCE_ADDRESS,
        FailureKind.DNS,
        FailureKind.CONNECT,
        FailureKind.TLS,
        FailureKind.TIMEOUT,
        FailureKind.RESET,
        FailureKind.OVERLOADED,
        FailureKind.AGENT_LOST,
        FailureKind.AGENT_TIMEOUT,
    )
)
"""Failures in which no answer came, and which another exit may not meet. A status is an answer, whatever it says."""


class Attempts:
    """Makes the attempts of executions."""

    def __init__(self, pool: pykka.ActorRef[Any], grace_seconds: float) -> None:
        """Lease from `pool`; an agent may answer `grace_seconds` late."""
        self._pool = pool
        self._grace_seconds = grace_seconds

    async def make(self, request: RequestSpec, identifier: str, started_at: float, waited_ms: float) -> list[Attempt]:
        """Make one attempt, and more where they were asked for and may help; the last one is how the execution ended.

        `waited_ms` passed since `started_at`, in the queue; it is part of the request's time and of the first attempt's
        timings.
        """
        begun = time.monotonic() - waited_ms / 1000
        deadline = begun + request.timeout
        first = await self._attempt(request, identifier, deadline, frozenset(), started_at + waited_ms / 1000)
        made = [replace(first, result=with_wait(first.result, waited_ms)) if waited_ms else first]
        while len(made) <= request.retries and _may_help(request, made[-1]) and time.monotonic() < deadline:
            tried = frozenset(attempt.exit_used for attempt in made if attempt.exit_used is not None)
            # An id of its own on the wire: a late answer to the last attempt must not be taken for one to this.
            name = f"{identifier}.{len(made) + 1}"
            # Not the clock again: it may have been set in between.
            now = started_at + (time.monotonic() - begun)
            another = await self._attempt(request, name, deadline, tried, now)
            if another.exit_used is None:
                break  # no other exit is there; how the last one failed says more than that
            made.append(another)
        return made

    async def _attempt(
        self, request: RequestSpec, identifier: str, deadline: float, tried: frozenset[tuple[str, str]], now: float
    ) -> Attempt:
        begun = time.monotonic()
        lease, ended = await self._run_at_next_exit(request, identifier, deadline, tried)
        result = ended.result
        if not result.timings:
            # No agent measured it: what is known is how long it was waited for.
            result = replace(result, timings={"total": (time.monotonic() - begun) * 1000})
        exit_used = None if lease is None else (lease.agent_id, lease.address)
        return Attempt(exit_used, ended.outcome, result, now)

    async def _run_at_next_exit(
        self, request: RequestSpec, identifier: str, deadline: float, tried: frozenset[tuple[str, str]]
    ) -> tuple[Lease | None, Ended]:
        lease: Lease | None = None
        reason = ""
        for _ in range(LEASES_AT_MOST):
            lease = await ask_at_once(self._pool, LeaseExit(tried))
            if lease is None:
                detail = "no exit is available: no connected agent has a usable address that is not set aside"
                return None, failed(identifier, FailureKind.NO_EXIT, detail)
            ended = await self._run_at(lease, request, identifier, deadline)
            if isinstance(ended, Ended):
                return lease, ended
            reason = ended.reason
        return lease, failed(identifier, FailureKind.AGENT_LOST, reason)

    async def _run_at(self, lease: Lease, request: RequestSpec, identifier: str, deadline: float) -> Ended | NotTaken:
        left = max(0.0, deadline - time.monotonic())
        execute = request.to_execute(identifier, lease.address, left)
        patience = left + self._grace_seconds + ANSWER_MARGIN_SECONDS
        try:
            ended = await ask_at_once(lease.connection, RunExecution(execute), timeout=patience)
        except pykka.ActorDeadError:
            ended = NotTaken(f"agent {lease.agent_id} was removed before the request was sent")
        except Exception:
            # It may have been sent before this went wrong, so nobody knows whether the target got it.
            logger.exception("execution %s failed inside the coordinator", identifier)
            detail = "the coordinator failed over it; its log says more"
            ended = Ended(Outcome.UNKNOWN, failed(identifier, FailureKind.INTERNAL, detail).result)
        tell_or_drop(self._pool, _lease_ended(lease, ended))
        return ended


def judge(result: Result) -> Finding:
    """Say what a result tells of its exit. What a target did, a refusal or silence too, shows that packets leave."""
    failure = result.failure
    if failure is None:
        return Finding.WORKS
    is_ours = failure.kind is FailureKind.CONNECT and failure.attributed_to is Party.AGENT
    if is_ours or failure.kind is FailureKind.SOURCE_ADDRESS:
        return Finding.FAILS
    has_left = failure.attributed_to is Party.TARGET and failure.kind is not FailureKind.TARGET_HAS_NO_IPV6
    return Finding.WORKS if has_left else Finding.NOTHING


def _lease_ended(lease: Lease, ended: Ended | NotTaken) -> LeaseEnded:
    if isinstance(ended, NotTaken):
        return LeaseEnded(lease.agent_id, lease.address, lease.stay, Outcome.FAILED)
    finding = judge(ended.result)
    # Not the failure's own words: they name the target, and the record has them.
    why = f"{ended.result.error_kind} in execution {ended.result.id}" if finding is Finding.FAILS else ""
    return LeaseEnded(lease.agent_id, lease.address, lease.stay, ended.outcome, finding, why)


def _may_help(request: RequestSpec, attempt: Attempt) -> bool:
    """Say whether an attempt ended without an answer, and in a way in which the request may be sent again."""
    if attempt.result.error_kind not in RETRIED:
        return False
    return attempt.outcome is Outcome.FAILED or request.is_idempotent


def with_wait(result: Result, waited_ms: float) -> Result:
    """Add the milliseconds of a wait for a turn to a result's timings."""
    if not waited_ms:
        return result
    waited = {name: result.timings.get(name, 0.0) + waited_ms for name in ("queued", "total")}
    return replace(result, timings={**result.timings, **waited})


def failed(identifier: str, kind: FailureKind, detail: str, party: Party | None = None) -> Ended:
    """Make the end of an execution that no agent ended."""
    return Ended(Outcome.FAILED, Result(id=identifier, error_kind=kind, error_detail=detail, error_party=party))
