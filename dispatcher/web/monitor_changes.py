"""What monitors know of agents, exits, numbers and the request, and what is new about them at each tick.

Runs on the event loop, which has its turn after every `ITEMS_A_TURN` things encoded. The order of the pool is not told
each time: monitors apply the rule of `predicted_order`, and where that would not come out right the order is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pykka

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import AgentStatus, DescribePool, ExitState, ExitStatus, ReadTotals, StoredRequest
from dispatcher.record import dump
from dispatcher.web.agents import agent_json, describe_agents
from dispatcher.web.monitor_summary import request_summary
from dispatcher.web.pool import exit_json, pool_json
from dispatcher.web.stats import stats_json

if TYPE_CHECKING:
    from dispatcher.redaction import Redactor
    from dispatcher.web.rate import Rate
    from dispatcher.web.services import Services

logger = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
Key = tuple[str, str]
Parts = dict[str, bytes]
"""Members of a message, each as JSON already."""

ITEMS_A_TURN = 500
"""How many agents, exits or records are encoded before the loop has its turn: about 5 ms."""

_TIERS = {ExitState.PREFERRED: 0, ExitState.DEPRECATED: 1}
_LAST_TIER = 2


class Told:
    """What every monitor that is up to date has been told."""

    def __init__(self, redactor: Redactor, rate: Rate, *, shows_body: bool = True) -> None:
        """Start with nothing told; `shows_body` says whether a monitor may see the body that is configured."""
        self._shows_body = shows_body
        self._redactor = redactor
        self._rate = rate
        self._second: int | None = None
        self._agents: dict[str, AgentStatus] = {}
        self._exits: dict[Key, ExitStatus] = {}
        self._pool: Json = {}
        self._stats: Json = {}
        self._stored: StoredRequest | None = None
        self._has_failed = False

    async def whole(self) -> Parts:
        """Return all of it."""
        return {
            "agents": await encoded_list(self._agents.values(), agent_json),
            "pool": encoded_object(
                {**_encoded(self._pool), "exits": await encoded_list(self._exits.values(), exit_json)}
            ),
            "stats": dump(self._stats),
            "request": dump(self._request()),
            "rate": dump(self._rate.ended(None)[1]),
        }

    async def advance(self, services: Services) -> Parts:
        """Look at everything anew and return the members that differ from before."""
        change: Parts = {}
        stats = await self._read_stats(services)
        if {**stats, "uptime_seconds": 0} != {**self._stats, "uptime_seconds": 0}:
            self._stats = stats
            change["stats"] = dump(stats)
        if services.configured.stored is not self._stored:
            self._stored = services.configured.stored
            change["request"] = dump(self._request())
        change |= await self._advance_agents(services)
        change |= await self._advance_pool(services)
        second, counts = self._rate.ended(self._second)
        if second != self._second:
            self._second = second
            change["rate"] = dump(counts)
        return change

    def _request(self) -> Json | None:
        stored = self._stored
        if stored is None:
            return None
        return request_summary(stored.request, stored.revision, self._redactor, shows_body=self._shows_body)

    async def _read_stats(self, services: Services) -> Json:
        """Return the numbers; those of before while the store does not answer, so that the rest goes on."""
        try:
            stats = await stats_json(services, await ask(services.history, ReadTotals()))
        except (StoreError, TimeoutError, pykka.ActorDeadError) as error:
            if not self._has_failed:
                logger.warning("monitors are told no new numbers: %s", error)
            self._has_failed = True
            return self._stats
        self._has_failed = False
        return stats

    async def _advance_agents(self, services: Services) -> Parts:
        before, now = self._agents, {agent.agent_id: agent for agent in await describe_agents(services.registry)}
        changed = [agent for agent_id, agent in now.items() if before.get(agent_id) != agent]
        gone = [agent_id for agent_id in before if agent_id not in now]
        if not changed and not gone:
            return {}
        self._agents = now
        told = await encoded_list(changed, lambda agent: _agent_change(agent, before.get(agent.agent_id)))
        return {"agents": encoded_object({"changed": told, "gone": dump(gone)})}

    async def _advance_pool(self, services: Services) -> Parts:
        status = await ask(services.pool, DescribePool())
        counts = pool_json(status)
        before, now = self._exits, {(known.agent_id, known.address): known for known in status.exits}
        # The loop has its turn between steps that look at every exit: 10,000 of them take 50 ms in all.
        await asyncio.sleep(0)
        changed = {key: known for key, known in now.items() if before.get(key) != known}
        await asyncio.sleep(0)
        gone = [list(key) for key in before if key not in now]
        order = list(now)
        is_reordered = order != predicted_order(before, changed, now)
        await asyncio.sleep(0)
        if not changed and not gone and not is_reordered and counts == self._pool:
            return {}
        self._exits, self._pool = now, counts
        pool = _encoded(counts)
        pool |= {"changed": await encoded_list(changed.values(), exit_json), "gone": dump(gone)}
        if is_reordered:
            pool["order"] = await encoded_list(order, list)
        return {"pool": encoded_object(pool)}


def predicted_order(
    before: Mapping[Key, ExitStatus], changed: Mapping[Key, ExitStatus], now: Mapping[Key, ExitStatus]
) -> list[Key]:
    """Return the order in which a monitor puts the exits that it was told of.

    An exit that is new, or whose `leased` or `state` differs, goes to the back in the order told; then all stand by
    how willingly they are leased: preferred, deprecated, others.
    """
    moved = [key for key, known in changed.items() if key not in before or _has_moved(before[key], known)]
    to_the_back = set(moved)
    order = [key for key in before if key in now and key not in to_the_back] + moved
    if len({known.state for known in now.values()}) == 1:
        return order
    return sorted(order, key=lambda key: _TIERS.get(now[key].state, _LAST_TIER))


def _has_moved(before: ExitStatus, now: ExitStatus) -> bool:
    return (before.leased, before.state) != (now.leased, now.state)


def _agent_change(agent: AgentStatus, before: AgentStatus | None) -> Json:
    """Return an agent without its addresses where they are told already: they are most of it and seldom change."""
    content = agent_json(agent)
    if before is not None and before.addresses == agent.addresses:
        del content["addresses"]
    return content


async def encoded_list(items: Iterable[T], to_json: Callable[[T], Any]) -> bytes:
    """Write a list as JSON, a part of it a turn of the loop."""
    listed: Sequence[T] = list(items)
    parts = []
    for start in range(0, len(listed), ITEMS_A_TURN):
        if start:
            await asyncio.sleep(0)
        parts.append(dump([to_json(item) for item in listed[start : start + ITEMS_A_TURN]])[1:-1])
    return b"[" + b",".join(parts) + b"]"


def encoded_object(members: Parts) -> bytes:
    """Write an object whose members are JSON already."""
    return b"{" + b",".join(b'"%s":%s' % (name.encode("ascii"), value) for name, value in members.items()) + b"}"


def _encoded(members: Json) -> Parts:
    return {name: dump(value) for name, value in members.items()}
