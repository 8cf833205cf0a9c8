"""The script that a user writes today: aiohttp behind a rotating proxy. Run by `peers.py` with aiohttp's folder.

``aiohttp_client.py URL PROXY CONNECTIONS``; each line on stdin is how many requests to make, and is answered with a
line of JSON: the seconds that they took, and how often the target saw which address.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import time

import aiohttp  # type: ignore[import-not-found]  # from the folder of the peers, for this program alone


async def make(session: aiohttp.ClientSession, url: str, proxy: str, count: int, width: int) -> dict[str, object]:
    """Make the requests, `width` at a time."""
    numbers = iter(range(count))
    bodies: list[bytes] = []

    async def worker() -> None:
        for _ in numbers:
            async with session.get(url, proxy=proxy or None) as response:
                bodies.append(await response.read())

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "seen": collections.Counter(body.decode().split()[0] for body in bodies)}


async def main(url: str, proxy: str, connections: str) -> None:
    """Do what stdin says."""
    width = int(connections)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=width)) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            found = await make(session, url, proxy, int(line), width)
            sys.stdout.write(f"{json.dumps(found)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
