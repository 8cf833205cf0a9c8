"""Points in time as people and programs read them: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Write seconds since 1970 such as ``2026-01-01T00:00:00.000Z``."""
    moment = datetime.fromtimestamp(round(seconds * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_rfc3339(seconds: float | None) -> str | None:
    """Write seconds since 1970, or None for never."""
    return None if seconds is None else rfc3339(seconds)
