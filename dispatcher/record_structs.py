"""A record as objects that C writes as JSON, where msgspec can be loaded. Beside `record.py`, pure; step 8.

`Record.as_json` says what a record holds; what is here has the same members in the same order, and a test holds it to
that. What would surprise: it is no dict, because the names of a dict's members are looked at anew for each record,
which takes as long as their values do.
"""

from __future__ import annotations

from typing import Any

from dispatcher.wire.native import msgspec


def _struct(name: str, *members: str | tuple[str, Any, Any]) -> Any:
    """Return what makes such an object, by place; a member that is a default is left out. None without msgspec."""
    return None if msgspec is None else msgspec.defstruct(name, members, omit_defaults=True, gc=False)


BODY = _struct("Body", "encoding", "data", "size", "truncated")
RESPONSE = _struct("Response", "status", "reason", "http_version", "remote_ip", "headers", "body")
RECORD = _struct(
    "Record",
    "id",
    "outcome",
    "agent_id",
    "source_ip",
    "request",
    "response",
    "timings",
    "error",
    "started_at",
    "finished_at",
    ("attempts", Any, ()),
)
