"""Sockets by source, on real connections."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.transfers.sockets import Ends, SourceSockets, free_to_bind

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def connection() -> Iterator[Pair]:
    """Both ends of a connection over ::1."""
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listener,
        socket.create_connection(listener.getsockname()[:2]) as near,
    ):
        far, _ = listener.accept()
        far.settimeout(5)
        with far:
            yield near, far


def ends(near: socket.socket) -> Ends:
    local, remote = near.getsockname(), near.getpeername()
    return local[0], local[1], remote[0], remote[1]


def is_dead(sockets: SourceSockets, of: Ends) -> bool:
    known = sockets.find(of)
    return known is not None and known.is_dead()


@pytest.fixture
def two() -> Iterator[tuple[Pair, Pair]]:
    with connection() as one, connection() as other:
        yield one, other


def test_the_connections_of_one_source_are_ended_and_no_others(two: tuple[Pair, Pair]) -> None:
    (near, far), (other_near, other_far) = two
    sockets = SourceSockets()
    sockets.opened(near.fileno(), "::1")
    sockets.opened(other_near.fileno(), "::2")
    assert 1 == sockets.shut("::1")
    assert b"" == far.recv(1)
    other_near.send(b"x")
    assert b"x" == other_far.recv(1)
    assert 1 == sockets.shut_all()
    assert b"" == other_far.recv(1)


def test_a_descriptor_that_names_something_else_by_now_is_left_alone(two: tuple[Pair, Pair]) -> None:
    (near, _), (other_near, other_far) = two
    sockets = SourceSockets()
    sockets.opened(near.fileno(), "::1")
    os.dup2(other_near.fileno(), near.fileno())
    assert 0 == sockets.count("::1")
    assert 0 == sockets.shut("::1")
    other_near.send(b"x")
    assert b"x" == other_far.recv(1)


@pytest.fixture
def without_inodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose sockets have no inode, as macOS."""
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        return os.stat_result((found[0], 0, *found[2:])) if stat.S_ISSOCK(found.st_mode) else found

    monkeypatch.setattr(os, "fstat", fstat)


@pytest.mark.usefixtures("without_inodes")
def test_without_inodes_a_connection_is_known_by_its_end(two: tuple[Pair, Pair]) -> None:
    (near, far), (other_near, other_far) = two
    sockets = SourceSockets()
    sockets.opened(near.fileno(), "::1")
    assert sockets.connected([near.fileno()], ends(near))
    sockets.opened(other_near.fileno(), "::2")
    assert 0 == sockets.count("::2")  # it is bound to ::1, so it is none of that source any more
    assert 1 == sockets.shut_all()
    assert b"" == far.recv(1)
    other_near.send(b"x")
    assert b"x" == other_far.recv(1)


@pytest.mark.usefixtures("without_inodes")
def test_without_inodes_too_a_descriptor_that_names_something_else_is_left_alone(two: tuple[Pair, Pair]) -> None:
    (near, _), (other_near, other_far) = two
    sockets = SourceSockets()
    sockets.opened(near.fileno(), "::1")
    assert sockets.connected([near.fileno()], ends(near))
    os.dup2(other_near.fileno(), near.fileno())
    assert 0 == sockets.shut("::1")
    other_near.send(b"x")
    assert b"x" == other_far.recv(1)
    with Path(os.devnull).open("rb") as file:
        os.dup2(file.fileno(), near.fileno())
    assert 0 == sockets.count("::1")


def test_a_connection_is_found_dead_by_its_local_end_once_its_peer_has_closed() -> None:
    with connection() as (near, far):
        sockets = SourceSockets()
        sockets.opened(near.fileno(), "::1")
        assert sockets.connected([near.fileno()], ends(near))
        assert not is_dead(sockets, ends(near))
        far.close()
        assert is_dead(sockets, ends(near))
        ip, port, remote_ip, remote_port = ends(near)
        assert not is_dead(sockets, (ip, port, remote_ip, remote_port + 1))


def test_an_idle_connection_is_dead_once_its_peer_speaks() -> None:
    with connection() as (near, far):
        sockets = SourceSockets()
        sockets.opened(near.fileno(), "::1")
        assert sockets.connected([near.fileno()], ends(near))
        assert not is_dead(sockets, ends(near))
        far.send(b"x")
        near.recv(1, socket.MSG_PEEK)
        assert is_dead(sockets, ends(near))


def test_of_several_sockets_the_one_with_the_local_end_is_meant(two: tuple[Pair, Pair]) -> None:
    (near, far), (other_near, _) = two
    sockets = SourceSockets()
    fds = [near.fileno(), other_near.fileno()]
    for fd in fds:
        sockets.opened(fd, "::1")
    assert sockets.connected(fds, ends(near))
    assert not sockets.connected(fds[1:], ends(near))
    far.close()
    assert is_dead(sockets, ends(near))


def test_a_connection_that_we_ended_is_dead_for_udp_too() -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("::1", 0))
        near.connect(far.getsockname())
        sockets = SourceSockets()
        sockets.opened(near.fileno(), "::1")
        assert sockets.connected([near.fileno()], ends(near))
        assert not is_dead(sockets, ends(near))
        sockets.shut("::1")
        assert is_dead(sockets, ends(near))


def test_a_reused_descriptor_replaces_its_predecessor() -> None:
    sockets = SourceSockets()
    seen = []
    for _ in range(50):
        with connection() as (near, _far):
            sockets.opened(near.fileno(), "::1")
            seen.append(ends(near))
            assert sockets.connected([near.fileno()], seen[-1])
    assert len(sockets._known) == len(sockets._by_ends) == 1
    assert not any(is_dead(sockets, each) for each in seen[:-1])


def test_a_socket_that_is_free_to_bind_takes_an_address_that_no_interface_has() -> None:
    with socket.socket(socket.AF_INET6) as free, socket.socket(socket.AF_INET6) as other:
        free_to_bind(free.fileno())
        free.bind(("2001:db8:ffff::1", 0))
        assert "2001:db8:ffff::1" == free.getsockname()[0]
        with pytest.raises(OSError, match="Cannot assign requested address"):
            other.bind(("2001:db8:ffff::1", 0))


def test_a_socket_that_cannot_be_freed_is_left_as_it_is() -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        free_to_bind(stranger.fileno())
        assert stranger.fileno() != -1
