"""Secrets stay out of history, logs and the monitor: what a record shows of headers, URLs and reasons.

Called in one place, where a record is made (step 8 of a request's way), so that nothing behind it ever has them. What
would surprise: the reason of a failure is searched too, because resolvers, TLS and URL parsers quote what they got.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from dispatcher.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dispatcher.request import RequestSpec

REDACTED = "[redacted]"

SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key")
"""Headers whose values are always redacted, in lower case."""

URL_HEADERS = frozenset(("content-location", "location", "origin", "referer"))
"""Headers whose value is a URL, in lower case."""

_SHORTEST_SECRET = 4
"""Characters of a secret that is searched for in a reason; shorter ones stand in ordinary words."""

_MOST_REMEMBERED = 1000
"""Names of headers that are known to be plain; one answer more, of 1,024 names at most, may be beyond it."""

_LONGEST_REMEMBERED = 64
"""Characters of such a name."""

_USERINFO = re.compile(r"(?<![^\s/])[^\s/]+@")  # from where a run begins, or a long one costs its square

Pairs = tuple[tuple[str, str], ...]


class Redactor:
    """Redacts the values of secret headers and the user information of URLs."""

    def __init__(self, more_headers: Iterable[str] = ()) -> None:
        """Redact `more_headers` beside `SECRET_HEADERS`; case does not matter."""
        self._secret = frozenset((*SECRET_HEADERS, *map(_key, more_headers)))
        self._last: tuple[RequestSpec, dict[str, Any]] | None = None
        self._plain: set[str] = set()
        self._last_plain: Pairs = ()
        self._last_secrets: tuple[str, Pairs, list[str]] | None = None

    def request(self, request: RequestSpec) -> dict[str, Any]:
        """Return what a record shows of its request: method, URL and headers. Not to be changed.

        It is the same object for the same request, since one request is executed many times over.
        """
        last = self._last
        if last is None or last[0] is not request:
            shown = {
                "method": request.method,
                "url": self.url(request.url),
                "headers": [list(pair) for pair in self.headers(request.headers)],
            }
            self._last = last = (request, shown)
        return last[1]

    def headers(self, pairs: Pairs) -> Pairs:
        """Return the same header lines without secret values.

        Nearly all answers have the names of others, none of which is of a secret or a URL: those are remembered, and
        the last lines that had no secret, which those of one target often share.
        """
        if pairs == self._last_plain:
            return pairs
        plain = self._plain
        if not plain.issuperset([name for name, _ in pairs]):
            if len(plain) > _MOST_REMEMBERED:
                plain.clear()
            shown = tuple([pair if pair[0] in plain else self._shown(*pair) for pair in pairs])
            if shown != pairs:
                return shown
        self._last_plain = pairs
        return pairs

    def _shown(self, name: str, value: str) -> tuple[str, str]:
        """Return a header line without what is secret in it; a name that never has a secret is remembered."""
        key = _key(name)
        if key in self._secret:
            return name, REDACTED
        if key in URL_HEADERS:
            return name, self.url(value)
        if len(name) <= _LONGEST_REMEMBERED:
            self._plain.add(name)
        return name, value

    def configuration(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configured request as it is shown to who is no admin; its body may be a secret as a whole."""
        shown = dict(stored)
        shown["url"] = self.url(stored["url"])
        shown["headers"] = self.headers(tuple((name, value) for name, value in stored["headers"]))
        # What is redacted is no base64, so it stands as text whatever the body is.
        shown["body"] = REDACTED if stored["body"] or stored["body_base64"] else stored["body"]
        shown["body_base64"] = None
        return shown

    @staticmethod
    def url(url: str) -> str:
        """Return the URL without its user information; what cannot be read as a URL loses all before an ``@``."""
        if "@" not in url:
            return url
        try:
            parts = urlsplit(url)
            _, at, host = parts.netloc.rpartition("@")
            return urlunsplit(parts._replace(netloc=f"{REDACTED}@{host}")) if at else url
        except ValueError:
            return _USERINFO.sub(f"{REDACTED}@", url)

    def failure(self, failure: Failure, url: str, headers: Pairs) -> Failure:
        """Return the failure of a request without what is secret in its URL and headers."""
        detail = failure.detail
        for secret in self._secrets_of(url, headers):
            detail = detail.replace(secret, REDACTED)
        if "@" in detail:
            detail = _USERINFO.sub(f"{REDACTED}@", detail)
        return failure if detail == failure.detail else Failure(failure.kind, detail, failure.attributed_to)

    def _secrets_of(self, url: str, headers: Pairs) -> list[str]:
        """Return what is searched for, the longest first; known again while it is the same request that fails."""
        last = self._last_secrets
        if last is None or last[0] is not url or last[1] is not headers:
            found = {*_secrets_of_url(url), *self._secrets_of_headers(headers)}
            searched = sorted((each for each in found if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)
            self._last_secrets = last = (url, headers, searched)
        return last[2]

    def _secrets_of_headers(self, pairs: Pairs) -> Iterator[str]:
        for name, value in pairs:
            if _key(name) in self._secret:
                yield value.strip()
                yield value.strip().rpartition(" ")[2]  # without ``Bearer``


def _key(name: str) -> str:
    return name.strip().lower()


def _secrets_of_url(url: str) -> Iterator[str]:
    authority = re.split(r"[/?#]", url.partition("//")[2], maxsplit=1)[0]
    userinfo, at, _ = authority.rpartition("@")
    if at:
        for form in (userinfo, unquote(userinfo)):
            yield form
            yield form.partition(":")[2]
