"""Every message between coordinator and agent. This list is the protocol; `codec.py` makes it bytes.

Commands are imperative, events past tense. Steps 4 and 5 of a request's way carry `Execute`, the way back `Result`.
A message may have a `body` of bytes: it never becomes JSON, and a large one travels in `BodyChunk`s of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.wire import fields, limits, phases
from dispatcher.wire.fields import choice, flag, headers, identifiers, integer, number, optional, strings, text
from dispatcher.wire.quick import quickly_made

IDENTIFIER_CHARS = 64


class HttpVersion(StrEnum):
    """What a configuration may ask for in `http_version`."""

    AUTO = "auto"
    HTTP_1_1 = "1.1"
    HTTP_2 = "2"
    HTTP_3 = "3"


class AddressState(StrEnum):
    """What an agent says of one of its addresses. The pool leases the first two, in this order of preference."""

    PREFERRED = "preferred"
    DEPRECATED = "deprecated"
    TENTATIVE = "tentative"
    DADFAILED = "dadfailed"
    UNBINDABLE = "unbindable"
    EXCLUDED = "excluded"


class RefusalCode(StrEnum):
    """Why a coordinator ends a link for good."""

    VERSION = "version"
    SESSION = "session"
    REMOVED = "removed"
    REPLACED = "replaced"
    PROTOCOL = "protocol"


def count_header_chars(lines: tuple[tuple[str, str], ...]) -> int:
    """Return how many characters names and values have."""
    return sum([len(name) + len(value) for name, value in lines])


class Message:
    """A thing said over the link; `tag` names it there. Most have neither an id nor a body."""

    __slots__ = ()
    tag: ClassVar[str]
    refers: ClassVar[bool] = False
    """Whether it says something of another message, and is never seen outside of `wire/sharing.py`."""
    id: str = ""
    body: bytes = b""

    def as_json(self) -> bytes | None:
        """Write it as it stands in a frame, without its body; None where it knows no quicker way than the codec's."""
        return None

    def json_after(self, before: Message) -> bytes | None:
        """Write it as one that shares what `before` says, which is in its frame already; None where it does not."""
        return None

    def with_body(self, body: bytes) -> Message:
        """Return the same with another body."""
        return dataclasses.replace(self, body=body)  # type: ignore[type-var]  # every message is a dataclass


# Agent to coordinator


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The first message of a link: who calls, with the session that registering gave it, and its transfers at once."""

    tag: ClassVar[str] = "hello"
    wire: tuple[int, int] = fields.pair_of_integers()
    session: str = text(256, min_chars=1)
    version: str = text(64, default="")
    hostname: str = text(255, default="")
    max_concurrency: int = integer(1, limits.MAX_CONCURRENCY, default=limits.DEFAULT_MAX_CONCURRENCY)


@dataclass(frozen=True, slots=True)
class AddressReport:
    """One address of an agent: its canonical text, its state, and why it is not used if it is not."""

    address: str = fields.address()
    state: AddressState = choice(AddressState)
    reason: str | None = optional(text())


@dataclass(frozen=True, slots=True)
class AddressesChanged(Message):
    """Addresses that came or changed, and addresses that went. A new link starts from none."""

    tag: ClassVar[str] = "addresses_changed"
    changed: tuple[AddressReport, ...] = fields.records(AddressReport, limits.MAX_ADDRESSES_PER_MESSAGE, default=())
    gone: tuple[str, ...] = fields.addresses(limits.MAX_ADDRESSES_PER_MESSAGE, default=())


@dataclass(frozen=True, slots=True)
class Holding(Message):
    """On a link of a session that had one before: the executions that the agent still has, or has results of.

    Said before anything else. What it was given on the earlier link and is not here will have no result.
    """

    tag: ClassVar[str] = "holding"
    ids: frozenset[str] = identifiers(limits.MAX_HELD, IDENTIFIER_CHARS, default=frozenset())


@quickly_made
@dataclass(frozen=True, slots=True)
class Result(Message):
    """How an execution ended: a response (`status` set) or a failure (`error_kind` set), never both.

    `body` is decoded (no gzip, deflate or brotli left); `body_size` counts the decoded bytes received, of which
    `body` holds at most the execution's `max_body_bytes`.
    """

    tag: ClassVar[str] = "result"
    id: str = text(IDENTIFIER_CHARS, min_chars=1)
    status: int | None = optional(integer(100, 999))
    reason: str = text(default="")
    http_version: str = text(8, default="")
    remote_ip: str = text(64, default="")
    source_ip: str = text(64, default="")
    headers: tuple[tuple[str, str], ...] = headers(default=())
    body_size: int = integer(0, 2**63 - 1, default=0)
    truncated: bool = flag(default=False)
    timings: dict[str, float] = phases.timings(default_factory=dict)
    error_kind: FailureKind | None = optional(choice(FailureKind))
    error_detail: str = text(4096, default="")
    error_party: Party | None = optional(choice(Party))
    body: bytes = b""

    @property
    def header_chars(self) -> int:
        """How many characters its headers have."""
        return count_header_chars(self.headers)

    @property
    def failure(self) -> Failure | None:
        """Why there is no response, or None where there is one."""
        if self.error_kind is None:
            return None
        return Failure.of(self.error_kind, self.error_detail, self.error_party)


@quickly_made
@dataclass(frozen=True, slots=True)
class Alike(Message):
    """A `Result` with the head of the one before it in its frame. See `wire/sharing.py`.

    `microseconds` are of each of `phases.PHASES`; without a `remote_ip` it has that one's too.
    """

    tag: ClassVar[str] = "alike"
    refers: ClassVar[bool] = True
    id: str = text(IDENTIFIER_CHARS, min_chars=1)
    source_ip: str = text(64)
    body_size: int = integer(0, 2**63 - 1)
    microseconds: tuple[int, ...] = phases.microseconds()
    truncated: bool = flag(default=False)
    remote_ip: str | None = optional(text(64))
    body: bytes = b""


# Coordinator to agent


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The link is up; the agent now tells its addresses.

    `secret_headers` are names, beside those that every agent knows, that no redirect takes to another origin.
    """

    tag: ClassVar[str] = "welcome"
    wire: tuple[int, int] = fields.pair_of_integers()
    agent_id: str = text(IDENTIFIER_CHARS, min_chars=1)
    version: str = text(64, default="")
    secret_headers: tuple[str, ...] = strings(limits.MAX_SECRET_HEADERS, limits.MAX_SECRET_HEADER_CHARS, default=())


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """The link ends, and why; the agent does not come back with the same session."""

    tag: ClassVar[str] = "refused"
    code: RefusalCode = choice(RefusalCode)
    detail: str = text(default="")
    accepted_versions: tuple[str, ...] = strings(16, 16, default=())


@quickly_made
@dataclass(frozen=True, slots=True)
class Execute(Message):
    """Make this request from this source address and answer with one `Result` within `timeout` seconds.

    `timeout` is what is left of the execution's time when the message is made; it includes waiting at the agent.
    """

    tag: ClassVar[str] = "execute"
    id: str = text(IDENTIFIER_CHARS, min_chars=1)
    source: str = text(64, min_chars=2)
    method: str = text(limits.MAX_METHOD_CHARS, min_chars=1)
    url: str = text(limits.MAX_URL_CHARS, min_chars=1)
    timeout: float = number(0.0, limits.MAX_TIMEOUT_SECONDS)
    headers: tuple[tuple[str, str], ...] = headers(default=())
    follow_redirects: bool = flag(default=False)
    max_redirects: int = integer(0, 100, default=5)
    verify_tls: bool = flag(default=True)
    http_version: HttpVersion = choice(HttpVersion, default=HttpVersion.AUTO)
    max_body_bytes: int = integer(0, limits.MAX_BODY_BYTES, default=10 * 1024 * 1024)
    has_body: bool = flag(default=False)
    body: bytes = b""
    asked_json: bytes = field(default=b"", init=False, repr=False, compare=False)
    """What `wire/sharing.py` wrote of it for all that ask for the same; empty until then."""

    @property
    def like(self) -> Execute:
        """Return the execution that says what this one asks for; executions that have the same ask for the same."""
        return self


@quickly_made
@dataclass(frozen=True, slots=True)
class Again(Message):
    """Make the request of the `Execute` before it in its frame once more, which has no body. See `wire/sharing.py`."""

    tag: ClassVar[str] = "again"
    refers: ClassVar[bool] = True
    id: str = text(IDENTIFIER_CHARS, min_chars=1)
    source: str = text(64, min_chars=2)
    timeout: float = number(0.0, limits.MAX_TIMEOUT_SECONDS)


@dataclass(frozen=True, slots=True)
class Cancel(Message):
    """Nobody waits for this execution any more; no `Result` is expected."""

    tag: ClassVar[str] = "cancel"
    id: str = text(IDENTIFIER_CHARS, min_chars=1)


# Both ways


@dataclass(frozen=True, slots=True)
class Draining(Message):
    """The agent takes no new executions; what it has goes on. The coordinator answers with the same.

    Nothing is given to the agent after that answer, so once it has come the agent knows all that it must finish.
    """

    tag: ClassVar[str] = "draining"


@dataclass(frozen=True, slots=True)
class BodyChunk(Message):
    """The next piece of the body of the message with this id; the message itself follows when all has come."""

    tag: ClassVar[str] = "body_chunk"
    id: str = text(IDENTIFIER_CHARS, min_chars=1)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class BodyTaken(Message):
    """So many bytes of body chunks have been taken in: the sender may send as many more."""

    tag: ClassVar[str] = "body_taken"
    size: int = integer(1, limits.BULK_WINDOW_BYTES)


FROM_AGENT: tuple[type[Message], ...] = (
    Hello,
    Holding,
    AddressesChanged,
    Result,
    Alike,
    Draining,
    BodyChunk,
    BodyTaken,
)
FROM_COORDINATOR: tuple[type[Message], ...] = (
    Welcome,
    Refused,
    Execute,
    Again,
    Cancel,
    Draining,
    BodyChunk,
    BodyTaken,
)
