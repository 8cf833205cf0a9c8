"""A coordinator's words for tests: a snapshot with three agents, 48 exits and 99 records, and states made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispatcher.monitor import changes
from dispatcher.monitor.events import Event, KeyPressed, LinkUp, Told
from dispatcher.monitor.state import Panel, State
from dispatcher.monitor.update import update

NOW = 1767261660.0
"""2026-01-01T10:01:00Z."""

URL = "http://127.0.0.1:8000"


def agent(number: int, state: str = "connected", **members: Any) -> dict[str, Any]:
    """Return an agent with 16 addresses."""
    return {
        "agent_id": f"agent-{number:02}",
        "hostname": f"gw{number}",
        "version": "0.1.0",
        "state": state,
        "connected_at": "2026-01-01T09:00:00.000Z",
        "last_seen_at": "2026-01-01T10:00:00.000Z",
        "addresses": [{"address": f"2001:db8:{number}::{low:x}", "state": "preferred"} for low in range(1, 17)],
        "in_flight": number,
        "completed": 123 * number,
        "failed": number,
        **members,
    }


def exit_(agent_number: int, low: int, **members: Any) -> dict[str, Any]:
    """Return an exit of an agent."""
    return {
        "agent_id": f"agent-{agent_number:02}",
        "address": f"2001:db8:{agent_number}::{low:x}",
        "state": "preferred",
        "in_flight": 0,
        "leased": low,
        "completed": low,
        "failed": 0,
        "last_used_at": "2026-01-01T10:00:00.000Z",
        **members,
    }


def record(number: int, **members: Any) -> dict[str, Any]:
    """Return a record; every seventh has failed, every fifth of the others has 503."""
    has_failed = number % 7 == 0
    response = {
        "status": 503 if number % 5 == 0 else 200,
        "reason": "OK",
        "http_version": "1.1",
        "remote_ip": "2001:db8:f::1",
        "headers": [["Content-Type", "text/plain"]],
        "body": {"encoding": "utf-8", "data": "hello\n", "size": 1234, "truncated": True},
    }
    error = {"kind": "timeout", "detail": "connecting took longer than 5 s", "attributed_to": "target"}
    return {
        "id": f"r{number:06}",
        "outcome": "failed" if has_failed else "completed",
        "agent_id": f"agent-{number % 3:02}",
        "source_ip": f"2001:db8:{number % 3}::{number % 16 + 1:x}",
        "request": {
            "method": "GET",
            "url": f"https://example.com/path/{number}",
            "headers": [["Authorization", "[redacted]"]],
        },
        "response": None if has_failed else response,
        "error": error if has_failed else None,
        "timings": {
            "queued": 0.1,
            "dns": 1.0,
            "connect": 3.0,
            "send": 0.1,
            "wait": 10.0,
            "receive": 0.2,
            "total": 14.4,
        },
        "started_at": "2026-01-01T10:00:00.000Z",
        "finished_at": f"2026-01-01T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
        **members,
    }


def snapshot(**members: Any) -> dict[str, Any]:
    """Return what the feed says first."""
    states = ("connected", "connected", "lost")
    return {
        "type": "snapshot",
        "agents": [agent(number, state) for number, state in enumerate(states)],
        "pool": {
            "size": 48,
            "available": 47,
            "next": {"agent_id": "agent-00", "address": "2001:db8:0::1"},
            "exits": [exit_(number, low) for low in range(1, 17) for number in range(3)],
        },
        "stats": {
            "uptime_seconds": 1234.0,
            "version": "0.1.0",
            "agents": {"registered": 0, "connected": 2, "draining": 0, "lost": 1},
            "executions": {"total": 1234, "completed": 1200, "failed": 33, "unknown": 1, "in_flight": 3, "queued": 0},
            "by_status": {"200": 1100, "503": 100},
            "by_error": {"timeout": 33},
            "latency_ms": {"p50": 12.3, "p90": 99.2, "p99": 1240.0, "max": 30123.0},
            "rate_per_second": 12.34,
        },
        "request": request(),
        "executions": [record(number) for number in range(99, 0, -1)],
        "older": "cursor1",
        "rate": [abs(second % 60 - 30) for second in range(300)],
        **members,
    }


def request(**members: Any) -> dict[str, Any]:
    """Return the configured request as the feed shows it."""
    return {
        "url": "https://example.com/path?x=1",
        "method": "GET",
        "headers": [["Accept", "*/*"], ["Authorization", "[redacted]"]],
        "body": None,
        "body_base64": None,
        "timeout": 30.0,
        "follow_redirects": False,
        "max_redirects": 5,
        "verify_tls": True,
        "http_version": "auto",
        "max_body_bytes": 10485760,
        "revision": 3,
        **members,
    }


def told(*events: Event, focus: Panel = Panel.HISTORY, **changes_: Any) -> State:
    """Return the state of a monitor that has heard the snapshot, and then what else happened."""
    state = replace(State(url=URL, now=NOW), focus=focus, **changes_)
    return after(state, LinkUp(), Told(snapshot()), *events)


def after(state: State, *events: Event) -> State:
    """Return the state after events."""
    for event in events:
        state = update(state, event)
    return state


def pressed(state: State, *keys: str) -> State:
    """Return the state after keys."""
    return after(state, *map(KeyPressed, keys))


def model_with(**members: Any) -> Any:
    """Return the model of a snapshot with other members."""
    return changes.take_in(State().model, snapshot(**members))
