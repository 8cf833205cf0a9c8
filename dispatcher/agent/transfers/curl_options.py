"""A hop as libcurl options: step 7 of a request's way, on the event loop.

A handle is set up whole for a hop and reset before it is set up for another, so nothing of one request can reach
another: no cookie, no credential. What differs between executions of a hop, source and time, is set for every one.
What a user's tools send is sent: `Accept: */*` unless another Accept is given, a User-Agent, `Accept-Encoding` with all
that libcurl can decode; only where so much of a body is wanted that it has to come in pieces, with none that cannot.
Nothing claims what a body is: unlike curl, no Content-Type is made up. A given Accept-Encoding is sent as it is, and a
body is decoded all the same.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any

import pycurl

from dispatcher import __version__
from dispatcher.agent.transfers.transfer import UNPAUSED_BYTES
from dispatcher.memo import Memo
from dispatcher.wire import limits
from dispatcher.wire.messages import HttpVersion

if TYPE_CHECKING:
    from dispatcher.agent.transfers.hop import Hop

USER_AGENT = f"http-dispatcher/{__version__}"

_LIBCURL = pycurl.version_info()[2]
_FORCED_HOST_SINCE = 0x081700  # libcurl 8.23; before, `host!` reuses connections of other sources (CVE-2026-107929)
_LENGTH_EXPECTED = frozenset({"POST", "PUT", "PATCH"})


def automatic(features: int) -> int:
    """Return libcurl's name of "the best over TLS, else 1.1" by its features; a system's own may lack HTTP/2."""
    return int(pycurl.CURL_HTTP_VERSION_2TLS if features & pycurl.VERSION_HTTP2 else pycurl.CURL_HTTP_VERSION_1_1)


_VERSIONS = {
    HttpVersion.AUTO: automatic(pycurl.version_info()[4]),
    HttpVersion.HTTP_1_1: pycurl.CURL_HTTP_VERSION_1_1,
    # Offers h2 alone, so a target without it is found out before the request is sent.
    HttpVersion.HTTP_2: pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
    HttpVersion.HTTP_3: pycurl.CURL_HTTP_VERSION_3ONLY,
}

_ALWAYS: tuple[tuple[int, Any], ...] = (
    (pycurl.NOSIGNAL, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.IPRESOLVE, pycurl.IPRESOLVE_V6),
    (pycurl.PROXY, ""),  # both: an empty proxy alone still looks at the environment's exceptions
    (pycurl.NOPROXY, "*"),
    (pycurl.FOLLOWLOCATION, 0),
    (pycurl.PATH_AS_IS, 1),
    (pycurl.SSL_SESSIONID_CACHE, 0),  # or one source would resume, and so be linked to, another's session
)
_ALL, _THOSE_THAT_WAIT = "", "deflate, gzip"
_QUICK_EXIT = 322  # pycurl has no name for it; from curl/curl.h


def for_libcurl(libcurl: int) -> tuple[tuple[int, Any], ...]:
    """Return what this libcurl (its version number) needs beside.

    8.14 waits on the loop for the thread that resolves a name when a transfer ends before it, for as long as the
    system's resolver takes; 8.23 lets it go by itself.
    """
    return ((_QUICK_EXIT, 1),) if libcurl < _FORCED_HOST_SINCE else ()


_OF_THIS = for_libcurl(_LIBCURL)


def interface(source: str, libcurl: int = _LIBCURL) -> str:
    """Say "bind to this address" so that this libcurl (its version number) keeps sources apart."""
    return f"host!{source}" if libcurl >= _FORCED_HOST_SINCE else source


def pool(source: str) -> int:
    """Return the ADDRESS_SCOPE by which libcurl keeps the connections of this source apart.

    Else it goes through all kept connections to a host until it finds one of the source: 12,000 instructions with 256.
    Linux looks at the scope of link-local addresses alone, which no URL names here. Sources that share a number are
    told apart as they would be without. It is above every interface's, so that nothing link-local is reached by
    accident, and below 2 ** 31, which a `long` may hold.
    """
    return 0x4000_0000 | zlib.crc32(source.encode()) >> 2


def _binding(source: str) -> tuple[tuple[int, Any], ...]:
    scope = ((pycurl.ADDRESS_SCOPE, pool(source)),) if sys.platform == "linux" else ()
    return ((pycurl.INTERFACE, interface(source)), *scope)


bindings = Memo(_binding, limits.MAX_ADDRESSES)
"""The options that have a transfer leave from a source (canonical text)."""


def configure(handle: Any, hop: Hop, *, ca_file: str | None, max_idle_seconds: int) -> None:
    """Set a fresh handle up for `hop`. Source, time and callbacks are the caller's."""
    for option, value in (*_ALWAYS, *_OF_THIS):
        handle.setopt(option, value)
    handle.setopt(pycurl.URL, hop.target.url)
    handle.setopt(pycurl.ACCEPT_ENCODING, _ALL if hop.max_body_bytes <= UNPAUSED_BYTES else _THOSE_THAT_WAIT)
    handle.setopt(pycurl.HTTP_VERSION, _VERSIONS[hop.http_version])
    handle.setopt(pycurl.MAXAGE_CONN, max_idle_seconds)
    if hop.is_redirected:
        handle.setopt(pycurl.FRESH_CONNECT, 1)
    _set_trust(handle, hop, ca_file)
    _set_method(handle, hop)
    handle.setopt(pycurl.HTTPHEADER, header_lines(hop))
    if not hop.has_header("user-agent"):
        handle.setopt(pycurl.USERAGENT, USER_AGENT)


def limit(handle: Any, milliseconds: int) -> None:
    """Bound the next transfer, and its connecting too, so that libcurl goes on to a host's next address in time."""
    handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
    handle.setopt(pycurl.CONNECTTIMEOUT_MS, milliseconds)


def _set_trust(handle: Any, hop: Hop, ca_file: str | None) -> None:
    handle.setopt(pycurl.SSL_VERIFYPEER, 1 if hop.verify_tls else 0)
    handle.setopt(pycurl.SSL_VERIFYHOST, 2 if hop.verify_tls else 0)
    if ca_file is not None:
        handle.setopt(pycurl.CAINFO, ca_file)


def _set_method(handle: Any, hop: Hop) -> None:
    body = hop.body
    if body is None and hop.method in _LENGTH_EXPECTED:
        body = b""
    if hop.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)
    elif body is None:
        handle.setopt(pycurl.HTTPGET, 1)
    else:
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
    if hop.method not in ("GET", "HEAD") or body is not None:
        handle.setopt(pycurl.CUSTOMREQUEST, hop.method)


def header_lines(hop: Hop) -> list[bytes]:
    """Write the headers as libcurl takes them: ``Name: value``, ``Name;`` for an empty one, ``Name:`` for none."""
    lines = [_line(name, value) for name, value in hop.headers]
    if not hop.has_header("expect"):
        lines.append(b"Expect:")
    if not hop.has_header("content-type"):
        lines.append(b"Content-Type:")
    return lines


def _line(name: str, value: str) -> bytes:
    content = value.strip(" \t")
    return f"{name}: {content}".encode("latin-1") if content else f"{name};".encode("latin-1")
