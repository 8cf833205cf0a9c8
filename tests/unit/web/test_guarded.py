"""Who may do what: every endpoint with every kind of token, made from the route table, and what others are told."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore, id_of
from dispatcher.web.app import REST_ROUTES, SOCKET_ROUTES
from dispatcher.web.operations import with_head
from tests.support.api import Reply, Served, exchange, raw_request, served
from tests.support.scripted_agent import WAIT
from tests.unit.loops import turns

EVERYBODY = "admin operator reader agent nobody"
MAY = {
    ("POST", "/api/agents/register"): "admin agent",
    ("GET", "/api/agents"): "admin operator reader",
    ("DELETE", "/api/agents/{agent_id}"): "admin",
    ("GET", "/api/config/request"): "admin operator reader",
    ("POST", "/api/config/request"): "admin",
    ("GET", "/api/execute"): "admin operator",
    ("POST", "/api/execute"): "admin operator",
    ("GET", "/api/pool/status"): "admin operator reader",
    ("GET", "/api/stats"): "admin operator reader",
    ("GET", "/api/history"): "admin operator reader",
    ("GET", "/api/history/{id}"): "admin operator reader",
    ("GET", "/api/openapi.json"): "admin operator reader",
    ("GET", "/livez"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): "admin operator reader",
    ("GET", "/dispatcher.pyz"): "admin operator reader agent",
}
"""The whole table of who may do what; an endpoint that is not here fails a test."""

SOCKETS = {"/ws/agent": "admin agent", "/ws/monitor": "admin operator reader"}


def routes() -> Iterator[tuple[str, str]]:
    """Every verb of every path of the route table."""
    for pattern, handler in REST_ROUTES:
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern)
        yield from ((verb, path) for verb in with_head(handler.operations))


CALLERS = [*map(str, Role), "nobody"]


@dataclass
class Locked:
    """A coordinator that asks for tokens, and one of each kind."""

    api: Served
    store: TokenStore
    secrets: dict[str, str]

    def headers(self, caller: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[caller]}"} if caller in self.secrets else {}

    def call(self, caller: str, method: str, path: str, content: Any = None, **more: str) -> Reply:
        return self.api.call(method, path, content, headers=self.headers(caller) | more)

    def revoke(self, caller: str) -> None:
        self.store.revoke(id_of(self.secrets[caller]))

    @contextlib.asynccontextmanager
    async def socket(self, caller: str, path: str) -> AsyncIterator[WebSocketClientConnection]:
        url = f"ws{self.api.running.url.removeprefix('http')}{path}"
        opened = await websocket_connect(HTTPRequest(url, headers=self.headers(caller)))
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def locked_in(folder: Path, **options: Any) -> Iterator[Locked]:
    store = TokenStore(folder)
    secrets = {str(role): store.create(role)[1] for role in Role}
    with served(folder, require_token=True, **options) as api:
        yield Locked(api, store, secrets)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked_in(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Locked]:
    """One that a test may revoke tokens of."""
    with locked_in(tmp_path) as running:
        yield running


def test_the_table_has_every_endpoint() -> None:
    assert set(MAY) == {route for route in routes() if route[0] != "HEAD"}
    assert set(SOCKETS) == {pattern for pattern, _ in SOCKET_ROUTES}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path"), list(routes()))
def test_every_endpoint_lets_in_who_may_and_nobody_else(locked: Locked, method: str, path: str, caller: str) -> None:
    content = {"nonsense": True} if method == "POST" else None
    reply = locked.call(caller, method, re.sub(r"\{\w+\}", "x", path), content)
    callers = MAY["GET" if method == "HEAD" else method, path].split()
    if caller in callers:
        assert reply.status not in (401, 403)
    elif caller == "nobody":
        assert (401, 'Bearer realm="http-dispatcher"') == (reply.status, reply.headers["www-authenticate"])
    elif method == "HEAD":
        assert (403, b"") == (reply.status, reply.body)
    else:
        assert (403, "urn:http-dispatcher:problem:role_too_small") == (reply.status, reply.json["type"])
        least = callers[-1]
        assert f"a token of the kind {caller} may not do this: it needs one of the kind {least}" == reply.json["detail"]
        assert f'error="insufficient_scope", scope="{least}"' in reply.headers["www-authenticate"]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("path", SOCKETS)
def test_every_socket_lets_in_who_may_and_nobody_else(locked: Locked, path: str, caller: str) -> None:
    async def test() -> int:
        try:
            async with asyncio.timeout(WAIT), locked.socket(caller, path):
                return 101
        except HTTPClientError as error:
            return error.code

    expected = 101 if caller in SOCKETS[path].split() else 401 if caller == "nobody" else 403
    assert expected == locked.api.run(test())


WRONG = ["Bearer hd_00000000_x", "Bearer", "", "Basic YTpi", "Bearer " + "x" * 10_000]


@pytest.mark.parametrize("header", WRONG)
def test_a_wrong_token_gets_401_that_says_so(locked: Locked, header: str) -> None:
    reply = locked.api.call("GET", "/api/stats", headers={"Authorization": header})
    assert (401, "urn:http-dispatcher:problem:unauthorized") == (reply.status, reply.json["type"])
    assert 'Bearer realm="http-dispatcher", error="invalid_token"' == reply.headers["www-authenticate"]
    assert "mistyped, was revoked, or belongs to another coordinator" in reply.json["detail"]


def test_on_a_loopback_address_a_wrong_token_is_refused_and_a_right_one_counts(tmp_path: Path) -> None:
    reader = TokenStore(tmp_path).create(Role.READER)[1]
    with served(tmp_path) as api:
        assert 200 == api.call("GET", "/api/stats").status
        assert 401 == api.call("GET", "/api/stats", headers={"Authorization": "Bearer x"}).status
        headers = {"Authorization": f"Bearer {reader}"}
        assert 200 == api.call("GET", "/api/stats", headers=headers).status
        assert 403 == api.call("DELETE", "/api/agents/x", headers=headers).status


def test_what_is_refused_is_not_read_first(locked: Locked) -> None:
    reply = locked.call("nobody", "POST", "/api/config/request", {"url": "http://x.test/", "body": "x" * 200_000})
    assert 401 == reply.status


def test_what_is_not_there_needs_no_token(locked: Locked) -> None:
    assert 404 == locked.call("nobody", "GET", "/nothing").status
    assert 405 == locked.call("nobody", "PUT", "/api/stats").status


SECRET = {
    "url": "http://user:word@target.test/",
    "headers": [["Authorization", "Bearer s3cret"], ["X-Api-Key", "s3cret"], ["X-Own", "s3cret"], ["Accept", "*/*"]],
    "body": "password=s3cret",
}


def test_the_secrets_of_the_configuration_are_shown_to_an_admin_only(tmp_path: Path) -> None:
    with locked_in(tmp_path, redact_header=["X-Own"]) as locked:
        locked.call("admin", "POST", "/api/config/request", SECRET)
        assert {**SECRET} == {name: locked.call("admin", "GET", "/api/config/request").json[name] for name in SECRET}
        for caller in ("operator", "reader"):
            reply = locked.call(caller, "GET", "/api/config/request")
            assert "http://[redacted]@target.test/" == reply.json["url"]
            assert b"s3cret" not in reply.body
            assert b"word" not in reply.body
            assert ["Accept", "*/*"] in reply.json["headers"]
        binary = {"url": "http://target.test/", "body_base64": "czNjcmV0"}
        locked.call("admin", "POST", "/api/config/request", binary)
        shown = locked.call("reader", "GET", "/api/config/request").json
        assert ("[redacted]", None) == (shown["body"], shown["body_base64"])


def test_a_monitor_hears_no_body_where_tokens_are_asked_for(own: Locked) -> None:
    async def test() -> None:
        async with asyncio.timeout(WAIT), own.socket("reader", "/ws/monitor") as monitor:
            message = await monitor.read_message()
            assert isinstance(message, str)
            assert "password" not in message
            assert '"body_size":15' in message

    own.call("admin", "POST", "/api/config/request", SECRET)
    own.api.run(test())


def test_revoking_a_token_closes_the_monitors_that_came_with_it_and_no_others(own: Locked) -> None:
    async def test() -> None:
        async with asyncio.timeout(WAIT):
            async with own.socket("reader", "/ws/monitor") as revoked, own.socket("operator", "/ws/monitor") as other:
                await other.read_message()
                own.revoke("reader")
                while await revoked.read_message() is not None:
                    pass
                assert (1008, "the token was revoked") == (revoked.close_code, revoked.close_reason)
                own.api.running.services.configured.stored = None
                other.write_message("snapshot")
                assert await other.read_message() is not None

    own.api.run(test())
    assert 401 == own.call("reader", "GET", "/api/stats").status


def test_revoking_a_token_cuts_a_request_that_is_under_way_with_it(own: Locked) -> None:
    async def test() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.api.running.port)
        lines = f"Host: test\r\nAuthorization: Bearer {own.secrets['operator']}\r\nContent-Length: 10\r\n"
        writer.write(f"POST /api/execute HTTP/1.1\r\n{lines}\r\n".encode())
        async with asyncio.timeout(WAIT):
            while not own.api.running.services.gate._visitors:
                await turns()
            own.revoke("operator")
            with contextlib.suppress(ConnectionError):
                assert b"" == await reader.read()
        writer.close()

    own.api.run(test())


def test_what_has_been_answered_is_no_longer_under_way(own: Locked) -> None:
    for _ in range(3):
        own.call("reader", "GET", "/api/stats")
        own.call("agent", "GET", "/api/stats")
    assert [0] == list({len(visitors) for visitors in own.api.running.services.gate._visitors.values()})


@pytest.mark.parametrize("kind", ["wrong", "revoked"])
def test_a_thousand_tokens_that_are_not_valid_hold_up_nobody_and_fill_no_log(
    own: Locked, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Each costs a hash; what is tested is that none costs a look at the disk, a line, or an answer to others."""
    secret = own.secrets["operator"] if kind == "revoked" else "hd_00000000_wrong"

    async def test() -> None:
        async with asyncio.timeout(WAIT):
            if kind == "revoked":
                own.revoke("operator")
                await refused(own.api.running.port, secret)
            wrong = [flood(own.api.running.port, secret, 100) for _ in range(10)]
            others = [own.api.call_async("GET", "/api/stats", headers=own.headers("reader")) for _ in range(10)]
            answers = await asyncio.gather(*wrong, *others)
        assert [100] * 10 == answers[:10]
        assert {200} == {reply.status for reply in answers[10:] if isinstance(reply, Reply)}

    own.api.run(test())
    lines = [record for record in caplog.records if "without a valid token" in record.message]
    assert 1 <= len(lines) <= WAIT


async def refused(port: int, secret: str) -> None:
    """Wait until a token is refused; a request that is under way when it is revoked is ended without an answer."""
    is_refused = False
    while not is_refused:
        with contextlib.suppress(http.client.RemoteDisconnected):
            is_refused = bool(await flood(port, secret, 1))


async def flood(port: int, secret: str, count: int) -> int:
    """Send a token again and again, and return how often it was refused."""
    headers = {"Authorization": f"Bearer {secret}"}
    replies = [await exchange(port, raw_request("GET", "/api/stats", headers=headers)) for _ in range(count)]
    return sum(reply.status == 401 for reply in replies)


def test_the_document_says_how_a_token_is_shown_and_who_may(locked: Locked) -> None:
    document = locked.call("reader", "GET", "/api/openapi.json").json
    scheme = document["components"]["securitySchemes"]["token"]
    assert ("http", "bearer") == (scheme["type"], scheme["scheme"])
    for (method, path), callers in MAY.items():
        operation = document["paths"][path][method.lower()]
        if callers == EVERYBODY:
            assert [] == operation["security"]
            assert "401" not in operation["responses"]
        else:
            assert [{"token": []}] == operation["security"]
            assert f"For tokens of the kind {callers.replace(' ', ' or ')}." == operation["description"]
            assert {"401", "403", "421"} <= set(operation["responses"])
