"""`/livez` and `/readyz`: what they say when all is well and when it is not."""

from __future__ import annotations

from pathlib import Path

from dispatcher.actors.loop_actor import stop_actor
from tests.support.api import Served
from tests.support.broken_store import REASON, unwritable_history


def test_all_is_well(api: Served) -> None:
    for path in ("/livez", "/readyz"):
        assert {"status": "ok"} == api.call("GET", path).json


def test_a_coordinator_that_drains_lives_and_is_not_ready(api: Served) -> None:
    assert api.run(api.running.services.executions.drain(1.0))
    reply = api.call("GET", "/readyz")
    assert (503, "urn:http-dispatcher:problem:draining") == (reply.status, reply.json["type"])
    assert "retry-after" in reply.headers
    assert 200 == api.call("GET", "/livez").status


def test_a_coordinator_that_cannot_write_lives_and_is_not_ready_until_it_can(api: Served, tmp_path: Path) -> None:
    with unwritable_history(tmp_path):
        reply = api.call("GET", "/readyz")
        assert (503, "urn:http-dispatcher:problem:store_unavailable") == (reply.status, reply.json["type"])
        assert REASON in reply.json["detail"]
        assert 200 == api.call("GET", "/livez").status
    assert 200 == api.call("GET", "/readyz").status


def test_a_history_that_has_stopped_makes_it_not_ready(api: Served) -> None:
    api.run(stop_actor(api.running.services.history))
    assert 503 == api.call("GET", "/readyz").status
    assert 200 == api.call("GET", "/livez").status
