"""Every message between the coordinator's parts, grouped by receiver. `Message[R]` names the reply of an `ask`.

All frozen: a message may cross from the event loop to an actor's thread, and nobody copies it. Commands are
imperative, events past tense.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykka import ActorRef

    from dispatcher.wire import messages as wire

R_co = TypeVar("R_co", covariant=True)


class Message(Generic[R_co]):
    """A message whose answer, if asked, is an `R_co`."""

    __slots__ = ()


class Outcome(StrEnum):
    """How an execution ended (``outcome`` in a record)."""

    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"


# HistoryLog


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One finished execution as history keeps it: what is filtered and counted by, and the record itself.

    `finished_at_ms` is milliseconds since 1970 in UTC; `total_ms` is the record's `timings.total`, None where nothing
    was sent; `record` is the JSON of the record, UTF-8, its body already cut to what history keeps.
    """

    id: str
    outcome: Outcome
    agent_id: str | None
    source_ip: str | None
    status: int | None
    error_kind: str | None
    finished_at_ms: int
    total_ms: float | None
    record: bytes


@dataclass(frozen=True, slots=True)
class AppendRecord(Message[None]):
    """Commit a record; the answer comes after the commit. Raises `StoreError` where it could not be written."""

    row: RecordRow


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What a page of history is limited to; None does not limit. `since_ms <= finished_at < until_ms`."""

    agent_id: str | None = None
    source_ip: str | None = None
    outcome: Outcome | None = None
    status: int | None = None
    error: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Records, newest first, as the JSON they were appended with, and where the next page starts (None: the end)."""

    records: tuple[bytes, ...]
    next_cursor: int | None


@dataclass(frozen=True, slots=True)
class ReadHistory(Message[HistoryPage]):
    """Read `limit` records older than `before` (a `next_cursor`; None: from the newest).

    Stable while new records arrive: the order is that of the commits, so a new record never shifts an old one.
    """

    limit: int
    before: int | None = None
    where: HistoryFilter = field(default_factory=HistoryFilter)


@dataclass(frozen=True, slots=True)
class ReadRecord(Message["bytes | None"]):
    """Read the record with this id; None where there is none."""

    id: str


@dataclass(frozen=True, slots=True)
class HistoryTotals:
    """Counts over every record ever appended, retention or not. Latencies are milliseconds, None before the first."""

    by_outcome: Mapping[str, int]
    by_status: Mapping[str, int]
    by_error: Mapping[str, int]
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class ReadTotals(Message[HistoryTotals]):
    """Read the totals."""


@dataclass(frozen=True, slots=True)
class CheckStore(Message["str | None"]):
    """Try whether the store can be written; the answer is None, or why not."""


# ConfigStore


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """The configured request as its schema loaded it, and how often it was changed."""

    revision: int
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoreRequest(Message[StoredRequest]):
    """Replace the configured request; the answer comes after the commit, with the next revision.

    `request` holds what JSON can hold.
    """

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReadRequest(Message["StoredRequest | None"]):
    """Read the configured request; None where none is stored."""


# IpPool


class ExitState(StrEnum):
    """The state of one exit: `wire.AddressState` without what is excluded by choice."""

    PREFERRED = "preferred"
    DEPRECATED = "deprecated"
    TENTATIVE = "tentative"
    DADFAILED = "dadfailed"
    UNBINDABLE = "unbindable"


@dataclass(frozen=True, slots=True)
class Lease:
    """An exit handed to one execution, and the connection that reaches it.

    `stay` tells one stay of an exit in the pool from the next: an exit that went and came back is counted anew.
    """

    agent_id: str
    address: str
    connection: ActorRef[Any]
    stay: int


@dataclass(frozen=True, slots=True)
class ExitsChanged(Message[None]):
    """An agent's addresses came, changed or went."""

    agent_id: str
    connection: ActorRef[Any]
    changed: tuple[wire.AddressReport, ...]
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentGone(Message[None]):
    """All exits of an agent leave the pool."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class LeaseExit(Message["Lease | None"]):
    """Hand out the next exit; None where none is available."""


@dataclass(frozen=True, slots=True)
class LeaseEnded(Message[None]):
    """The execution of a lease ended. `stay` is the lease's."""

    agent_id: str
    address: str
    stay: int
    outcome: Outcome


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
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The pool in rotation order. `next` is the exit that the next lease takes."""

    size: int
    available: int
    next: tuple[str, str] | None
    exits: tuple[ExitStatus, ...]


@dataclass(frozen=True, slots=True)
class DescribePool(Message[PoolStatus]):
    """Describe the pool; with `exits` False without its exits, in constant time."""

    exits: bool = True


# AgentConnection


class AgentState(StrEnum):
    """Where an agent stands (``state`` in the REST API)."""

    REGISTERED = "registered"
    CONNECTED = "connected"
    DRAINING = "draining"
    LOST = "lost"


class Link(Protocol):
    """What an `AgentConnection` needs of a WebSocket. All methods return at once."""

    def send(self, message: wire.Message) -> bool:
        """Put a message among those that leave in this loop turn; False where too much waits already."""

    def withdraw(self, execution_id: str) -> bool:
        """Take an execution back; False where some or all of it has left."""

    def close_link(self, refusal: wire.Refused | None = None) -> None:
        """End the link, after telling the agent why if there is a reason."""


@dataclass(frozen=True, slots=True)
class LinkOpened(Message[None]):
    """The agent said hello on this link; an older link of the same agent is replaced."""

    link: Link
    hello: wire.Hello


@dataclass(frozen=True, slots=True)
class LinkClosed(Message[None]):
    """The link is gone. `unsent` are the ids of executions that never left the coordinator."""

    link: Link
    reason: str
    unsent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FromAgent(Message[None]):
    """The agent said something on this link."""

    link: Link
    message: wire.Message


@dataclass(frozen=True, slots=True)
class ResultInvalid(Message[None]):
    """What the agent sent for an execution is not a valid result; `detail` says why."""

    link: Link
    execution_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an execution at its agent: exactly one of `result` and `failure` says how."""

    outcome: Outcome
    result: wire.Result


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The agent cannot be given anything now: nothing was sent, and another exit may be tried."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunExecution(Message["Ended | NotTaken"]):
    """Have the agent make this request; answered when it ended, within its timeout and the grace."""

    execute: wire.Execute


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent. `connected_at` is seconds since 1970 in UTC, None before the first link."""

    agent_id: str
    hostname: str
    version: str
    state: AgentState
    connected_at: float | None
    last_seen_at: float | None
    addresses: tuple[wire.AddressReport, ...]
    in_flight: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class DescribeAgent(Message[AgentStatus]):
    """Describe the agent."""


@dataclass(frozen=True, slots=True)
class DropAgent(Message[None]):
    """The agent was removed: tell it, end its link, and stop."""


# AgentRegistry


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered agent and the session that opens its link."""

    agent_id: str
    session: str


@dataclass(frozen=True, slots=True)
class RegisterAgent(Message[Registered]):
    """Register an agent; without an id one is made up. Raises `IdInUseError` or `RegistryFullError`."""

    agent_id: str | None
    hostname: str
    version: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindSession(Message["ActorRef[Any] | None"]):
    """Find the connection that this session opens."""

    session: str


@dataclass(frozen=True, slots=True)
class AgentStateChanged(Message[None]):
    """An agent's connection went to another state."""

    agent_id: str
    state: AgentState


@dataclass(frozen=True, slots=True)
class RegistrationExpired(Message[None]):
    """The time for this session to open its link is over."""

    agent_id: str
    session: str


@dataclass(frozen=True, slots=True)
class ListAgents(Message["tuple[ActorRef[Any], ...]"]):
    """List the connections of all known agents, in the order of their first registration."""


@dataclass(frozen=True, slots=True)
class CountAgents(Message["Mapping[AgentState, int]"]):
    """Count the known agents by state."""


@dataclass(frozen=True, slots=True)
class RemoveAgent(Message[bool]):
    """Forget an agent; False where it is not known."""

    agent_id: str
