"""What `/ws/monitor` says, taken into the model: a snapshot replaces it, a change is laid over it. Pure.

The pool's order is not sent with every change. An exit that is new, or whose `leased` or `state` differs, goes to the
back in the order listed, and exits stand by how willingly they are leased: preferred, deprecated, others. The
coordinator applies the same rule, and sends the whole order where it would not come out right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dispatcher.monitor import model
from dispatcher.monitor.model import Exit, ExitKey, Json, Model, Record

RECORDS_KEPT = 10_000
"""Records kept here, about 5 MB; the coordinator has the others."""

RATE_SECONDS = 300
"""Seconds of the rate that are kept: the last five minutes."""

_TIERS = {"preferred": 0, "deprecated": 1}
_LAST_TIER = 2


def take_in(known: Model, message: Json) -> Model:
    """Return the model after a message of the feed; one of an unknown type changes nothing."""
    match message.get("type"):
        case "snapshot":
            return _snapshot(known, message)
        case "change":
            return _change(known, message)
    return known


def add_older(known: Model, page: Json) -> Model:
    """Return the model with an older page of history behind its own; the page is `{"items", "next"}`."""
    have = {record.id for record in known.records}
    older = [record for record in map(model.record, model.objects(page, "items")) if record.id not in have]
    records = (*known.records, *older)[:RECORDS_KEPT]
    cursor = page.get("next")
    may_go_on = isinstance(cursor, str) and len(records) < RECORDS_KEPT
    return replace(known, records=records, older=str(cursor) if may_go_on else None)


def _snapshot(known: Model, message: Json) -> Model:
    pool = model.member(message, "pool")
    records = tuple(map(model.record, model.objects(message, "executions")))
    records, older = _joined(known, records, message.get("older"))
    return Model(
        agents={agent.agent_id: agent for agent in map(model.agent, model.objects(message, "agents"))},
        exits={exit_.key: exit_ for exit_ in map(model.exit_of, model.objects(pool, "exits"))},
        size=int(model.number(pool, "size")),
        available=int(model.number(pool, "available")),
        next_exit=_exit_key(pool.get("next")),
        stats=model.member(message, "stats"),
        request=_request(message),
        records=records,
        older=older,
        rate=_numbers(message.get("rate"))[-RATE_SECONDS:],
    )


def _joined(known: Model, newest: tuple[Record, ...], cursor: Any) -> tuple[tuple[Record, ...], str | None]:
    """Put a snapshot's records before those known if they meet, so that a refresh does not lose the place."""
    place = {record.id: index for index, record in enumerate(known.records)}
    start = place.get(newest[-1].id) if newest else None
    if start is None:
        return newest, cursor if isinstance(cursor, str) else None
    return (*newest, *known.records[start + 1 :])[:RECORDS_KEPT], known.older


def _change(known: Model, message: Json) -> Model:
    changed = known
    if "agents" in message:
        changed = replace(changed, agents=_agents(known.agents, model.member(message, "agents")))
    if "pool" in message:
        changed = _pool(changed, model.member(message, "pool"))
    if "stats" in message:
        changed = replace(changed, stats=model.member(message, "stats"))
    if "request" in message:
        changed = replace(changed, request=_request(message))
    if "executions" in message:
        newest = [model.record(content) for content in reversed(model.objects(message, "executions"))]
        changed = replace(changed, records=_new_records(known.records, newest))
    if "rate" in message:
        changed = replace(changed, rate=(*known.rate, *_numbers(message["rate"]))[-RATE_SECONDS:])
    return changed


def _new_records(known: tuple[Record, ...], newest: list[Record]) -> tuple[Record, ...]:
    # A record may be in the snapshot already and come again in the change after it.
    recent = {record.id for record in known[: len(newest) + 500]}
    return (*(record for record in newest if record.id not in recent), *known)[:RECORDS_KEPT]


def _agents(known: Mapping[str, model.Agent], told: Json) -> Mapping[str, model.Agent]:
    changed = {}
    for content in model.objects(told, "changed"):
        agent = model.agent(content)
        before = known.get(agent.agent_id)
        # Addresses that did not change are not told again.
        if before is not None and "addresses" not in content:
            agent = replace(agent, addresses=before.addresses)
        changed[agent.agent_id] = agent
    gone = set(_texts(told.get("gone")))
    return {agent_id: agent for agent_id, agent in {**known, **changed}.items() if agent_id not in gone}


def _pool(known: Model, told: Json) -> Model:
    changed = list(map(model.exit_of, model.objects(told, "changed")))
    gone = {key for key in map(_exit_key, _listed(told.get("gone"))) if key is not None}
    exits = _reordered(known.exits, changed, gone)
    if "order" in told:
        exits = _ordered(exits, (_exit_key(item) for item in _listed(told["order"])))
    return replace(
        known,
        exits=exits,
        size=int(model.number(told, "size")),
        available=int(model.number(told, "available")),
        next_exit=_exit_key(told.get("next")),
    )


def _reordered(known: Mapping[ExitKey, Exit], changed: list[Exit], gone: set[ExitKey]) -> Mapping[ExitKey, Exit]:
    exits = {key: exit_ for key, exit_ in known.items() if key not in gone}
    for exit_ in changed:
        before = exits.get(exit_.key)
        if before is not None and (before.leased, before.state) != (exit_.leased, exit_.state):
            del exits[exit_.key]
        exits[exit_.key] = exit_
    if all(exit_.state == "preferred" for exit_ in exits.values()):
        return exits
    return dict(sorted(exits.items(), key=lambda item: _TIERS.get(item[1].state, _LAST_TIER)))


def _ordered(exits: Mapping[ExitKey, Exit], order: Iterable[ExitKey | None]) -> Mapping[ExitKey, Exit]:
    first = {key: exits[key] for key in order if key is not None and key in exits}
    return {**first, **exits}


def _request(message: Json) -> Json | None:
    request = message.get("request")
    return request if isinstance(request, dict) else None


def _exit_key(content: Any) -> ExitKey | None:
    if isinstance(content, dict):
        content = [content.get("agent_id"), content.get("address")]
    if isinstance(content, list) and len(content) == 2 and all(isinstance(part, str) for part in content):
        return content[0], content[1]
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in _listed(value) if isinstance(item, str)]


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(item for item in _listed(value) if isinstance(item, int))
