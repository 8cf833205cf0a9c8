"""The demo's target: a small HTTP server that answers with the address that it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    from collections.abc import Callable


class _Seen(RequestHandler):
    def initialize(self, on_seen: Callable[[str], None]) -> None:
        self._on_seen = on_seen

    def get(self) -> None:
        address = self.request.remote_ip or ""
        self._on_seen(address)
        self.write({"remote_addr": address})


class Target:
    """A target on `address`; `seen` lists the source addresses of its requests, in order."""

    def __init__(self, address: str) -> None:
        """Listen on a free port."""
        self.seen: list[str] = []
        sockets = bind_sockets(0, address)
        self._server = HTTPServer(Application([("/", _Seen, {"on_seen": self.seen.append})], log_function=_quiet))
        self._server.add_sockets(sockets)
        self.url = f"http://[{address}]:{sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        self._server.stop()
        await self._server.close_all_connections()


def _quiet(_handler: object) -> None:
    """Log no requests: the demo prints each of them."""
