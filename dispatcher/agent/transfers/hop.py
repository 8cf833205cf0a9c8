"""One request to one place: what an `Execute` asks for, checked, and what a redirect makes of it. Pure.

Step 6 of a request's way. Redirects are followed here and not by libcurl: so the source address is verified, an
IPv4-only target named and the time measured for every hop alike, and credentials stay with their origin.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dispatcher.agent.targets.target import ExecutionError, Target, invalid, parse_target
from dispatcher.errors import FailureKind
from dispatcher.memo import Memo
from dispatcher.wire import limits
from dispatcher.wire.messages import HttpVersion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.agent.transfers.response import Response
    from dispatcher.wire.messages import Execute

Headers = tuple[tuple[str, str], ...]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_VALUE = re.compile(r"[\x00\r\n]")
_OF_AN_ORIGIN = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "host"})
_OF_A_BODY = frozenset(
    {"content-type", "content-length", "content-encoding", "content-language", "transfer-encoding", "expect"}
)


MAX_SHARED_CHARS = 16 * 1024
"""Of headers and body together; a larger hop is made for its execution alone, so that few bytes are kept for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """One request, wherever it leaves from. `body` is None where no body is sent.

    Executions that ask for the same share one object, `is_shared`; so hops are told apart by what they are, in no time.

    One that `is_redirected` takes a connection of its own: a target that closes a kept one does so right after its
    answer, just when this request would leave on it, and what is lost with it must not be sent again.
    """

    method: str
    target: Target
    headers: Headers
    body: bytes | None
    http_version: HttpVersion
    verify_tls: bool
    max_body_bytes: int
    follow_redirects: bool
    is_shared: bool = False
    is_redirected: bool = False

    def has_header(self, name: str) -> bool:
        """Whether the request has a header of this name, given in lower case."""
        return any(known.lower() == name for known, _ in self.headers)


def first_hop(execute: Execute) -> Hop:
    """Check an `Execute` and make its first hop.

    Raises:
        ExecutionError: the request cannot be sent as it is (`internal`), or its target is an IPv4 literal
            (`target_has_no_ipv6`).
    """
    body = execute.body if execute.has_body or execute.body else None
    size = len(body or b"")
    for name, value in execute.headers:
        size += len(name) + len(value)
    make = _shared_hop if size <= MAX_SHARED_CHARS else _checked_hop
    return make(
        execute.method,
        execute.url,
        execute.headers,
        body,
        execute.http_version,
        execute.verify_tls,
        execute.max_body_bytes,
        execute.follow_redirects,
    )


class FirstHops:
    """The first hops of executions. Of those that say that they ask for the same, only the first is looked at."""

    def __init__(self) -> None:
        self._like: Execute | None = None
        self._hop: Hop | None = None

    def of(self, execute: Execute) -> Hop:
        """Return its first hop; raises what `first_hop` does."""
        like = execute.like
        if like is self._like and self._hop is not None:
            return self._hop
        hop = first_hop(like)
        if hop.is_shared:
            self._like, self._hop = like, hop
        return hop


def _checked_hop(  # noqa: PLR0913, PLR0917 - all that a hop is made of, as a key that can be hashed
    method: str,
    url: str,
    headers: Headers,
    body: bytes | None,
    http_version: HttpVersion,
    verify_tls: bool,
    max_body_bytes: int,
    follow_redirects: bool,
) -> Hop:
    target = parse_target(url)
    _check_method(method, body)
    _check_headers(headers, body)
    if http_version is HttpVersion.HTTP_3 and target.scheme != "https":
        raise ExecutionError.of(FailureKind.INTERNAL, "HTTP/3 was asked for, which only https URLs can have")
    return Hop(method, target, headers, body, http_version, verify_tls, max_body_bytes, follow_redirects)


@functools.lru_cache(maxsize=64, typed=True)
def _shared_hop(*request: Any) -> Hop:
    return replace(_checked_hop(*request), is_shared=True)


def _canonical_source(source: str) -> str:
    """Raise `ExecutionError` (`source_address`) for what is no IPv6 address."""
    try:
        return str(ipaddress.IPv6Address(source))
    except ValueError as error:
        detail = f"the source {source!r} is no IPv6 address"
        raise ExecutionError.of(FailureKind.SOURCE_ADDRESS, detail) from error


canonical_sources = Memo(_canonical_source, limits.MAX_ADDRESSES)
"""The address as `ipaddress` writes it, of one that is written in any way; raises as the function above."""


def next_hop(hop: Hop, response: Response, secret_headers: frozenset[str] = frozenset()) -> Hop | None:
    """Say where a response redirects to; None where it is final.

    301 and 302 make a GET of a POST, 303 of everything but HEAD; the body and its headers go. What belongs to the
    origin (Authorization, Proxy-Authorization, Cookie, X-Api-Key, Host, userinfo, and the `secret_headers`, named in
    lower case) goes when scheme, host or port change. Other headers stay.

    Raises:
        ExecutionError: the place is none that can be asked.
    """
    if not hop.follow_redirects or response.status not in REDIRECTS:
        return None
    location = response.header("location")
    if not location:
        return None
    target = _redirect_target(hop, location)
    headers: Headers = hop.headers
    if target.origin != hop.target.origin:
        headers = _without(headers, _OF_AN_ORIGIN | secret_headers)
    if not _becomes_get(response.status, hop.method):
        return replace(hop, target=target, headers=headers, is_shared=False, is_redirected=True)
    kept = _without(headers, _OF_A_BODY)
    return replace(hop, method="GET", target=target, headers=kept, body=None, is_shared=False, is_redirected=True)


def _redirect_target(hop: Hop, location: str) -> Target:
    try:
        target = parse_target(_as_utf8(location), base=hop.target)
    except ExecutionError as error:
        if error.failure.kind is not FailureKind.INTERNAL:
            raise
        detail = f"{hop.target.place} redirects to a place that cannot be asked: {error.failure.detail}"
        raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail) from error
    if hop.http_version is HttpVersion.HTTP_3 and target.scheme != "https":
        detail = f"{hop.target.place} redirects to http, which HTTP/3 does not have"
        raise ExecutionError.of(FailureKind.HTTP_PROTOCOL, detail)
    return target


def _as_utf8(location: str) -> str:
    """Header text is read as latin-1, but most targets mean UTF-8 by it."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return location


def _becomes_get(status: int, method: str) -> bool:
    return (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST")


def _without(headers: Headers, names: Iterable[str]) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() not in names)


def _check_method(method: str, body: bytes | None) -> None:
    if not _TOKEN.fullmatch(method):
        raise invalid("the method holds a character that no method has")
    if method == "CONNECT":
        raise invalid("the method CONNECT asks for a tunnel, not for an answer")
    if method == "HEAD" and body:
        raise invalid("a HEAD request cannot carry a body")


def _check_headers(headers: Headers, body: bytes | None) -> None:
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise invalid(f"the header name {name[:64]!r} holds a character that no name has")
        if _BAD_IN_VALUE.search(value):
            raise invalid(f"the value of the header {name} holds a line break or a NUL")
        if any(ord(char) > 0xFF for char in value):
            raise invalid(f"the value of the header {name} holds a character outside latin-1")
        if name.lower() == "content-length" and value.strip() != str(len(body or b"")):
            # A wrong length would make the rest of the body the start of the connection's next request.
            raise invalid(f"the header Content-Length is not the body's length of {len(body or b'')} bytes")
