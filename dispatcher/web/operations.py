"""How a handler describes its verbs, for the OpenAPI document: the same schemas that validate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import marshmallow


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of one path. `responses` are its successes by status (None: no JSON), `problems` its errors.

    `media_type` is what a success without JSON is, with 200; empty where it has no content.
    """

    summary: str
    responses: dict[int, type[marshmallow.Schema] | None]
    body: type[marshmallow.Schema] | None = None
    body_is_required: bool = True
    query: type[marshmallow.Schema] | None = None
    problems: tuple[int, ...] = ()
    path_parameters: dict[str, str] = field(default_factory=dict)
    header_parameters: dict[str, str] = field(default_factory=dict)
    media_type: str = ""
