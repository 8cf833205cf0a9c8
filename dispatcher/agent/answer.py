"""The result of an execution that was answered, as cheap as can be: step 6 of a request's way, back. Pure.

It is a `Result` like any other, but holds what libcurl said as it was said, and works out a member when somebody asks
for it. On an agent's way nobody does: it is written for the wire (`as_json`) from a form, in which the head of the
answer stands as it was written when this head was first seen. That takes a third of the time of an object with all its
members and of writing those, and what is kept until the coordinator has it is a third as large.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from dispatcher.wire import codec
from dispatcher.wire.messages import PHASES, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.agent.transfers.response import Response

# Microseconds as JSON's milliseconds: 1234e-3 is read as the same number as 1.234.
_TIMINGS = ",".join(f'"{phase}":%de-3' for phase in PHASES)
_FORM = (
    '{"t":"result","id":%b,%b,"remote_ip":%b,"source_ip":%b,"body_size":%d,"truncated":%b,'
    f'"timings":{{{_TIMINGS}}},"b":%d}}'
).encode()

_quoted = functools.lru_cache(maxsize=4096)(codec.value_json)


def timings(phases: Sequence[int], total: int) -> dict[str, float]:
    """Return milliseconds by the names of `PHASES`, from microseconds of each but the last, and of the last."""
    queued, dns, connect, tls, send, wait, receive = phases
    return {
        "queued": queued / 1000,
        "dns": dns / 1000,
        "connect": connect / 1000,
        "tls": tls / 1000,
        "send": send / 1000,
        "wait": wait / 1000,
        "receive": receive / 1000,
        "total": total / 1000,
    }


class Answer(Result):
    """A result with a response. `phases` are microseconds of each of `PHASES` but the last, which is `total`."""

    __slots__ = ("_phases", "_response", "_total")

    error_kind = None
    error_detail = ""
    error_party = None

    def __init__(  # noqa: PLR0913, PLR0917 - by place, which is quicker by a third than by name
        self,
        identifier: str,
        response: Response,
        remote_ip: str,
        source_ip: str,
        body: bytes,
        body_size: int,
        truncated: bool,
        phases: Sequence[int],
        total: int,
    ) -> None:
        """Hold what the response to `identifier` was; addresses are canonical text."""
        self.id = identifier  # type: ignore[misc]  # being made
        self.remote_ip = remote_ip  # type: ignore[misc]  # as above
        self.source_ip = source_ip  # type: ignore[misc]  # as above
        self.body = body  # type: ignore[misc]  # as above
        self.body_size = body_size  # type: ignore[misc]  # as above
        self.truncated = truncated  # type: ignore[misc]  # as above
        self._response = response
        self._phases = phases
        self._total = total

    @property
    def status(self) -> int:
        """As `Result` has it; so are the others."""
        return self._response.status

    @property
    def reason(self) -> str:
        return self._response.reason

    @property
    def http_version(self) -> str:
        return self._response.http_version

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return self._response.headers

    @property
    def timings(self) -> dict[str, float]:
        return timings(self._phases, self._total)

    @property
    def header_chars(self) -> int:
        """How many characters its headers have."""
        return self._response.header_chars

    def as_json(self) -> bytes:
        """Write it as it stands in a frame, without its body."""
        return _FORM % (
            codec.value_json(self.id),
            self._response.written,
            _quoted(self.remote_ip),
            _quoted(self.source_ip),
            self.body_size,
            b"true" if self.truncated else b"false",
            *self._phases,
            self._total,
            len(self.body),
        )

    def with_body(self, body: bytes) -> Result:
        """Return it as an ordinary result with another body."""
        return Result(
            self.id,
            self.status,
            self.reason,
            self.http_version,
            self.remote_ip,
            self.source_ip,
            self.headers,
            self.body_size,
            self.truncated,
            self.timings,
            body=body,
        )
