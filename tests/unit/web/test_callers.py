"""The open connections are counted, all of them and each client's, until their sockets are closed."""

from __future__ import annotations

import gc
import logging
import socket
import weakref

import pytest
from tornado.iostream import IOStream

from dispatcher.web.callers import Callers
from tests.unit.loops import on_loop

ONE, OTHER = "192.0.2.1", "192.0.2.2"


def on_a_loop(test: object) -> None:
    """Run what is not asynchronous where a loop is: the log's lines are told on one."""

    async def run() -> None:
        assert callable(test)
        test()

    on_loop(run)


def refused(callers: Callers, host: str) -> int:
    """The status with which a connection is refused; 0 for one that is taken."""
    refusal = callers.refusal(host)
    return 0 if refusal is None else refusal.status


def test_as_many_as_there_may_be_are_taken_and_who_leaves_makes_room() -> None:
    def test() -> None:
        callers = Callers(3, 3)
        places = [callers.enter(host) for host in (ONE, ONE, OTHER)]
        assert [503] * 3 == [refused(callers, host) for host in (ONE, "2001:db8::1", "::1")]
        places[1].leave()
        assert 0 == refused(callers, OTHER)

    on_a_loop(test)


def test_a_place_is_given_back_once() -> None:
    def test() -> None:
        callers = Callers(2, 2)
        place, _ = callers.enter(ONE), callers.enter(ONE)
        place.leave()
        place.leave()
        assert 0 == refused(callers, ONE)
        callers.enter(ONE)
        assert 503 == refused(callers, ONE)

    on_a_loop(test)


def test_a_client_has_a_limit_of_its_own_and_is_told_so() -> None:
    def test() -> None:
        callers = Callers(100, 2)
        place, _ = callers.enter(ONE), callers.enter(ONE)
        refusal = callers.refusal(ONE)
        assert refusal is not None
        assert (429, {"Retry-After": "1"}) == (refusal.status, refusal.headers)
        assert "192.0.2.1 has 2 connections open, as many as one client may" == refusal.content["detail"]
        assert 0 == refused(callers, OTHER)
        place.leave()
        assert 0 == refused(callers, ONE)

    on_a_loop(test)


@pytest.mark.parametrize(("most", "of_one"), [(16, 8), (17, 8), (2, 1), (1, 1)])
def test_unsaid_one_client_may_have_half_of_all_and_one_at_least(most: int, of_one: int) -> None:
    def test() -> None:
        callers = Callers(most)
        for _ in range(of_one):
            assert 0 == refused(callers, ONE)
            callers.enter(ONE)
        assert (503 if most == of_one else 429) == refused(callers, ONE)

    on_a_loop(test)


@pytest.mark.parametrize(
    ("host", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        # Everybody on a link has the same network there.
        ("fe80::1%eth0", "fe80::2%eth0", False),
        ("fe80::1%eth0", "fe80::1%eth0", True),
    ],
)
def test_a_client_is_an_address_of_ipv4_or_a_network_of_ipv6(host: str, other: str, is_same: bool) -> None:
    def test() -> None:
        callers = Callers(100, 1)
        callers.enter(host)
        assert (429 if is_same else 0) == refused(callers, other)

    on_a_loop(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", ""])
def test_who_asks_on_this_machine_may_ask_for_everybody(host: str) -> None:
    def test() -> None:
        callers = Callers(10, 1)
        for _ in range(10):
            assert 0 == refused(callers, host)
            callers.enter(host)
        assert 503 == refused(callers, host)

    on_a_loop(test)


def test_clients_that_have_left_are_not_remembered() -> None:
    def test() -> None:
        callers = Callers(10)
        for number in range(100):
            callers.enter(f"192.0.2.{number}").leave()
        assert {} == callers._of

    on_a_loop(test)


def test_the_log_says_who_had_too_many(caplog: pytest.LogCaptureFixture) -> None:
    def test() -> None:
        callers = Callers(3, 1)
        callers.enter("2001:db8::1")
        callers.refusal("2001:db8::2")
        callers.enter(ONE)
        callers.enter(OTHER)
        callers.refusal("192.0.2.3")

    caplog.set_level(logging.WARNING, "dispatcher.web.callers")
    on_a_loop(test)
    assert [
        "refused 1 connections over --max-connections-per-client, the last of 2001:db8::/64",
        "refused 1 connections over --max-connections, the last of 192.0.2.3",
    ] == [record.getMessage() for record in caplog.records]


def test_a_stream_that_is_closed_gives_its_place_back_and_is_freed_at_once() -> None:
    def test() -> None:
        callers = Callers(1)
        ours, theirs = socket.socketpair()
        stream = IOStream(ours)
        place = callers.enter(ONE)
        place.hold_while_open(stream)
        place.leave_unless_held(None)
        assert 503 == refused(callers, ONE)
        stream.close()
        assert 0 == refused(callers, ONE)
        assert -1 == ours.fileno()
        theirs.close()
        gc.disable()
        try:
            kept = weakref.ref(stream)
            del stream
            assert kept() is None
        finally:
            gc.enable()

    on_a_loop(test)


def test_a_stream_that_was_closed_before_holds_no_place() -> None:
    def test() -> None:
        callers = Callers(1)
        ours, theirs = socket.socketpair()
        with theirs:
            stream = IOStream(ours)
            place = callers.enter(ONE)
            stream.close()
            place.hold_while_open(stream)
            place.leave_unless_held(None)
            assert 0 == refused(callers, ONE)

    on_a_loop(test)
