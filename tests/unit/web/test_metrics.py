"""`/metrics`: its values move as executions happen, its names are as Prometheus wants them, its labels are few."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from dispatcher import __version__
from dispatcher.errors import FailureKind
from dispatcher.wire.messages import AddressState, Execute, Result
from tests.support.api import Served, served
from tests.support.broken_store import unwritable_history
from tests.support.scripted_agent import WAIT, ScriptedAgent, ok
from tests.unit.loops import turns

PATH = "/metrics"

LABELS = {"outcome", "error", "phase", "state", "direction", "le", "version", "generation"}
OF_PYTHON = {"implementation", "major", "minor", "patchlevel"}
UNITS = ("_seconds", "_bytes", "_records", "_ratio")


def read(api: Served) -> dict[str, Metric]:
    """Return all metrics by name, read by Prometheus' own parser."""
    reply = api.call("GET", PATH)
    assert 200 == reply.status
    return {family.name: family for family in text_string_to_metric_families(reply.body.decode())}


def value(api: Served, sample: str, **labels: str) -> float:
    """Return the value of one sample."""
    found = [
        each.value
        for family in read(api).values()
        for each in family.samples
        if (each.name, each.labels) == (sample, labels)
    ]
    assert 1 == len(found), f"{sample} {labels} is there {len(found)} times"
    return found[0]


def fails(agent: ScriptedAgent, execute: Execute) -> None:
    agent.send(Result(id=execute.id, error_kind=FailureKind.DNS, error_detail="so it was"))


def answers_in_30_ms(agent: ScriptedAgent, execute: Execute) -> None:
    agent.send(ok(execute, timings={"connect": 2.0, "total": 30.0}))


def test_executions_count_by_outcome_and_kind_of_error_and_begin_at_nothing(api: Served) -> None:
    ended = "dispatcher_executions_total"
    assert 0.0 == value(api, ended, outcome="completed", error="")
    assert 0.0 == value(api, ended, outcome="failed", error="dns")
    agent = api.agent(answer=answers_in_30_ms)
    for _ in range(2):
        api.call("GET", "/api/execute")
    agent._answer = fails
    api.call("GET", "/api/execute")
    agent._answer = lambda agent, _: agent.hang_up()
    api.call("GET", "/api/execute")
    assert 2.0 == value(api, ended, outcome="completed", error="")
    assert 1.0 == value(api, ended, outcome="failed", error="dns")
    assert 1.0 == value(api, ended, outcome="unknown", error="agent_lost")


def test_phases_are_seconds_in_cumulative_buckets(api: Served) -> None:
    api.agent(answer=answers_in_30_ms)
    for _ in range(3):
        api.call("GET", "/api/execute")
    name = "dispatcher_execution_phase_seconds"
    assert 0.0 == value(api, f"{name}_bucket", phase="total", le="0.025")
    assert [3.0, 3.0] == [value(api, f"{name}_bucket", phase="total", le=bound) for bound in ("0.05", "+Inf")]
    assert (3.0, 0.09) == (
        value(api, f"{name}_count", phase="total"),
        round(value(api, f"{name}_sum", phase="total"), 9),
    )
    assert [3.0, 0.0] == [value(api, f"{name}_count", phase=phase) for phase in ("connect", "tls")]


def test_exits_and_agents_are_counted_by_state(api: Served) -> None:
    agent = api.agent("2001:db8::1", "2001:db8::2")
    agent.report("2001:db8::3", state=AddressState.TENTATIVE)
    api.run(agent.flush())
    api.call("POST", "/api/agents/register", {"agent_id": "another"})
    api.call("GET", "/api/execute")
    assert [2.0, 1.0, 0.0] == [
        value(api, "dispatcher_exits", state=state) for state in ("preferred", "tentative", "aside")
    ]
    assert 2.0 == value(api, "dispatcher_exits_available")
    assert [1.0, 1.0] == [value(api, "dispatcher_agents", state=state) for state in ("connected", "registered")]


def test_what_is_in_flight_and_what_waits_shows_while_it_does(tmp_path: Path) -> None:
    with served(tmp_path, max_in_flight=1) as api:
        asked: list[Execute] = []
        agent = api.agent(answer=lambda _, execute: asked.append(execute))
        names = ("dispatcher_executions_in_flight", "dispatcher_executions_queued")

        async def test() -> tuple[list[bytes], bytes]:
            calls = [asyncio.create_task(api.call_async("GET", "/api/execute")) for _ in range(2)]
            async with asyncio.timeout(WAIT):
                while not (asked and api.running.services.executions.queued):
                    await turns()
            text = (await api.call_async("GET", PATH)).body
            agent._answer = lambda agent, execute: agent.send(ok(execute))
            agent.send(ok(asked[0]))
            return [(await call).body for call in calls], text

        _, text = api.run(test())
        assert [True, True] == [f"{name} 1.0\n".encode() in text for name in names]
        assert [0.0, 0.0] == [value(api, name) for name in names]


def test_commits_are_timed_and_failures_of_them_counted_while_the_store_is_broken(api: Served, tmp_path: Path) -> None:
    api.agent()
    api.call("GET", "/api/execute")
    assert 1.0 == value(api, "dispatcher_history_commit_seconds_count")
    assert 0.0 < value(api, "dispatcher_history_commit_seconds_sum") < 20.0
    with unwritable_history(tmp_path):
        assert 503 == api.call("GET", "/api/execute").status
        assert 1.0 == value(api, "dispatcher_history_commit_failures_total")
        assert 0.0 == value(api, "dispatcher_history_queue_records")
    assert 1.0 == value(api, "dispatcher_history_commit_seconds_count")


def test_the_link_is_counted_each_way(api: Served) -> None:
    api.agent()
    names = ("dispatcher_link_frames_total", "dispatcher_link_bytes_total")

    def traffic() -> list[float]:
        return [value(api, name, direction=direction) for name in names for direction in ("sent", "received")]

    before = traffic()
    assert api.call("GET", "/api/execute").status == 200
    grown = [now - then for now, then in zip(traffic(), before, strict=True)]
    assert [1.0, 1.0] == grown[:2]
    assert min(grown[2:]) > 100.0


def test_the_lag_of_the_loop_is_there_and_the_process_too(api: Served) -> None:
    api.running.services.meters.loop_lag.add(0.07)
    name = "dispatcher_event_loop_lag_seconds_bucket"
    assert [0.0, 1.0] == [value(api, name, le=bound) for bound in ("0.05", "0.1")]
    assert 1.0 == value(api, "dispatcher_build_info", version=__version__)
    assert value(api, "process_resident_memory_bytes") > 1e6
    assert value(api, "process_cpu_seconds_total") > 0.0


def test_names_are_as_prometheus_wants_them(api: Served) -> None:
    for name, family in read(api).items():
        assert re.fullmatch(r"(dispatcher|process|python)_[a-z0-9]+(_[a-z0-9]+)*", name)
        assert family.documentation
        if name.startswith("dispatcher_"):
            assert family.type in ("counter", "gauge", "histogram")
            assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_ms"))
            assert family.type != "histogram" or name.endswith(UNITS)


def test_the_readme_names_all_of_ours_and_no_others(api: Served) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    ours = {f"{name}_total" if family.type == "counter" else name for name, family in read(api).items()}
    assert {name for name in ours if name.startswith("dispatcher_")} == set(re.findall(r"`(dispatcher_\w+)", readme))


def test_no_label_names_an_address_a_url_or_an_agent(api: Served) -> None:
    api.agent("2001:db8::1", agent_id="gateway-7")
    api.configure("http://target.test/secret/path")
    api.call("GET", "/api/execute")
    samples = [sample for family in read(api).values() for sample in family.samples]
    assert set() == {label for sample in samples for label in sample.labels} - LABELS - OF_PYTHON
    for told in {told for sample in samples for told in sample.labels.values()}:
        assert not any(part in told for part in ("/", "gateway-7", "target.test", "secret"))
        assert not is_address(told)
    assert 300 > len(samples)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
