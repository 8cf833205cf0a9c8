"""The last four of the nine promises, by name: what holds for the system as a whole. See `test_promises.py`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tornado.websocket import websocket_connect

from dispatcher.errors import FailureKind, Party
from dispatcher.wire import limits
from tests.integration.conftest import SOURCES
from tests.support import altered
from tests.support.cluster import Cluster
from tests.support.dns_server import answering
from tests.support.processes import Process, eventually
from tests.support.scripted_agent import never_answers, scripted_agent
from tests.support.stalls import LIMIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.targets import Echo

from tests.integration.fleets import bounded, fleet, together

_STATUSES = {str(kind): kind.http_status for kind in FailureKind}


class Test6NothingIsUnbounded:
    def test_history_keeps_no_more_than_it_may(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster, options=("--history-max-records", "20"))
        client.configure(target.url())
        together(client.begin, 128)
        newest = [client.execute().record["id"] for _ in range(20)]
        eventually(lambda: len(client.history()) == 20, "the end of old records")
        assert newest == [record["id"] for record in client.history()]
        assert 148 == client.get("/api/stats")["executions"]["total"]

    @pytest.mark.parametrize("size", [limits.MAX_FRAME_BYTES + 1, 64 * 1024 * 1024])
    def test_a_frame_that_is_too_large_ends_its_link_and_no_other(
        self, cluster: Cluster, target: Echo, size: int
    ) -> None:
        client = fleet(cluster)
        client.configure(target.url())
        cluster.processes[0].expect("agent-03", "refused an agent's link")

        async def test() -> None:
            async with scripted_agent(cluster.url, (), agent_id="agent-03", answer=never_answers) as agent:
                agent.send_raw(bytes(size))
                await agent.closed()

        bounded(test())
        client.wait_for_agent("agent-03", "lost")
        assert {200} == {answer.status for answer in together(client.begin, 16)}

    def test_no_more_agents_are_known_than_may_be(self, cluster: Cluster) -> None:
        cluster.coordinator("--max-agents", "2")
        for number in (1, 2):
            assert 201 == cluster.client.call("POST", "/api/agents/register", {"agent_id": f"a{number}"}).status
        refused = cluster.client.call("POST", "/api/agents/register", {"agent_id": "a3"})
        assert 503 == refused.status
        assert "2 agents are known, as many as this coordinator takes" == refused.json["detail"]

    def test_a_body_without_end_is_cut_and_a_header_without_end_is_refused(
        self, cluster: Cluster, target: Echo
    ) -> None:
        client = fleet(cluster)
        client.configure(target.url(), max_body_bytes=1000)
        assert client.execute(url=target.url("/bytes/100000000")).record["response"]["body"]["truncated"]
        assert (502, "failed", "http_protocol", "target") == client.execute(
            url=target.url("/fault/long-header")
        ).failure


class Test7TheEventLoopIsNeverBlocked:
    def test_no_stall_of_50_ms_beside_large_bodies_and_large_pages(self, cluster: Cluster, target: Echo) -> None:
        """The cluster itself fails the test for a stall of the coordinator or an agent with that much work in it."""
        client = fleet(cluster, options=("--history-body-bytes", "65536"))
        client.configure(target.url("/bytes/60000"), max_body_bytes=50_000_000)
        together(client.begin, 256)
        large = [client.begin(url=target.url("/bytes/50000000")) for _ in range(2)]
        text = client.begin(url=target.url("/status/200"), method="POST", body="\u2603" * 1_000_000)
        pages = [client.call("GET", "/api/history?limit=500") for _ in range(3)]
        stats = [client.call("GET", "/api/stats") for _ in range(20)]
        assert {200} == {answer.status for answer in (*together(client.begin, 128), *pages, *stats)}
        assert {200} == {begun.result().status for begun in (*large, text)}

    def test_a_stall_is_noticed(self, cluster: Cluster) -> None:
        """So that the silence of the other tests means something."""
        cluster.coordinator()
        place = ["--host", "127.0.0.1", "--port", "0", "--state-dir", str(cluster.state_dir / "other")]
        command = [*altered.command(f"code={_STALLS}"), "coordinator", "--stall-warning", "0.05", *place]
        stalling = Process("stalling", command)
        stalling.wait_for_line("the event loop was held for")
        (held,) = stalling.stalls()
        assert held > LIMIT_SECONDS
        assert 0 == stalling.end()


_STALLS = """
import asyncio, time
from dispatcher import logs
announce = logs.announce
def announce_and_stall(line):
    announce(line)
    asyncio.get_running_loop().call_later(0.5, work)
def work():
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
logs.announce = announce_and_stall
"""


class Test8ErrorsSayWhatHappened:
    @pytest.fixture
    def names(self) -> Iterator[None]:
        with answering({"v4only.test": [("192.0.2.1",)]}):
            yield

    @pytest.mark.usefixtures("names")
    def test_every_failure_names_its_kind_its_culprit_and_what_happened(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster)
        client.configure(target.url(), timeout=1)
        expected = {
            "http://v4only.test/": ("target_has_no_ipv6", "target", "v4only.test"),
            "http://nowhere.test/": ("dns", "resolver", "nowhere.test"),
            "http://[2001:db8:dead::1]/": ("connect", "agent", "unreachable (ENETUNREACH)"),
            target.url("/fault/reset"): ("reset", "target", "ended the connection"),
            target.url("/fault/invalid"): ("http_protocol", "target", "did not answer in valid HTTP"),
            target.url("/fault/hang"): ("timeout", "target", "phase wait"),
            target.url().replace("http:", "https:"): ("timeout", "target", "phase tls"),
        }
        for url, (kind, party, words) in expected.items():
            answer = client.execute(url=url)
            error = answer.record["error"]
            assert (kind, party) == (error["kind"], error["attributed_to"])
            assert words in error["detail"]
            assert _STATUSES[kind] == answer.status
        assert {kind: 1 for kind, _, _ in expected.values()} | {"timeout": 2} == client.get("/api/stats")["by_error"]

    def test_details_are_one_sentence_in_plain_words(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster)
        client.configure(target.url(), timeout=1)
        for fault in ("hang", "reset", "invalid", "close-early", "huge-headers", "corrupt-gzip"):
            error = client.execute(url=target.url(f"/fault/{fault}")).record["error"]
            assert 20 < len(error["detail"]) < 400
            assert "\n" not in error["detail"]
            assert "Traceback" not in error["detail"]
            assert error["attributed_to"] in list(Party)


SECRET = "correct-horse-battery-staple"


class Test9SecretsStayOut:
    def test_secrets_are_in_no_record_no_log_and_no_monitor(self, cluster: Cluster, target: Echo) -> None:
        cluster.coordinator("--log-level", "DEBUG", "--redact-header", "X-Tenant")
        cluster.agent("agent-01", SOURCES[:2], "--log-level", "DEBUG")
        client = cluster.client
        client.wait_for_exits(2)
        program = cluster.start("monitor", "monitor", "--coordinator-url", cluster.url, "--json")
        secret_url = target.url("/status/204").replace("http://", f"http://user:{SECRET}@")
        names = ("Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "x-tenant")
        client.configure(secret_url, headers=[[name, f"Bearer {SECRET}"] for name in names])

        async def test() -> None:
            monitor = await websocket_connect(f"{cluster.url.replace('http', 'ws')}/ws/monitor")
            heard = [await monitor.read_message()]
            answers = [await asyncio.wrap_future(client.begin()) for _ in range(3)]
            answers.append(
                await asyncio.wrap_future(client.begin(url=secret_url.replace("/status/204", "/fault/reset")))
            )
            answers.append(await asyncio.wrap_future(client.begin(url=f"http://user:{SECRET}@nowhere.test/")))
            answers.append(await asyncio.wrap_future(client.begin(url=target.url("/cookie-back"))))
            assert [["Set-Cookie", "[redacted]"]] == answers[-1].record["response"]["headers"][:1]
            while not all(any(answer.record["id"] in str(each) for each in heard) for answer in answers):
                heard.append(await monitor.read_message())
            monitor.close()
            for shown in (*heard, *(answer.content for answer in answers)):
                assert SECRET not in (shown if isinstance(shown, str) else bytes(shown or b"").decode())

        bounded(test())
        assert SECRET in str(target.requests[0].headers)
        program.wait_for_line(str(client.history()[0]["id"]))
        assert 0 == program.end()
        history = json.dumps(client.history())
        assert "[redacted]" in history
        assert SECRET not in history
        for process in cluster.processes:
            assert SECRET not in process.everything()
        kept = [path for path in cluster.state_dir.iterdir() if path.name.startswith("history")]
        assert kept
        for path in kept:
            assert SECRET.encode() not in path.read_bytes()
