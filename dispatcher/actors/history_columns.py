"""The records of a commit, turned on their side once for all that look at them member by member.

Step 9 of a request's way, on HistoryLog's thread. What would surprise: none of it goes from record to record. A look at
one member of all records is one call for C to loop in, and most of what a commit asks is answered by such looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.actors.messages import RecordRow

if TYPE_CHECKING:
    from collections.abc import Sequence


_RECORD = RecordRow._fields.index("record")


class Columns(NamedTuple):
    """What some records have for each member of a `RecordRow`, in its order and theirs, and how many bytes each has.

    A column that nobody is to look at may be missing.
    """

    id: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    agent_id: tuple[str | None, ...] = ()
    source_ip: tuple[str | None, ...] = ()
    status: tuple[int | None, ...] = ()
    error_kind: tuple[str | None, ...] = ()
    finished_at_ms: tuple[int, ...] = ()
    total_ms: tuple[float | None, ...] = ()
    record: tuple[bytes, ...] = ()
    idempotency_key: tuple[str | None, ...] = ()
    size: tuple[int, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[RecordRow]) -> Columns:
        """Turn `rows`, of which there may be none."""
        if not rows:
            return cls()
        columns: list[tuple[Any, ...]] = [*zip(*rows, strict=True)]
        columns.append(tuple(map(len, columns[_RECORD])))
        return cls(*columns)

    def cut(self, at: int) -> tuple[Columns, Columns]:
        """Return the first `at` records, and the others."""
        columns: tuple[Any, ...] = self
        return Columns(*[column[:at] for column in columns]), Columns(*[column[at:] for column in columns])
