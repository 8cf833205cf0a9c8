"""Whether the kernel counts an address as this machine's own though no interface has it: its routes are asked.

Stands before a request's way, on the agent's event loop. One route of type local (``ip -6 route add local PREFIX dev
lo``) makes a whole prefix the machine's, and no list of addresses shows it. Routes are not read and matched here:
the kernel is asked about each address, so that rules, tables and more specific routes count as they do for packets. It
answers within the call that asks, 3 us each for 4,096, so nothing is waited for.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses.netlink import NetlinkError

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator, Iterable

# Nobody else has a turn of the loop before all of them are answered. That takes 3 us each, but turns that would hold
# 32 were seen to take 40 ms and more on a machine that had gone through many routes and addresses before.
_AT_ONCE = 4
_ANSWER_BYTES = 65_536
_TROUBLE = frozenset({errno.ENOMEM, errno.ENOBUFS})  # every other error is a route's: unreachable, prohibit, blackhole


def ask(connection: socket.socket, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
    """Ask on a netlink socket, which must be in no group; say of each address whether a local route covers it.

    Raises:
        OSError: the kernel could not be asked.
        NetlinkError: it had no memory, or its answers are none.
    """
    remaining = iter(addresses)
    while batch := list(itertools.islice(remaining, _AT_ONCE)):
        questions = (netlink.route_request(address, sequence) for sequence, address in enumerate(batch))
        connection.send(b"".join(questions))
        local = _receive(connection, len(batch))
        for sequence, address in enumerate(batch):
            yield address, sequence in local


def _receive(connection: socket.socket, count: int) -> set[int]:
    """Receive an answer to each of so many questions; return the sequence numbers of those that are local."""
    local = set()
    while count:
        data, sender = connection.recvfrom(_ANSWER_BYTES)
        if sender[0] != 0:  # 0 is the kernel; other processes can send here too
            continue
        count -= 1
        for message in netlink.parse(data):
            if message.errno in _TROUBLE:
                raise NetlinkError(f"the kernel does not say where a route leads: {os.strerror(message.errno)}")
            if message.route is not None:
                local.add(message.sequence)
    return local
