"""Counts the connections that are open, all of them and each client's: before the first step of a request's way.

On the event loop. A connection counts until its socket is closed, also where a link or a monitor has taken it over from
HTTP. What would surprise: it is the stream's own `close_fd` that tells, since Tornado lets one party alone hear of a
stream's end, and who that is changes. A client is an IPv4 address or a /64 of IPv6, of which whoever has one address
has them all; loopback addresses have no limit of their own, since a proxy in front asks for everybody.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections import Counter
from typing import TYPE_CHECKING

from dispatcher.auth.opening import literal_address
from dispatcher.seldom import Seldom
from dispatcher.web.problems import RETRY_AFTER_SECONDS, Problem

if TYPE_CHECKING:
    from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 16_384
"""How many connections may be open at once, those that are being greeted included."""

_NETWORK_BITS = 64
_FULL = Problem(503, "too_many_connections", "there are as many connections as this coordinator takes")


class Callers:
    """The open connections: `most` in all, `most_of_one` client's; 0 of these is half of all, but one at least."""

    def __init__(self, most: int, most_of_one: int = 0) -> None:
        """Begin with none."""
        self._most = most
        self._most_of_one = most_of_one or max(1, most // 2)
        self._open = 0
        self._of: Counter[str] = Counter()
        self._over = Seldom(logger, "refused %d connections over --max-connections, the last of %s")
        self._over_of_one = Seldom(logger, "refused %d connections over --max-connections-per-client, the last of %s")

    def refusal(self, host: str) -> Problem | None:
        """Say why no connection of `host` can be taken now; None where it can."""
        if self._open >= self._most:
            self._over.count(host)
            return _FULL
        client = _client(host)
        if client is None or self._of[client] < self._most_of_one:
            return None
        self._over_of_one.count(client)
        detail = f"{client} has {self._most_of_one} connections open, as many as one client may"
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return Problem(429, "too_many_connections_of_one", detail, headers=headers)

    def enter(self, host: str) -> Place:
        """Count one more connection."""
        client = _client(host)
        self._open += 1
        if client is not None:
            self._of[client] += 1
        return Place(self, client)

    def leave(self, client: str | None) -> None:
        """Count one less. For places alone."""
        self._open -= 1
        if client is not None:
            self._of[client] -= 1
            if not self._of[client]:
                del self._of[client]


class Place:
    """The place of one connection; given back once, however it ends."""

    __slots__ = ("_callers", "_client", "_is_held")

    def __init__(self, callers: Callers, client: str | None) -> None:
        """Made by `Callers.enter`."""
        self._callers: Callers | None = callers
        self._client = client
        self._is_held = False

    def leave(self) -> None:
        """Give the place back, if that was not done yet."""
        callers, self._callers = self._callers, None
        if callers is not None:
            callers.leave(self._client)

    def leave_unless_held(self, _: object) -> None:
        """Give the place back where nothing came of its connection."""
        if not self._is_held:
            self.leave()

    def hold_while_open(self, stream: IOStream) -> None:
        """Give the place back when `stream` is closed, and not before."""
        if not stream.closed():
            self._is_held = True
            stream.close_fd = functools.partial(_close, self, stream)  # type: ignore[method-assign]  # see above


def _close(place: Place, stream: IOStream) -> None:
    """Close a stream's socket, and take what holds it in a ring with it."""
    del stream.close_fd
    stream.close_fd()
    place.leave()


@functools.lru_cache(maxsize=1024)
def _client(host: str) -> str | None:
    """Return who counts as one; None for whoever is not limited."""
    address = literal_address(host)
    if address is None or address.is_loopback:
        return None  # a socket of this machine
    if address.version == 4 or address.is_link_local:
        # All of a link have the same /64 there.
        return str(address)
    return str(ipaddress.IPv6Network((int(address), _NETWORK_BITS), strict=False))
