"""Errors of the REST API as RFC 9457 problem details: step 1 and the end of a request's way."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING, Any

from dispatcher.record import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:http-dispatcher:problem:"
RETRY_AFTER_SECONDS = 1
"""What `Retry-After` says of a shortage that passes by itself: executions end and agents come within seconds."""

_FAULTS_SAID = 5
"""How many of the fields that are wrong `detail` names; `errors` has all of them."""

_FAULT_CHARS = 200
"""Of a pointer, and of a reason, as far as `detail` says them."""


class Problem(Exception):  # noqa: N818 (the term of RFC 9457)
    """An answer that is no success. `name` tells programs what it is, `detail` tells people."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        """Add `members` to the problem's JSON and `headers` to the response."""
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        if status == 503:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        self.content = {
            "type": TYPE_PREFIX + name,
            "title": responses.get(status, "Error"),
            "status": status,
            "detail": detail,
            **members,
        }


def internal() -> Problem:
    """Make the answer to what nobody foresaw."""
    return Problem(500, "internal", "the coordinator failed over this; its log says more")


def as_response(problem: Problem) -> bytes:
    """Write a problem as it stands on the wire, for where no handler answers; the connection is to be closed then."""
    body = dump(problem.content)
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Server": "http-dispatcher",
        **problem.headers,
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status} {problem.content['title']}\r\n{lines}\r\n".encode("latin-1") + body


def invalid(messages: Mapping[str, Any] | list[Any]) -> Problem:
    """Make the answer to fields that do not validate: a JSON pointer and a reason each, the first few in `detail`."""
    # Sorted, because unknown fields come in an order that changes with every start.
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in sorted(_flatten(messages, ""))]
    said = [_in_words(error["pointer"], error["detail"]) for error in errors[:_FAULTS_SAID]]
    if len(errors) > _FAULTS_SAID:
        said.append(f"and {len(errors) - _FAULTS_SAID} more")
    return Problem(422, "invalid", f"not valid: {'; '.join(said)}", errors=errors)


def _in_words(pointer: str, reason: str) -> str:
    """Write a fault as a part of a sentence; what its field is called may be as long as its sender likes."""
    reason = _cut(reason.removesuffix("."))
    if reason[1:2].islower():
        reason = reason[0].lower() + reason[1:]
    return f"{_cut(pointer)}: {reason}" if pointer else reason


def _cut(text: str) -> str:
    return text if len(text) <= _FAULT_CHARS else f"{text[: _FAULT_CHARS - 1]}…"


def _flatten(messages: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from _flatten(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, pointer)
    else:
        yield pointer, str(messages)
