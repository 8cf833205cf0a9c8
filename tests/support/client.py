"""A user of the REST API: blocking calls, each on a connection of its own, and as many at once as a test likes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.processes import eventually

CALL_SECONDS = 90.0
"""How long a call may take; every execution of the tests ends before."""

MAX_THREADS = 64
"""How many calls are under way at once; the others wait for their turn."""


@dataclass(frozen=True)
class Answer:
    """What an endpoint answered, and when it was asked and had answered (`time.monotonic()`)."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes
    begun_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_at - self.begun_at

    @property
    def json(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.content)

    @property
    def record(self) -> dict[str, Any]:
        """The execution's record, from a success and from a problem alike."""
        content = self.json
        record: dict[str, Any] = content if self.status == 200 else content["execution"]
        return record

    @property
    def echo(self) -> dict[str, Any]:
        """What the echo target saw."""
        assert self.status == 200, self.json
        seen: dict[str, Any] = json.loads(self.record["response"]["body"]["data"])
        return seen

    @property
    def failure(self) -> tuple[int, str, str, str]:
        """Status, outcome, kind and attribution of an execution that has no response."""
        record = self.record
        return self.status, record["outcome"], record["error"]["kind"], record["error"]["attributed_to"]


class Client:
    """Talks to the coordinator at `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.headers: dict[str, str] = {}
        self._place = parts.hostname or "", parts.port or 80
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="client")

    def close(self) -> None:
        """Wait for the calls that are under way."""
        self._threads.shutdown(cancel_futures=True)

    def call(self, method: str, path: str, content: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Call an endpoint."""
        begun_at = time.monotonic()
        connection = http.client.HTTPConnection(*self._place, timeout=CALL_SECONDS)
        own = {} if content is None else {"Content-Type": "application/json"}
        lines = self.headers | own | dict(headers or {})
        try:
            connection.request(method, path, None if content is None else json.dumps(content), lines)
            response = connection.getresponse()
            content_read = response.read()
            return Answer(response.status, response.headers, content_read, begun_at, time.monotonic())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Get what an endpoint tells, which must succeed."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer.content
        return answer.json

    def configure(self, url: str, **fields: Any) -> Any:
        """Configure the request, and return what was stored."""
        answer = self.call("POST", "/api/config/request", {"url": url, **fields})
        assert answer.status == 200, answer.content
        return answer.json

    def execute(self, **overrides: Any) -> Answer:
        """Execute the configured request, with other fields for this time if there are any."""
        return self.call("POST", "/api/execute", overrides) if overrides else self.call("GET", "/api/execute")

    def begin(self, **overrides: Any) -> Future[Answer]:
        """Execute in a thread."""
        return self._threads.submit(self.execute, **overrides)

    def pool(self) -> dict[str, dict[str, Any]]:
        """The exits by address."""
        return {known["address"]: known for known in self.get("/api/pool/status")["exits"]}

    def available(self) -> int:
        """How many exits can be leased."""
        available: int = self.get("/api/pool/status")["available"]
        return available

    def agents(self) -> dict[str, dict[str, Any]]:
        """The agents by id."""
        return {agent["agent_id"]: agent for agent in self.get("/api/agents")["agents"]}

    def wait_for_exits(self, count: int, *, seconds: float = 30.0) -> float:
        """Wait until so many exits can be leased; return the seconds that it took."""
        return eventually(lambda: self.available() == count, f"{count} exits", seconds=seconds)

    def wait_for_agent(self, agent_id: str, state: str, *, seconds: float = 30.0) -> float:
        """Wait until an agent is in a state; return the seconds that it took."""
        return eventually(lambda: self._state(agent_id) == state, f"{agent_id} {state}", seconds=seconds)

    def _state(self, agent_id: str) -> str | None:
        state: str | None = self.agents().get(agent_id, {}).get("state")
        return state

    def history(self) -> list[dict[str, Any]]:
        """All records, oldest first."""
        found: list[dict[str, Any]] = []
        path = "/api/history?limit=500"
        while True:
            page = self.get(path)
            found += page["items"]
            if page["next"] is None:
                return found[::-1]
            path = f"/api/history?limit=500&cursor={page['next']}"
