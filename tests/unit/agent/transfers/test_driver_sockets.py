"""Which of libcurl's sockets are watched, and for how long; with real ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat

import pycurl
import pytest

from tests.support.driving import Fetching, fetching
from tests.support.executing import run
from tests.support.targets import Echo


def watched_sockets(made: Fetching) -> dict[int, bool]:
    """Return which sockets are watched, and whether they are wanted; libcurl also has descriptors that are none."""
    watched = made.driver._watched.items()
    return {fd: each.is_wanted for fd, each in watched if stat.S_ISSOCK(os.fstat(fd).st_mode)}


def test_what_a_transfer_by_a_kept_connection_needs_stays_watched_and_serves_again() -> None:
    async def test() -> None:
        async with Echo() as target:
            with fetching(target.url()) as made, pytest.MonkeyPatch.context() as patched:
                made.start()
                await made.end()
                assert [False] == list(watched_sockets(made).values())
                assert {False} == {each.is_wanted for each in made.driver._watched.values()}
                for name in ("register", "unregister"):
                    patched.setattr(made.driver._poller, name, None)
                made.start()
                await made.end()
                assert 1 == target.connections

    run(test())


def test_a_number_that_has_become_another_socket_is_watched_anew() -> None:
    async def test() -> None:
        with fetching("http://[::1]/") as made, contextlib.ExitStack() as stack:
            near, far = (stack.enter_context(each) for each in socket.socketpair())
            number = near.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            made.driver._want_socket(pycurl.POLL_REMOVE, number, None, None)
            near.close()
            other, other_far = (stack.enter_context(each) for each in socket.socketpair())
            assert number == other.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
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
                patched.setattr(made.driver, "_poller", None)
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
            assert made.driver.is_quiet(number)
            made.driver._turn()
            near.close()
            other, far = (stack.enter_context(each) for each in socket.socketpair())
            assert number == other.fileno()
            made.driver._want_socket(pycurl.POLL_IN, number, None, None)
            far.send(b"x")
            assert [number] == [fd for fd, _ in made.driver._poller.ready(5)]

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
                (number,) = watched_sockets(made)

                def answer_before_it_is_asked_for(*_: object) -> int:
                    assert made.driver.is_quiet(number)
                    return pycurl.PREREQFUNC_OK if far.send(answer) == len(answer) else pycurl.PREREQFUNC_ABORT

                again = made.start()
                again.setopt(pycurl.PREREQFUNCTION, answer_before_it_is_asked_for)
                assert (again, 0) == await made.end()
                assert {number: False} == watched_sockets(made)
                far.close()
                made.driver._look()
                assert number not in made.driver._watched

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
