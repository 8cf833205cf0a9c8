"""The first five of the nine promises, by name: what holds for each execution. See `test_promises_of_the_system.py`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support import altered
from tests.support.cluster import Cluster, serving, wait_for_requests
from tests.support.processes import Process, eventually
from tests.support.scripted_agent import answers_from_another_source, answers_twice, ok, scripted_agent
from tests.support.targets import Refusing

if TYPE_CHECKING:
    from dispatcher.wire.messages import Execute
    from tests.support.targets import Echo

from tests.integration.fleets import bounded, fleet, together

TIMEOUT = 60.0


_BINDS_ELSEWHERE = """
import pycurl
class Elsewhere(pycurl.Curl):
    def setopt(self, option, value):
        super().setopt(option, "host!%s" if option == pycurl.INTERFACE else value)
pycurl.Curl = Elsewhere
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
        arguments += ["--allow-target", TARGET]
        command = altered.command(f"code={_BINDS_ELSEWHERE % SOURCES[1]}")
        cluster.processes.append(Process("agent-01", [*command, *arguments]))
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
