"""HTTP targets for tests: an honest one that echoes, and one for each fault.

Runs on the test's event loop, or by itself (``python -m tests.support.targets --address A --port P`` prints
``ready PORT`` and serves until SIGTERM). Written on bare streams, because most of the faults are things that no HTTP
library lets one do. Nothing here compresses, checks or limits more than a test needs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import socket
import sys
from typing import TYPE_CHECKING, Self

from tests.support import target_faults, target_pages
from tests.support.target_http import Request, read_request, respond

if TYPE_CHECKING:
    import ssl

    from tests.support.target_faults import Fault

KNOWN_BYTES = random.Random(1).randbytes(65_521)


def known_bytes(size: int) -> bytes:
    """Return the body of ``/bytes/size``: binary, the same on every run."""
    return (KNOWN_BYTES * (size // len(KNOWN_BYTES) + 1))[:size]


class Target:
    """A server on `address` and a free port (or `port`), up while its context lasts.

    `connections` counts what was accepted, `requests` holds what was read, oldest first; `seen` is set when
    a connection has been read from (or accepted, for targets that never read); `closings` gets the peer's address
    for each connection that has ended.
    """

    def __init__(self, address: str = "::1", port: int = 0, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.port = port
        self.connections = 0
        self.requests: list[Request] = []
        self.seen = asyncio.Event()
        self.closings: asyncio.Queue[str] = asyncio.Queue()
        self._ssl = ssl_context
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, self.address, self.port, ssl=self._ssl, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._writers)

    def url(self, path: str = "/", *, host: str | None = None) -> str:
        """Return the URL of `path` here, with the address (or the name `host`) in it."""
        name = host or (f"[{self.address}]" if ":" in self.address else self.address)
        return f"{'https' if self._ssl else 'http'}://{name}:{self.port}{path}"

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.serve(reader, writer)
        finally:
            writer.transport.close()
            self._writers.discard(writer)
            self._tasks.discard(task)
            self.closings.put_nowait(writer.get_extra_info("peername")[0])

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
        request = await read_request(reader, writer)
        if request is not None:
            self.requests.append(request)
            self.seen.set()
        return request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it is closed when this returns."""
        raise NotImplementedError


class Echo(Target):
    """Answers with what it saw; see `target_pages` for the paths, and ``/fault/NAME`` for every fault below."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await self._next(reader, writer):
            parts = request.path.strip("/").split("/")
            if parts[0] == "fault":
                await target_faults.BY_NAME[parts[1]](request, reader, writer)
                return
            if parts[0] == "bytes":
                await respond(writer, request, known_bytes(int(parts[1])), kind="application/octet-stream")
            else:
                await target_pages.answer(request, writer)


class TlsEcho(Echo):
    """`Echo` over TLS with the given server context; its JSON says whether the session was resumed."""

    def __init__(self, ssl_context: ssl.SSLContext, address: str = "::1", port: int = 0) -> None:
        super().__init__(address, port, ssl_context=ssl_context)


class Faulty(Target):
    """Reads one request and commits its fault."""

    fault: Fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._next(reader, writer)
        if request is not None:
            await type(self).fault(request, reader, writer)


class Hanging(Faulty):
    """Accepts, reads the request, and never answers."""

    fault = staticmethod(target_faults.hang)


class Resetting(Faulty):
    """Reads the request and resets the connection."""

    fault = staticmethod(target_faults.reset)


class ClosingEarly(Faulty):
    """Promises 1000 bytes and closes after ten."""

    fault = staticmethod(target_faults.close_early)


class Dripping(Faulty):
    """Sends one byte of an endless body every 20 ms."""

    fault = staticmethod(target_faults.drip)


class HugeHeaders(Faulty):
    """Sends 1 MB of response headers."""

    fault = staticmethod(target_faults.huge_headers)


class InvalidHttp(Faulty):
    """Answers with something that is not HTTP."""

    fault = staticmethod(target_faults.invalid)


class CompressionBomb(Faulty):
    """Sends 1 GiB of zeros as about 1 MB of gzip."""

    fault = staticmethod(target_faults.bomb)


class ClosingAtOnce(Target):
    """Accepts and closes without reading or answering."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        self.seen.set()


class Mute(Target):
    """Accepts and neither reads nor writes: a TLS handshake hangs, and a large request body is never taken."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's transports both read and write
        self.seen.set()
        await asyncio.Event().wait()


class Refusing:
    """Holds a port on which nothing listens, so that connecting is refused."""

    def __init__(self, address: str = "::1") -> None:
        self.address = address

    async def __aenter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        self._socket.bind((self.address, 0))
        self.port: int = self._socket.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    def url(self, path: str = "/", *, scheme: str = "http") -> str:
        """Return a URL that nothing answers."""
        return f"{scheme}://[{self.address}]:{self.port}{path}"


async def _run(address: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Echo(address, port) as target:
        sys.stdout.write(f"ready {target.port}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve `Echo` until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="::1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.address, arguments.port))


if __name__ == "__main__":
    main()
