"""What `HistoryLog`, `HistoryReader` and `ConfigStore` are asked: before step 1 and at step 9 of a request's way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.actors.messages.base import Message, Outcome
from dispatcher.wire.quick import quickly_made

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecordRow(NamedTuple):
    """One finished execution as history keeps it: what is filtered and counted by, and the record itself.

    A tuple, because one is made for each execution and its members go into statements as they are.
    `finished_at_ms` is milliseconds since 1970 in UTC; `total_ms` is the record's `timings.total`, None where nothing
    was sent; `record` is the JSON of the record, UTF-8, its body already cut to what history keeps.
    `idempotency_key` is the key that was claimed for it, if it has one.
    """

    id: str
    outcome: str
    agent_id: str | None
    source_ip: str | None
    status: int | None
    error_kind: str | None
    finished_at_ms: int
    total_ms: float | None
    record: bytes
    idempotency_key: str | None = None


@quickly_made
@dataclass(frozen=True, slots=True)
class AppendRecords(Message[frozenset[str]]):
    """Commit records in this order, all of them or none; the answer comes after the commit.

    It has the ids that were in the history before, whose records were left as they were. Raises `StoreError` where
    nothing could be written.
    """

    rows: tuple[RecordRow, ...]


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """Who has an `Idempotency-Key`: whoever asked (`is_new`), or an earlier execution of the payload with `digest`.

    `record` is that execution's record as JSON, None where it left none (yet).
    """

    is_new: bool
    digest: bytes
    record: bytes | None


@dataclass(frozen=True, slots=True)
class ClaimKey(Message[KeyClaim]):
    """Claim an `Idempotency-Key` for the payload with this digest; the answer comes after the commit."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ReleaseKey(Message[None]):
    """Forget a claimed key under which nothing was sent."""

    key: str


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
class ReadRecord(Message[bytes | None]):
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
class CheckStore(Message[str | None]):
    """Try whether the store can be written; the answer is None, or why not."""


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
class ReadRequest(Message[StoredRequest | None]):
    """Read the configured request; None where none is stored."""
