"""The least that Tornado does for a JSON answer: what single executions are compared with. Prints its port."""

from __future__ import annotations

import asyncio
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

ANSWER = {"id": "0" * 26, "outcome": "completed", "timings": dict.fromkeys("abcdefgh", 0.123), "body": "x" * 500}
"""About as long as a record of a short answer."""


class Bare(RequestHandler):
    """Answers with the same JSON every time, written anew."""

    def get(self) -> None:
        self.write(ANSWER)


async def main() -> None:
    """Serve until ended."""
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/.*", Bare)])).add_sockets(sockets)
    sys.stdout.write(f"listening on {sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
