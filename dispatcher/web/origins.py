"""Which pages and names a browser may come with: the two ways to reach a coordinator through somebody's browser.

Pure; the first thing that a request passes (`guarded.py`). A page of another site is refused for reading too, since
`GET /api/execute` does something. A name in `Host` that is not ours means that somebody's DNS points a page's own name
at this machine: to its browser that page is then no other site.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tornado.httputil import split_host_and_port

from dispatcher.auth.opening import is_loopback
from dispatcher.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tornado.httputil import HTTPServerRequest

PREFLIGHT_SECONDS = 600
_OWN = ("same-origin", "none")
_ALWAYS_SENDABLE = "Authorization, Content-Type, Idempotency-Key"
_ALWAYS_READABLE = "Content-Location, ETag, Repr-Digest, Retry-After, WWW-Authenticate"


@dataclass(frozen=True, slots=True)
class Origins:
    """`allowed` are other sites' origins; `hosts` the names to be asked under, None where any will do."""

    allowed: frozenset[str] = frozenset()
    hosts: frozenset[str] | None = None

    def check(self, request: HTTPServerRequest) -> None:
        """Let a request pass.

        Raises:
            Problem: 421 for a name that is not ours, 403 for a page of a site that is not allowed.
        """
        self._check_host(request)
        origin = request.headers.get("Origin")
        if origin in self.allowed or self._is_own(request, origin):
            return
        shown = (origin or "another site")[:200]
        raise Problem(
            403, "cross_origin", f"pages of {shown} may not use this coordinator; --allow-origin would let them"
        )

    def answer_headers(self, request: HTTPServerRequest) -> Mapping[str, str]:
        """Return the header lines that let a page of an allowed origin read the answer."""
        if not self.allowed:
            return {}
        origin = request.headers.get("Origin", "")
        if origin not in self.allowed:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _ALWAYS_READABLE,
        }

    def is_preflight(self, request: HTTPServerRequest) -> bool:
        """Say whether a browser asks what a page of an allowed origin may send."""
        return (
            request.method == "OPTIONS"
            and request.headers.get("Origin") in self.allowed
            and "Access-Control-Request-Method" in request.headers
        )

    @staticmethod
    def preflight_headers(verbs: str) -> Mapping[str, str]:
        """Return the answer to a preflight for a path with these verbs."""
        return {
            "Access-Control-Allow-Methods": verbs,
            "Access-Control-Allow-Headers": _ALWAYS_SENDABLE,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }

    def takes(self, host: str) -> bool:
        """Say whether this name, with or without a port, is one to be asked under."""
        if self.hosts is None:
            return True
        name, is_here = _name(host)
        return is_here or name in self.hosts

    def _check_host(self, request: HTTPServerRequest) -> None:
        if not self.takes(request.host):
            name = _name(request.host)[0][:200]
            raise Problem(421, "wrong_host", f"this coordinator is not {name}; --allow-host would let it be asked so")

    @staticmethod
    def _is_own(request: HTTPServerRequest, origin: str | None) -> bool:
        """Say whether a request comes from no page or from one of our own, as the browser tells."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site in _OWN
        return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()


@functools.lru_cache(maxsize=64)
def _name(host: str) -> tuple[str, bool]:
    """Return the name in a `Host` header, and whether it means this machine. Remembered: most come again and again."""
    name = split_host_and_port(host.lower())[0].strip("[]").removesuffix(".")
    return name, is_loopback(name)
