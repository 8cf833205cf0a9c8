"""What of records and of the configured request monitors are told: no bodies, no secrets, bounded headers.

A record keeps the shape that it has everywhere; a monitor that wants all of one reads it from history.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dispatcher.record import dump
from dispatcher.redaction import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dispatcher.record import Record
    from dispatcher.redaction import Redactor

HEADER_CHARS = 4096
"""Of a record's header lines on either side; the lines beyond are left out."""

BODY_CHARS = 1000
"""Of the configured request's body; `body_size` counts all of it, in bytes."""

Json = dict[str, Any]


def record_summary(record: Record) -> Json:
    """Return a record without its body and with bounded headers."""
    body = None
    if record.response is not None:
        size = record.response.body_size
        body = {"encoding": "utf-8", "data": "", "size": size, "truncated": size > 0}
    return _bounded(record.as_json(body))


def kept_summaries(records: Iterable[bytes]) -> list[bytes]:
    """Return records as history keeps them without their bodies and with bounded headers, as JSON."""
    return [dump(_without_body(json.loads(record))) for record in records]


def _without_body(record: Json) -> Json:
    response = record.get("response")
    if response is not None:
        size = response["body"]["size"]
        response["body"] = {"encoding": "utf-8", "data": "", "size": size, "truncated": size > 0}
    return _bounded(record)


def _bounded(record: Json) -> Json:
    for part in ("request", "response"):
        if record[part] is not None:
            record[part] = {**record[part], "headers": _bounded_headers(record[part]["headers"])}
    return record


def _bounded_headers(headers: list[list[str]]) -> list[list[str]]:
    if sum(len(name) + len(value) for name, value in headers) <= HEADER_CHARS:
        return headers
    kept, left = [], HEADER_CHARS
    for name, value in headers:
        left -= len(name) + len(value)
        if left < 0:
            break
        kept.append([name, value])
    return kept


def request_summary(stored: Mapping[str, Any], revision: int, redactor: Redactor, *, shows_body: bool = True) -> Json:
    """Return the configured request without its secrets, and with the start of its body if everybody may see that."""
    headers = redactor.headers(tuple((name, value) for name, value in stored["headers"]))
    body, encoded = stored["body"], stored["body_base64"]
    size = len(body.encode("utf-8")) if body is not None else len(encoded or "") * 3 // 4
    return {
        **stored,
        "url": redactor.url(stored["url"]),
        "headers": [list(pair) for pair in headers],
        "body": (body[:BODY_CHARS] if shows_body else REDACTED) if body is not None else None,
        "body_base64": None,
        "body_size": size,
        "revision": revision,
    }
