from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tornado.iostream import StreamClosedError

from dispatcher.tls import words
from dispatcher.tls.contexts import ClientFiles, ServerFiles
from tests.support.certificates import Authority, handshake


def said_of_coordinator(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> str | None:
    error, _, _ = handshake(server, client, name=name)
    assert error is not None
    return words.of_coordinator(error)


def server_of(authority: Authority, *names: str, days: tuple[int, int] = (-1, 30)) -> ssl.SSLContext:
    pair = authority.pair("coordinator", *names, days=days)
    return ServerFiles(pair.cert, pair.key).context()


def test_a_certificate_of_an_unknown_authority_names_the_option_that_helps(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    said = said_of_coordinator(server_of(authority), ClientFiles(other.file).context())
    assert said == (
        "its certificate is not of an authority that is trusted here (unable to get local issuer certificate): "
        "name the file of the right authority with --ca-file"
    )


@pytest.mark.parametrize(("host", "said"), [("localhost", "Hostname mismatch"), ("::1", "IP address mismatch")])
def test_a_certificate_for_another_name_is_told(tmp_path: Path, host: str, said: str) -> None:
    authority = Authority(tmp_path)
    client = ClientFiles(authority.file).context()
    told = said_of_coordinator(server_of(authority, "coordinator.example"), client, host) or ""
    assert told.startswith(f"its certificate is for another name ({said}")
    assert "--coordinator-url" in told


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((-9, -2), "its certificate has expired: the coordinator needs a new one in its --tls-cert"),
        ((2, 9), "its certificate is not valid yet, or the clock of this machine is wrong"),
    ],
)
def test_a_certificate_out_of_its_time_is_told(tmp_path: Path, days: tuple[int, int], said: str) -> None:
    authority = Authority(tmp_path)
    assert said == said_of_coordinator(server_of(authority, days=days), ClientFiles(authority.file).context())


def test_no_tls_at_the_other_end_is_told() -> None:
    to_client = ssl.MemoryBIO()
    client = ClientFiles().context().wrap_bio(to_client, ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    to_client.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as failed:
        client.do_handshake()
    expected = "no TLS is spoken there: use http:// in --coordinator-url, or give the coordinator --tls-cert"
    assert expected == words.of_coordinator(failed.value)


def test_a_client_that_is_refused_learns_that_it_is_its_certificate(tmp_path: Path) -> None:
    authority, clients, other = Authority(tmp_path), Authority(tmp_path, "clients"), Authority(tmp_path, "other")
    pair, shown = authority.pair("coordinator"), other.pair("agent")
    server = ServerFiles(pair.cert, pair.key, clients.file).context()
    near, far, _ = handshake(server, ClientFiles(authority.file, shown.cert, shown.key).context())
    assert near is not None
    assert far is not None
    expected = "the coordinator refused the TLS certificate of this end (unknown ca); see --tls-cert"
    assert expected == words.of_coordinator(near)
    said = words.of_client(far)
    assert said.startswith("its certificate is not valid for --tls-client-ca: unable to get local issuer")


def test_a_client_that_does_not_trust_the_coordinator_is_told_of_at_the_coordinator(tmp_path: Path) -> None:
    _, far, _ = handshake(server_of(Authority(tmp_path)), ClientFiles(Authority(tmp_path, "other").file).context())
    assert far is not None
    assert "it does not take this coordinator's certificate (unknown ca)" == words.of_client(far)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_no_common_version_is_told_at_both_ends(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    newest = ClientFiles(authority.file).context()
    newest.minimum_version = ssl.TLSVersion.TLSv1_3
    server = server_of(authority)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    near, far, _ = handshake(server, newest)
    assert near is not None
    assert far is not None
    assert "there is no version of TLS that both ends speak" == words.of_coordinator(near)
    assert "it speaks no version of TLS that is safe, 1.2 or newer" == words.of_client(far)


def test_the_cause_is_found_behind_what_tornado_raises() -> None:
    inner = ssl.SSLError(1, "inner")
    assert inner is words.cause(StreamClosedError(real_error=inner))
    outer = ValueError()
    outer.__cause__ = StreamClosedError(real_error=inner)
    assert inner is words.cause(outer)
    assert words.cause(StreamClosedError()) is None


def test_what_is_not_about_tls_is_left_to_others() -> None:
    assert words.of_coordinator(ConnectionRefusedError()) is None
    assert "it went away during the TLS handshake" == words.of_client(StreamClosedError())


def test_a_connection_that_ends_within_the_handshake_is_told_at_both_ends() -> None:
    to_client = ssl.MemoryBIO()
    client = ClientFiles().context().wrap_bio(to_client, ssl.MemoryBIO(), server_hostname="localhost")
    to_client.write_eof()
    with pytest.raises(ssl.SSLEOFError) as failed:
        client.do_handshake()
    assert "the connection closed during the TLS handshake" == words.of_coordinator(failed.value)
    assert "it went away during the TLS handshake" == words.of_client(failed.value)


def test_a_reason_that_nobody_foresaw_is_told_as_openssl_names_it() -> None:
    strange = ssl.SSLError(1, "[SSL: BAD_KEY_SHARE] bad key share (_ssl.c:1)")
    strange.reason = "BAD_KEY_SHARE"
    assert "TLS failed: bad key share" == words.of_coordinator(strange)
    assert "TLS failed: bad key share" == words.of_client(strange)
