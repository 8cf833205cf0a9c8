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
from dispatcher.auth.opening import listens_on_loopback_only, open_gate
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
    # `test` is the name under which the tests' requests ask.
    chosen = settings.coordinator({"--port": "0", "--state-dir": str(state_dir), "--allow-host": ["test"]} | given, {})
    certificates = coordinator._certificates(chosen)
    sockets = coordinator._listen(chosen)
    gate = open_gate(chosen, is_local=listens_on_loopback_only(sockets))
    actors = await coordinator._start_actors(chosen)
    services = await coordinator._make_services(chosen, actors, gate, coordinator._origins(chosen, sockets))
    server = coordinator._make_server(chosen, services, certificates)
    server.add_sockets(sockets)
    helpers = [asyncio.create_task(services.feed.run(services)), asyncio.create_task(gate.watch())]
    try:
        yield Running(coordinator._url(sockets[0], is_secure=certificates is not None), services)
    finally:
        await services.executions.drain(0.0)
        await services.sockets.close_all(5.0)
        await services.executions.drain(5.0)
        server.stop()
        await server.close_all_connections()
        for helper in helpers:
            helper.cancel()
        with contextlib.suppress(pykka.ActorDeadError):
            for connection in await ask(actors.registry, ListAgents()):
                await stop_actor(connection)
        for actor in reversed(actors.all):
            await stop_actor(actor)
