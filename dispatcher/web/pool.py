"""`/api/pool/status`: the exits in the order in which step 2 of a request's way leases them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import DescribePool
from dispatcher.auth.roles import Permission
from dispatcher.record import dump
from dispatcher.timestamps import optional_rfc3339
from dispatcher.web.base import BaseHandler
from dispatcher.web.operations import Operation
from dispatcher.web.representations import PoolSchema

if TYPE_CHECKING:
    from dispatcher.actors.messages import ExitStatus, PoolStatus

_EXITS_A_TURN = 1000
"""How many exits are encoded before the loop has its turn: about 3 ms."""


class PoolHandler(BaseHandler):
    """`GET /api/pool/status`."""

    operations = {"GET": Operation("Show the pool in rotation order", {200: PoolSchema}, needs=Permission.READ)}

    async def get(self) -> None:
        """Show the pool."""
        pool = await ask(self.services.pool, DescribePool())
        self.set_header("Content-Type", "application/json")
        self.write(dump(pool_json(pool))[:-1] + b',"exits":[')
        for start in range(0, len(pool.exits), _EXITS_A_TURN):
            part = [exit_json(status) for status in pool.exits[start : start + _EXITS_A_TURN]]
            self.write((b"," if start else b"") + dump(part)[1:-1])
            await self.flush_in_turns()
        self.write(b"]}")


def pool_json(pool: PoolStatus) -> dict[str, Any]:
    """Return the pool as the API shows it, without its exits."""
    upcoming = None if pool.next is None else {"agent_id": pool.next[0], "address": pool.next[1]}
    return {"size": pool.size, "available": pool.available, "next": upcoming}


def exit_json(status: ExitStatus) -> dict[str, Any]:
    """Return an exit as the API shows it."""
    content = {
        "agent_id": status.agent_id,
        "address": status.address,
        "state": str(status.state),
        "in_flight": status.in_flight,
        "leased": status.leased,
        "completed": status.completed,
        "failed": status.failed,
        "unknown": status.unknown,
        "last_used_at": optional_rfc3339(status.last_used_at),
    }
    return content if status.reason is None else {**content, "reason": status.reason}
