"""The results that the coordinator may not have yet: the first of the way back. On the agent's event loop.

What was written to a link that is dying is lost without anybody knowing, so a result is kept until the coordinator
has answered a ping that went after it, and is told again on the next link. A plain class; `worker.py` uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dispatcher.wire.messages import Result

OVERHEAD_BYTES = 1024
"""What a result takes beside its body and its headers, about."""


class Undelivered:
    """Results by id, the oldest first, `max_bytes` at most; past it the oldest go."""

    def __init__(self, max_bytes: int) -> None:
        """Start with none."""
        self._max_bytes = max_bytes
        self._results: dict[str, Result] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[Result]:
        """The results."""
        return iter(self._results.values())

    @property
    def ids(self) -> frozenset[str]:
        """Whose results these are."""
        return frozenset(self._results)

    def add(self, result: Result) -> int:
        """Keep a result; return how many had to go for it, itself included where it is too large."""
        identifier, results = result.id, self._results
        if identifier in results:
            self.discard((identifier,))
        results[identifier] = result
        self._bytes += _size(result)
        gone = 0
        while self._bytes > self._max_bytes:
            self.discard((next(iter(self._results)),))
            gone += 1
        return gone

    def discard(self, ids: Iterable[str]) -> None:
        """Let go of what the coordinator has, or does not want."""
        for identifier in ids:
            result = self._results.pop(identifier, None)
            if result is not None:
                self._bytes -= _size(result)

    def clear(self) -> int:
        """Let go of all; return how many there were."""
        count = len(self._results)
        self._results.clear()
        self._bytes = 0
        return count


def _size(result: Result) -> int:
    return OVERHEAD_BYTES + len(result.body) + result.header_chars
