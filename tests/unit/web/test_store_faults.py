"""A store without an answer is 503 and named, whether it says why or nothing at all."""

from __future__ import annotations

import pykka
import pytest

from dispatcher.actors.errors import StoreError
from dispatcher.actors.loop_actor import stop_actor
from dispatcher.web.problems import Problem
from dispatcher.web.store_faults import store_faults_told
from tests.support.api import Served

FAULTS = {
    "cannot write history.sqlite3: database is locked": StoreError("cannot write history.sqlite3: database is locked"),
    "the store does not answer (TimeoutError)": TimeoutError(),
    "the store does not answer (ActorDeadError)": pykka.ActorDeadError("HistoryLog (urn:uuid:1) not found"),
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_fault_of_the_store_is_503_with_a_sentence(told: str) -> None:
    with pytest.raises(Problem) as raised, store_faults_told("the store"):
        raise FAULTS[told]
    assert (503, told) == (raised.value.status, str(raised.value))


def test_another_fault_passes_as_it_is() -> None:
    with pytest.raises(KeyError), store_faults_told("the store"):
        raise KeyError("no fault of the store")


@pytest.mark.parametrize("path", ["/api/history", "/api/history/0", "/api/stats"])
def test_a_history_that_does_not_answer_is_no_fault_of_the_coordinator(api: Served, path: str) -> None:
    services = api.running.services
    for actor in (services.history_reader, services.history):
        api.run(stop_actor(actor))
    reply = api.call("GET", path)
    assert (503, "urn:http-dispatcher:problem:store_unavailable") == (reply.status, reply.json["type"])
    assert "the history does not answer (ActorDeadError)" == reply.json["detail"]


def test_a_pool_that_does_not_answer_is_not_laid_at_the_door_of_the_history(api: Served) -> None:
    api.run(stop_actor(api.running.services.pool))
    reply = api.raw(b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (500, "urn:http-dispatcher:problem:internal") == (reply.status, reply.json["type"])


def test_a_configuration_that_does_not_answer_is_no_fault_of_the_coordinator(api: Served) -> None:
    api.run(stop_actor(api.running.services.config))
    reply = api.call("POST", "/api/config/request", {"url": "http://target.test/"})
    assert (503, "the configuration does not answer (ActorDeadError)") == (reply.status, reply.json["detail"])
