"""Why a transfer failed, in our words: the one place where libcurl's numbers become failure kinds. Pure.

Step 7 of a request's way, back. libcurl's text is quoted where it knows more (certificates, protocol errors); only two
cases are decided by it, since they have no number: a TLS connection that ends without goodbye, and a TLS server that
has no HTTP/2.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pycurl

from dispatcher.errors import Failure, FailureKind, Party
from dispatcher.wire.messages import HttpVersion

if TYPE_CHECKING:
    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.agent.transfers.transfer import Ending, Transfer

# Numbers that this pycurl has no name for; names from curl/curl.h.
E_AUTH_ERROR, E_HTTP3, E_QUIC_CONNECT, E_TOO_LARGE, E_HTTP2_STREAM = 94, 95, 96, 100, 92

_KINDS: dict[int, FailureKind] = {
    pycurl.E_INTERFACE_FAILED: FailureKind.SOURCE_ADDRESS,
    pycurl.E_COULDNT_RESOLVE_HOST: FailureKind.DNS,
    pycurl.E_COULDNT_CONNECT: FailureKind.CONNECT,
    E_QUIC_CONNECT: FailureKind.CONNECT,
    pycurl.E_GOT_NOTHING: FailureKind.RESET,
    pycurl.E_PARTIAL_FILE: FailureKind.RESET,
    pycurl.E_SEND_ERROR: FailureKind.RESET,
    pycurl.E_UNSUPPORTED_PROTOCOL: FailureKind.HTTP_PROTOCOL,  # an answer that is not HTTP ("HTTP/0.9")
    pycurl.E_FTP_WEIRD_SERVER_REPLY: FailureKind.HTTP_PROTOCOL,
    pycurl.E_BAD_CONTENT_ENCODING: FailureKind.HTTP_PROTOCOL,
    pycurl.E_HTTP2: FailureKind.HTTP_PROTOCOL,
    pycurl.E_WRITE_ERROR: FailureKind.HTTP_PROTOCOL,  # its decoder's; ours are told apart before
    E_HTTP2_STREAM: FailureKind.HTTP_PROTOCOL,
    E_HTTP3: FailureKind.HTTP_PROTOCOL,
    E_TOO_LARGE: FailureKind.HTTP_PROTOCOL,
    pycurl.E_SSL_CONNECT_ERROR: FailureKind.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: FailureKind.TLS,
    pycurl.E_SSL_CERTPROBLEM: FailureKind.TLS,
    pycurl.E_SSL_CIPHER: FailureKind.TLS,
    pycurl.E_SSL_CACERT_BADFILE: FailureKind.TLS,
    pycurl.E_SSL_ISSUER_ERROR: FailureKind.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: FailureKind.TLS,
}
_AGENTS_FAULT = frozenset({pycurl.E_SSL_CACERT_BADFILE})
_NO_LOCAL_END = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_NOT_FROM_HERE = frozenset({errno.ENETDOWN, errno.EPERM, errno.EMFILE, errno.ENFILE})
ROUTE_ERRORS = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES})
"""What a machine without a route says, and what it passes on when a router on the way or the target's says so."""

_MESSAGE_CHARS = 300
_SLOW = {"queued": Party.AGENT, "dns": Party.RESOLVER}
_DOING = {
    "queued": "waiting for a free slot at the agent",
    "dns": "resolving the name of",
    "connect": "connecting to",
    "tls": "negotiating TLS with",
    "send": "sending the request to",
    "wait": "waiting for an answer of",
    "receive": "receiving the response of",
}

NO_SUCH_NAME: int = pycurl.E_COULDNT_RESOLVE_HOST


def failure_of(ending: Ending, transfer: Transfer) -> Failure:
    """Say in one sentence why a transfer failed, and whose fault it is."""
    if transfer.refusal is not None:
        return Failure.of(FailureKind.BLOCKED_TARGET, transfer.refusal)
    if transfer.too_slow:
        return _too_slow(ending, transfer)
    if transfer.resent:
        detail = f"{transfer.hop.target.place} closed a kept connection before it answered; nothing was sent again"
        return Failure.of(FailureKind.RESET, detail)
    kind = FailureKind.HTTP_PROTOCOL if _lacks_http_2(ending, transfer.hop) else _kind(ending)
    describe = _DETAILS.get(kind, _internal)
    return Failure.of(kind, describe(ending, transfer), _party(kind, ending, transfer))


def mismatch(local_ip: str, transfer: Transfer) -> Failure:
    """Say that a connection left from another address than it should have."""
    detail = f"the connection to {transfer.hop.target.place} left from {local_ip}, not from {transfer.source}"
    return Failure.of(FailureKind.SOURCE_MISMATCH, detail)


def wrong_version(http_version: str, hop: Hop) -> Failure:
    """Say that the answer came in another version of HTTP than the one asked for."""
    detail = f"{hop.target.place} answered in HTTP/{http_version}, not in HTTP/{hop.http_version} as asked"
    return Failure.of(FailureKind.HTTP_PROTOCOL, detail)


def timeout(phase: str, place: str) -> Failure:
    """Say that the time was up, and in which phase."""
    detail = f"the time was up in phase {phase}, while {_DOING[phase]} {place}".rstrip()
    return Failure.of(FailureKind.TIMEOUT, detail, _SLOW.get(phase))


def _too_slow(ending: Ending, transfer: Transfer) -> Failure:
    doing = f"{_DOING[ending.phase]} {transfer.hop.target.place}"
    detail = f"the speed fell below the agent's --min-speed in phase {ending.phase}, while {doing}"
    return Failure.of(FailureKind.TIMEOUT, detail)


def _kind(ending: Ending) -> FailureKind:
    if ending.errno == pycurl.E_OPERATION_TIMEDOUT:
        return FailureKind.TIMEOUT  # whatever failed on the way there
    if ending.os_errno in _NO_LOCAL_END and ending.phase == "connect":
        return FailureKind.SOURCE_ADDRESS
    if ending.errno in (pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR):
        return _kind_of_broken(ending)
    return _KINDS.get(ending.errno or 0, FailureKind.INTERNAL)


def _kind_of_broken(ending: Ending) -> FailureKind:
    """Sending or receiving failed: what that means depends on how far it had come."""
    if ending.phase == "connect":  # HTTP/3 says so of a port that refuses
        return FailureKind.CONNECT
    if ending.phase == "tls":
        return FailureKind.TLS
    is_reset = ending.errno == pycurl.E_SEND_ERROR or ending.os_errno or "SSL_read" in ending.message
    return FailureKind.RESET if is_reset else FailureKind.HTTP_PROTOCOL


def _party(kind: FailureKind, ending: Ending, transfer: Transfer) -> Party | None:
    is_from_here = transfer.has_no_route or ending.os_errno in _NOT_FROM_HERE
    if ending.errno in _AGENTS_FAULT or (kind is FailureKind.CONNECT and is_from_here):
        return Party.AGENT
    if kind is FailureKind.TIMEOUT:
        return _SLOW.get(ending.phase)
    return Party.AGENT if kind is FailureKind.INTERNAL else None


def _source(ending: Ending, transfer: Transfer) -> str:
    return f"cannot bind to the source address {transfer.source}: {_reason(ending)}"


def _dns(_: Ending, transfer: Transfer) -> str:
    return f"the name {transfer.hop.target.host} does not resolve"


def _connect(ending: Ending, transfer: Transfer) -> str:
    return f"connecting to {transfer.hop.target.place} from {transfer.source} failed: {_reason(ending)}"


def _tls(ending: Ending, transfer: Transfer) -> str:
    return f"TLS with {transfer.hop.target.place} failed: {_reason(ending)}"


def _timeout(ending: Ending, transfer: Transfer) -> str:
    return timeout(ending.phase, transfer.hop.target.place).detail


def _reset(ending: Ending, transfer: Transfer) -> str:
    place = transfer.hop.target.place
    if transfer.header_lines:
        return f"{place} ended the connection after {transfer.size} bytes of the body: {_reason(ending)}"
    return f"{place} ended the connection before it answered: {_reason(ending)}"


def _lacks_http_2(ending: Ending, hop: Hop) -> bool:
    """Whether HTTP/2 was asked for and is what failed: the first frame or, of one that says so, TLS."""
    if hop.http_version is not HttpVersion.HTTP_2:
        return False
    return ending.errno == pycurl.E_HTTP2 or "no application protocol" in ending.message


def _http_protocol(ending: Ending, transfer: Transfer) -> str:
    hop = transfer.hop
    if _lacks_http_2(ending, hop):
        return f"{hop.target.place} does not speak HTTP/2, which was asked for: {_reason(ending)}"
    return f"{hop.target.place} did not answer in valid HTTP: {_reason(ending)}"


def _internal(ending: Ending, transfer: Transfer) -> str:
    return f"libcurl failed on {transfer.hop.target.place} with error {ending.errno}: {_reason(ending)}"


_DETAILS = {
    FailureKind.SOURCE_ADDRESS: _source,
    FailureKind.DNS: _dns,
    FailureKind.CONNECT: _connect,
    FailureKind.TLS: _tls,
    FailureKind.TIMEOUT: _timeout,
    FailureKind.RESET: _reset,
    FailureKind.HTTP_PROTOCOL: _http_protocol,
}


def _reason(ending: Ending) -> str:
    """The system's reason where there is one, else libcurl's, which comes from outside in part."""
    if ending.os_errno:
        name = errno.errorcode.get(ending.os_errno, str(ending.os_errno))
        return f"{os.strerror(ending.os_errno)} ({name})"
    text = ending.message or "a limit of libcurl's was passed"
    return "".join(char if char.isprintable() else "?" for char in text)[:_MESSAGE_CHARS]
