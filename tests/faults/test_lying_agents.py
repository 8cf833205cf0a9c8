"""Agents that lie: about ids, bodies, sources, frames, addresses. None harms an honest one; no lie is recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tornado.iostream import StreamClosedError

from dispatcher.wire import limits
from dispatcher.wire.messages import AddressState, Execute, Hello, Holding
from dispatcher.wire.version import WIRE
from tests.integration.fleets import bounded
from tests.support import invariants
from tests.support.cluster import Cluster, running_cluster
from tests.support.scripted_agent import (
    Answer,
    ScriptedAgent,
    answers_for_another,
    answers_from_another_source,
    answers_ok,
    answers_twice,
    answers_with_garbage,
    answers_with_status_and_error,
    answers_with_too_much,
    answers_with_wrong_field,
    never_answers,
    ok,
    scripted_agent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HONEST, LYING = "2001:db8::1", "2001:db8::2"
TIMEOUT, SHORT = 20.0, 0.3
"""Of executions, in seconds; the short one of those that nobody answers."""

SAID = ("gone", "refused an agent's link", "that is not valid", "broke the protocol")
"""What the coordinator may say of liars, and of agents that leave."""


@pytest.fixture(scope="module")
def liars(tmp_path_factory: pytest.TempPathFactory, private_network: None) -> Iterator[Cluster]:
    """A coordinator for all lies."""
    with running_cluster(tmp_path_factory.mktemp("liars")) as cluster:
        cluster.coordinator("--grace", "0.2").expect(*SAID)
        cluster.client.configure("http://[2001:db8::80]/", timeout=TIMEOUT, max_body_bytes=1000)
        yield cluster


def in_a_frame(*items: Any, bodies: bytes = b"") -> bytes:
    head = json.dumps(items).encode()
    return len(head).to_bytes(4, "big") + head + bodies


def raw(*frames: bytes | str) -> Answer:
    """Answer with frames past the codec."""

    def answer(agent: ScriptedAgent, _: Execute) -> None:
        for frame in frames:
            agent.send_raw(frame)

    return answer


def once_it_has(count: int, answer: Answer) -> Answer:
    """Answer when so many executions are there: a lie that ends the link would keep the others from leaving at all."""
    given: list[Execute] = []

    def collect(agent: ScriptedAgent, execute: Execute) -> None:
        given.append(execute)
        if len(given) == count:
            for each in given:
                answer(agent, each)

    return collect


def says_hello_again(agent: ScriptedAgent, _: Execute) -> None:
    agent.send(Hello(wire=WIRE, session=agent.session))


def floods_with_results_for_nobody(agent: ScriptedAgent, execute: Execute) -> None:
    for number in range(2000):
        agent.send(ok(execute, id=f"nobody-{number}"))
    agent.send(ok(execute))


def sends_pieces_of_a_body_without_end(agent: ScriptedAgent, execute: Execute) -> None:
    for _ in range(100):
        agent.send_raw(in_a_frame({"t": "body_chunk", "id": execute.id, "b": 100}, bodies=bytes(100)))
    agent.send(ok(execute))


def reports_too_many_addresses(agent: ScriptedAgent, _: Execute) -> None:
    step = limits.MAX_ADDRESSES_PER_MESSAGE
    for part in range(limits.MAX_ADDRESSES // step + 1):
        addresses = [f"2001:db8:{part + 1:x}::{number:x}" for number in range(step)]
        agent.report(*addresses, state=AddressState.TENTATIVE)


def is_like(*before: Any) -> Answer:
    """Answer with what is like the last of these."""

    def answer(agent: ScriptedAgent, execute: Execute) -> None:
        own = {"id": execute.id, "source_ip": execute.source, "body_size": 0, "microseconds": [0] * 8}
        agent.send_raw(in_a_frame(*before, {"t": "alike", **own}))

    return answer


LONG_HEAD = {"t": "result", "id": "x", "status": 200, "headers": [["n", "v" * limits.MAX_SHARED_HEADER_CHARS]]}


def sends_half_a_message(agent: ScriptedAgent, execute: Execute) -> None:
    whole = in_a_frame({"t": "result", "id": execute.id, "status": 200})
    agent.send_raw(whole[:-5])


def says_of_itself(members: str) -> Answer:
    """Answer with a result that has these members too, as they are written."""

    def answer(agent: ScriptedAgent, execute: Execute) -> None:
        head = f'[{{"t":"result","id":"{execute.id}","status":200,"source_ip":"{execute.source}",{members}}}]'.encode()
        agent.send_raw(len(head).to_bytes(4, "big") + head)

    return answer


def sends_a_body_for_nobody(agent: ScriptedAgent, execute: Execute) -> None:
    for name in ("nobody", execute.id + "x"):
        agent.send_raw(in_a_frame({"t": "body_chunk", "id": name, "b": 10**6}, bodies=bytes(10**6)))
    agent.send(ok(execute))


def sends_a_body_that_never_ends(agent: ScriptedAgent, execute: Execute) -> None:
    agent.send_raw(in_a_frame({"t": "body_chunk", "id": execute.id, "b": 100}, bodies=bytes(100)))


def has_what_it_never_got(agent: ScriptedAgent, execute: Execute) -> None:
    agent.send(Holding(frozenset(f"{number:064x}" for number in range(limits.MAX_HELD))))
    agent.send(ok(execute))


def past_websocket(written: bytes) -> Answer:
    """Answer with bytes past Tornado's WebSocket."""

    def answer(agent: ScriptedAgent, _: Execute) -> None:
        with contextlib.suppress(StreamClosedError):
            agent._connection.protocol.stream.write(written)

    return answer


LOST = (502, "unknown", "agent_lost")
SILENT = (504, "unknown", "agent_timeout")
INVALID = (502, "failed", "invalid_result")
RIGHT = (200, "completed", None)

LIES: dict[str, tuple[Answer, tuple[int, str, str | None]]] = {
    "for an id never asked": (answers_for_another, SILENT),
    "for 2,000 ids never asked": (floods_with_results_for_nobody, RIGHT),
    "too many messages in one frame": (raw(in_a_frame(*[{"t": "result", "id": "x", "status": 200}] * 50_000)), LOST),
    "twice": (answers_twice, RIGHT),
    "from another source": (answers_from_another_source, (502, "failed", "source_mismatch")),
    "that it worked and did not": (answers_with_status_and_error, INVALID),
    "a body past its bound": (answers_with_too_much, INVALID),
    "a body past its bound in pieces": (sends_pieces_of_a_body_without_end, INVALID),
    "a status that is none": (answers_with_wrong_field, INVALID),
    "what nothing said before": (is_like(), INVALID),
    "what a failure said before": (is_like({"t": "result", "id": "x", "error_kind": "dns"}), INVALID),
    "more headers than a frame can hold": (is_like(LONG_HEAD), INVALID),
    "what it said of another": (is_like({"t": "result", "id": "nobody", "status": 200}), RIGHT),
    "nothing at all": (never_answers, SILENT),
    "garbage": (answers_with_garbage, LOST),
    "half a message": (sends_half_a_message, LOST),
    "text": (raw("[]"), LOST),
    "a frame that is too large": (raw(bytes(limits.MAX_FRAME_BYTES + 1)), LOST),
    "JSON that is deeply nested": (raw((100_000).to_bytes(4, "big") + b"[" * 100_000), LOST),
    "a body that is longer than its frame": (raw(in_a_frame({"t": "result", "id": "x", "b": 10**9})), LOST),
    "a second hello": (says_hello_again, LOST),
    "a time that is no number": (says_of_itself('"timings":{"total":NaN}'), INVALID),
    "a time past all numbers": (says_of_itself('"timings":{"total":1e400}'), INVALID),
    "a size past all numbers": (says_of_itself(f'"body_size":1{"0" * 4000}'), INVALID),
    "more than it has": (says_of_itself('"body_size":1'), INVALID),
    "a status twice": (says_of_itself('"status":"none","status":204'), RIGHT),
    "what is no character": (says_of_itself('"reason":"\\ud800","headers":[["\\udfff","\\ud800"]]'), RIGHT),
    "a body for nobody": (sends_a_body_for_nobody, RIGHT),
    "a body that never ends": (sends_a_body_that_never_ends, SILENT),
    "that it has thousands that it never got": (has_what_it_never_got, RIGHT),
    "a frame of an extension": (past_websocket(b"\xc2\x80mask"), LOST),
    "a frame without a mask": (past_websocket(b"\x82\x01x"), LOST),
    "a close that may not be": (past_websocket(b"\x88\x82" + bytes(4) + b"\x03\xed"), LOST),
    "last words that are a log's": (past_websocket(b"\x88\x8a" + bytes(4) + b"\x0f\xa1ab\nERROR "), LOST),
    "more addresses than an agent may have": (reports_too_many_addresses, LOST),
}


def told(answer: Any) -> tuple[int, str, str | None]:
    """Status, outcome and kind."""
    error = answer.record["error"]
    return answer.status, answer.record["outcome"], error and error["kind"]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_fails_the_liars_execution_alone(liars: Cluster, lie: str) -> None:
    client = liars.client
    answer, expected = LIES[lie]
    timeout = SHORT if expected is SILENT else TIMEOUT

    async def test() -> None:
        async with (
            scripted_agent(liars.url, [HONEST]) as honest,
            scripted_agent(liars.url, [LYING], answer=once_it_has(2, answer)) as liar,
        ):
            answers = await asyncio.gather(*(asyncio.wrap_future(client.begin(timeout=timeout)) for _ in range(4)))
            by_agent = {
                agent.agent_id: [each for each in answers if each.record["agent_id"] == agent.agent_id]
                for agent in (honest, liar)
            }
            assert {RIGHT} == {told(each) for each in by_agent[honest.agent_id]}
            assert {expected} == {told(each) for each in by_agent[liar.agent_id]}
            assert {HONEST} == {each.record["source_ip"] for each in by_agent[honest.agent_id]}
            assert {LYING} == {each.record["source_ip"] for each in by_agent[liar.agent_id]}
            kept = {record["id"]: record for record in client.get("/api/history?limit=10")["items"]}
            for each in answers:
                assert each.record == kept[each.record["id"]]

    bounded(test())
    client.wait_for_exits(0)


def test_an_answer_to_what_another_agent_was_asked_counts_for_nothing(liars: Cluster) -> None:
    client = liars.client

    async def test() -> None:
        asked: asyncio.Queue[Execute] = asyncio.Queue()

        def take(_: ScriptedAgent, execute: Execute) -> None:
            asked.put_nowait(execute)

        async with (
            scripted_agent(liars.url, [HONEST], answer=take) as honest,
            scripted_agent(liars.url, [LYING], answer=answers_ok) as liar,
        ):
            begun = [client.begin() for _ in range(2)]
            execute = await asked.get()
            liar.send(ok(execute, status=418))
            await liar.drain()  # answered behind the result
            honest.send(ok(execute, status=201))
            answers = [await asyncio.wrap_future(each) for each in begun]
            found = {each.record["agent_id"]: each.record["response"]["status"] for each in answers}
            assert {honest.agent_id: 201, liar.agent_id: 200} == found

    bounded(test())
    client.wait_for_exits(0)


def test_after_all_lies_the_history_is_whole(liars: Cluster) -> None:
    records = invariants.check(liars.client, liars.state_dir)
    assert len(records) > 4 * 3
