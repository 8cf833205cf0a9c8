"""What the echo target answers with, by path.

``/status/N``, ``/gzip``, ``/deflate``, ``/br`` (the echo, compressed), ``/encoding/NAME`` (a claim that is not true),
``/redirect/N`` (N hops here), ``/redirect-to?url=U&status=S``, ``/headers/N`` (N more headers), ``/cookies``,
``/informational`` (100 and 103 first), ``/trailers``, ``/http10``, ``/folded``; everything else is echoed as JSON.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

import brotli

from tests.support.target_http import Request, respond

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    Page = Callable[[Request, asyncio.StreamWriter, str], Awaitable[None]]

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
}


async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer with the page of the request's path, or echo it."""
    name, _, argument = request.path.strip("/").partition("/")
    await PAGES.get(name, _echo)(request, writer, argument)


async def _echo(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    await respond(writer, request, json.dumps(request.as_json()).encode(), kind="application/json")


async def _status(request: Request, writer: asyncio.StreamWriter, status: str) -> None:
    await respond(writer, request, b"status", status=int(status))


async def _compressed(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    name = request.path.strip("/")
    body = COMPRESSORS[name](json.dumps(request.as_json()).encode())
    await respond(writer, request, body, kind="application/json", headers=(("Content-Encoding", name),))


async def _encoding(request: Request, writer: asyncio.StreamWriter, name: str) -> None:
    await respond(writer, request, b"as it is", headers=(("Content-Encoding", name),))


async def _redirect(request: Request, writer: asyncio.StreamWriter, hops: str) -> None:
    location = f"/redirect/{int(hops) - 1}" if int(hops) > 1 else "/landed"
    await respond(writer, request, b"moved", status=302, headers=(("Location", location), ("X-Hop", hops)))


async def _redirect_to(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    status = int(request.query.get("status", "302"))
    size = int(request.query.get("size", "5"))
    await respond(writer, request, b"m" * size, status=status, headers=(("Location", request.query["url"]),))


async def _headers(request: Request, writer: asyncio.StreamWriter, count: str) -> None:
    await respond(writer, request, headers=tuple((f"X-{index}", "v") for index in range(int(count))))


async def _cookies(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    cookies = (("Set-Cookie", "a=1"), ("X-Between", "x"), ("set-cookie", "b=2"), ("X-Latin", "\xe9"))
    await respond(writer, request, headers=cookies)


async def _cookie_back(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    await respond(writer, request, headers=(("Set-Cookie", request.header("Cookie") or ""),))


async def _informational(request: Request, writer: asyncio.StreamWriter, _: str) -> None:
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    await respond(writer, request, b"final", reason="Fine by me")


async def _trailers(_: Request, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
    writer.write(b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n")
    await writer.drain()


async def _http10(_: Request, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"HTTP/1.0 200 Old\r\nX-Empty:\r\n\r\nuntil the end")
    await writer.drain()
    writer.close()


async def _folded(_: Request, writer: asyncio.StreamWriter, __: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\nX-Plain: p\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


PAGES: dict[str, Page] = {
    "status": _status,
    "gzip": _compressed,
    "deflate": _compressed,
    "br": _compressed,
    "encoding": _encoding,
    "redirect": _redirect,
    "redirect-to": _redirect_to,
    "headers": _headers,
    "cookies": _cookies,
    "cookie-back": _cookie_back,
    "informational": _informational,
    "trailers": _trailers,
    "http10": _http10,
    "folded": _folded,
}
