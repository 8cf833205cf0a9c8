from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import websocket_connect

from dispatcher.access import Access
from tests.support.certificates import Authority
from tests.support.coordinator import coordinator_running
from tests.unit.loops import WAIT

REGISTER = "/api/agents/register"


@dataclass
class Guarded:
    """A coordinator with `--tls-client-ca`; `agent` shows a certificate of it, `person` shows none."""

    url: str
    agent: Access
    person: Access

    async def call(self, access: Access, path: str, content: str | None = None) -> HTTPResponse:
        """Call an endpoint."""
        client = SimpleAsyncHTTPClient(force_instance=True)
        method = "GET" if content is None else "POST"
        headers = {} if content is None else {"Content-Type": "application/json"}
        request = HTTPRequest(self.url + path, method, headers, content)
        answer = await client.fetch(await access.prepare(request), raise_error=False)
        client.close()
        return answer

    async def open_link(self, access: Access) -> str | None:
        """Open an agent's link and return why it was closed, None where it is open."""
        request = HTTPRequest(f"wss{self.url.removeprefix('https')}/ws/agent")
        (await websocket_connect(await access.prepare(request))).close()
        return None


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Guarded]:
    authority, clients = Authority(folder), Authority(folder, "clients")
    pair, shown = authority.pair("coordinator"), clients.pair("agent", "gateway-1")
    options = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": clients.file}
    async with coordinator_running(folder / "state", **{name: str(path) for name, path in options.items()}) as running:
        yield Guarded(
            running.url,
            agent=Access(running.url, ca_file=authority.file, tls_cert=shown.cert, tls_key=shown.key),
            person=Access(running.url, ca_file=authority.file),
        )


def with_guarded(folder: Path, test: Callable[[Guarded], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(WAIT), guarded(folder) as coordinator:
            await test(coordinator)

    asyncio.run(run())


def test_an_agent_with_a_certificate_registers_and_opens_its_link(tmp_path: Path) -> None:
    async def test(coordinator: Guarded) -> None:
        answer = await coordinator.call(coordinator.agent, REGISTER, "{}")
        assert 201 == answer.code
        assert b'"websocket_url":"wss://127.0.0.1:' in answer.body
        assert await coordinator.open_link(coordinator.agent) is None

    with_guarded(tmp_path, test)


def test_an_agent_without_one_does_not_register_and_hears_what_is_missing(tmp_path: Path) -> None:
    async def test(coordinator: Guarded) -> None:
        answer = await coordinator.call(coordinator.person, REGISTER, "{}")
        assert 403 == answer.code
        assert b"client_certificate_required" in answer.body
        assert b"start it with --tls-cert and --tls-key" in answer.body

    with_guarded(tmp_path, test)


def test_an_agent_without_one_does_not_open_a_link(tmp_path: Path) -> None:
    async def test(coordinator: Guarded) -> None:
        with pytest.raises(HTTPClientError) as refused:
            await coordinator.open_link(coordinator.person)
        assert 403 == refused.value.code

    with_guarded(tmp_path, test)


@pytest.mark.parametrize("path", ["/api/agents", "/api/pool/status", "/livez"])
def test_nobody_else_needs_a_certificate(tmp_path: Path, path: str) -> None:
    async def test(coordinator: Guarded) -> None:
        assert 200 == (await coordinator.call(coordinator.person, path)).code

    with_guarded(tmp_path, test)
