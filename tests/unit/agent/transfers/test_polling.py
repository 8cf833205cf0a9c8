"""Which sockets are ready, with real ones; what macOS does is tried in tests/integration/test_macos.py."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.transfers.polling import READ, WRITE, Poller

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 5.0


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("events", [WRITE, READ | WRITE])
def test_a_socket_is_told_of_by_what_it_is_ready_for(
    poller: Poller, pair: tuple[socket.socket, socket.socket], events: int
) -> None:
    one, other = pair
    poller.register(one.fileno(), events)
    assert [(one.fileno(), WRITE)] == poller.ready()
    other.send(b"x")
    assert [(one.fileno(), events)] == poller.ready(SECONDS)


def test_what_is_watched_for_can_change(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    poller.register(one.fileno(), READ)
    assert [] == poller.ready()
    poller.modify(one.fileno(), WRITE)
    assert [(one.fileno(), WRITE)] == poller.ready()
    poller.modify(one.fileno(), READ)
    other.send(b"x")
    assert [(one.fileno(), READ)] == poller.ready(SECONDS)


def test_one_that_is_watched_again_may_be_the_same_or_another_of_its_number(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    number = one.fileno()
    poller.register(number, READ)
    poller.register_again(number, WRITE)
    assert [(number, WRITE)] == poller.ready()
    one.close()
    with contextlib.ExitStack() as stack:
        another, far = (stack.enter_context(each) for each in socket.socketpair())
        assert number == another.fileno()
        poller.register_again(number, READ)
        assert [] == poller.ready()
        far.send(b"x")
        assert [(number, READ)] == poller.ready(SECONDS)
    assert other.fileno() != -1


def test_the_end_of_a_connection_is_told_and_more_than_was_asked_for(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    poller.register(one.fileno(), READ)
    other.close()
    ((number, events),) = poller.ready(SECONDS)
    assert (one.fileno(), READ) == (number, events & (READ | WRITE))
    assert events & ~(READ | WRITE)


def test_a_socket_is_watched_no_more_whether_it_is_open_or_not(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    one, other = pair
    for each in pair:
        poller.register(each.fileno(), WRITE)
    poller.unregister(one.fileno())
    assert [(other.fileno(), WRITE)] == poller.ready()
    number = other.fileno()
    other.close()
    poller.unregister(number)
    assert [] == poller.ready()


def test_it_is_a_descriptor_that_is_readable_while_some_are_ready(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    outer = Poller()
    with contextlib.closing(outer):
        outer.register(poller.fileno(), READ)
        assert [] == outer.ready()
        poller.register(pair[0].fileno(), WRITE)
        assert [(poller.fileno(), READ)] == outer.ready(SECONDS)
