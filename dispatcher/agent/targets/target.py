"""Which host a URL really names, before anything is sent: step 6 of a request's way, pure and on the event loop.

libcurl is handed a URL that has been taken apart and put together here, so that what was checked is what is used.
The surprising part: IPv4 literals in every form that C libraries take (``127.1``, ``0x7f000001``, ``017700000001``) are
refused here, since libcurl would report them as a failure to bind.

International names become their ``xn--`` form by the standard library's `idna` codec (IDNA 2003). Where IDNA 2008 would
give another name (sharp s, final sigma, joiners) the request is refused rather than sent to somebody else's host.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from dispatcher.errors import Failure, FailureKind

PORTS = {"http": 80, "https": 443}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""A lone surrogate is no more a character than those are."""

_AMBIGUOUS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
_HOST_CHARS = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=-]+")
_KEPT = "".join(chr(code) for code in range(0x21, 0x7F))
_BRACKETED = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#]*@)?\[([^\]]*)\]")
_IPV4_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class ExecutionError(Exception):
    """An execution ends without a response; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure

    @classmethod
    def of(cls, kind: FailureKind, detail: str) -> ExecutionError:
        """Make an error that is attributed to the kind's usual party."""
        return cls(Failure.of(kind, detail))


@dataclass(frozen=True, slots=True)
class Target:
    """A URL as libcurl gets it. `host` is ASCII, lower case, without brackets; `userinfo` is a secret."""

    url: str
    scheme: str
    host: str
    port: int
    userinfo: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to."""
        return self.scheme, self.host.rstrip("."), self.port

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address rather than a name."""
        return ":" in self.host

    @property
    def place(self) -> str:
        """Host and port for people, without anything secret."""
        return f"[{self.host}]:{self.port}" if self.is_literal else f"{self.host}:{self.port}"


@functools.lru_cache(maxsize=64)  # most executions have the URL of the one before
def parse_target(url: str, *, base: Target | None = None) -> Target:
    """Take a URL apart; with `base` it may be relative, and keeps the base's userinfo within its origin.

    Non-ASCII and spaces in path and query are percent-encoded as UTF-8, what is encoded stays, dot segments stay (they
    are sent as they are), a fragment is left out.

    Raises:
        ExecutionError: `target_has_no_ipv6` for an IPv4 literal, `internal` for what is no URL of ours.
    """
    split = _split(url, base)
    host = _host(split)
    port = _port(split)
    userinfo = split.netloc.rpartition("@")[0]
    target = _assemble(split, host, port, userinfo)
    if base is not None and base.userinfo and not userinfo and base.origin == target.origin:
        return _assemble(split, host, port, base.userinfo)
    return target


def _split(url: str, base: Target | None) -> SplitResult:
    if _CONTROLS.search(url):
        raise invalid("the URL holds a control character")
    bracketed = _BRACKETED.match(url.strip(" "))
    if bracketed and is_ipv4(bracketed[1]):  # some versions of urlsplit raise here
        raise _ipv4(bracketed[1])
    try:
        split = urlsplit(url.strip(" ") if base is None else urljoin(base.url, url.strip(" ")))
    except ValueError as error:
        raise invalid(f"the URL cannot be read: {error}") from error
    if split.scheme not in PORTS:
        raise invalid(f"the URL's scheme is {split.scheme[:32]!r}, not http or https")
    if "\\" in split.netloc:
        raise invalid("the URL has a backslash before its path")
    return split


def _port(split: SplitResult) -> int:
    try:
        port = split.port
    except ValueError as error:
        raise invalid("the URL's port is not a number from 1 to 65535") from error
    if port == 0:
        raise invalid("the URL's port is 0")
    return port or PORTS[split.scheme]


def _host(split: SplitResult) -> str:
    host = split.hostname or ""
    if not host:
        raise invalid("the URL names no host")
    if "[" in split.netloc.rpartition("@")[2]:
        return _address(host)
    name = ascii_name(host)
    if is_ipv4(name):
        raise _ipv4(host)
    return name


def _address(literal: str) -> str:
    if "%" in literal:
        raise invalid("the URL's address has a zone, which means something on one machine only")
    try:
        address = ipaddress.IPv6Address(literal)
    except ValueError as error:
        raise invalid(f"the URL's host [{literal[:64]}] is no IPv6 address") from error
    if address in _IPV4_MAPPED:
        raise _ipv4(f"[{address}]")
    return str(address)


def ascii_name(host: str) -> str:
    """Return a host name as DNS has it: ASCII, lower case. Raises `ExecutionError` (`internal`) where it is none."""
    if _AMBIGUOUS & set(host):
        raise invalid("the URL's host has a letter that standards encode differently; write its xn-- form")
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise invalid("the URL's host cannot be written as a DNS name") from error
    if not _HOST_CHARS.fullmatch(name):
        raise invalid("the URL's host holds a character that no host name has")
    return name.lower()


def is_ipv4(name: str) -> bool:
    """Whether C libraries would read this as an IPv4 address: 1 to 4 numbers, decimal, octal or hexadecimal."""
    try:
        socket.inet_aton(name.rstrip("."))
    except OSError:
        return False
    return True


def _assemble(split: SplitResult, host: str, port: int, userinfo: str) -> Target:
    shown = f"[{host}]" if ":" in host else host
    place = shown if port == PORTS[split.scheme] else f"{shown}:{port}"
    secret = f"{quote(userinfo, safe=_KEPT)}@" if userinfo else ""
    query = f"?{quote(split.query, safe=_KEPT)}" if split.query else ""
    url = f"{split.scheme}://{secret}{place}{quote(split.path, safe=_KEPT) or '/'}{query}"
    return Target(url, split.scheme, host, port, userinfo)


def _ipv4(host: str) -> ExecutionError:
    return ExecutionError.of(FailureKind.TARGET_HAS_NO_IPV6, f"the target {host} is an IPv4 address")


def invalid(detail: str) -> ExecutionError:
    """Make the failure of an execution that no coordinator should have sent: it checks the same itself."""
    return ExecutionError.of(FailureKind.INTERNAL, detail)
