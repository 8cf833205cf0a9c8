"""How many requests a second the executor makes, beside Tornado's stock curl client and a bare loop over libcurl.

``python -m tests.bench.bench_executor`` needs root and nginx. 32 source addresses taken in turn, kept connections.
Every result's source is compared with the one asked for and with the one that the target saw.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pycurl
import trustme
from tornado.curl_httpclient import CurlAsyncHTTPClient

from dispatcher.agent.executor import Executor
from dispatcher.agent.targets.guard import TargetGuard
from tests.bench.table import Row, Size, at_least, main, medians
from tests.support import netns, nginx
from tests.support.executing import execution

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from dispatcher.wire.messages import Execute, Result


SOURCES = [f"2001:db8:1::{number:x}" for number in range(1, 33)]
TARGET = "2001:db8:f::1"
WIDTHS = (32, 128)


T = TypeVar("T")


async def rate(one: Callable[[T], Awaitable[object]], work: Iterable[T], width: int) -> float:
    """Return how much of `work` is done a second, `width` pieces at a time."""
    pieces = list(work)
    waiting = iter(pieces)

    async def worker() -> None:
        for piece in waiting:
            await one(piece)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(width)))
    return len(pieces) / (time.perf_counter() - began)


def in_turn(count: int) -> Iterator[str]:
    """Return so many sources."""
    return itertools.islice(itertools.cycle(SOURCES), count)


class _Going:
    """Executions of which each that ends begins the next; `ended` is done with the last, or with what is wrong."""

    def __init__(self, executor: Executor, pieces: list[Execute], ended: asyncio.Future[None]) -> None:
        self._executor = executor
        self._waiting = iter(pieces)
        self._sources = {piece.id: piece.source for piece in pieces}
        self._ended = ended

    def on(self) -> None:
        """Begin the next."""
        asked = next(self._waiting, None)
        if asked is not None:
            self._executor.start(asked, self._check)

    def _check(self, result: Result) -> None:
        source = self._sources.pop(result.id)
        # nginx answers with the address that it saw, and a space.
        if (source, True) != (result.source_ip, result.body.startswith(f"{source} ".encode())):
            self._ended.set_exception(AssertionError(result.error_detail or f"{result.source_ip} instead of {source}"))
        elif self._sources:
            self.on()
        else:
            self._ended.set_result(None)


class Ours:
    """The executor."""

    def __init__(self, url: str, width: int) -> None:
        self._url = url
        self._executor = Executor(max_concurrency=width, guard=TargetGuard(allow=[TARGET]))

    async def rate(self, count: int, width: int) -> float:
        pieces = [execution(self._url, source=source) for source in in_turn(count)]
        ended = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        going = _Going(self._executor, pieces, ended)
        for _ in range(width):
            going.on()
        self._executor.begin()
        await ended
        return count / (time.perf_counter() - began)

    def close(self) -> None:
        self._executor.close()


class Stock:
    """Tornado's client as it is."""

    def __init__(self, url: str, width: int) -> None:
        self._url = url
        self._client = CurlAsyncHTTPClient(force_instance=True, max_clients=width)

    async def _one(self, source: str) -> None:
        await self._client.fetch(self._url, network_interface=source)

    async def rate(self, count: int, width: int) -> float:
        return await rate(self._one, in_turn(count), width)

    def close(self) -> None:
        self._client.close()


class Bare:
    """Nothing but libcurl: handles that stay as they are but for their source, and `CurlMulti.perform`."""

    def __init__(self, url: str, width: int) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 256)
        self._handles = [self._handle(url) for _ in range(width)]

    def _handle(self, url: str) -> Any:
        handle = pycurl.Curl()
        for option, value in ((pycurl.URL, url), (pycurl.NOSIGNAL, 1), (pycurl.PROXY, ""), (pycurl.NOPROXY, "*")):
            handle.setopt(option, value)
        return handle

    async def rate(self, count: int, _width: int) -> float:
        began = time.perf_counter()
        sources = iter([f"host!{source}" for source in in_turn(count)])
        for handle, source in zip(self._handles, sources, strict=False):
            self._begin(handle, source)
        done = 0
        while done < count:
            self._multi.perform()
            _, ended, failed = self._multi.info_read(len(self._handles))
            assert not failed, failed
            for handle in ended:
                self._multi.remove_handle(handle)
                assert 200 == handle.getinfo(pycurl.HTTP_CODE)
                done += 1
                source = next(sources, "")
                if source:
                    self._begin(handle, source)
            if not ended:
                self._multi.select(1.0)
        return count / (time.perf_counter() - began)

    def _begin(self, handle: Any, source: str) -> None:
        body: list[bytes] = []
        handle.setopt(pycurl.INTERFACE, source)
        handle.setopt(pycurl.WRITEFUNCTION, body.append)
        self._multi.add_handle(handle)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()
        self._multi.close()


async def compare(url: str, size: Size, width: int) -> list[Row]:
    """Measure at one width."""
    ours, stock, bare = Ours(url, width), Stock(url, width), Bare(url, width)
    found = await medians(
        size.rounds,
        {
            "ours": lambda: ours.rate(size.count, width),
            "stock": lambda: stock.rate(size.count, width),
            "bare": lambda: bare.rate(size.count, width),
        },
    )
    for each in (ours, stock, bare):
        each.close()
    what = f"executor, {width} at a time, against"
    of_ours = f"{found['ours']:,.0f}/s against"
    return [
        at_least(
            3.3,
            f"{what} stock `CurlAsyncHTTPClient`",
            found["ours"] / found["stock"],
            f"{of_ours} {found['stock']:,.0f}/s",
        ),
        at_least(
            0.45, f"{what} bare `CurlMulti.perform`", found["ours"] / found["bare"], f"{of_ours} {found['bare']:,.0f}/s"
        ),
    ]


def rows(size: Size) -> Iterator[Row]:
    """Compare in a network of our own."""
    netns.enter_private_network()
    netns.add_addresses("lo", [*SOURCES, TARGET])
    with tempfile.TemporaryDirectory() as directory:
        certificate = trustme.CA().issue_cert(TARGET)
        with nginx.running(Path(directory), TARGET, certificate) as urls:
            for width in WIDTHS:
                yield from asyncio.run(compare(urls["plain"], size, width))


if __name__ == "__main__":
    main(rows)
