"""Secrets stay out of history, logs and the monitor: what a record shows of headers and URLs.

Called in one place, where a record is made (step 8 of a request's way), so that nothing behind it ever has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"

SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key")
"""Headers whose values are always redacted, in lower case."""

Pairs = tuple[tuple[str, str], ...]


class Redactor:
    """Redacts the values of secret headers and the user information of URLs."""

    def __init__(self, more_headers: Iterable[str] = ()) -> None:
        """Redact `more_headers` beside `SECRET_HEADERS`; case does not matter."""
        self._secret = frozenset((*SECRET_HEADERS, *(name.lower() for name in more_headers)))

    def headers(self, pairs: Pairs) -> Pairs:
        """Return the same header lines without secret values."""
        return tuple((name, REDACTED if name.lower() in self._secret else value) for name, value in pairs)

    @staticmethod
    def url(url: str) -> str:
        """Return the URL without its user information."""
        if "@" not in url:
            return url
        parts = urlsplit(url)
        _, at, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{REDACTED}@{host}")) if at else url
