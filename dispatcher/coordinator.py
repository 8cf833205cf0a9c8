"""The coordinator's process: starts the actors, then the web; stops in reverse. The only place where the parts meet."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado.netutil import bind_sockets

from dispatcher import __version__, logs, sd_notify
from dispatcher.actors.agent_keys import AgentKeys
from dispatcher.actors.config import ConfigStore
from dispatcher.actors.history import HistoryLog
from dispatcher.actors.history_reader import HistoryReader
from dispatcher.actors.loop_actor import ask, stop_actor
from dispatcher.actors.messages import ReadOwners, ReadRequest
from dispatcher.actors.ownership import Ownership, OwnershipRules
from dispatcher.actors.pool import IpPool
from dispatcher.actors.registry import AgentRegistry
from dispatcher.actors.setbacks import pause
from dispatcher.auth.opening import listens_on_loopback_only, open_gate
from dispatcher.collector import Collector
from dispatcher.descriptors import make_room
from dispatcher.errors import DispatcherError, ExitStatus
from dispatcher.executions import Executions, Limits
from dispatcher.idempotency import IdempotencyKeys
from dispatcher.lifecycle import Stop, watch_loop
from dispatcher.meters import Meters
from dispatcher.redaction import Redactor
from dispatcher.tls import reload
from dispatcher.tls.contexts import ServerFiles
from dispatcher.web.app import make_app
from dispatcher.web.base import DISCARDED_BYTES
from dispatcher.web.configured import Configured
from dispatcher.web.monitor_feed import MonitorFeed
from dispatcher.web.origins import Origins
from dispatcher.web.pulses import Pulses
from dispatcher.web.rate import Rate
from dispatcher.web.server import Server
from dispatcher.web.services import Services
from dispatcher.web.short_way import ShortWay

if TYPE_CHECKING:
    from pykka import ActorRef

    from dispatcher.auth.gate import Gate
    from dispatcher.record import Record
    from dispatcher.settings import CoordinatorSettings

logger = logging.getLogger(__name__)

HEADER_BYTES = 64 * 1024
"""The head of a request. Not to be set: Tornado reads 64 KiB of the shortest lines in 25 ms, and more in longer."""

_BACKLOG = 1024  # a fleet of agents that comes back at once must not be turned away
_CLOSING_SECONDS = 3.0
"""How long links and the last replies may take to end once nothing is in flight."""


def run(settings: CoordinatorSettings) -> int:
    """Run a coordinator until a signal ends it; return the exit status."""
    logs.set_up(settings.log_level)
    return asyncio.run(_run(settings))


async def _run(settings: CoordinatorSettings) -> int:
    stop = Stop()
    certificates = _certificates(settings)
    sockets = _listen(settings)
    try:
        gate = open_gate(settings, is_local=listens_on_loopback_only(sockets))
        actors = await _start_actors(settings)
    except DispatcherError:
        for listening in sockets:
            listening.close()
        raise
    services = await _make_services(settings, actors, gate, _origins(settings, sockets))
    server = _make_server(settings, services, certificates)
    server.add_sockets(sockets)
    helpers = [
        asyncio.create_task(services.feed.run(services)),
        asyncio.create_task(gate.watch()),
        asyncio.create_task(watch_loop(settings.stall_warning, services.meters.loop_lag.add)),
        asyncio.create_task(sd_notify.feed_watchdog()),
    ]
    if certificates is not None:
        helpers.append(asyncio.create_task(reload.watch(certificates)))
    Collector().start()
    url = _url(sockets[0], is_secure=certificates is not None)
    logs.announce(f"coordinator ready on {url}")
    sd_notify.ready(f"ready on {url}")
    await stop.wait()
    sd_notify.stopping("draining")
    await _drain(settings, services, server)
    server.stop()
    await server.close_all_connections()
    for helper in helpers:
        helper.cancel()
    for actor in reversed(actors.all):
        await stop_actor(actor)
    return ExitStatus.DONE


@dataclass(frozen=True, slots=True)
class _Actors:
    """The actors in the order of their start."""

    history: ActorRef[Any]
    history_reader: ActorRef[Any]
    config: ActorRef[Any]
    keys: ActorRef[Any]
    pool: ActorRef[Any]
    registry: ActorRef[Any]

    @property
    def all(self) -> tuple[ActorRef[Any], ...]:
        return self.history, self.history_reader, self.config, self.keys, self.pool, self.registry


async def _start_actors(settings: CoordinatorSettings) -> _Actors:
    max_age = settings.history_max_age or None
    history = HistoryLog.start(
        settings.state_dir,
        max_records=settings.history_max_records,
        max_age=max_age,
        max_bytes=settings.history_max_bytes,
    )
    keys = AgentKeys.start(settings.state_dir)
    rules = OwnershipRules(settings.forget_agents_after, settings.max_agents)
    pool = IpPool.start(functools.partial(pause, longest=settings.exit_pause_max))
    return _Actors(
        history=history,
        history_reader=HistoryReader.start(settings.state_dir, max_age=max_age),
        config=ConfigStore.start(settings.state_dir),
        keys=keys,
        pool=pool,
        registry=AgentRegistry.start(
            pool=pool,
            keys=keys,
            ownership=Ownership(await ask(keys, ReadOwners()), rules, time.time()),
            max_agents=settings.max_agents,
            registration_timeout=settings.registration_timeout,
            grace_seconds=settings.grace,
            resume_seconds=settings.resume_timeout,
            server_version=__version__,
            secret_headers=settings.redact_header,
        ),
    )


def _origins(settings: CoordinatorSettings, sockets: list[socket.socket]) -> Origins:
    """Say for which pages and under which names browsers may use this; any name where others reach it anyway."""
    hosts = frozenset(("localhost", settings.host.lower(), *(name.lower() for name in settings.allow_host)))
    return Origins(frozenset(settings.allow_origin), hosts if listens_on_loopback_only(sockets) else None)


def _make_server(settings: CoordinatorSettings, services: Services, certificates: reload.Certificates | None) -> Server:
    return Server(
        make_app(services),
        short_way=ShortWay(services),
        max_body_size=settings.max_request_bytes + DISCARDED_BYTES,
        max_header_size=HEADER_BYTES,
        idle_connection_timeout=settings.idle_timeout,
        body_timeout=settings.body_timeout,
        send_timeout=settings.send_timeout,
        max_connections=make_room(settings.max_connections, "--max-connections"),
        max_connections_per_client=settings.max_connections_per_client,
        certificates=certificates,
    )


async def _make_services(settings: CoordinatorSettings, actors: _Actors, gate: Gate, origins: Origins) -> Services:
    redactor = Redactor(settings.redact_header)
    rate = Rate()
    feed = MonitorFeed(rate, redactor, shows_body=not gate.is_token_required)
    meters = Meters()

    def on_finished(record: Record) -> None:
        rate.add()
        meters.finished(record)
        feed.finished(record)

    executions = Executions(
        pool=actors.pool,
        history=actors.history,
        redactor=redactor,
        limits=Limits(settings.max_in_flight, settings.max_queue, settings.grace, settings.history_body_bytes),
        on_finished=on_finished,
    )
    return Services(
        version=__version__,
        started_at=time.monotonic(),
        pool=actors.pool,
        registry=actors.registry,
        history=actors.history,
        history_reader=actors.history_reader,
        config=actors.config,
        executions=executions,
        keys=IdempotencyKeys(actors.history),
        configured=Configured(await ask(actors.config, ReadRequest())),
        feed=feed,
        rate=rate,
        meters=meters,
        max_request_bytes=settings.max_request_bytes,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        pulses=Pulses(interval=settings.ping_interval, timeout=settings.ping_timeout),
        takeover_timeout=settings.takeover_timeout,
        needs_client_certificates=settings.tls_client_ca is not None,
        gate=gate,
        origins=origins,
        redactor=redactor,
    )


async def _drain(settings: CoordinatorSettings, services: Services, server: Server) -> None:
    """Let what is in flight finish; what does not ends with its agent's link, honestly, as unknown."""
    logger.info("draining: %d executions in flight", services.executions.in_flight)
    deadline = time.monotonic() + settings.drain_timeout
    if not await services.executions.drain(settings.drain_timeout):
        logger.warning("%d executions outlasted --drain-timeout", services.executions.in_flight)
    await services.sockets.close_all(_CLOSING_SECONDS)
    await services.executions.drain(_CLOSING_SECONDS)
    if not await server.finish_replies(max(_CLOSING_SECONDS, deadline - time.monotonic())):
        logger.warning("some replies were not taken by their readers")


def _certificates(settings: CoordinatorSettings) -> reload.Certificates | None:
    if settings.tls_cert is None:
        return None
    return reload.Certificates(ServerFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def _listen(settings: CoordinatorSettings) -> list[socket.socket]:
    try:
        if settings.host == "::" and socket.has_dualstack_ipv6():
            # Tornado would leave IPv4 out; whoever listens on everything means that too.
            everything = socket.create_server(
                ("::", settings.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
            everything.setblocking(False)
            return [everything]
        return bind_sockets(settings.port, settings.host, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DispatcherError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from error


def _url(listening: socket.socket, *, is_secure: bool = False) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if is_secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
