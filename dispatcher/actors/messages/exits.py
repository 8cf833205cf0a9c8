"""What `IpPool` is told and asked: step 2 of a request's way, and what changes the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dispatcher.actors.messages.base import Message, Outcome
from dispatcher.actors.setbacks import Finding
from dispatcher.wire.limits import DEFAULT_MAX_CONCURRENCY
from dispatcher.wire.quick import quickly_made

if TYPE_CHECKING:
    from pykka import ActorRef

    from dispatcher.wire import messages as wire


class ExitState(StrEnum):
    """The state of one exit: `wire.AddressState` without what is excluded by choice, and what the pool put aside."""

    PREFERRED = "preferred"
    DEPRECATED = "deprecated"
    TENTATIVE = "tentative"
    DADFAILED = "dadfailed"
    UNBINDABLE = "unbindable"
    ASIDE = "aside"


@quickly_made
@dataclass(frozen=True, slots=True)
class LeaseEnd:
    """The execution of a lease ended. `stay` is the lease's; `why` names what failed, where the finding is that."""

    stay: int
    outcome: Outcome
    finding: Finding = Finding.NOTHING
    why: str = ""


@quickly_made
@dataclass(frozen=True, slots=True)
class Lease:
    """An exit handed to one execution, and the connection that reaches it.

    `stay` is of one stay of one exit in the pool: an exit that went and came back has another, and is counted anew.
    `worked` is its end where the target answered, as nearly always: made once for all leases of a stay.
    """

    agent_id: str
    address: str
    connection: ActorRef[Any]
    stay: int
    worked: LeaseEnd


@dataclass(frozen=True, slots=True)
class ExitsChanged(Message[None]):
    """An agent's addresses came, changed or went. It makes `max_concurrency` transfers at once."""

    agent_id: str
    connection: ActorRef[Any]
    changed: tuple[wire.AddressReport, ...]
    gone: tuple[str, ...] = ()
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY


@dataclass(frozen=True, slots=True)
class AgentGone(Message[None]):
    """All exits of an agent leave the pool."""

    agent_id: str


@quickly_made
@dataclass(frozen=True, slots=True)
class LeaseExits(Message[tuple[Lease, ...]]):
    """Hand out the next `count` exits that are not among `passing_over`, (agent id, address) each, in order.

    Fewer where there are no more; the same exit may be among them again. What is passed over keeps its turn.
    """

    count: int = 1
    passing_over: frozenset[tuple[str, str]] = frozenset()


@quickly_made
@dataclass(frozen=True, slots=True)
class LeasesEnded(Message[None]):
    """The executions of these leases ended, in this order."""

    ends: tuple[LeaseEnd, ...]


@dataclass(frozen=True, slots=True)
class PauseOver(Message[None]):
    """The exit of this stay was aside for as long as it had to be."""

    stay: int


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """One exit as the pool sees it. `last_used_at` is seconds since 1970, None before the first lease."""

    agent_id: str
    address: str
    state: ExitState
    reason: str | None
    in_flight: int
    leased: int
    completed: int
    failed: int
    unknown: int
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The pool in rotation order. `next` is the exit that the next lease takes."""

    size: int
    available: int
    next: tuple[str, str] | None
    exits: tuple[ExitStatus, ...]


@dataclass(frozen=True, slots=True)
class CountPlaces(Message[int]):
    """Say how many executions at once give no agent more than it transfers at once, while exits are leased in turn.

    0 where there is no exit.
    """


@dataclass(frozen=True, slots=True)
class DescribePool(Message[PoolStatus]):
    """Describe the pool; with `exits` False without its exits, in constant time."""

    exits: bool = True


@dataclass(frozen=True, slots=True)
class CountExits(Message[Mapping[ExitState, int]]):
    """Count the exits by state, in constant time."""
