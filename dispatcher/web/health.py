"""`/livez` and `/readyz`: what a service manager or a load balancer asks."""

from __future__ import annotations

from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.problems import Problem
from dispatcher.web.representations import HealthSchema


class LiveHandler(BaseHandler):
    """`GET /livez`: the event loop turns."""

    operations = {"GET": Operation("Say that the process lives", {200: HealthSchema}, needs=None)}

    def get(self) -> None:
        """Answer."""
        self.write_json({"status": "ok"})


class ReadyHandler(BaseHandler):
    """`GET /readyz`: executions are accepted."""

    operations = {
        "GET": Operation("Say whether executions are accepted", {200: HealthSchema}, problems=(503,), needs=None)
    }

    async def get(self) -> None:
        """Answer, after trying to write the store."""
        if self.services.executions.is_draining:
            raise Problem(503, "draining", "the coordinator is shutting down")
        problem = await self.services.executions.check_store()
        if problem is not None:
            raise Problem(503, "store_unavailable", problem)
        self.write_json({"status": "ok"})
