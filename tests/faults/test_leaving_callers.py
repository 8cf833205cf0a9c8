"""Callers that leave at every point of a request and of its answer: nothing is left of them but their records."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.conftest import SOURCES
from tests.support import invariants
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.cluster import Cluster
    from tests.support.processes import Process
    from tests.support.targets import Echo

LARGE = 1_000_000
LEAVE_SECONDS = 5.0


def request(content: bytes = b"", *lines: bytes) -> bytes:
    """A request that executes."""
    framing = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(content) if content else b""
    more = b"".join(line + b"\r\n" for line in lines)
    verb = b"POST" if content else b"GET"
    return verb + b" /api/execute HTTP/1.1\r\nHost: localhost\r\n" + framing + more + b"\r\n" + content


def close(caller: socket.socket) -> None:
    """Leave as most do."""
    caller.close()


def reset(caller: socket.socket) -> None:
    """Leave without a word."""
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.close()


def close_half(caller: socket.socket) -> None:
    """Say that there is no more to come, and wait for the end."""
    caller.shutdown(socket.SHUT_WR)
    read_some(caller, 1 << 30)
    caller.close()


def close_within_the_answer(caller: socket.socket) -> None:
    """Take a little of what comes, if anything does."""
    read_some(caller, 100)
    reset(caller)


def read_some(caller: socket.socket, size: int) -> None:
    with contextlib.suppress(ConnectionError):
        while size > 0 and (came := caller.recv(65536)):
            size -= len(came)


def leave(port: int, sent: bytes, how: Callable[[socket.socket], None]) -> None:
    """Be a caller that sends so much and leaves so."""
    caller = socket.create_connection(("127.0.0.1", port), timeout=LEAVE_SECONDS)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        caller.sendall(sent)
    how(caller)


def open_files(process: Process) -> int:
    """How many files and connections a process holds."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def test_callers_that_leave_at_every_point_leave_nothing_but_their_records(cluster: Cluster, target: Echo) -> None:
    coordinator = cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:4])
    client = cluster.client
    client.wait_for_exits(4)
    client.configure(target.url("/"))
    assert 200 == client.execute().status
    large = json.dumps({"url": target.url(f"/bytes/{LARGE}")}).encode()
    wholes = (
        request(),
        request(b"", b"X-Long: way"),
        request(large),
        request(large, b"X-Long: way"),
        request() + request(b"", b"X-Long: way") + request(),
        request(b'{"count": 20}'),
    )
    before = open_files(coordinator)
    for whole, part in itertools.product(wholes, (0.0, 0.1, 0.5, 0.9, 1.0)):
        for how in (close, reset, *((close_half,) if part < 1 else (close_half, close_within_the_answer))):
            leave(cluster.port, whole[: int(part * len(whole))], how)
    eventually(lambda: open_files(coordinator) <= before, "no connection of theirs")
    eventually(lambda: client.get("/api/stats")["executions"]["in_flight"] == 0, "nothing in flight")
    # One after the other, so that its record comes behind theirs.
    for number in range(2):
        assert 200 == client.execute(url=target.url(f"/after/{number}")).status
    records = invariants.check(client, cluster.state_dir)
    assert len(target.requests) == len(records) > len(wholes)
