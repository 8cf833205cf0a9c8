"""Every failure that has a name: the kinds an execution's record can carry, and the errors that end a command.

Stands beside a request's way rather than on it: each step translates what it meets into one of these, once, at its
edge. A kind carries its HTTP status and whose fault it usually is, so nobody else needs a table of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Party(StrEnum):
    """Whose fault a failure is (``attributed_to`` in a record)."""

    TARGET = "target"
    RESOLVER = "resolver"
    AGENT = "agent"
    COORDINATOR = "coordinator"


class FailureKind(StrEnum):
    """What went wrong with an execution (``error.kind`` in a record)."""

    http_status: int
    usual_party: Party

    def __new__(cls, value: str, http_status: int, usual_party: Party) -> FailureKind:
        """Make a member that is its own name and knows its HTTP status and the usual party at fault."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.http_status = http_status
        member.usual_party = usual_party
        return member

    SOURCE_ADDRESS = "source_address", 502, Party.AGENT
    SOURCE_MISMATCH = "source_mismatch", 502, Party.AGENT
    TARGET_HAS_NO_IPV6 = "target_has_no_ipv6", 502, Party.TARGET
    DNS = "dns", 502, Party.RESOLVER
    CONNECT = "connect", 502, Party.TARGET
    TLS = "tls", 502, Party.TARGET
    TIMEOUT = "timeout", 504, Party.TARGET
    RESET = "reset", 502, Party.TARGET
    HTTP_PROTOCOL = "http_protocol", 502, Party.TARGET
    BLOCKED_TARGET = "blocked_target", 403, Party.AGENT
    NO_EXIT = "no_exit", 503, Party.COORDINATOR
    OVERLOADED = "overloaded", 503, Party.AGENT
    AGENT_LOST = "agent_lost", 502, Party.AGENT
    AGENT_TIMEOUT = "agent_timeout", 504, Party.AGENT
    INVALID_RESULT = "invalid_result", 502, Party.AGENT
    INTERNAL = "internal", 500, Party.COORDINATOR


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution has no response: a kind, one sentence, and whose fault it is."""

    kind: FailureKind
    detail: str
    attributed_to: Party

    @classmethod
    def of(cls, kind: FailureKind, detail: str, attributed_to: Party | None = None) -> Failure:
        """Make a failure that is attributed to the kind's usual party unless another is named."""
        return cls(kind, detail, attributed_to or kind.usual_party)


class ExitStatus(IntEnum):
    """The exit statuses of every command (CONTRACT: Commands)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    NO_EXIT = 5


class DispatcherError(Exception):
    """An error that ends a command: its text goes to stderr, each line by itself, and its class says the status."""

    exit_status = ExitStatus.FAILED


class SettingsError(DispatcherError):
    """Wrong settings; the message holds one line for each."""

    exit_status = ExitStatus.USAGE


class RefusedError(DispatcherError):
    """The coordinator does not take this agent, and trying again would not change that."""

    exit_status = ExitStatus.REFUSED
