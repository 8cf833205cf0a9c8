"""The result of an execution that was answered, as cheap as can be: step 6 of a request's way, back. Pure.

It is a `Result` like any other, but holds what libcurl said as it was said too: it is written for the wire (`as_json`)
from a form, in which the head of the answer stands as it was written when this head was first seen, and the times as
they were measured. What would surprise: it has no `timings`, which nobody asks for on an agent's way, and which would
be most of what it takes; `in_full` has them. The other members of `Result` are set, since a native class has no
properties where its base has members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.wire import codec
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES, timings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.agent.transfers.response import Response
    from dispatcher.wire.messages import Message

# Microseconds as JSON's milliseconds: 1234e-3 is read as the same number as 1.234.
_TIMINGS = ",".join(f'"{phase}":%de-3' for phase in PHASES)
_FORM = (
    '{"t":"result","id":%b,%b,"remote_ip":%b,"source_ip":%b,"body_size":%d,"truncated":%b,'
    f'"timings":{{{_TIMINGS}}},"b":%d}}'
).encode()

_NO_TIMINGS: dict[str, float] = {}

_ALIKE = b'{"t":"alike","id":%b,"source_ip":%b,"body_size":%d,"microseconds":%b,%b"b":%d}'
"""What is said of an answer with the head of another."""


class Answer(Result):
    """A result with a response. `phases` are microseconds of each of `PHASES` but the last, which is `total`."""

    __slots__ = ("_phases", "_total", "response")

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
        Result.__init__(  # without `super`, which is quicker
            self,
            identifier,
            response.status,
            response.reason,
            response.http_version,
            remote_ip,
            source_ip,
            response.headers,
            body_size,
            truncated,
            _NO_TIMINGS,
            None,
            "",
            None,
            body,
        )
        self.response = response
        self._phases = phases
        self._total = total

    @property
    def header_chars(self) -> int:
        """How many characters its headers have."""
        return self.response.header_chars

    def as_json(self) -> bytes:
        """Write it as it stands in a frame, without its body."""
        return _FORM % (
            codec.value_json(self.id),
            self.response.written,
            codec.text_jsons[self.remote_ip],
            codec.text_jsons[self.source_ip],
            self.body_size,
            b"true" if self.truncated else b"false",
            *self._phases,
            self._total,
            len(self.body),
        )

    def json_after(self, before: Message) -> bytes | None:
        """Write it as an `Alike` of an answer with the same head."""
        if type(before) is not Answer or before.response is not self.response:
            return None
        more = b'"truncated":true,' if self.truncated else b""
        if self.remote_ip != before.remote_ip:
            more += b'"remote_ip":%b,' % codec.text_jsons[self.remote_ip]
        return _ALIKE % (
            codec.value_json(self.id),
            codec.text_jsons[self.source_ip],
            self.body_size,
            codec.value_json((*self._phases, self._total)),
            more,
            len(self.body),
        )

    def with_body(self, body: bytes) -> Result:
        """Return it as an ordinary result with another body, times included."""
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
            timings_of((*self._phases, self._total)),
            body=body,
        )


def in_full(result: Result) -> Result:
    """Return an ordinary result with all of its members, whatever an executor has told."""
    return result.with_body(result.body) if isinstance(result, Answer) else result
