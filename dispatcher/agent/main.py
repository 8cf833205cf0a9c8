"""The agent's process: starts the executor, the address watcher and the connector; stops in reverse."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from dispatcher import logs, sd_notify
from dispatcher.access import Access
from dispatcher.agent.addresses.rules import AddressOptions
from dispatcher.agent.addresses.watcher import AddressWatcher
from dispatcher.agent.connector import Connector
from dispatcher.agent.executor import Executor
from dispatcher.agent.identity import open_identity
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.transfers.curl import MAX_IDLE_CONNECTIONS
from dispatcher.agent.worker import Worker
from dispatcher.collector import LOOK_AFTER, settle_memory
from dispatcher.descriptors import RESERVED, make_room
from dispatcher.errors import ExitStatus
from dispatcher.lifecycle import Stop, watch_loop

if TYPE_CHECKING:
    from dispatcher.settings import AgentSettings

logger = logging.getLogger(__name__)


def run(settings: AgentSettings, token: str = "") -> int:
    """Run an agent that shows `token` until a signal or the coordinator ends it; return the exit status.

    Raises:
        RefusedError: the coordinator does not take this agent.
        SettingsError: a file for TLS is wrong.
    """
    logs.set_up(settings.log_level)
    access = Access(
        settings.coordinator_url,
        token=token,
        ca_file=settings.ca_file,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
    )
    return asyncio.run(_run(settings, access))


async def _run(settings: AgentSettings, access: Access) -> int:
    stop = Stop()
    identity = open_identity(settings.state_dir, settings.coordinator_url, settings.agent_id)
    watcher = AddressWatcher(
        _options(settings),
        lambda *news: worker.on_addresses(*news),  # noqa: PLW0108 - the worker is made after the watcher
    )
    guard = TargetGuard(settings.allow_target, settings.deny_target)
    if settings.allow_target:
        logger.info("targets allowed beside public ones: %s", ", ".join(settings.allow_target))
    max_concurrency = make_room(settings.max_concurrency, "--max-concurrency", RESERVED + MAX_IDLE_CONNECTIONS)
    executor = Executor(
        max_concurrency=max_concurrency,
        max_queue=settings.max_queue,
        is_routed=watcher.is_routed,
        guard=guard,
        min_speed=settings.min_speed,
        min_speed_seconds=settings.min_speed_time,
    )
    worker = Worker(executor, settings.undelivered_bytes)
    worker.watcher = watcher
    connector = Connector(
        access,
        identity,
        worker,
        reconnect_max=settings.reconnect_max,
        max_concurrency=max_concurrency,
        on_located=guard.coordinator_at,
    )
    await watcher.start()
    worker.warn_without_exits()
    settle_memory(look_after=LOOK_AFTER)
    helpers = [
        asyncio.create_task(watch_loop(settings.stall_warning)),
        asyncio.create_task(sd_notify.feed_watchdog()),
    ]
    # Ready to try: an agent keeps trying, and a coordinator that is down is no failed start.
    sd_notify.ready(f"connecting to {settings.coordinator_url}")
    connecting = asyncio.create_task(connector.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()  # raises why the coordinator refused
        sd_notify.stopping("draining")
        logger.info("draining: %d executions in flight", executor.in_flight)
        await worker.drain(settings.drain_timeout)
    finally:
        for task in (connecting, stopping, *helpers):
            task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await connecting
        await watcher.stop()
        executor.close()
        identity.close()
    return ExitStatus.DONE


def _options(settings: AgentSettings) -> AddressOptions:
    return AddressOptions(
        explicit=settings.address,
        interfaces=frozenset(settings.interface),
        include_temporary=settings.include_temporary,
        include_ula=settings.include_ula,
        max_addresses=settings.max_addresses,
    )
