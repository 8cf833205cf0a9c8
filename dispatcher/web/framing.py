"""What Tornado reads of a request and writes of an answer, put right by RFC 9112: around step 1 of a request's way.

On the event loop, for what does not take the short way. Where a proxy reads another end of a message than we do,
somebody's bytes become somebody else's request, so what is not right is refused and its connection closed: with a
problem that says why, where Tornado would write a bare status line. What would surprise: three methods of Tornado's are
overridden, two of them private; tests fail where it no longer calls them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tornado.http1connection import HTTP1Connection, is_transfer_encoding_chunked
from tornado.httputil import HTTPInputError, parse_request_start_line

from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

    from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

MOST_QUERY_FIELDS = 1000
"""As many as Tornado reads."""

_DETAIL_CHARS = 200

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
"""A target with scheme and authority (RFC 9112, 3.2.2), as to a proxy; every server has to take it."""

_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")
"""What may stand in a host with its port. A comma may not: it stands where several hosts were made one."""


class MalformedError(Exception):
    """A request that cannot be read, or in more than one way; the message says why, for its sender alone."""


def problem_of(error: MalformedError) -> Problem:
    """Make the answer to a request that is malformed."""
    return Problem(400, "malformed_request", f"the request cannot be read: {error}"[:_DETAIL_CHARS])


def is_among(option: str, connection: str) -> bool:
    """Say whether `option` (in lower case) is one of those that a `Connection` header lists."""
    return option in [each.strip(" \t").lower() for each in connection.split(",")]


class Exchange(HTTP1Connection):
    """One request and its answer. `read_response` raises `MalformedError` where the request is not right."""

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        """Read a head. Tornado calls this once it is there."""
        try:
            line, headers = super()._parse_headers(data)
            return _put_right(parse_request_start_line(line), headers)
        except HTTPInputError as error:
            raise MalformedError(str(error)) from error

    def _read_body(self, code: int, headers: HTTPHeaders, delegate: HTTPMessageDelegate) -> Awaitable[None] | None:
        """Read the body, if there is one. Tornado calls this once the handler has let the request in."""
        try:
            reading = super()._read_body(code, headers, delegate)
        except HTTPInputError as error:
            raise MalformedError(str(error)) from error
        return None if reading is None else _read(reading)

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Future[None]:
        """Write a head. To HTTP/1.0 nothing but the connection's end tells where an answer without a length ends."""
        assert self._request_start_line is not None
        assert self._request_headers is not None
        if self._request_start_line.version == "HTTP/1.0" and "Content-Length" not in headers:
            self._request_headers["Connection"] = "close"
            self._disconnect_on_finish = True
        return super().write_headers(start_line, headers, chunk)


async def _read(reading: Awaitable[None]) -> None:
    try:
        await reading
    except HTTPInputError as error:
        raise MalformedError(str(error)) from error


def _put_right(line: RequestStartLine, headers: HTTPHeaders) -> tuple[str, HTTPHeaders]:
    """Return the head as Tornado is to go by it.

    Raises:
        HTTPInputError, MalformedError: it is not right.
    """
    _check_framing(line, headers)
    target = _origin_form(line.path, headers)
    if target.count("&") >= MOST_QUERY_FIELDS:
        raise MalformedError(f"the query has more than {MOST_QUERY_FIELDS} fields")
    _check_host(line, headers)
    _simplify_connection(line, headers)
    _simplify_expect(line, headers)
    return f"{line.method} {target} {line.version}", headers


def _check_framing(line: RequestStartLine, headers: HTTPHeaders) -> None:
    # Such a body may have passed somebody who knows nothing of chunks (RFC 9112, 6.1).
    if is_transfer_encoding_chunked(headers) and line.version == "HTTP/1.0":
        raise MalformedError("HTTP/1.0 has no Transfer-Encoding")


def _origin_form(target: str, headers: HTTPHeaders) -> str:
    """Return the target without scheme and authority; that is the host then, whatever `Host` says."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target
    authority, rest = absolute.groups()
    if not authority:
        raise MalformedError("the target names no host")
    if len(headers.get_list("Host")) == 1:
        headers["Host"] = authority
    return rest if rest.startswith("/") else f"/{rest}"


def _check_host(line: RequestStartLine, headers: HTTPHeaders) -> None:
    hosts = headers.get_list("Host")
    if not hosts and line.version != "HTTP/1.0":
        raise MalformedError("it has no Host")
    if len(hosts) > 1:
        raise MalformedError("it has more than one Host")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise MalformedError("its Host is none")


def _simplify_connection(line: RequestStartLine, headers: HTTPHeaders) -> None:
    """Say the one option that Tornado knows alone, where it is one of several (RFC 9112, 9.3)."""
    said = headers.get("Connection", "")
    if is_among("close", said):
        headers["Connection"] = "close"
    elif line.version == "HTTP/1.0" and is_among("keep-alive", said):
        headers["Connection"] = "keep-alive"


def _simplify_expect(line: RequestStartLine, headers: HTTPHeaders) -> None:
    """Write it as Tornado knows it; in HTTP/1.0 it means nothing (RFC 9110, 10.1.1)."""
    if line.version == "HTTP/1.0":
        headers.pop("Expect", None)
    elif headers.get("Expect", "").lower() == "100-continue":
        headers["Expect"] = "100-continue"
