"""What `AgentConnection` and `AgentRegistry` are told and asked: steps 3 and 8 of a request's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from pykka import ActorRef

from dispatcher.actors.messages.base import Message, Outcome
from dispatcher.wire.quick import quickly_made

if TYPE_CHECKING:
    from dispatcher.wire import messages as wire
    from dispatcher.wire.codec import Invalid


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

    def expect(self, execution: wire.Execute) -> None:
        """Take the result of an execution that was given on an earlier link of the same agent."""

    def withdraw(self, execution_id: str) -> bool:
        """Take an execution back; False where some or all of it has left."""

    def prove_alive(self, seconds: float) -> asyncio.Future[bool]:
        """Ask the agent for a sign of life; False where none came within `seconds`."""

    def abort(self, reason: str) -> None:
        """End the link without a word: nobody is there to hear it."""

    def close_link(self, refusal: wire.Refused | None = None) -> None:
        """End the link, after telling the agent why if there is a reason."""


@dataclass(frozen=True, slots=True)
class LinkOpened(Message[None]):
    """The agent said hello on this link; an older link of the same agent is replaced."""

    link: Link
    hello: wire.Hello


@dataclass(frozen=True, slots=True)
class LinkClosed(Message[None]):
    """The link is gone. `unsent` are the ids of executions that never left the coordinator.

    `is_orderly` where the coordinator itself ended it, to shut down.
    `may_resume` says that it fell silent, or that the agent left it as such: whoever had it may still be running.
    """

    link: Link
    reason: str
    unsent: frozenset[str] = frozenset()
    is_orderly: bool = False
    may_resume: bool = False


@quickly_made
@dataclass(frozen=True, slots=True)
class FromAgent(Message[None]):
    """The agent said this on its link, in this order. What could not be read is an `Invalid`."""

    link: Link
    messages: tuple[wire.Message | Invalid, ...]


@quickly_made
@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an execution at its agent: exactly one of `result` and `failure` says how."""

    outcome: Outcome
    result: wire.Result


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The agent cannot be given anything now: nothing was sent, and another exit may be tried."""

    reason: str


@quickly_made
@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """A request that an agent is given to make. `on_ended` is called once with it, on the loop; it raises nothing."""

    execute: wire.Execute
    on_ended: Callable[[Run, Ended], None]


@quickly_made
@dataclass(frozen=True, slots=True)
class RunExecutions(Message["NotTaken | None"]):
    """Have the agent make these requests; None where they were taken.

    Each is then told of its end, within its timeout and the grace. That may be before the answer.
    """

    runs: tuple[Run, ...]


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
    unknown: int


@dataclass(frozen=True, slots=True)
class DescribeAgent(Message[AgentStatus]):
    """Describe the agent."""


@dataclass(frozen=True, slots=True)
class DropAgent(Message[None]):
    """The agent was removed: tell it, end its link, and stop."""


@dataclass(frozen=True, slots=True)
class ProveAlive(Message[bool]):
    """Say whether the agent answers on its link within `seconds`; a link on which it does not is lost."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LinkStands:
    """An agent of this id has a link; `connection` can say whether it is alive. `is_same` says that the key is its."""

    agent_id: str
    connection: ActorRef[Any]
    is_same: bool


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered agent and the session that opens its link."""

    agent_id: str
    session: str


@dataclass(frozen=True, slots=True)
class RegisterAgent(Message[Registered | LinkStands]):
    """Register an agent; without an id one is made up. Raises `IdInUseError` or `RegistryFullError`.

    `key_hash` is the SHA-256, in hex, of the key that proves the id to be its own; None for an agent without a key.
    """

    agent_id: str | None
    hostname: str
    version: str
    addresses: tuple[str, ...]
    key_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FindSession(Message[ActorRef[Any] | None]):
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
class ListAgents(Message[tuple[ActorRef[Any], ...]]):
    """List the connections of all known agents, in the order of their first registration."""


@dataclass(frozen=True, slots=True)
class CountAgents(Message[Mapping[AgentState, int]]):
    """Count the known agents by state."""


@dataclass(frozen=True, slots=True)
class RemoveAgent(Message[bool]):
    """Forget an agent; False where it is not known."""

    agent_id: str
