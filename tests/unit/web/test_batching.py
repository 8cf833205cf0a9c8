"""The answer of a batch: lines as executions end, at the pace of their reader."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from dispatcher.batch import Finished
from dispatcher.errors import FailureKind
from dispatcher.tally import Tally
from dispatcher.web import batching
from dispatcher.web.execute import ExecuteHandler
from dispatcher.web.long_list import Pace
from dispatcher.web.record_writer import PIECE_BYTES
from dispatcher.wire.messages import Execute, Result
from tests.support.api import LINES, Served, raw_request, served
from tests.support.broken_store import REASON, unwritable_history
from tests.support.scripted_agent import ScriptedAgent, answers, answers_ok, never_answers, ok
from tests.unit.web.test_record_writer import Collector, record

PATH = "/api/execute"
EXITS = ("2001:db8::1", "2001:db8::2", "2001:db8::3")


def history(api: Served, limit: int = 500) -> list[Any]:
    items: list[Any] = api.call("GET", f"/api/history?limit={limit}").json["items"]
    return items


def asked(**content: Any) -> bytes:
    return raw_request("POST", PATH, json.dumps(content).encode(), {"Content-Type": "application/json"})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (a count of the coordinator has no event)
            await asyncio.sleep(0.005)


def test_a_batch_is_answered_line_by_line_with_each_record_as_history_has_it(api: Served) -> None:
    api.agent(*EXITS)
    reply = api.call("POST", PATH, {"count": 100, "concurrency": 7})
    assert (200, LINES, "no-store") == (reply.status, reply.headers["content-type"], reply.headers["cache-control"])
    *records, last = reply.lines
    in_order = sorted(records, key=lambda record: int(record["sequence"]))
    assert list(range(1, 101)) == [record.pop("sequence") for record in in_order]
    turns = list(itertools.islice(itertools.cycle(EXITS), 100))
    assert turns == [record["source_ip"] for record in in_order]
    key: Callable[[Any], str] = lambda record: record["id"]  # noqa: E731 (used twice)
    assert sorted(records, key=key) == sorted(history(api), key=key)
    assert ["count", "completed", "failed", "unknown", "seconds", "by_status", "by_error", "stopped"] == list(
        last["summary"]
    )
    assert (100, {"200": 100}, None) == tuple(last["summary"][name] for name in ("completed", "by_status", "stopped"))


def test_failures_are_lines_like_any_other(api: Served) -> None:
    numbers = itertools.count()

    def every_third_fails(agent: ScriptedAgent, execute: Execute) -> None:
        is_failure = next(numbers) % 3 == 2
        agent.send(Result(id=execute.id, error_kind=FailureKind.TLS) if is_failure else ok(execute, status=418))

    api.agent(answer=every_third_fails)
    reply = api.call("POST", PATH, {"count": 30})
    kinds = [record["error"] and record["error"]["kind"] for record in reply.lines[:-1]]
    assert (20, 10) == (kinds.count(None), kinds.count("tls"))
    summary = reply.lines[-1]["summary"]
    assert (20, 10, {"418": 20}, {"tls": 10}) == tuple(
        summary[name] for name in ("completed", "failed", "by_status", "by_error")
    )


def test_no_exit_is_said_before_anything_begins(api: Served) -> None:
    api.configure()
    reply = api.call("POST", PATH, {"count": 5})
    assert (503, "urn:http-dispatcher:problem:no_exit", "1") == (
        reply.status,
        reply.json["type"],
        reply.headers["retry-after"],
    )
    assert [] == history(api)


class Ended:
    """A batch whose executions have all ended in one turn."""

    def __init__(self, finished: list[Finished]) -> None:
        self._finished = finished
        self.told: list[int | str] = []

    async def take(self) -> list[Finished]:
        taken, self._finished = self._finished, []
        return taken

    def delivered(self, finished: Sequence[Finished]) -> None:
        self.told += [each.sequence for each in finished]

    count, stopped, tally = 1, None, Tally()


class Noting(Collector):
    """A handler that notes among what a batch is told when it sends, and how much."""

    def __init__(self, told: list[int | str]) -> None:
        super().__init__()
        self._told = told

    def set_header(self, name: str, value: str) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def flush_in_turns(self) -> None:
        self._told.append("sent")


def test_lines_of_a_turn_leave_together_up_to_a_size_and_a_large_one_by_itself() -> None:
    sizes = [100, 200, 100_000, 100_000, 100_000, 300, PIECE_BYTES + 1, 400, 500]
    batch = Ended([Finished(number, record(b"x" * size)) for number, size in enumerate(sizes, 1)])
    handler = Noting(batch.told)
    asyncio.run(batching.answer(handler, batch))  # type: ignore[arg-type]  # they have what is used of both
    *lines, last = map(json.loads, b"".join(handler.pieces).splitlines())
    assert [(number, size) for number, size in enumerate(sizes, 1)] == [
        (line["sequence"], len(line["response"]["body"]["data"])) for line in lines
    ]
    assert "summary" in last
    # The large one leaves in two pieces of its body and its tail.
    large = ["sent", "sent", "sent", 7]
    assert ["sent", 1, 2, 3, 4, 5, "sent", 6, *large, "sent", 8, 9] == batch.told


def test_a_large_body_is_written_whole_between_other_lines(api: Served) -> None:
    body = b"\xff" * (PIECE_BYTES + 1000)
    bodies = itertools.cycle((b"small", body))
    api.agent(answer=lambda agent, execute: agent.send(ok(execute, body=next(bodies))))
    lines = api.call("POST", PATH, {"count": 6}).lines
    assert [5, 5, 5, len(body), len(body), len(body)] == sorted(line["response"]["body"]["size"] for line in lines[:-1])
    assert {4 * -(-len(body) // 3)} == {
        len(line["response"]["body"]["data"]) for line in lines[:-1] if line["response"]["body"]["size"] > 5
    }
    assert {1, 2, 3, 4, 5, 6} == {line["sequence"] for line in lines[:-1]}


def test_a_record_that_could_not_be_kept_says_so_and_ends_the_batch(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        agent = api.agent(answer=never_answers)
        reply = api.run(_unrecorded(api, agent, tmp_path))
        *records, last = reply.lines
        # Two were on their way, and for each of these one may have left before the store failed.
        assert 2 <= len(records) <= 4
        assert all(REASON in record["unrecorded"] for record in records)
        assert REASON in last["summary"]["stopped"]


async def _unrecorded(api: Served, agent: ScriptedAgent, state_dir: Path) -> Any:
    running = asyncio.create_task(api.call_async("POST", PATH, {"count": 50, "concurrency": 2}))
    executions = [await agent.hear(Execute) for _ in range(2)]
    with unwritable_history(state_dir):
        agent._answer = answers_ok
        for execute in executions:
            agent.send(ok(execute))
        return await running


def test_a_reader_that_does_not_read_stops_the_leases_and_gets_all_of_it_in_the_end(api: Served) -> None:
    count, body = 1000, b"x" * 20_000
    api.agent(*EXITS, answer=answers(body=body))
    begun, lines = api.run(_read_late(api, asked(count=count, concurrency=10)))
    # What waits in the sockets' buffers and twenty records behind it, of 20 MB in all.
    assert begun < count
    assert count + 1 == len(lines)
    assert count == lines[-1]["summary"]["completed"]
    in_order = sorted(lines[:-1], key=lambda line: int(line["sequence"]))
    assert list(itertools.islice(itertools.cycle(EXITS), count)) == [line["source_ip"] for line in in_order]


async def _read_late(api: Served, request: bytes) -> tuple[int, list[Any]]:
    rate = api.running.services.rate
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        plain.connect(("127.0.0.1", api.running.port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=64 * 1024)
        writer.write(request)
        begun = await _rested(lambda: sum(rate._counts), api)
        answer = await reader.read()
        writer.close()
    head, _, chunked = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return begun, [json.loads(line) for line in _unchunked(chunked).splitlines()]


async def _rested(count: Callable[[], int], api: Served) -> int:
    """Wait until nothing is in flight and a count has stood still for a while; return it."""
    async with asyncio.timeout(20):
        still, last = 0, -1
        while still < 20:
            still = still + 1 if last == count() > 0 and not api.running.services.executions.in_flight else 0
            last = count()
            await asyncio.sleep(0.01)
    return last


def _unchunked(content: bytes) -> bytes:
    found, place = [], 0
    while place < len(content):
        end = content.index(b"\r\n", place)
        size = int(content[place:end], 16)
        found.append(content[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    return b"".join(found)


def test_a_reader_that_goes_away_ends_the_batch_and_what_is_in_flight_is_recorded(api: Served) -> None:
    agent = api.agent(answer=never_answers)
    api.run(_go_away(api, agent))
    assert 3 == len(history(api))
    assert 0 == api.running.services.executions.in_flight


async def _go_away(api: Served, agent: ScriptedAgent) -> None:
    executions = api.running.services.executions
    _, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
    writer.write(asked(count=1000, concurrency=3))
    held = [await agent.hear(Execute) for _ in range(3)]
    (batch,) = executions._batches
    writer.close()
    await until(lambda: getattr(batch, "stopped", None) == "its caller went away")
    for execute in held:
        agent.send(ok(execute))
    await until(lambda: not executions._batches)
    assert agent.heard.empty()


def test_a_caller_that_goes_away_while_its_long_list_is_read_begins_nothing(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gone, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    hear_of_close, execute = ExecuteHandler.on_connection_close, ExecuteHandler._execute_batch

    async def rest(_: Pace) -> None:
        begun.set()
        await gone.wait()

    def on_connection_close(handler: ExecuteHandler) -> None:
        hear_of_close(handler)
        gone.set()

    async def execute_batch(handler: ExecuteHandler, *given: Any) -> None:
        try:
            await execute(handler, *given)
        finally:
            ended.set()

    async def test() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", api.running.port)
        writer.write(asked(requests=[{}] * 3000))
        await begun.wait()
        writer.close()
        await ended.wait()
        assert 0 == api.running.services.executions.in_flight

    monkeypatch.setattr(Pace, "rest", rest)
    monkeypatch.setattr(ExecuteHandler, "on_connection_close", on_connection_close)
    monkeypatch.setattr(ExecuteHandler, "_execute_batch", execute_batch)
    api.agent()
    api.run(test())
    assert [] == history(api)


def test_a_drain_in_mid_batch_finishes_what_is_in_flight_and_says_how_much_was_done(api: Served) -> None:
    agent = api.agent(answer=never_answers)
    lines = api.run(_drain(api, agent)).lines
    assert [1, 2, 3] == sorted(line["sequence"] for line in lines[:-1])
    summary = lines[-1]["summary"]
    assert (1000, 3, "the coordinator is shutting down") == (
        summary["count"],
        summary["completed"],
        summary["stopped"],
    )
    assert 3 == len(history(api))


async def _drain(api: Served, agent: ScriptedAgent) -> Any:
    running = asyncio.create_task(api.call_async("POST", PATH, {"count": 1000, "concurrency": 3}))
    held = [await agent.hear(Execute) for _ in range(3)]
    draining = asyncio.create_task(api.running.services.executions.drain(10))
    await asyncio.sleep(0)
    for execute in held:
        agent.send(ok(execute))
    assert await draining
    refused = await api.call_async("POST", PATH, {"count": 2})
    assert (503, "urn:http-dispatcher:problem:draining") == (refused.status, refused.json["type"])
    return await running


def test_an_agent_that_is_lost_in_mid_batch_leaves_the_rest_to_the_others(api: Served) -> None:
    lost = api.agent(EXITS[0], agent_id="agent-01", answer=never_answers)
    api.agent(*EXITS[1:], agent_id="agent-02", configured=False)
    reply = api.run(_lose(api, lost))
    summary = reply.lines[-1]["summary"]
    assert (60, None) == (len(reply.lines) - 1, summary["stopped"])
    assert summary["unknown"] >= 1
    assert {"agent_lost": summary["unknown"]} == summary["by_error"]
    assert 60 == summary["completed"] + summary["unknown"]
    assert {"agent-01"} == {line["agent_id"] for line in reply.lines[:-1] if line["outcome"] == "unknown"}
    assert {"agent-02"} == {line["agent_id"] for line in reply.lines[:-1] if line["outcome"] == "completed"}


async def _lose(api: Served, lost: ScriptedAgent) -> Any:
    running = asyncio.create_task(api.call_async("POST", PATH, {"count": 60, "concurrency": 4}))
    await lost.hear(Execute)
    lost.hang_up()
    return await running


@pytest.mark.parametrize("options", [{"max_in_flight": "2", "max_queue": "0"}])
def test_a_batch_is_never_overloaded_by_itself(tmp_path: Path, options: dict[str, str]) -> None:
    with served(tmp_path, **options) as api:
        api.agent(*EXITS)
        summary = api.call("POST", PATH, {"count": 200, "concurrency": 50}).lines[-1]["summary"]
        assert (200, {}) == (summary["completed"], summary["by_error"])


def test_a_monitor_hears_of_a_batch_in_few_messages_and_of_every_execution(api: Served) -> None:
    api.agent(*EXITS)
    messages = api.run(_watch(api, 1500))
    told = sum(len(message.get("executions", ())) + message.get("skipped", 0) for message in messages)
    assert 1500 == told
    # A tick has whatever ended since the one before; as many messages as executions would be a flood.
    assert len(messages) < 150


async def _watch(api: Served, count: int) -> list[Any]:
    monitor = await websocket_connect(f"ws://127.0.0.1:{api.running.port}/ws/monitor", max_message_size=2**26)
    try:
        async with asyncio.timeout(20):
            assert "snapshot" == json.loads(str(await monitor.read_message()))["type"]
            reply = asyncio.create_task(api.call_async("POST", PATH, {"count": count}))
            found: list[Any] = []
            while sum(len(each.get("executions", ())) + each.get("skipped", 0) for each in found) < count:
                found.append(json.loads(str(await monitor.read_message())))
            assert count == (await reply).lines[-1]["summary"]["completed"]
            return found
    finally:
        monitor.close()
