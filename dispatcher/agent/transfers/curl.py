"""Tornado's curl client, of which the multi handle is left: beside step 7 of a request's way, on the event loop.

It makes the one `CurlMulti` of all sources, bounds its connections and closes it; the transfers are `engine.py`'s,
since the stock way costs several times what libcurl itself does. What would surprise: Tornado's `fetch` is refused,
since a request without a source address must not leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pycurl
from tornado.curl_httpclient import CurlAsyncHTTPClient

from dispatcher.agent.transfers.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IDLE_CONNECTIONS = 256
"""Connections kept beside those in use. With none, each source that needs one more takes it from another, which opens
it again: with 256 transfers at a time from 32 sources that was every tenth, and doubled what a transfer costs."""


class SourceBoundClient(CurlAsyncHTTPClient):
    """Owns the multi handle and the `engine` that works with it. Make it with `force_instance=True`, on its loop.

    At most `max_connections` are open, over which the one idle for longest is closed. `make_engine` is given the multi
    handle.
    """

    def initialize(  # type: ignore[override]  # the options are ours; Tornado's do not apply
        self,
        *,
        max_connections: int = MAX_IDLE_CONNECTIONS,
        make_engine: Callable[[pycurl.CurlMulti], Engine] = Engine,
    ) -> None:
        """Make the multi handle, without what Tornado's way needs of it, and the engine."""
        super().initialize(max_clients=0)
        if self._timeout is not None:
            self.io_loop.remove_timeout(self._timeout)
        self.engine = make_engine(self._multi)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        # One transfer a connection, HTTP/2 and 3 too: what shares a connection fails with it, and a target that ends
        # one with requests under way (nginx does after its keepalive_requests) would need them to be sent again.
        self._multi.setopt(pycurl.M_PIPELINING, 0)

    def fetch_impl(self, request: object, callback: object) -> NoReturn:
        """Refuse: see the module's docstring."""
        raise TypeError("a request here needs a source address: use engine.start()")

    def close(self) -> None:
        """End all transfers, of which nobody is told, and all connections.

        libcurl waits here for a resolver that hangs, for as long as the system's resolver does.
        """
        self.engine.close()
        super().close()
