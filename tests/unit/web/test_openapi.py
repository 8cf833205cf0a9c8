"""The OpenAPI document: valid, and all that the contract names is in it."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dispatcher.web import openapi
from dispatcher.web.app import REST_ROUTES
from dispatcher.web.base import BaseHandler
from tests.support.api import Served

RECORD = "id outcome agent_id source_ip request response timings error started_at finished_at attempts"
REQUEST = (
    "url method headers body body_base64 timeout follow_redirects max_redirects verify_tls http_version max_body_bytes "
    "retries"
)
EXECUTE_PROBLEMS = "403 409 500 502 503 504"
BODY_PROBLEMS = "400 413 415 422"

CONTRACT: dict[tuple[str, str], tuple[str, str, str]] = {
    ("POST", "/api/agents/register"): ("201", f"{BODY_PROBLEMS} 409", "agent_id session websocket_url"),
    ("GET", "/api/agents"): ("200", "", "agents"),
    ("DELETE", "/api/agents/{agent_id}"): ("204", "404", ""),
    ("POST", "/api/config/request"): ("200", BODY_PROBLEMS, f"{REQUEST} revision"),
    ("GET", "/api/config/request"): ("200", "404", f"{REQUEST} revision"),
    ("GET", "/api/execute"): ("200", f"400 {EXECUTE_PROBLEMS}", RECORD),
    ("POST", "/api/execute"): ("200", f"{EXECUTE_PROBLEMS} {BODY_PROBLEMS}", RECORD),
    ("GET", "/api/pool/status"): ("200", "", "size available next exits"),
    ("GET", "/api/stats"): (
        "200",
        "",
        "uptime_seconds version agents pool executions by_status by_error latency_ms rate_per_second",
    ),
    ("GET", "/api/history"): ("200", "400 422", "items next"),
    ("GET", "/api/history/{id}"): ("200", "404", RECORD),
    ("GET", "/livez"): ("200", "", "status"),
    ("GET", "/readyz"): ("200", "503", "status"),
    ("GET", "/ws/monitor"): ("101", "", ""),
}
"""The contract's table: success, problems that it names or implies, and the members of the answer."""

OWN = [("GET", "/api/openapi.json"), ("GET", "/dispatcher.pyz"), ("GET", "/metrics")]
"""What is served beside the contract's table."""

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

MEMBERS = {
    "Agent": "agent_id hostname version state connected_at addresses in_flight completed failed unknown",
    "Address": "address state reason",
    "Exit": "agent_id address state reason in_flight leased completed failed unknown last_used_at",
    "NextExit": "agent_id address",
    "ExecutionCount": "total completed failed unknown in_flight",
    "AgentCount": "registered connected draining lost",
    "PoolCount": "size available",
    "Latency": "p50 p90 p99 max",
    "Record": RECORD,
    "RecordRequest": "method url headers",
    "Response": "status reason http_version remote_ip headers body",
    "Body": "encoding data size truncated",
    "Timings": "queued dns connect tls send wait receive total",
    "Error": "kind detail attributed_to",
    "Problem": "type title status detail errors execution",
    "FieldError": "pointer detail",
    "Request": REQUEST,
    "Register": "agent_id hostname version addresses",
}
"""The contract's objects within the answers, and what is sent."""

CHOICES = {
    ("Record", "outcome"): "completed failed unknown",
    ("Body", "encoding"): "utf-8 base64",
    ("Agent", "state"): "registered connected draining lost",
    ("Request", "http_version"): "auto 1.1 2 3",
    ("Error", "attributed_to"): "target resolver agent coordinator",
    ("Error", "kind"): (
        "source_address source_mismatch target_has_no_ipv6 dns connect tls timeout reset http_protocol blocked_target "
        "no_exit overloaded agent_lost agent_timeout invalid_result internal"
    ),
}

FILTERS = "limit cursor agent_id source_ip outcome status error since until"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.describe(REST_ROUTES, "1.2.3")


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert "3.1.0" == document["openapi"]
    OpenAPIV31SpecValidator(document).validate()


def test_the_coordinator_serves_it(shared: Served) -> None:
    found = shared.call("GET", "/api/openapi.json").json
    assert set(found["paths"]) == {path for _, path in (*CONTRACT, *OWN)}


@pytest.mark.parametrize(("method", "path"), CONTRACT)
def test_every_route_of_the_contract_is_in_it_with_its_statuses_and_members(
    document: dict[str, Any], method: str, path: str
) -> None:
    success, problems, members = CONTRACT[method, path]
    responses = document["paths"][path][method.lower()]["responses"]
    assert {success, *problems.split()} <= set(responses)
    assert [success] == [status for status in responses if status < "300"]
    if members:
        reference = responses[success]["content"]["application/json"]["schema"]["$ref"]
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        assert set(members.split()) == set(schema["properties"])
        assert schema["properties"].keys() >= set(schema.get("required", []))
    else:
        assert "content" not in responses[success]


def test_nothing_is_in_it_that_the_contract_does_not_name(document: dict[str, Any]) -> None:
    described = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs}
    gets = {path for verb, path in (*CONTRACT, *OWN) if verb == "GET"} - {"/api/execute", "/ws/monitor"}
    assert {*CONTRACT, *OWN, *(("HEAD", path) for path in gets)} == described


def test_head_is_described_like_get_without_a_body(document: dict[str, Any]) -> None:
    for verbs in document["paths"].values():
        if "head" in verbs:
            assert list(verbs["get"]["responses"]) == list(verbs["head"]["responses"])
            assert verbs["get"].get("parameters") == verbs["head"].get("parameters")
            assert [] == [each for each in verbs["head"]["responses"].values() if "content" in each]


def test_the_file_is_in_it_as_bytes(document: dict[str, Any]) -> None:
    responses = document["paths"]["/dispatcher.pyz"]["get"]["responses"]
    assert ["200", "304", "401", "403", "404", "421"] == sorted(responses)
    assert {"application/octet-stream": {}} == responses["200"]["content"]
    assert "content" not in responses["304"]


@pytest.mark.parametrize("name", MEMBERS)
def test_every_object_of_the_contract_has_its_members(document: dict[str, Any], name: str) -> None:
    assert set(MEMBERS[name].split()) <= set(document["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize(("name", "member"), CHOICES)
def test_every_choice_of_the_contract_is_in_it(document: dict[str, Any], name: str, member: str) -> None:
    found = document["components"]["schemas"][name]["properties"][member]["enum"]
    assert set(CHOICES[name, member].split()) == set(found)


def test_history_has_its_parameters(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/history"]["get"]["parameters"]
    assert FILTERS.split() == [each["name"] for each in parameters]
    limit = next(each["schema"] for each in parameters if each["name"] == "limit")
    assert (1, 500, 50) == (limit["minimum"], limit["maximum"], limit["default"])


def test_every_problem_is_a_problem(document: dict[str, Any]) -> None:
    for path, verbs in document["paths"].items():
        success = {"/dispatcher.pyz": "application/octet-stream", "/metrics": PROMETHEUS}.get(path, "application/json")
        for verb, operation in verbs.items():
            for status, response in operation["responses"].items():
                expected = {"application/problem+json"} if status >= "400" else {success}
                if (verb, path, status) == ("post", "/api/execute", "200"):
                    expected.add("application/x-ndjson")
                if verb != "head":
                    assert set(response.get("content", expected)) == expected
                assert response["description"]


def test_patterns_mean_the_same_to_every_reader(document: dict[str, Any]) -> None:
    # `\\Z` is Python's alone.
    assert "\\\\Z" not in str(document)
    agent_id = document["components"]["schemas"]["Register"]["properties"]["agent_id"]
    assert "^(?!register$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" == agent_id["pattern"]


def test_every_verb_that_a_handler_has_is_described_and_the_other_way_round() -> None:
    for _, handler in REST_ROUTES:
        own = {verb for verb in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS") if _has(handler, verb)}
        assert own == set(handler.operations)


def _has(handler: type[BaseHandler], verb: str) -> bool:
    return getattr(handler, verb.lower()) is not getattr(BaseHandler, verb.lower())
