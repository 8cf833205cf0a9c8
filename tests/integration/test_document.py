"""The REST API against its own OpenAPI document: what the document allows is served, what it forbids is refused."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from tests.support.cluster import Cluster, running_cluster
from tests.support.scripted_agent import scripted_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import APIOperation, Case

EXAMPLES = 15
"""Requests for each operation and mode, the same on every run."""

OPERATIONS = [
    "POST /api/agents/register",
    "GET /api/agents",
    "DELETE /api/agents/{agent_id}",
    "POST /api/config/request",
    "GET /api/config/request",
    "GET /api/execute",
    "POST /api/execute",
    "GET /api/pool/status",
    "GET /api/stats",
    "GET /api/history",
    "GET /api/history/{id}",
    "GET /livez",
    "GET /readyz",
]

REFUSING = ["POST /api/agents/register", "POST /api/config/request", "POST /api/execute", "GET /api/history"]
"""Those that can be asked for something that the document forbids: a string in a path may be anything."""

ELSEWHERE = {"GET /api/openapi.json", "GET /dispatcher.pyz", "GET /metrics", "GET /ws/monitor"}
"""What takes nothing and answers with no JSON of the API; `tests/unit/web` asks for each, and for every HEAD."""


class Agent(threading.Thread):
    """A scripted agent on a loop of its own, which says 200 to everything."""

    def __init__(self, url: str) -> None:
        super().__init__(name="agent")
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self.is_up = threading.Event()

    def run(self) -> None:
        """Run the agent until it is stopped."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with scripted_agent(self._url):
            self.is_up.set()
            await self._ending.wait()

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join(20)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, private_network: None) -> Iterator[Any]:
    """A coordinator with an agent, and what its document says."""
    with running_cluster(tmp_path_factory.mktemp("document")) as cluster:
        cluster.coordinator().expect("gone")
        cluster.client.configure("http://[2001:db8::80]/")
        agent = Agent(cluster.url)
        agent.start()
        assert agent.is_up.wait(20)
        yield Api(cluster)
        agent.stop()


def sensible(case: Case) -> Case:
    """Take out of a valid request what JSON Schema cannot say: 1.0 is no whole number, a pair begins with a name,
    and some fields go with certain others only.
    """
    case.headers.pop("Idempotency-Key", None)  # a key counts for one request, and the next may not be the same
    case.query.pop("cursor", None)  # only a page of history makes one
    if isinstance(case.body, dict):
        case.body = {name: whole(value) for name, value in case.body.items()}
        if case.body.get("retries"):
            case.body["method"] = "GET"
        if isinstance(case.body.get("headers"), list):
            case.body["headers"] = [["X-Name", value] for _, value in case.body["headers"]]
        batch(case.body)
        if case.body.get("body") is not None:
            case.body.pop("body_base64", None)
        if str(case.body.get("url", "")).startswith("http:") and case.body.get("http_version") == "3":
            case.body["http_version"] = "2"
    return case


def batch(body: dict[str, Any]) -> None:
    """Leave of a batch what goes together, and few executions of it."""
    if "count" in body:
        body["count"] = body["count"] % 20 + 1
        body.pop("requests", None)
    if "requests" in body:
        body["requests"] = [{} for _ in body["requests"]]
        body.pop("http_version", None)  # it goes with the URL of each
    elif "count" not in body:
        body.pop("concurrency", None)


def whole(value: Any) -> Any:
    """Write a number without a fraction as JSON writes a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Api:
    """The operations of the document, and a caller."""

    def __init__(self, cluster: Cluster) -> None:
        self.schema = schemathesis.openapi.from_dict(cluster.client.get("/api/openapi.json"))
        self._url = cluster.url
        self._session = requests.Session()
        self._session.trust_env = False  # the proxies of this machine are none of its

    def operation(self, label: str) -> APIOperation:
        """Return an operation by its verb and path."""
        verb, _, path = label.partition(" ")
        return self.schema[path][verb]

    def call(self, case: Case) -> None:
        """Send a request, and hold the answer to the document."""
        response = case.call(base_url=self._url, session=self._session)
        assert response.status_code != 500
        case.validate_response(response, excluded_checks=[schemathesis.checks.not_a_server_error])


def test_every_operation_of_the_document_is_asked(api: Api) -> None:
    described = {result.ok().label for result in api.schema.get_all_operations()}
    assert {*OPERATIONS, *ELSEWHERE} == {label for label in described if not label.startswith("HEAD ")}


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, GenerationMode.POSITIVE) for label in OPERATIONS]
    + [(label, GenerationMode.NEGATIVE) for label in REFUSING],
)
def test_an_operation_does_what_the_document_says(api: Api, label: str, mode: GenerationMode) -> None:
    @given(case=api.operation(label).as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        api.call(sensible(case) if mode is GenerationMode.POSITIVE else case)

    ask()
