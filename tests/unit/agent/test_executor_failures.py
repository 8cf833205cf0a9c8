"""Every way in which a target can fail, told apart: one target with one fault each."""

from __future__ import annotations

import resource
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from dispatcher.agent.transfers import driver
from dispatcher.agent.transfers.transfer import REDIRECT_BODY_BYTES
from dispatcher.errors import FailureKind, Party
from dispatcher.wire.messages import HttpVersion
from tests.support.executing import executed, execution, executor, run
from tests.support.targets import (
    ClosingAtOnce,
    ClosingEarly,
    CompressionBomb,
    Echo,
    HugeHeaders,
    InvalidHttp,
    Refusing,
    Resetting,
    TlsEcho,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dispatcher.wire.messages import Result
    from tests.support.targets import Target


def ask(target: Target, path: str = "/", *, ca_file: str | None = None, **rest: Any) -> Result:
    async def test() -> Result:
        async with target, executor(ca_file=ca_file) as made:
            return await executed(made, execution(target.url(path), **rest))

    return run(test())


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        (Resetting, FailureKind.RESET, "before it answered: Connection reset by peer (ECONNRESET)"),
        (ClosingAtOnce, FailureKind.RESET, "before it answered"),
        (ClosingEarly, FailureKind.RESET, "after 10 bytes of the body"),
        (HugeHeaders, FailureKind.HTTP_PROTOCOL, "Too large response headers"),
        (InvalidHttp, FailureKind.HTTP_PROTOCOL, "did not answer in valid HTTP"),
    ],
)
def test_a_target_that_breaks_the_rules_is_named_with_its_place(
    target: type[Target], kind: FailureKind, words: str
) -> None:
    made = target()
    result = ask(made)
    assert (kind, Party.TARGET) == (result.error_kind, result.error_party)
    assert words in result.error_detail
    assert f"[::1]:{made.port}" in result.error_detail
    assert (None, b"") == (result.status, result.body)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/fault/reset-in-body", FailureKind.RESET, "after 10 bytes of the body: Connection reset by peer"),
        ("/fault/close-in-headers", FailureKind.RESET, "within its headers"),
        ("/fault/long-header", FailureKind.HTTP_PROTOCOL, "limit"),
        ("/fault/invalid-chunks", FailureKind.HTTP_PROTOCOL, "chunk"),
        ("/fault/corrupt-gzip", FailureKind.HTTP_PROTOCOL, "unencoding"),
        ("/encoding/unheard-of", FailureKind.HTTP_PROTOCOL, "Unrecognized content encoding"),
        ("/headers/1100", FailureKind.HTTP_PROTOCOL, "1102 headers, more than 1024"),
        ("/headers/6000", FailureKind.HTTP_PROTOCOL, "Too many response headers"),
    ],
)
def test_a_response_that_cannot_be_taken_says_why(path: str, kind: FailureKind, words: str) -> None:
    result = ask(Echo(), path)
    assert kind == result.error_kind
    assert words in result.error_detail


def test_a_refused_connection_names_place_source_and_the_systems_reason() -> None:
    async def test() -> None:
        async with Refusing() as target, executor() as made:
            for scheme in ("http", "https"):
                result = await executed(made, execution(target.url(scheme=scheme)))
                assert (FailureKind.CONNECT, Party.TARGET) == (result.error_kind, result.error_party)
                expected = f"connecting to [::1]:{target.port} from ::1 failed: Connection refused (ECONNREFUSED)"
                assert expected == result.error_detail
            third = await executed(made, execution(target.url(scheme="https"), http_version=HttpVersion.HTTP_3))
            assert FailureKind.CONNECT == third.error_kind

    run(test())


def test_a_request_that_cannot_be_sent_is_refused_before_anything_is_sent() -> None:
    target = Echo()
    result = ask(target, headers=(("X", "a\r\nY: b"),))
    assert (FailureKind.INTERNAL, Party.COORDINATOR) == (result.error_kind, result.error_party)
    assert 0 == target.connections


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the targets' certificates."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's certificate in a file."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_a_trusted_certificate_passes(authority: trustme.CA, ca_file: str) -> None:
    result = ask(TlsEcho(tls(authority, "::1")), ca_file=ca_file)
    assert (200, "") == (result.status, result.error_detail)
    assert result.timings["tls"] > 0


def test_an_untrusted_certificate_is_named(authority: trustme.CA, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    target = TlsEcho(tls(authority, "::1"))
    result = ask(target, ca_file=str(tmp_path / "other.pem"))
    assert (FailureKind.TLS, Party.TARGET) == (result.error_kind, result.error_party)
    assert f"TLS with [::1]:{target.port} failed: " in result.error_detail
    assert "certificate" in result.error_detail
    assert [] == target.requests


def test_a_certificate_for_another_name_is_named(authority: trustme.CA, ca_file: str) -> None:
    result = ask(TlsEcho(tls(authority, "elsewhere.test")), ca_file=ca_file)
    assert FailureKind.TLS == result.error_kind
    assert "::1" in result.error_detail


def test_certificates_are_not_checked_where_that_is_asked_for(authority: trustme.CA) -> None:
    assert 200 == ask(TlsEcho(tls(authority, "elsewhere.test")), verify_tls=False).status


def test_not_checking_one_execution_does_not_pass_to_the_next(authority: trustme.CA) -> None:
    async def test() -> None:
        async with TlsEcho(tls(authority, "elsewhere.test")) as target, executor() as made:
            assert 200 == (await executed(made, execution(target.url(), verify_tls=False))).status
            assert FailureKind.TLS == (await executed(made, execution(target.url()))).error_kind
            assert 200 == (await executed(made, execution(target.url(), verify_tls=False))).status

    run(test())


def test_certificates_that_cannot_be_read_are_the_agents_failure(authority: trustme.CA, tmp_path: Path) -> None:
    result = ask(TlsEcho(tls(authority, "::1")), ca_file=str(tmp_path / "gone.pem"))
    assert (FailureKind.TLS, Party.AGENT) == (result.error_kind, result.error_party)


def test_a_plain_target_is_no_tls_target() -> None:
    async def test() -> None:
        async with ClosingAtOnce() as target, executor() as made:
            result = await executed(made, execution(target.url().replace("http:", "https:")))
            assert FailureKind.TLS == result.error_kind

    run(test())


def test_a_compression_bomb_costs_bounded_memory_and_is_a_cut_body() -> None:
    ask(CompressionBomb(), max_body_bytes=1)  # packs the bomb
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = ask(CompressionBomb(), max_body_bytes=1_000_000)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (200, True, bytes(1_000_000)) == (result.status, result.truncated, result.body)
    assert 1_000_000 < result.body_size < 1_200_000
    assert grown_kib < 20 * 1024


def test_a_compression_bomb_that_has_to_wait_for_many_turns_of_the_loop_is_cut_in_the_same_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "SLICE_SECONDS", 0.0003)
    result = ask(CompressionBomb(), max_body_bytes=20_000_000)
    assert (200, True, bytes(20_000_000)) == (result.status, result.truncated, result.body)


def test_redirects_are_bounded() -> None:
    result = ask(Echo(), "/redirect/4", follow_redirects=True, max_redirects=3)
    assert FailureKind.HTTP_PROTOCOL == result.error_kind
    assert "more than 3 redirects" in result.error_detail
    assert 200 == ask(Echo(), "/redirect/3", follow_redirects=True, max_redirects=3).status
    assert FailureKind.HTTP_PROTOCOL == ask(Echo(), "/redirect/1", follow_redirects=True, max_redirects=0).error_kind


def test_the_body_of_a_redirect_is_bounded_and_not_kept() -> None:
    size = REDIRECT_BODY_BYTES * 4
    assert b"" != ask(Echo(), f"/redirect-to?url=/there&size={size}", follow_redirects=True, max_body_bytes=500).body
    target = Echo()
    result = ask(target, f"/redirect-to?url=/bytes/3&size={size}", follow_redirects=True)
    assert (3, 3, False) == (len(result.body), result.body_size, result.truncated)
    assert 2 == target.connections


def test_a_redirect_to_an_ipv4_literal_is_named() -> None:
    result = ask(Echo(), "/redirect-to?url=http://127.0.0.1/", follow_redirects=True)
    assert FailureKind.TARGET_HAS_NO_IPV6 == result.error_kind


def test_secrets_of_the_url_are_in_no_detail() -> None:
    async def test() -> None:
        async with Refusing() as target, executor() as made:
            url = target.url("/path?token=hush").replace("//", "//user:hush@")
            assert "hush" not in (await executed(made, execution(url))).error_detail

    run(test())
