"""The execution record: what a caller, history and the monitors are told of one execution. Made at step 8.

A record is redacted when it is made, so nothing behind it ever holds a secret. Its JSON is built here by hand and not
by a schema, because every execution pays for it; a test holds it to `web/schemas.py`. What would surprise: it is built
in two ways, as objects that C writes (`record_structs.py`) for each execution, and as a dict for whoever wants one.
"""

from __future__ import annotations

import base64
import codecs
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.actors.messages import Outcome, RecordRow
from dispatcher.errors import FailureKind
from dispatcher.record_structs import BODY, RECORD, RESPONSE
from dispatcher.timestamps import milliseconds, rfc3339, rfc3339_of
from dispatcher.wire import native
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES
from dispatcher.wire.quick import quickly_made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.errors import Failure
    from dispatcher.redaction import Redactor
    from dispatcher.request import RequestSpec

JsonObject = dict[str, Any]

_MOST_REMEMBERED = 64 * 1024
"""Bytes of a body up to which a record's JSON is written once for its caller and its history."""

_PHASES = len(PHASES)

_OUTCOMES = {outcome: str(outcome) for outcome in Outcome}
"""An outcome as plain text, which a statement takes as it is; asking the enum for it takes three times as long."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to get an execution answered. `exit_used` is (agent id, source address), None where there was none."""

    exit_used: tuple[str, str] | None
    outcome: Outcome
    result: Result
    started_at: float

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the target may have got the request: there was an exit, and its agent was not full."""
        return self.exit_used is not None and self.result.error_kind is not FailureKind.OVERLOADED


@quickly_made
@dataclass(frozen=True, slots=True)
class Record:
    """One finished execution. Points in time are milliseconds since 1970.

    `response` is what the target answered, without secrets in its headers; None where there is a failure. `timings` are
    the milliseconds of every phase, not to be changed. `body` is the response's as far as it was kept, decoded.
    `idempotency_key` is the caller's, where something may have been sent under it; it is not told.
    `attempts` is what JSON holds of them, all of them where retries were asked for, the last one included.
    """

    id: str
    outcome: Outcome
    agent_id: str | None
    source_ip: str | None
    request: JsonObject
    response: Result | None
    failure: Failure | None
    timings: JsonObject
    started_at_ms: int
    finished_at_ms: int
    body: bytes
    attempts: tuple[JsonObject, ...] = ()
    idempotency_key: str | None = None
    _written: list[bytes] = field(default_factory=list, init=False, compare=False, repr=False)

    def as_json(self, body: JsonObject | None) -> JsonObject:
        """Return the record as JSON holds it, with `body` for the response's body."""
        content = {
            "id": self.id,
            "outcome": _OUTCOMES[self.outcome],
            "agent_id": self.agent_id,
            "source_ip": self.source_ip,
            "request": self.request,
            "response": self._response(body),
            "timings": self.timings,
            "error": None if self.failure is None else _failure_json(self.failure),
            "started_at": rfc3339_of(self.started_at_ms),
            "finished_at": rfc3339_of(self.finished_at_ms),
        }
        return content | {"attempts": list(self.attempts)} if self.attempts else content

    def _response(self, body: JsonObject | None) -> JsonObject | None:
        response = self.response
        if response is None:
            return None
        return {
            "status": response.status,
            "reason": response.reason,
            "http_version": response.http_version,
            "remote_ip": response.remote_ip,
            "headers": response.headers,
            "body": body,
        }

    def to_json_bytes(self, max_body_bytes: int | None = None) -> bytes:
        """Write the record as JSON with at most `max_body_bytes` of its body (None: all of it)."""
        size = len(self.body)
        if max_body_bytes is not None and size > max_body_bytes:
            return self._write(max_body_bytes)
        if size > _MOST_REMEMBERED:
            return self._write(size)
        if not self._written:
            self._written.append(self._write(size))
        return self._written[0]

    def _write(self, max_body_bytes: int) -> bytes:
        if native.encode is not None:
            try:
                return native.encode(self._as_struct(max_body_bytes))
            except (UnicodeEncodeError, TypeError):
                pass  # as in `dump`
        return dump_everywhere_alike(self.with_body(max_body_bytes))

    def _as_struct(self, max_body_bytes: int) -> Any:
        """Return what `with_body` does, as C writes it quickest."""
        response, failure = self.response, self.failure
        return RECORD(
            self.id,
            _OUTCOMES[self.outcome],
            self.agent_id,
            self.source_ip,
            self.request,
            None if response is None else _response_struct(response, max_body_bytes),
            self.timings,
            None if failure is None else _failure_json(failure),
            rfc3339_of(self.started_at_ms),
            rfc3339_of(self.finished_at_ms),
            self.attempts,
        )

    def with_body(self, max_body_bytes: int) -> JsonObject:
        """Return the record as JSON holds it, with at most `max_body_bytes` of its body."""
        body, response = None, self.response
        if response is not None:
            is_cut = response.truncated or len(response.body) > max_body_bytes
            body = body_json(response.body[:max_body_bytes], size=response.body_size, is_cut=is_cut)
        return self.as_json(body)

    def to_row(self, max_body_bytes: int) -> RecordRow:
        """Make what history keeps of this record."""
        response, failure = self.response, self.failure
        return RecordRow(  # by place, which is quicker than by name
            self.id,
            _OUTCOMES[self.outcome],
            self.agent_id,
            self.source_ip,
            None if response is None else response.status,
            None if failure is None else str(failure.kind),
            self.finished_at_ms,
            None if response is None else self.timings["total"],
            self.to_json_bytes(max_body_bytes),
            self.idempotency_key,
        )


def make_record(  # noqa: PLR0913 (a record has that many parts, and this is where they meet)
    *,
    identifier: str,
    outcome: Outcome,
    exit_used: tuple[str, str] | None,
    request: RequestSpec,
    result: Result | None,
    failure: Failure | None,
    started_at: float,
    finished_at: float,
    redactor: Redactor,
    attempts: Sequence[Attempt] = (),
    idempotency_key: str | None = None,
) -> Record:
    """Make the record of one execution, without its secrets. `exit_used` is (agent id, source address).

    Times are seconds since 1970.
    """
    response, body = None, b""
    if failure is not None:
        failure = redactor.failure(failure, request.url, request.headers)
    elif result is not None:
        headers = redactor.headers(result.headers)
        is_plain = headers is result.headers and not result.error_detail
        response = result if is_plain else _shown(result, headers)
        body = result.body
    agent_id, source_ip = exit_used or (None, None)
    return Record(  # by place, as above
        identifier,
        outcome,
        agent_id,
        source_ip,
        redactor.request(request),
        response,
        failure,
        _timings(result),
        milliseconds(started_at),
        milliseconds(finished_at),
        body,
        tuple([_attempt_json(attempt, request, redactor) for attempt in attempts]) if attempts else (),
        idempotency_key,
    )


def _shown(result: Result, headers: tuple[tuple[str, str], ...]) -> Result:
    """Return of a response what a record tells, with these headers."""
    return Result(  # by place too, which takes a fifth of the time of `replace`
        result.id,
        result.status,
        result.reason,
        result.http_version,
        result.remote_ip,
        result.source_ip,
        headers,
        result.body_size,
        result.truncated,
        body=result.body,
    )


def _attempt_json(attempt: Attempt, request: RequestSpec, redactor: Redactor) -> JsonObject:
    failure = attempt.result.failure
    agent_id, source_ip = attempt.exit_used or (None, None)
    return {
        "agent_id": agent_id,
        "source_ip": source_ip,
        "outcome": str(attempt.outcome),
        "timings": _timings(attempt.result),
        "error": _failure_json(redactor.failure(failure, request.url, request.headers)) if failure else None,
        "started_at": rfc3339(attempt.started_at),
    }


def _timings(result: Result | None) -> JsonObject:
    """Return the milliseconds of every phase; what did not take place is 0. Not to be changed: it may be a result's."""
    measured = result.timings if result is not None else {}
    if len(measured) == _PHASES:
        return measured  # all that an agent says is phases, and it says them to the microsecond
    return {phase: round(measured.get(phase, 0.0), 3) for phase in PHASES}


def _failure_json(failure: Failure) -> JsonObject:
    return {"kind": failure.kind, "detail": failure.detail, "attributed_to": failure.attributed_to}


def _response_struct(response: Result, max_body_bytes: int) -> Any:
    body = response.body
    is_cut = response.truncated or len(body) > max_body_bytes
    encoding, data = _body_text(body[:max_body_bytes], is_cut)
    return RESPONSE(
        response.status,
        response.reason,
        response.http_version,
        response.remote_ip,
        response.headers,
        BODY(encoding, data, response.body_size, is_cut),
    )


def body_json(body: bytes, *, size: int, is_cut: bool) -> JsonObject:
    """Return a body as a record shows it: as text where it is UTF-8, else as base64.

    A text that was cut loses the character that the cut went through, so that it stays text.
    """
    encoding, data = _body_text(body, is_cut)
    return {"encoding": encoding, "data": data, "size": size, "truncated": is_cut}


def _body_text(body: bytes, is_cut: bool, /) -> tuple[str, str]:
    """Return how a body is shown, and as what."""
    try:
        return "utf-8", _decoded_up_to_the_cut(body) if is_cut else body.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode("ascii")


def _decoded_up_to_the_cut(body: bytes) -> str:
    return codecs.getincrementaldecoder("utf-8")().decode(body)


def dump(content: Any) -> bytes:
    """Write JSON as all of the product does: UTF-8, no spaces."""
    if native.encode is not None:
        try:
            return native.encode(content)
        except (UnicodeEncodeError, TypeError):
            pass  # a lone surrogate, or a class that only Python's own takes
    return dump_everywhere_alike(content)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""`json.dumps` would make one for each call."""


def dump_everywhere_alike(content: Any) -> bytes:
    """Write JSON as `dump` does, in the same bytes whatever this machine has: for a digest."""
    return _ENCODER.encode(content).encode("utf-8", "backslashreplace")
