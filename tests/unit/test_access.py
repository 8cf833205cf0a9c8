from __future__ import annotations

import asyncio
import io
import ssl
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse

from dispatcher.access import Access, problem_detail
from dispatcher.errors import SettingsError
from tests.support.certificates import Authority, handshake


def prepared(access: Access) -> HTTPRequest:
    return asyncio.run(access.prepare(HTTPRequest(access.url)))


def test_over_http_nobody_is_trusted_and_no_file_is_read() -> None:
    assert prepared(Access("http://c.test")).ssl_options is None


def test_over_https_a_request_trusts_the_named_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = prepared(Access("https://c.test", ca_file=authority.file)).ssl_options
    assert isinstance(context, ssl.SSLContext)
    pair = authority.pair("coordinator")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    assert (None, None, None) == handshake(server, context)


def test_a_file_that_is_wrong_is_told_before_anything_is_tried(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--ca-file: cannot read"):
        Access("https://c.test", ca_file=tmp_path / "missing")


def test_an_authority_that_is_replaced_is_trusted_from_the_next_request_on(tmp_path: Path) -> None:
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    access = Access("https://c.test", ca_file=first.file)
    before = prepared(access).ssl_options
    assert before is prepared(access).ssl_options
    second.file.replace(first.file)
    after = prepared(access).ssl_options
    assert isinstance(after, ssl.SSLContext)
    pair = second.pair("coordinator")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    assert (None, None, None) == handshake(server, after)


@pytest.mark.parametrize(
    ("url", "told", "expected"),
    [
        ("http://c.test", "ws://c.test/ws/agent", "ws://c.test/ws/agent"),
        ("https://c.test", "wss://c.test/ws/agent", "wss://c.test/ws/agent"),
        ("https://c.test", "ws://c.test/ws/agent", "wss://c.test/ws/agent"),
    ],
)
def test_a_link_is_never_less_safe_than_the_registration(url: str, told: str, expected: str) -> None:
    assert expected == Access(url).socket_url(told)


def refusal(body: bytes) -> HTTPClientError:
    response = HTTPResponse(HTTPRequest("http://c.test"), 403, buffer=io.BytesIO(body))
    return HTTPClientError(403, response=response)


def test_what_the_coordinator_said_of_a_refusal_is_found() -> None:
    assert "not you" == problem_detail(refusal(b'{"status": 403, "detail": "not you"}'))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"detail": 1}', b"\xff"])
def test_what_is_no_problem_says_nothing(body: bytes) -> None:
    assert problem_detail(refusal(body)) is None
    assert problem_detail(HTTPClientError(599)) is None
    assert problem_detail(ConnectionRefusedError()) is None
