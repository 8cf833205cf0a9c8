"""What the tests of the two ways of `/api/execute` share: requests for either, and what comes back for them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from dispatcher.web import execute
from tests.support.api import Reply, Served, raw_request
from tests.support.scripted_agent import WAIT
from tests.unit.loops import turns

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = execute.PATH
LONG = {"X-Long": "way"}
"""A header that is not known to the short way."""

LAST = raw_request("GET", PATH)
"""A plain request that ends its connection."""

_ARBITRARY = re.compile(rb'"id":"[^"]+"|"[a-z]+_at":"[^"]+"|execution [0-9a-f-]{36}|"total":[0-9.]+')


def content(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """An answer without what is different each time."""
    headers = {name: value for name, value in reply.headers.items() if name not in ("date", "content-length")}
    return reply.status, headers, _ARBITRARY.sub(b"", reply.body)


def one(method: str = "GET", body: bytes = b"", **headers: str) -> bytes:
    """A request that lets its connection be kept."""
    lines = {"Connection": "keep-alive"} | ({"Content-Type": "application/json"} if body else {}) | headers
    return raw_request(method, PATH, body, lines)


def conversation(api: Served, *pieces: bytes) -> bytes:
    """What comes on one connection for what is sent there in so many pieces, the last of which ends it."""

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        async with asyncio.timeout(WAIT):
            for piece in pieces:
                writer.write(piece)
                await turns(20)  # so that they come one by one
            answer = await reader.read()
        writer.close()
        return answer

    return api.run(talk())


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so of which nobody is told."""
    async with asyncio.timeout(WAIT):
        while not is_so():  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.001)
