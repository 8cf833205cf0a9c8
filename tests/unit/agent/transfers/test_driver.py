"""libcurl's sockets and timers on the loop, with real handles and a target of this process."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pycurl
import pytest

from dispatcher.agent.transfers import driver as module
from dispatcher.agent.transfers.driver import Driver
from tests.support.executing import run
from tests.support.targets import Echo, Hanging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Fetching:
    """A driver with handles for one URL, and what has ended."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ended: asyncio.Queue[tuple[pycurl.Curl, int]] = asyncio.Queue()
        self.multi = pycurl.CurlMulti()
        self.driver = Driver(self.multi, lambda handle, number, _: self.ended.put_nowait((handle, number)))
        self.handles: list[pycurl.Curl] = []

    def start(self, milliseconds: int = 5000) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self.url)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
        self.handles.append(handle)
        self.driver.add(handle)
        return handle

    async def end(self) -> tuple[pycurl.Curl, int]:
        handle, number = await asyncio.wait_for(self.ended.get(), 5)
        self.multi.remove_handle(handle)
        return handle, number


@contextlib.contextmanager
def fetching(url: str) -> Iterator[Fetching]:
    made = Fetching(url)
    try:
        yield made
    finally:
        made.driver.close()
        for handle in made.handles:
            handle.close()
        made.multi.close()


def test_each_transfer_ends_once_and_with_its_own_number() -> None:
    async def test() -> None:
        async with Echo() as target, Hanging() as slow:
            with fetching(target.url()) as good, fetching(slow.url()) as bad:
                handles = {good.start() for _ in range(20)}
                assert handles == {(await good.end())[0] for _ in handles}
                failing = bad.start(milliseconds=30)
                assert (failing, pycurl.E_OPERATION_TIMEDOUT) == await bad.end()
                assert good.ended.empty()
                assert bad.ended.empty()

    run(test())


def test_a_later_time_limit_does_not_put_off_an_earlier_one() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                first = made.start(milliseconds=40)
                await asyncio.wait_for(slow.seen.wait(), 5)
                made.start(milliseconds=60_000)
                assert (first, pycurl.E_OPERATION_TIMEDOUT) == await made.end()

    run(test())


def test_an_earlier_time_limit_counts_though_a_later_one_was_first() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                made.start(milliseconds=60_000)
                await asyncio.wait_for(slow.seen.wait(), 5)
                second = made.start(milliseconds=40)
                assert (second, pycurl.E_OPERATION_TIMEDOUT) == await made.end()

    run(test())


def test_transfers_that_end_together_are_all_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ENDED", 1)

    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                handles = {made.start(milliseconds=50) for _ in range(10)}
                assert handles == {(await made.end())[0] for _ in handles}

    run(test())


def test_the_socket_of_a_kept_connection_stays_watched_and_serves_again() -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                made.start()
                await made.end()
                watched = dict(made.driver._watched)
                assert [False] == [each.is_wanted for each in watched.values()]
                made.start()
                await made.end()
                assert watched == made.driver._watched
                assert 1 == target.connections

    run(test())


def test_a_number_that_has_become_another_socket_is_watched_anew() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            near, far = (stack.enter_context(each) for each in socket.socketpair())
            number = near.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            made.driver._want_socket(pycurl.POLL_REMOVE, number, None, None)
            inode = made.driver._watched[number].inode
            near.close()
            other, other_far = (stack.enter_context(each) for each in socket.socketpair())
            assert number == other.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            assert inode != made.driver._watched[number].inode
            other_far.send(b"x")
            assert [number] == [fd for fd, _ in made.driver._poller.ready(5)]
            made.driver.opened(number)
            assert {} == made.driver._watched
            assert far.fileno() != -1

    run(test())


def test_a_kept_connection_of_which_we_know_is_not_looked_up() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            near, _ = (stack.enter_context(each) for each in socket.socketpair())
            made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            made.driver._want_socket(pycurl.POLL_REMOVE, near.fileno(), None, None)
            assert made.driver.is_quiet(near.fileno())
            assert not made.driver.is_quiet(near.fileno() + 1000)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(module.os, "fstat", None)
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            assert [True] == [each.is_wanted for each in made.driver._watched.values()]

    run(test())


def test_a_kept_connection_is_looked_up_again_in_another_turn() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            near, _ = (stack.enter_context(each) for each in socket.socketpair())
            number = near.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            made.driver._want_socket(pycurl.POLL_REMOVE, number, None, None)
            inode = made.driver._watched[number].inode
            assert made.driver.is_quiet(number)
            made.driver._turn()
            near.close()
            other, _ = (stack.enter_context(each) for each in socket.socketpair())
            assert number == other.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            assert inode != made.driver._watched[number].inode

    run(test())


def test_a_kept_connection_that_answers_at_once_and_then_closes_is_watched_no_more() -> None:
    answer = b"HTTP/1.1 204 No Content\r\n\r\n"

    async def test() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            server.setblocking(False)
            with fetching(f"http://[::1]:{server.getsockname()[1]}/") as made:
                made.start()
                far, _ = await loop.sock_accept(server)
                await loop.sock_recv(far, 4096)
                await loop.sock_sendall(far, answer)
                await made.end()
                (number,) = made.driver._watched

                def answer_before_it_is_asked_for(*_: object) -> int:
                    assert made.driver.is_quiet(number)
                    return pycurl.PREREQFUNC_OK if far.send(answer) == len(answer) else pycurl.PREREQFUNC_ABORT

                again = made.start()
                again.setopt(pycurl.PREREQFUNCTION, answer_before_it_is_asked_for)
                assert (again, 0) == await made.end()
                assert {number: False} == {fd: each.is_wanted for fd, each in made.driver._watched.items()}
                far.close()
                made.driver._look()
                assert {} == made.driver._watched

    run(test())


def test_a_kept_connection_is_not_quiet_once_its_peer_speaks() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            near, far = (stack.enter_context(each) for each in socket.socketpair())
            made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            made.driver._want_socket(pycurl.POLL_REMOVE, near.fileno(), None, None)
            far.send(b"x")
            made.start()  # so that the next turn begins a transfer
            made.driver._turn()
            assert not made.driver.is_quiet(near.fileno())

    run(test())


def test_an_idle_socket_that_its_peer_closes_is_watched_no_more() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made:
            near, far = socket.socketpair()
            with near, far:
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
                made.driver._want_socket(pycurl.POLL_REMOVE, near.fileno(), None, None)
                far.close()
                made.driver._look()
                assert {} == made.driver._watched

    run(test())


def test_what_takes_long_leaves_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_SECONDS", -1.0)

    async def test() -> None:
        turns = 0

        def tick() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(tick)

        async with Echo() as target:
            with fetching(target.url()) as made:
                for _ in range(10):
                    made.start()
                asyncio.get_running_loop().call_soon(tick)
                before = []
                for _ in range(10):
                    await made.end()
                    before.append(turns)
                assert len(set(before)) > 1

    run(test())


class Lengthy:
    """A `CurlMulti` each of whose calls takes up all that a turn may take, by a clock of its own."""

    def __init__(self, multi: pycurl.CurlMulti, patched: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        self.multi = multi
        clock = SimpleNamespace(monotonic=lambda: 2 * module.SLICE_SECONDS * len(self.calls))
        patched.setattr(module, "time", clock)

    def socket_action(self, fd: int, action: int) -> tuple[int, int]:
        self.calls.append(fd)
        return self.multi.socket_action(fd, action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.multi, name)


async def turns_of_the_loop(lengthy: Lengthy, until: Callable[[], bool]) -> list[list[int]]:
    """Turn the loop until something is so, and return the calls of each turn that had some."""
    turns: list[list[int]] = []
    async with asyncio.timeout(5):
        while not until():
            before = len(lengthy.calls)
            await asyncio.sleep(0)
            turns.append(lengthy.calls[before:])
    return [calls for calls in turns if calls]


def test_a_turn_of_the_loop_has_no_second_slice_for_what_is_still_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            lengthy = Lengthy(made.multi, monkeypatch)
            monkeypatch.setattr(made.driver, "_multi", lengthy)
            for _ in range(4):
                near, far = (stack.enter_context(each) for each in socket.socketpair())
                far.send(b"x")  # which nobody takes, so it stays ready
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            turns = await turns_of_the_loop(lengthy, lambda: len(lengthy.calls) >= 20)
            assert [1] * 20 == [len(calls) for calls in turns]

    run(test())


def test_a_time_limit_that_comes_has_no_second_slice_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            lengthy = Lengthy(made.multi, monkeypatch)
            monkeypatch.setattr(made.driver, "_multi", lengthy)
            for _ in range(2):
                near, far = (stack.enter_context(each) for each in socket.socketpair())
                far.send(b"x")
                made.driver._want_socket(pycurl.POLL_IN, near.fileno(), None, None)
            made.driver._look()
            made.driver._timer_fired()
            assert 1 == len(lengthy.calls)
            await turns_of_the_loop(lengthy, lambda: len(lengthy.calls) >= 2)
            assert pycurl.SOCKET_TIMEOUT == lengthy.calls[1]

    run(test())


class Noting:
    """A `CurlMulti` that notes which transfers it is given for each call."""

    def __init__(self, multi: pycurl.CurlMulti) -> None:
        self.multi = multi
        self.begun: list[list[pycurl.Curl]] = [[]]

    def add_handle(self, handle: pycurl.Curl) -> None:
        self.begun[-1].append(handle)
        self.multi.add_handle(handle)

    def socket_action(self, fd: int, action: int) -> tuple[int, int]:
        self.begun.append([])
        return self.multi.socket_action(fd, action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.multi, name)


def test_of_many_transfers_few_begin_at_a_time_and_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BEGUN", 4)

    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                noting = Noting(made.multi)
                monkeypatch.setattr(made.driver, "_multi", noting)
                handles = [made.start() for _ in range(10)]
                await asyncio.sleep(0)
                late = made.start()
                assert {*handles, late} == {(await made.end())[0] for _ in range(11)}
                begun = [each for each in noting.begun if each]
                assert [4, 4, 3] == [len(each) for each in begun]
                assert [*handles, late] == [handle for each in begun for handle in each]

    run(test())


def test_one_that_is_stopped_before_it_has_begun_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BEGUN", 1)

    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                first, second, third = (made.start() for _ in range(3))
                made.driver.disregard(second)
                made.multi.remove_handle(second)
                assert {first, third} == {(await made.end())[0] for _ in range(2)}
                assert 2 == len(target.requests)
                assert made.ended.empty()

    run(test())


GROWN = 4 * 1024 * 1024
PIECE = 16 * 1024
"""What libcurl hands over at a time."""


@contextlib.asynccontextmanager
async def growing_target() -> AsyncIterator[str]:
    """Serve 4 KB that are 4 MiB when unpacked, which libcurl hands over within one call; give the URL."""
    packed = gzip.compress(bytes(GROWN))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        with contextlib.closing(writer):
            await writer.drain()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        yield f"http://[::1]:{server.sockets[0].getsockname()[1]}/"


class Unpacking:
    """A transfer whose body waits for the next turn of the loop whenever the time of one is up.

    The clock is its own: each look at it takes a third of a turn. `came` is how much each turn of the loop brought.
    """

    def __init__(self, made: Fetching, patched: pytest.MonkeyPatch, limit: int = GROWN) -> None:
        looks = itertools.count()
        patched.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(looks) * module.SLICE_SECONDS / 3))
        self.made = made
        self.came = [0]
        self.limit = limit
        self.handle = made.start()
        self.handle.setopt(pycurl.ACCEPT_ENCODING, "")
        self.handle.setopt(pycurl.WRITEFUNCTION, self._write)

    def _write(self, chunk: bytes) -> int | None:
        if self.made.driver.pauses(self.handle):
            return int(pycurl.WRITEFUNC_PAUSE)
        self.came[-1] += len(chunk)
        return None if sum(self.came) <= self.limit else 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)
                self.came.append(0)


def test_what_grows_a_thousandfold_comes_in_many_turns_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch)
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, 0) == await made.end()
                assert GROWN == sum(unpacking.came)
                assert max(unpacking.came) <= 4 * PIECE

    run(test())


def test_one_that_ends_over_what_had_to_wait_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch, limit=GROWN // 2)
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, pycurl.E_WRITE_ERROR) == await made.end()
                await asyncio.sleep(0)
                assert made.ended.empty()

    run(test())


def test_one_that_is_stopped_while_it_has_to_wait_gets_nothing_more_and_its_handle_serves_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with growing_target() as url:
            with fetching(url) as made:
                unpacking = Unpacking(made, monkeypatch)
                await unpacking.until(lambda: sum(unpacking.came) > 0)
                assert made.driver._next_turn is not None
                made.driver.disregard(unpacking.handle)
                made.multi.remove_handle(unpacking.handle)
                before = sum(unpacking.came)
                await unpacking.until(lambda: made.driver._next_turn is None)
                assert before == sum(unpacking.came) < GROWN
                assert made.ended.empty()
                unpacking.came = [0]
                made.driver.add(unpacking.handle)
                await unpacking.until(lambda: not made.ended.empty())
                assert (unpacking.handle, 0) == await made.end()
                assert GROWN == sum(unpacking.came)

    run(test())


def test_one_that_is_closed_asks_for_nothing_more() -> None:
    async def test() -> None:
        async with Hanging() as slow:
            with fetching(slow.url()) as made:
                made.start(milliseconds=20)
                await asyncio.wait_for(slow.seen.wait(), 5)
            assert made.ended.empty()

    run(test())


def test_what_begins_because_something_has_ended_begins_in_the_same_turn() -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                scheduled: list[object] = []

                def go_on(handle: pycurl.Curl, number: int, _: str) -> None:
                    made.multi.remove_handle(handle)
                    if len(made.handles) < 5:
                        made.start()
                        scheduled.append(made.driver._next_turn)
                    else:
                        made.ended.put_nowait((handle, number))

                made.driver._ended = go_on
                made.start()
                assert made.driver._next_turn is not None
                assert 0 == (await asyncio.wait_for(made.ended.get(), 5))[1]
                assert [None] * 4 == scheduled
                assert 5 == len(target.requests)

    run(test())


def test_a_fault_of_those_who_are_told_keeps_nothing_from_beginning(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made:
                told = made.driver._ended

                def fail(handle: pycurl.Curl, number: int, said: str) -> None:
                    made.driver._ended = told
                    made.start()
                    told(handle, number, said)
                    raise ValueError("a fault")

                made.driver._ended = fail
                made.start()
                assert 0 == (await made.end())[1]
                assert 0 == (await made.end())[1]
                made.start()
                assert 0 == (await made.end())[1]

    run(test())
    assert ["ValueError"] == [record.exc_info[0].__name__ for record in caplog.records if record.exc_info]  # type: ignore[union-attr]  # it has one
    caplog.clear()
