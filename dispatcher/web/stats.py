"""`/api/stats`: the coordinator in numbers. Totals are history's, so they survive a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import AgentState, CountAgents, DescribePool, Outcome, ReadTotals
from dispatcher.auth.roles import Permission
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.representations import StatsSchema
from dispatcher.web.store_faults import store_faults_told

if TYPE_CHECKING:
    from dispatcher.actors.messages import HistoryTotals
    from dispatcher.web.services import Services


class StatsHandler(BaseHandler):
    """`GET /api/stats`."""

    operations = {"GET": Operation("Show the numbers", {200: StatsSchema}, problems=(503,), needs=Permission.READ)}

    async def get(self) -> None:
        """Show the numbers."""
        with store_faults_told("the history"):
            totals = await ask(self.services.history, ReadTotals())
        self.write_json(await stats_json(self.services, totals))


async def stats_json(services: Services, totals: HistoryTotals) -> dict[str, Any]:
    """Collect the numbers as the API shows them; `totals` are the history's."""
    pool = await ask(services.pool, DescribePool(exits=False))
    agents = await ask(services.registry, CountAgents())
    ended = {str(outcome): totals.by_outcome.get(str(outcome), 0) for outcome in Outcome}
    return {
        "uptime_seconds": round(time.monotonic() - services.started_at, 3),
        "version": services.version,
        "agents": {str(state): agents.get(state, 0) for state in AgentState},
        "pool": {"size": pool.size, "available": pool.available},
        "executions": {
            "total": sum(ended.values()),
            **ended,
            "in_flight": services.executions.in_flight,
            "queued": services.executions.queued,
        },
        "by_status": dict(totals.by_status),
        "by_error": dict(totals.by_error),
        "latency_ms": {name: _rounded(getattr(totals, name)) for name in ("p50", "p90", "p99", "max")},
        "rate_per_second": round(services.rate.per_second, 3),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
