"""The executor's limits and its one promise: exactly one result for each execution, within its time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.agent.executor import Executor
from dispatcher.agent.targets.guard import TargetGuard
from dispatcher.agent.transfers.engine import Engine
from dispatcher.errors import FailureKind, Party
from dispatcher.wire.phases import PHASES
from tests.support.executing import (
    TEST_TARGETS,
    echoed,
    elapsed,
    executed,
    execution,
    executor,
    run,
    target_process,
    watched_loop,
)
from tests.support.stalls import judge
from tests.support.targets import Dripping, Echo, Hanging, Mute, Target, known_bytes

if TYPE_CHECKING:
    from dispatcher.agent.transfers.hop import Hop
    from dispatcher.wire.messages import Result


def test_a_result_says_what_was_answered_from_where_to_where() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            asked = execution(target.url("/cookies"), id="mine")
            result = await executed(made, asked)
        assert ("mine", 200, "OK", "1.1") == (result.id, result.status, result.reason, result.http_version)
        assert ("::1", "::1") == (result.source_ip, result.remote_ip)
        assert ("Set-Cookie", "a=1") == result.headers[0]
        assert (("set-cookie", "b=2"), ("X-Latin", "\xe9")) == result.headers[2:4]
        assert (None, "", None) == (result.error_kind, result.error_detail, result.error_party)

    run(test())


def test_timings_have_every_phase_and_add_up() -> None:
    async def test() -> Result:
        async with Echo() as target, executor() as made:
            return await executed(made, execution(target.url("/redirect/3"), follow_redirects=True))

    timings = run(test()).timings
    assert PHASES == tuple(timings)
    assert all(value >= 0 for value in timings.values())
    parts = sum(value for name, value in timings.items() if name != "total")
    assert timings["total"] >= timings["wait"] > 0
    assert parts == pytest.approx(timings["total"], abs=5)


def test_transfers_are_bounded_then_queued_in_order_then_refused() -> None:
    async def test() -> None:
        async with Hanging() as target, executor(max_concurrency=2, max_queue=2) as made:
            timeouts = (0.6, 0.6, 0.3, 0.3)  # so that the queued ones end before a slot is free
            running = [asyncio.create_task(executed(made, execution(target.url(), timeout=t))) for t in timeouts]
            await asyncio.sleep(0)
            began = time.monotonic()
            refused = await executed(made, execution(target.url(), timeout=0.5))
            assert elapsed(began) < 0.25
            assert FailureKind.OVERLOADED == refused.error_kind
            assert "the agent has 2 transfers and 2 waiting ones already" == refused.error_detail
            assert Party.AGENT == refused.error_party
            assert 4 == made.in_flight
            results = await asyncio.gather(*running)
            assert [FailureKind.TIMEOUT] * 4 == [result.error_kind for result in results]
            assert 2 == target.connections
            assert 0 == made.in_flight

    run(test())


def test_the_time_in_the_queue_counts() -> None:
    async def test() -> None:
        async with Hanging() as target, Echo() as echo, executor(max_concurrency=1) as made:
            first = asyncio.create_task(executed(made, execution(target.url(), timeout=0.3)))
            second = asyncio.create_task(executed(made, execution(echo.url(), timeout=0.2)))
            third = asyncio.create_task(executed(made, execution(echo.url(), timeout=5)))
            queued = await second
            assert "the time was up in phase queued, while waiting for a free slot at the agent" == queued.error_detail
            assert Party.AGENT == queued.error_party
            assert queued.timings["queued"] == pytest.approx(queued.timings["total"], abs=5)
            assert FailureKind.TIMEOUT == (await first).error_kind
            waited = await third
            assert 200 == waited.status
            assert waited.timings["queued"] > 200

    run(test())


@pytest.mark.parametrize(
    ("kind", "scheme", "body", "phase"),
    [
        (Hanging, "http", None, "wait"),
        (Dripping, "http", None, "receive"),
        (Mute, "https", None, "tls"),
        (Mute, "http", b"x" * 20_000_000, "send"),
    ],
)
def test_at_the_deadline_a_transfer_ends_and_its_phase_is_named(
    kind: type[Target], scheme: str, body: bytes | None, phase: str
) -> None:
    async def test() -> None:
        async with kind() as target, executor() as made:
            url = target.url().replace("http:", f"{scheme}:")
            began = time.monotonic()
            result = await executed(made, execution(url, method="POST", body=body, timeout=0.4))
            assert elapsed(began) < 0.6
            assert FailureKind.TIMEOUT == result.error_kind
            assert result.error_detail.startswith(f"the time was up in phase {phase}, while ")
            assert target.url().split("/")[2] in result.error_detail
            assert Party.TARGET == result.error_party
            assert result.timings[phase] > 250
            if kind is not Mute:  # which would not notice
                assert "::1" == await asyncio.wait_for(target.closings.get(), 5)

    run(test())


def test_no_time_left_is_a_timeout_and_nothing_is_sent() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            result = await executed(made, execution(target.url(), timeout=0))
            assert (FailureKind.TIMEOUT, Party.COORDINATOR) == (result.error_kind, result.error_party)
            assert "no time was left when the agent got the request" == result.error_detail
            assert [] == target.requests

    run(test())


def test_the_deadline_holds_over_redirects() -> None:
    async def test() -> None:
        async with Hanging() as slow, Echo() as target, executor() as made:
            url = target.url(f"/redirect-to?url={slow.url()}")
            result = await executed(made, execution(url, follow_redirects=True, timeout=0.4))
            assert FailureKind.TIMEOUT == result.error_kind
            assert "phase wait" in result.error_detail
            assert str(slow.port) in result.error_detail
            assert result.timings["total"] < 600

    run(test())


def test_what_is_cancelled_ends_without_a_result_and_frees_its_slot() -> None:
    async def test() -> None:
        async with Hanging() as target, Echo() as echo, executor(max_concurrency=1) as made:
            results: list[Result] = []
            for each in ("a", "b"):
                made.start(execution(target.url(), id=each, timeout=20), results.append)
            made.begin()
            await asyncio.wait_for(target.seen.wait(), 5)
            made.cancel("b")
            assert 1 == made.in_flight
            made.cancel("a")
            made.cancel("unknown")
            assert 0 == made.in_flight
            assert "::1" == await asyncio.wait_for(target.closings.get(), 5)
            assert 200 == (await executed(made, execution(echo.url(), id="a"))).status
            assert [] == results

    run(test())


@pytest.mark.parametrize("other", [{}, {"source": "::2"}, {"url": "http://[::1"}])
def test_each_start_has_one_result_whatever_becomes_of_it(other: dict[str, Any]) -> None:
    async def test() -> None:
        async with Echo() as target, executor(max_concurrency=1, max_queue=2) as made:
            results: list[Result] = []
            asked = [execution(**({"url": target.url(), "timeout": 1} | other)) for _ in range(5)]
            for each in asked:
                made.start(each, results.append)
                assert [] == results
            made.begin()
            assert await made.drain(5)
            made.start(execution(target.url(), id="late"), results.append)
            await asyncio.sleep(0)
            assert sorted([each.id for each in asked] + ["late"]) == sorted(result.id for result in results)
            assert FailureKind.OVERLOADED == results[-1].error_kind

    run(test())


def test_of_executions_that_end_together_one_may_cancel_the_others_and_start_another() -> None:
    async def test() -> None:
        async with Hanging() as slow, Echo() as target, executor() as made:
            ended: asyncio.Queue[Result] = asyncio.Queue()
            others = [f"slow{number}" for number in range(12)]

            def on_result(result: Result) -> None:
                ended.put_nowait(result)
                for other in others:
                    made.cancel(other)
                for other in others:
                    made.start(execution(target.url(), id=f"again {other}"), ended.put_nowait)

            for other in others:
                made.start(execution(slow.url(), id=other, timeout=0.2), on_result)
            made.begin()
            results = [await asyncio.wait_for(ended.get(), 5) for _ in range(1 + len(others))]
            assert FailureKind.TIMEOUT == results[0].error_kind
            assert {f"again {other}": 200 for other in others} == {each.id: each.status for each in results[1:]}
            assert 0 == made.in_flight

    run(test())


def test_a_refusal_is_told_though_nothing_else_ends() -> None:
    async def test() -> None:
        async with Hanging() as slow, executor() as made:
            told: asyncio.Queue[Result] = asyncio.Queue()
            for _ in range(2):
                made.start(execution(slow.url(), timeout=20, id="x"), told.put_nowait)
            made.begin()
            result = await asyncio.wait_for(told.get(), 5)
            assert ("x", FailureKind.INTERNAL) == (result.id, result.error_kind)
            assert (0, 1) == (told.qsize(), made.in_flight)
            await asyncio.wait_for(slow.seen.wait(), 5)  # nor is a connection left that nobody has taken yet

    run(test())


def test_a_caller_that_fails_on_a_result_does_not_hold_up_others(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            made.start(execution(target.url(), id="first"), lambda _: {}["nothing"])
            assert 200 == (await executed(made, execution(target.url()))).status
            assert await made.drain(5)

    run(test())
    assert ["the result of execution first could not be told"] == caplog.messages


def test_an_id_that_is_under_way_is_refused_and_the_first_goes_on() -> None:
    async def test() -> None:
        async with Hanging() as target, executor() as made:
            first = asyncio.create_task(executed(made, execution(target.url(), id="same", timeout=0.3)))
            await asyncio.wait_for(target.seen.wait(), 5)
            second = await executed(made, execution(target.url(), id="same"))
            assert FailureKind.INTERNAL == second.error_kind
            assert FailureKind.TIMEOUT == (await first).error_kind

    run(test())


def test_draining_takes_nothing_new_and_waits_for_the_rest() -> None:
    async def test() -> None:
        async with Hanging() as target, executor() as made:
            results: list[Result] = []
            made.start(execution(target.url(), timeout=0.5), results.append)
            made.begin()
            await asyncio.wait_for(target.seen.wait(), 5)
            assert not await made.drain(0.05)
            refused = await executed(made, execution(target.url()))
            assert FailureKind.OVERLOADED == refused.error_kind
            assert await made.drain(5)
            assert [FailureKind.TIMEOUT] == [result.error_kind for result in results]

    run(test())


def test_closing_cancels_what_has_no_result_yet() -> None:
    async def test() -> None:
        async with Hanging() as target:
            made = Executor(max_concurrency=1, guard=TargetGuard(allow=TEST_TARGETS))
            results: list[Result] = []
            for _ in range(2):
                made.start(execution(target.url(), timeout=20), results.append)
            made.begin()
            await asyncio.wait_for(target.seen.wait(), 5)
            made.close()
            await asyncio.sleep(0)
            assert [] == results
            assert 0 == made.in_flight

    run(test())


class BrokenEngine(Engine):
    """Fails where nobody expects it."""

    def start(self, hop: Hop, *_: Any, **__: Any) -> Any:
        raise KeyError(hop)


class BrokenExecutor(Executor):
    """Has an engine that fails."""

    engine_class = BrokenEngine


def test_a_fault_of_ours_is_one_failed_result_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with Echo() as target, executor(BrokenExecutor) as made:
            result = await executed(made, execution(target.url(), id="f1"))
            assert (FailureKind.INTERNAL, Party.AGENT) == (result.error_kind, result.error_party)
            assert 0 == made.in_flight

    run(test())
    assert ["execution f1 failed by a fault of the agent"] == [record.message for record in caplog.records]


def test_two_hundred_and_fifty_six_transfers_run_at_a_time() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            results = await asyncio.gather(*(executed(made, execution(target.url(), timeout=20)) for _ in range(600)))
            assert {200} == {result.status for result in results}
            assert target.connections <= 256

    run(test())


def test_the_loop_is_not_held_up_by_a_large_body() -> None:
    async def test(url: str) -> None:
        async with executor() as made, watched_loop() as stalls:
            asked = execution(f"{url}/bytes/50000000", max_body_bytes=50_000_000, timeout=20)
            result = await executed(made, asked)
        judge(stalls.busy, "the executor")
        assert known_bytes(50_000_000) == result.body

    with target_process() as url:
        run(test(url))


def test_kept_connections_are_used_again() -> None:
    async def test() -> None:
        async with Echo() as target, executor() as made:
            ports = {echoed(await executed(made, execution(target.url())))["peer_port"] for _ in range(5)}
            assert 1 == len(ports) == target.connections

    run(test())
