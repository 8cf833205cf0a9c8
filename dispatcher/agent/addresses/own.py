"""Whether an address is this machine's own, asked of the kernel at the moment that it matters. Event loop.

Beside step 7 of a request's way: the target guard asks before each connection. The watcher's table would not do, since
it leaves out what is no exit, and the machine's own services listen there too. Where netlink cannot be asked, a UDP
socket is connected, which sends nothing: the kernel reaches its own address from that address itself. That way alone
misses prefixes that only a local route makes the machine's.
"""

from __future__ import annotations

import socket

from dispatcher.agent.addresses import local_routes
from dispatcher.agent.addresses.netlink import NetlinkError
from dispatcher.agent.addresses.sources import netlink_socket

_ANY_PORT = 9


def is_own(address: str) -> bool:
    """Say whether packets to `address` (IPv6 or IPv4, without a zone) stay on this machine; about 20 us."""
    if ":" not in address:
        return _reaches_itself(socket.AF_INET, address)
    try:
        with netlink_socket(0) as connection:
            return dict(local_routes.ask(connection, [address]))[address]
    except (OSError, NetlinkError):
        return _reaches_itself(socket.AF_INET6, address)


def _reaches_itself(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _ANY_PORT))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False
