from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from dispatcher import logs
from dispatcher.tls import words
from dispatcher.tls.contexts import ServerFiles
from dispatcher.tls.reload import Certificates
from dispatcher.web import greeting
from dispatcher.web.server import Server
from tests.support import log_state
from tests.support.certificates import Authority
from tests.unit.loops import on_loop

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


class Scheme(RequestHandler):
    """Says what the request came over."""

    def get(self) -> None:
        self.write(self.request.protocol)


class Served:
    """A server that speaks TLS if there are certificates."""

    def __init__(self, folder: Path | None) -> None:
        self.authority = None if folder is None else Authority(folder)
        self.certificates: Certificates | None = None
        if self.authority is not None:
            pair = self.authority.pair("coordinator")
            self.certificates = Certificates(ServerFiles(pair.cert, pair.key, self.authority.file))
        application = Application([("/", Scheme)], log_function=lambda _: None)
        self.server = Server(application, certificates=self.certificates)
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.server.add_sockets(sockets)

    async def ask(self, context: ssl.SSLContext | None = None, request: bytes = REQUEST) -> bytes:
        """Send a request and read to the end."""
        name = None if context is None else "localhost"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until something holds that no event tells; the test's own deadline bounds it."""
        while not condition():  # noqa: ASYNC110 (the server tells nobody of greetings)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(folder: Path | None = None) -> AsyncIterator[Served]:
    served = Served(folder)
    yield served
    served.server.stop()
    await served.server.close_all_connections()


def client_of(served: Served) -> ssl.SSLContext:
    assert served.authority is not None
    return served.authority.client()


def test_each_port_speaks_its_own_of_the_two(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            assert (await served.ask(client_of(served))).endswith(b"\r\n\r\nhttps")
        async with serving() as served:
            assert (await served.ask()).endswith(b"\r\n\r\nhttp")

    on_loop(test)


@pytest.mark.parametrize("request_", [REQUEST, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nsomething"])
def test_http_to_a_port_of_https_is_answered_with_what_is_wrong(tmp_path: Path, request_: bytes) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            head, _, body = (await served.ask(request=request_)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"Content-Type: application/problem+json" in head
            problem = json.loads(body)
            assert (400, words.HTTPS_WANTED) == (problem["status"], problem["detail"])
            assert problem["type"].endswith(":wrong_scheme")

    on_loop(test)


def test_tls_to_a_port_of_http_fails_as_no_tls_and_not_by_a_timeout(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving() as served:
            with pytest.raises(ssl.SSLError) as failed:
                await served.ask(Authority(tmp_path).client())
            said = words.of_coordinator(failed.value) or ""
            assert said.startswith("no TLS is spoken there")

    on_loop(test)


@pytest.mark.parametrize("has_tls", [True, False])
def test_a_connection_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tls: bool
) -> None:
    monkeypatch.setattr(greeting, "GREETING_SECONDS", 0.05)

    async def test() -> None:
        async with serving(tmp_path if has_tls else None) as served:
            assert b"" == await served.ask(request=b"")

    on_loop(test)


def test_a_handshake_that_stops_halfway_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "GREETING_SECONDS", 0.05)

    async def test() -> None:
        async with serving(tmp_path) as served:
            assert b"" == await served.ask(request=b"\x16\x03\x01")

    on_loop(test)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
def test_connections_that_did_not_begin_end_with_the_server(tmp_path: Path, sent: bytes) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(sent)
            await served.until(lambda: len(served.server._greetings) == 1)
            served.server.stop()
            await served.server.close_all_connections()
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await reader.read()
            assert set() == served.server._greetings
            writer.close()

    on_loop(test)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
@pytest.mark.parametrize("has_tls", [True, False])
def test_a_caller_that_resets_its_connection_harms_nobody(tmp_path: Path, sent: bytes, has_tls: bool) -> None:
    async def test() -> None:
        async with serving(tmp_path if has_tls else None) as served:
            with socket.create_connection(("127.0.0.1", served.port)) as caller:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                caller.sendall(sent)
            assert b"http" in await served.ask(client_of(served) if has_tls else None)
            await served.until(lambda: not served.server._greetings)

    on_loop(test)


def test_a_handshake_that_fails_is_logged_once_and_says_whose_fault_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(port: int) -> None:
        # Not by asyncio, which does not tell the other end why it leaves.
        context = Authority(tmp_path, "other").client()
        with socket.create_connection(("127.0.0.1", port)) as caller, pytest.raises(ssl.SSLError):
            context.wrap_socket(caller, server_hostname="localhost")

    async def test() -> None:
        async with serving(tmp_path) as served:
            await asyncio.to_thread(fail, served.port)
            await served.until(lambda: not served.server._greetings)

    with log_state.kept():
        logs.set_up("INFO")
        caplog.set_level(logging.INFO)
        on_loop(test)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("refused a connection of 127.0.0.1:")
    assert said.endswith(": it does not take this coordinator's certificate (unknown ca)")


def test_new_connections_have_the_certificates_of_their_moment(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as served:
            assert served.certificates is not None
            (tmp_path / "new").mkdir()
            other = Authority(tmp_path / "new")
            pair = other.pair("coordinator")
            served.certificates._files = ServerFiles(pair.cert, pair.key)
            assert served.certificates.refresh() is True
            assert (await served.ask(other.client())).endswith(b"https")

    on_loop(test)
