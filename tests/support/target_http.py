"""Just enough HTTP/1.1 for the test targets: read a request, write a response."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

REASONS = {200: "OK", 204: "No Content", 302: "Found", 303: "See Other", 304: "Not Modified", 404: "Not Found"}


@dataclass
class Request:
    """One request as it stood on the wire: header names in their case, in order, duplicates kept."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    peer: str
    peer_port: int
    tls: dict[str, Any] | None = field(default=None)

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def as_json(self) -> dict[str, Any]:
        """What the echo answers; the body is base64."""
        return {
            "peer": self.peer,
            "peer_port": self.peer_port,
            "method": self.method,
            "target": self.target,
            "version": self.version,
            "headers": self.headers,
            "body_base64": base64.b64encode(self.body).decode(),
            "tls": self.tls,
        }


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Read one request with its body; None where the peer closed instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        return None
    first, *lines = head[:-4].split("\r\n")
    if first.count(" ") != 2:
        return None
    method, target, version = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    peer = writer.get_extra_info("peername")
    request = Request(method, target, version, headers, b"", peer[0], peer[1], _tls(writer))
    request.body = await _read_body(reader, request)
    return request


async def _read_body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if (request.header("Transfer-Encoding") or "").lower() != "chunked":
        return await reader.readexactly(int(request.header("Content-Length") or 0))
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)


def _tls(writer: asyncio.StreamWriter) -> dict[str, Any] | None:
    tls = writer.get_extra_info("ssl_object")
    if tls is None:
        return None
    return {
        "version": tls.version(),
        "session_reused": tls.session_reused,
        "alpn": tls.selected_alpn_protocol(),
    }


async def respond(
    writer: asyncio.StreamWriter,
    request: Request,
    body: bytes = b"",
    *,
    status: int = 200,
    reason: str | None = None,
    kind: str = "text/plain",
    headers: tuple[tuple[str, str], ...] = (),
) -> None:
    """Write a whole response; no body after HEAD, 204 and 304."""
    lines = [f"HTTP/1.1 {status} {reason if reason is not None else REASONS.get(status, 'Some')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status not in (204, 304):
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if request.method != "HEAD" and status not in (204, 304):
        writer.write(body)
    await writer.drain()
