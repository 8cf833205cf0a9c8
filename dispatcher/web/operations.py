"""How a handler describes its verbs, for the OpenAPI document: the same schemas that validate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dispatcher.auth.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    import marshmallow

    from dispatcher.record import JsonObject


LINES = "application/x-ndjson"
"""The media type of an answer that is a JSON value a line; the document describes one line."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of one path. `responses` are its successes by status (None: no JSON), `problems` its errors.

    `needs` is what its caller must be allowed to; None lets anybody. Unsaid, it is what only an admin may.
    A header parameter is its `description` and `schema`.
    `media_type` is what a success without JSON is, with 200; empty where it has no content. `lines` is what a line of a
    success may be that is answered line by line. A GET that is not
    `is_safe` does something, and so cannot be asked for as HEAD. Without `has_content` no answer has a body.
    """

    summary: str
    responses: dict[int, type[marshmallow.Schema] | None]
    body: type[marshmallow.Schema] | None = None
    body_is_required: bool = True
    query: type[marshmallow.Schema] | None = None
    problems: tuple[int, ...] = ()
    path_parameters: dict[str, str] = field(default_factory=dict)
    header_parameters: dict[str, JsonObject] = field(default_factory=dict)
    media_type: str = ""
    lines: tuple[type[marshmallow.Schema], ...] = ()
    needs: Permission | None = Permission.MANAGE
    is_safe: bool = True
    has_content: bool = True


def with_head(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    """Return all verbs that a path takes: with HEAD wherever there is a GET that changes nothing (RFC 9110, 9.1)."""
    found = dict(operations)
    get = operations.get("GET")
    if get is not None and get.is_safe:
        found["HEAD"] = replace(get, summary=f"{get.summary}: the headers alone", has_content=False)
    return found
