"""The whole coordinator in the test's own process: real actors, real storage, a real server on a free port.

Put together by the same functions as the product's, but without signals, so that a test can stop and start it at will.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pykka

from dispatcher import coordinator, settings
from dispatcher.actors.loop_actor import ask, stop_actor
from dispatcher.actors.messages import ListAgents
from dispatcher.web.app import make_app
from dispatcher.web.base import DISCARDED_BYTES
from dispatcher.web.server import Server
from dispatcher.web.services import Services


@dataclass(frozen=True, slots=True)
class Running:
    """A coordinator that runs: where it listens, and what its handlers work with."""

    url: str
    services: Services

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])


@contextlib.asynccontextmanager
async def coordinator_running(state_dir: Path, **options: Any) -> AsyncIterator[Running]:
    """Run a coordinator over `state_dir`; `options` are those of the command line (`max_request_bytes=1024`)."""
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    chosen = settings.coordinator({"--port": "0", "--state-dir": str(state_dir)} | given, {})
    certificates = coordinator._certificates(chosen)
    sockets = coordinator._listen(chosen)
    actors = await coordinator._start_actors(chosen)
    services = await coordinator._make_services(chosen, actors)
    server = Server(
        make_app(services),
        max_body_size=chosen.max_request_bytes + DISCARDED_BYTES,
        max_header_size=coordinator._HEADER_BYTES,
        certificates=certificates,
    )
    server.add_sockets(sockets)
    feed = asyncio.create_task(services.feed.run(services))
    try:
        yield Running(coordinator._url(sockets[0], is_secure=certificates is not None), services)
    finally:
        await services.executions.drain(0.0)
        await services.sockets.close_all(5.0)
        await services.executions.drain(5.0)
        server.stop()
        await server.close_all_connections()
        feed.cancel()
        with contextlib.suppress(pykka.ActorDeadError):
            for connection in await ask(actors.registry, ListAgents()):
                await stop_actor(connection)
        for actor in reversed(actors.all):
            await stop_actor(actor)
