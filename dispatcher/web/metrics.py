"""`/metrics`: the coordinator in numbers for Prometheus. Beside a request's way, on the event loop and a thread.

What would surprise: it asks neither history nor any agent, so it answers while the store is full or locked, which is
when somebody looks. Labels are from short fixed lists and never name an address, a URL or an agent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import AgentState, CountAgents, CountExits, DescribePool, ExitState, Outcome
from dispatcher.auth.roles import Permission
from dispatcher.errors import FailureKind
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from dispatcher.actors.messages import PoolStatus
    from dispatcher.meters import Histogram, Meters
    from dispatcher.web.services import Services

_LOST = (FailureKind.AGENT_LOST, FailureKind.AGENT_TIMEOUT)
"""The kinds that an `unknown` execution can have."""

_SERIES = [
    (Outcome.COMPLETED.value, ""),
    *((Outcome.FAILED.value, kind.value) for kind in FailureKind),
    *((Outcome.UNKNOWN.value, kind.value) for kind in _LOST),
]
"""Outcomes and kinds that are shown before the first of them, so that a rate over them begins at 0."""


class MetricsHandler(BaseHandler):
    """`GET /metrics`."""

    operations = {
        "GET": Operation(
            "Show the coordinator's own numbers in the text format of Prometheus",
            {200: None},
            media_type=CONTENT_TYPE_PLAIN_0_0_4,
            needs=Permission.READ,
        )
    }

    async def get(self) -> None:
        """Answer with all metrics."""
        pool = await ask(self.services.pool, DescribePool(exits=False))
        exits = await ask(self.services.pool, CountExits())
        agents = await ask(self.services.registry, CountAgents())
        found = [
            *_executions(self.services),
            *_fleet(pool, exits, agents),
            *_history(self.services),
            *_link(self.services.meters),
            _histogram(
                "dispatcher_event_loop_lag_seconds", "How late the event loop was", self.services.meters.loop_lag
            ),
            _version(self.services.version),
        ]
        # In a thread: what the process says of itself is read from /proc, all of its open files too.
        text = await asyncio.to_thread(generate_latest, _Collected(found))
        self.set_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.write(text)


class _Collected(Collector):
    """Ours, then those that the client has of each process: `process_*`, `python_info` and `python_gc_*`."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return [*self._found, *REGISTRY.collect()]


def _executions(services: Services) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "dispatcher_executions",
        "Recorded executions since the start; `error` is empty without one",
        labels=("outcome", "error"),
    )
    for key in dict.fromkeys((*_SERIES, *services.meters.executions)):
        ended.add_metric(key, services.meters.executions.get(key, 0))
    yield ended
    phases = HistogramMetricFamily(
        "dispatcher_execution_phase_seconds", "Phases of the executions that were answered", labels=("phase",)
    )
    for phase, histogram in services.meters.phases.items():
        phases.add_metric((phase,), _buckets(histogram), histogram.sum)
    yield phases
    yield _gauge("dispatcher_executions_in_flight", "Executions that have begun", services.executions.in_flight)
    yield _gauge("dispatcher_executions_queued", "Executions that wait to begin", services.executions.queued)


def _fleet(pool: PoolStatus, by_state: Mapping[ExitState, int], agents: Mapping[AgentState, int]) -> Iterator[Metric]:
    exits = GaugeMetricFamily("dispatcher_exits", "Exits of the pool", labels=("state",))
    for exit_state in ExitState:
        exits.add_metric((exit_state.value,), by_state.get(exit_state, 0))
    yield exits
    yield _gauge("dispatcher_exits_available", "Exits that an execution may get now", pool.available)
    known = GaugeMetricFamily("dispatcher_agents", "Known agents", labels=("state",))
    for state in AgentState:
        known.add_metric((state.value,), agents.get(state, 0))
    yield known


def _history(services: Services) -> Iterator[Metric]:
    commits = services.executions.commits
    yield _gauge("dispatcher_history_queue_records", "Records handed over and not committed yet", commits.waiting)
    what = "From handing a record over until it was committed"
    yield _histogram("dispatcher_history_commit_seconds", what, commits.seconds)
    what = "Records that could not be committed at once"
    yield CounterMetricFamily("dispatcher_history_commit_failures", what, commits.failed)


def _link(meters: Meters) -> Iterator[Metric]:
    directions = {"received": meters.received, "sent": meters.sent}
    frames = CounterMetricFamily("dispatcher_link_frames", "Frames on agents' links", labels=("direction",))
    sizes = CounterMetricFamily("dispatcher_link_bytes", "Bytes of the frames on agents' links", labels=("direction",))
    for direction, traffic in directions.items():
        frames.add_metric((direction,), traffic.frames)
        sizes.add_metric((direction,), traffic.size)
    yield from (frames, sizes)


def _version(version: str) -> Metric:
    info = GaugeMetricFamily("dispatcher_build_info", "Always 1; the label says what runs", labels=("version",))
    info.add_metric((version,), 1)
    return info


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value)


def _histogram(name: str, what: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, what, _buckets(histogram), histogram.sum)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    names = [*map(str, histogram.bounds), "+Inf"]
    return list(zip(names, map(float, histogram.cumulative), strict=True))
