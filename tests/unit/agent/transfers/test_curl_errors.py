"""libcurl's numbers in our words; each as a target really causes it is in test_executor_failures."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pycurl
import pytest

from dispatcher.agent.results import response_of
from dispatcher.agent.targets.target import ExecutionError
from dispatcher.agent.transfers import curl_errors
from dispatcher.agent.transfers.hop import first_hop
from dispatcher.agent.transfers.transfer import Ending, Transfer
from dispatcher.errors import FailureKind, Party
from dispatcher.wire.messages import HttpVersion
from tests.support.executing import execution

if TYPE_CHECKING:
    from dispatcher.errors import Failure

ENDING = Ending(0, "", 0, "", "receive", ())


def failure(number: int, **rest: Any) -> Failure:
    version = rest.pop("asked", HttpVersion.AUTO)
    has_no_route = rest.pop("has_no_route", False)

    hop = first_hop(execution("https://user:hush@a.test/?key=hush", http_version=version))
    transfer = Transfer(hop, "2001:db8::1", lambda *_: None, 0.0)
    transfer.has_no_route = has_no_route
    return curl_errors.failure_of(replace(ENDING, errno=number, **rest), transfer)


@pytest.mark.parametrize(
    ("number", "rest", "kind", "party"),
    [
        (pycurl.E_INTERFACE_FAILED, {"os_errno": errno.EADDRNOTAVAIL}, FailureKind.SOURCE_ADDRESS, Party.AGENT),
        (7, {"os_errno": errno.EADDRNOTAVAIL, "phase": "connect"}, FailureKind.SOURCE_ADDRESS, Party.AGENT),
        (7, {"os_errno": errno.ECONNREFUSED, "phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (7, {"os_errno": errno.EHOSTUNREACH, "phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (7, {"os_errno": errno.ENETUNREACH, "phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (7, {"os_errno": errno.EACCES, "phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (
            7,
            {"os_errno": errno.ENETUNREACH, "phase": "connect", "has_no_route": True},
            FailureKind.CONNECT,
            Party.AGENT,
        ),
        (
            7,
            {"os_errno": errno.EHOSTUNREACH, "phase": "connect", "has_no_route": True},
            FailureKind.CONNECT,
            Party.AGENT,
        ),
        (7, {"os_errno": errno.EPERM, "phase": "connect"}, FailureKind.CONNECT, Party.AGENT),
        (7, {"os_errno": errno.EMFILE, "phase": "connect"}, FailureKind.CONNECT, Party.AGENT),
        (curl_errors.E_QUIC_CONNECT, {"phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (pycurl.E_SEND_ERROR, {"phase": "connect"}, FailureKind.CONNECT, Party.TARGET),
        (pycurl.E_RECV_ERROR, {"phase": "tls", "os_errno": errno.ECONNRESET}, FailureKind.TLS, Party.TARGET),
        (pycurl.E_COULDNT_RESOLVE_HOST, {"phase": "dns"}, FailureKind.DNS, Party.RESOLVER),
        (pycurl.E_OPERATION_TIMEDOUT, {"phase": "dns"}, FailureKind.TIMEOUT, Party.RESOLVER),
        (pycurl.E_OPERATION_TIMEDOUT, {"phase": "connect"}, FailureKind.TIMEOUT, Party.TARGET),
        (pycurl.E_SSL_CACERT_BADFILE, {"phase": "tls"}, FailureKind.TLS, Party.AGENT),
        (pycurl.E_PEER_FAILED_VERIFICATION, {"phase": "tls"}, FailureKind.TLS, Party.TARGET),
        (pycurl.E_RECV_ERROR, {"os_errno": errno.ECONNRESET}, FailureKind.RESET, Party.TARGET),
        (pycurl.E_RECV_ERROR, {"message": "OpenSSL SSL_read: unexpected eof"}, FailureKind.RESET, Party.TARGET),
        (pycurl.E_RECV_ERROR, {"message": "bad chunk"}, FailureKind.HTTP_PROTOCOL, Party.TARGET),
        (pycurl.E_PARTIAL_FILE, {}, FailureKind.RESET, Party.TARGET),
        (pycurl.E_GOT_NOTHING, {}, FailureKind.RESET, Party.TARGET),
        (pycurl.E_HTTP2, {}, FailureKind.HTTP_PROTOCOL, Party.TARGET),
        (curl_errors.E_HTTP2_STREAM, {}, FailureKind.HTTP_PROTOCOL, Party.TARGET),
        (curl_errors.E_TOO_LARGE, {}, FailureKind.HTTP_PROTOCOL, Party.TARGET),
        (pycurl.E_OUT_OF_MEMORY, {}, FailureKind.INTERNAL, Party.AGENT),
        (4711, {}, FailureKind.INTERNAL, Party.AGENT),
    ],
)
def test_each_number_has_its_kind_and_its_party(
    number: int, rest: dict[str, Any], kind: FailureKind, party: Party
) -> None:
    found = failure(number, **rest)
    assert (kind, party) == (found.kind, found.attributed_to)
    assert "a.test" in found.detail or kind is FailureKind.SOURCE_ADDRESS
    assert "hush" not in found.detail


def test_a_tls_server_without_http_2_is_a_protocol_failure_only_where_it_was_asked_for() -> None:
    alert = "TLS connect error: tlsv1 alert no application protocol"
    asked = failure(pycurl.E_SSL_CONNECT_ERROR, message=alert, asked=HttpVersion.HTTP_2, phase="tls")
    assert FailureKind.HTTP_PROTOCOL == asked.kind
    assert "a.test:443 does not speak HTTP/2, which was asked for" in asked.detail
    assert FailureKind.TLS == failure(pycurl.E_SSL_CONNECT_ERROR, message=alert, phase="tls").kind


def test_what_libcurl_quotes_from_outside_is_made_harmless() -> None:
    found = failure(pycurl.E_HTTP2, message="\x1b]0;owned\x07" + "x" * 5000)
    assert found.detail.isprintable()
    assert len(found.detail) < 500


@pytest.mark.parametrize("phase", ["queued", "dns", "connect", "tls", "send", "wait", "receive"])
def test_every_phase_can_run_out_of_time(phase: str) -> None:
    found = curl_errors.timeout(phase, "a.test:80")
    assert found.detail.startswith(f"the time was up in phase {phase}, while ")
    assert FailureKind.TIMEOUT == found.kind


def test_an_answer_in_another_version_than_asked_is_no_success() -> None:
    transfer = Transfer(
        first_hop(execution("https://a.test/", http_version=HttpVersion.HTTP_2)), "::1", lambda *_: None, 0.0
    )
    transfer.header_lines += [b"HTTP/1.1 200 OK\r\n", b"\r\n"]
    with pytest.raises(ExecutionError, match="not in HTTP/2 as asked"):
        response_of(transfer, replace(ENDING, local_ip="::1"))
