"""The nine promises, by name. Each class tries to break one of them from outside, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tornado.websocket import websocket_connect

from dispatcher.errors import FailureKind, Party
from dispatcher.wire import limits
from tests.integration.conftest import SOURCES, TARGET
from tests.support import netns
from tests.support.cluster import Cluster, serving, wait_for_requests
from tests.support.processes import Process, eventually
from tests.support.scripted_agent import answers_from_another_source, answers_twice, never_answers, ok, scripted_agent
from tests.support.targets import Refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from dispatcher.wire.messages import Execute
    from tests.support.client import Answer, Client
    from tests.support.targets import Echo

TIMEOUT = 60.0


def fleet(cluster: Cluster, *, exits: int = 8, options: tuple[str, ...] = ()) -> Client:
    """Start a coordinator and two agents with `exits` exits together."""
    cluster.coordinator(*options)
    cluster.agent("agent-01", SOURCES[: exits // 2])
    cluster.agent("agent-02", SOURCES[exits // 2 : exits])
    cluster.client.wait_for_exits(exits)
    return cluster.client


def together(calls: Callable[[], Any], count: int) -> list[Answer]:
    """Begin so many calls, and wait for all."""
    return [begun.result() for begun in [calls() for _ in range(count)]]


def bounded(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


_BINDS_ELSEWHERE = """
import sys
from dispatcher.agent import curl_options
bind = curl_options.interface
curl_options.interface = lambda source: bind(%r)
from dispatcher.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Test1TheExitReportedIsTheExitUsed:
    def test_the_target_saw_what_the_record_says(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster)
        client.configure(target.url())
        answers = together(client.begin, 64)
        assert [answer.echo["peer"] for answer in answers] == [answer.record["source_ip"] for answer in answers]

    def test_an_agent_that_binds_elsewhere_fails_and_reaches_no_target(self, cluster: Cluster, target: Echo) -> None:
        cluster.coordinator()
        arguments = ["agent", "--coordinator-url", cluster.url, "--agent-id", "agent-01", "--address", SOURCES[0]]
        cluster.processes.append(Process("agent-01", [sys.executable, "-c", _BINDS_ELSEWHERE % SOURCES[1], *arguments]))
        client = cluster.client
        client.wait_for_exits(1)
        client.configure(target.url())
        answer = client.execute()
        assert (502, "failed", "source_mismatch", "agent") == answer.failure
        place = f"[{TARGET}]:{target.port}"
        expected = f"the connection to {place} left from {SOURCES[1]}, not from {SOURCES[0]}"
        assert expected == answer.record["error"]["detail"]
        assert [] == target.requests

    def test_an_agent_that_admits_another_source_fails(self, cluster: Cluster) -> None:
        cluster.coordinator()
        client = cluster.client
        client.configure("http://[2001:db8::80]/")

        async def test() -> None:
            async with scripted_agent(cluster.url, SOURCES[:1], answer=answers_from_another_source):
                answer = await asyncio.wrap_future(client.begin())
            assert (502, "failed", "source_mismatch", "agent") == answer.failure

        cluster.processes[0].expect("gone")
        bounded(test())


class Test2RoundRobinIsExact:
    def test_any_n_leases_in_a_row_are_n_different_exits(self, cluster: Cluster, target: Echo) -> None:
        exits = 7
        cluster.coordinator()
        cluster.agent("agent-01", SOURCES[:3])
        cluster.agent("agent-02", SOURCES[3:exits])
        client = cluster.client
        client.wait_for_exits(exits)
        client.configure(target.url())
        together(client.begin, 5 * exits)
        for _ in range(exits + 3):
            client.execute()
        together(client.begin, 64)
        leased = [record["source_ip"] for record in sorted(client.history(), key=lambda record: record["id"])]
        assert 5 * exits + exits + 3 + 64 == len(leased)
        for start in range(len(leased) - exits + 1):
            assert exits == len(set(leased[start : start + exits]))

    def test_a_failure_takes_its_turn_like_a_success(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster, exits=4)
        with serving(Refusing(TARGET)) as refusing:
            client.configure(refusing.url())
            failed = [client.execute().record["source_ip"] for _ in range(4)]
        assert sorted(SOURCES[:4]) == sorted(failed)
        assert failed == [client.execute(url=target.url()).echo["peer"] for _ in range(4)]


class Test3AReplyImpliesARecord:
    def test_each_reply_is_in_the_history_after_a_kill_right_behind_it(self, cluster: Cluster, target: Echo) -> None:
        coordinator = cluster.coordinator()
        agent = cluster.agent("agent-01", SOURCES[:2], "--reconnect-max", "0.2")
        agent.expect("WARNING")
        cluster.client.configure(target.url())
        replied: list[dict[str, Any]] = []
        for _ in range(4):
            cluster.client.wait_for_exits(2)
            replied.append(cluster.client.execute().record)
            os.kill(coordinator.pid, signal.SIGKILL)
            coordinator.wait()
            coordinator = cluster.coordinator(port=cluster.port)
            assert replied == cluster.client.history()

    def test_a_failure_is_recorded_like_a_success(self, cluster: Cluster) -> None:
        coordinator = cluster.coordinator()
        cluster.client.configure("http://[2001:db8::80]/")
        record = cluster.client.execute().record
        coordinator.kill()
        cluster.coordinator()
        assert [record] == cluster.client.history()


class Test4EveryExecutionEndsOnceInTime:
    def test_executions_of_an_agent_that_is_frozen_end_within_timeout_and_grace(
        self, cluster: Cluster, target: Echo
    ) -> None:
        cluster.coordinator("--grace", "1")
        agent = cluster.agent("agent-01", SOURCES[:2])
        client = cluster.client
        client.wait_for_exits(2)
        client.configure(target.url(), timeout=1)
        agent.signal(signal.SIGSTOP)
        try:
            answers = together(client.begin, 8)
        finally:
            agent.signal(signal.SIGCONT)
        assert [(504, "unknown", "agent_timeout", "agent")] * 8 == [answer.failure for answer in answers]
        assert 2 <= min(answer.seconds for answer in answers)
        assert max(answer.seconds for answer in answers) < 9  # before its silence is noticed
        eventually(lambda: client.execute().status == 200, "the agent's return")
        records = client.history()
        assert len(records) == len({record["id"] for record in records})
        assert 8 == sum(record["outcome"] == "unknown" for record in records)

    def test_a_second_result_for_an_execution_counts_for_nothing(self, cluster: Cluster) -> None:
        cluster.coordinator()
        cluster.processes[0].expect("gone")
        client = cluster.client
        client.configure("http://[2001:db8::80]/")

        async def test() -> None:
            async with scripted_agent(cluster.url, SOURCES[:1], answer=answers_twice):
                for _ in range(3):
                    answer = await asyncio.wrap_future(client.begin())
                    assert 200 == answer.record["response"]["status"]

        bounded(test())
        assert {"200": 3} == client.get("/api/stats")["by_status"]

    def test_a_result_that_comes_after_the_end_changes_nothing(self, cluster: Cluster) -> None:
        cluster.coordinator("--grace", "0")
        cluster.processes[0].expect("gone")
        client = cluster.client
        client.configure("http://[2001:db8::80]/", timeout=0.5)

        taken: list[Execute] = []

        async def test() -> None:
            async with scripted_agent(
                cluster.url, SOURCES[:1], answer=lambda _, execute: taken.append(execute)
            ) as agent:
                answer = await asyncio.wrap_future(client.begin())
                assert (504, "unknown", "agent_timeout", "agent") == answer.failure
                agent.send(ok(taken[0]))
                await agent.drain()  # answered behind the result
                assert [answer.record] == client.history()

        bounded(test())
        assert {"unknown": 1, "completed": 0} == {
            outcome: client.get("/api/stats")["executions"][outcome] for outcome in ("unknown", "completed")
        }


class Test5AtMostOnce:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_target_that_drops_kept_connections_sees_nothing_twice(
        self, cluster: Cluster, target: Echo, method: str
    ) -> None:
        client = fleet(cluster, exits=2)
        client.configure(target.url(), method=method)
        for number in range(10):
            client.execute()
            dropped = client.execute(url=target.url(f"/fault/reset?{number}"))
            assert (502, "failed", "reset", "target") == dropped.failure
        seen = Counter(request.target for request in target.requests)
        assert 10 == seen.pop("/")
        assert {f"/fault/reset?{number}": 1 for number in range(10)} == seen

    def test_nothing_is_sent_again_when_an_agent_is_lost(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster)
        client.configure(target.url("/fault/hang"), timeout=TIMEOUT)
        begun = [client.begin(url=target.url(f"/fault/hang?{number}")) for number in range(4)]
        wait_for_requests(target, 4)
        assert set(SOURCES[:4]) == {request.peer for request in target.requests}
        cluster.processes[0].expect("agent agent-01 gone")
        cluster.processes[1].kill()
        assert [(502, "unknown", "agent_lost", "agent")] * 4 == [each.result().failure for each in begun]
        assert 200 == client.execute(url=target.url()).status
        assert {1} == set(Counter(request.target for request in target.requests).values())


class Test6NothingIsUnbounded:
    def test_history_keeps_no_more_than_it_may(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster, options=("--history-max-records", "20"))
        client.configure(target.url())
        answers = together(client.begin, 128)
        eventually(lambda: len(client.history()) <= 30, "the end of old records")
        assert 128 == client.get("/api/stats")["executions"]["total"]
        newest = max(answer.record["id"] for answer in answers)
        assert newest in {record["id"] for record in client.history()}

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
        slow = "import asyncio, sys, time\n" + _STALLS
        place = ["--host", "127.0.0.1", "--port", "0", "--state-dir", str(cluster.state_dir / "other")]
        stalling = Process("stalling", [sys.executable, "-c", slow, "coordinator", "--stall-warning", "0.05", *place])
        said = stalling.wait_for_line("the event loop was held for")
        assert [said] == stalling.alarms()
        assert 0 == stalling.end()


_STALLS = """
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
from dispatcher.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Test8ErrorsSayWhatHappened:
    @pytest.fixture
    def names(self) -> Iterator[None]:
        netns.set_hosts({"v4only.test": ["192.0.2.1"]})
        yield
        netns.set_hosts({})

    @pytest.mark.usefixtures("names")
    def test_every_failure_names_its_kind_its_culprit_and_what_happened(self, cluster: Cluster, target: Echo) -> None:
        client = fleet(cluster)
        client.configure(target.url(), timeout=1)
        expected = {
            "http://v4only.test/": ("target_has_no_ipv6", "target", "v4only.test"),
            "http://nowhere.test/": ("dns", "resolver", "nowhere.test"),
            "http://[2001:db8:dead::1]/": ("connect", "agent", "Network is unreachable"),
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
            assert FailureKind(kind).http_status == answer.status
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
            while not all(any(answer.record["id"] in str(each) for each in heard) for answer in answers):
                heard.append(await monitor.read_message())
            monitor.close()
            for shown in (*heard, *(answer.content for answer in answers)):
                assert SECRET not in (shown if isinstance(shown, str) else bytes(shown or b"").decode())

        bounded(test())
        assert SECRET in str(target.requests[0].headers)
        history = json.dumps(client.history())
        assert "[redacted]" in history
        assert SECRET not in history
        for process in cluster.processes:
            assert SECRET not in process.everything()
        kept = [path for path in cluster.state_dir.iterdir() if path.name.startswith("history")]
        assert kept
        for path in kept:
            assert SECRET.encode() not in path.read_bytes()
