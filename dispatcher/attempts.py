"""What an attempt of an execution tells: of its exit, and whether another one may help. Pure; steps 2 and 8.

At most once is the rule: a second attempt needs `retries` in the request, which `web/schemas.py` takes only for what
may be repeated. (A lease whose agent turns out to have left before anything was sent goes to the next exit within the
same attempt; that is not sending again.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.actors.messages import Ended, Lease, LeaseEnd, NotTaken, Outcome
from dispatcher.actors.setbacks import Finding
from dispatcher.errors import FailureKind, Party
from dispatcher.wire.messages import Result

if TYPE_CHECKING:
    from dispatcher.record import Attempt
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

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


_COMPLETED = Outcome.COMPLETED  # each end is compared with it, and Python 3.11 is slow to look up a member of an enum

_WHY_CHARS = 300  # an agent's words for a lost route take some 100


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


def lease_ended(lease: Lease, ended: Ended | NotTaken, request: RequestSpec, redactor: Redactor) -> LeaseEnd:
    """Say to the pool how the run at a leased exit ended."""
    if isinstance(ended, NotTaken):
        return LeaseEnd(lease.stay, Outcome.FAILED)
    if ended.outcome is _COMPLETED:
        return lease.worked
    finding = judge(ended.result)
    why = _why(ended.result, request, redactor) if finding is Finding.FAILS else ""
    return LeaseEnd(lease.stay, ended.outcome, finding, why)


def _why(result: Result, request: RequestSpec, redactor: Redactor) -> str:
    """The failure's words without the request's secrets, on one line: they are shown and logged."""
    failure = result.failure
    assert failure is not None, "what works puts no exit aside"
    shown = redactor.failure(failure, request.url, request.headers).detail[:_WHY_CHARS]
    return f"{''.join(char if char.isprintable() else '?' for char in shown)} (execution {result.id})"


def may_help(request: RequestSpec, attempt: Attempt) -> bool:
    """Say whether an attempt ended without an answer, and in a way in which the request may be sent again."""
    if attempt.result.error_kind not in RETRIED:
        return False
    return attempt.outcome is Outcome.FAILED or request.is_idempotent


def with_wait(result: Result, waited_ms: float) -> Result:
    """Add the milliseconds of a wait for a turn to a result's timings."""
    if not waited_ms:
        return result
    waited = {name: round(result.timings.get(name, 0.0) + waited_ms, 3) for name in ("queued", "total")}  # as agents do
    return replace(result, timings={**result.timings, **waited})


def failed(identifier: str, kind: FailureKind, detail: str, party: Party | None = None) -> Ended:
    """Make the end of an execution that no agent ended."""
    return Ended(Outcome.FAILED, Result(id=identifier, error_kind=kind, error_detail=detail, error_party=party))
