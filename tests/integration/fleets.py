"""What the tests of the promises share: a small fleet, calls at once, and an asynchronous part with a deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import SOURCES
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.support.client import Answer, Client


def fleet(cluster: Cluster, *, exits: int = 8, options: tuple[str, ...] = ()) -> Client:
    """Start a coordinator and two agents with `exits` exits together."""
    cluster.coordinator(*options)
    cluster.agent("agent-01", SOURCES[: exits // 2])
    cluster.agent("agent-02", SOURCES[exits // 2 : exits])
    cluster.client.wait_for_exits(exits)
    return cluster.client


def together(calls: Callable[[], Any], count: int) -> list[Answer]:
    """Begin so many calls, and wait for all."""
    return [begun.result() for begun in [calls() for _ in range(count)]]


def bounded(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))
