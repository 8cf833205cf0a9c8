"""Bodies of every size through the whole way, byte for byte, and what a large one costs the small ones beside it."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support.cluster import Cluster, running_cluster
from tests.support.processes import Process
from tests.support.targets import known_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.client import Answer, Client
    from tests.support.targets import Echo

MIB = 1024 * 1024
LARGE = 50_000_000
PATIENCE = 60.0
HISTORY_BYTES = 1000
TEXT = 'caf\u00e9 \u2603 \U0001f600 \x00 \x7f \\ " \r\n'


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, private_network: None) -> Iterator[Cluster]:
    """A coordinator and one agent for all tests of this module."""
    with running_cluster(tmp_path_factory.mktemp("fleet")) as made:
        made.coordinator("--history-body-bytes", str(HISTORY_BYTES))
        made.agent("agent-01", SOURCES[:4])
        made.client.wait_for_exits(4)
        yield made


@pytest.fixture
def client(fleet: Cluster, target: Echo) -> Client:
    fleet.client.configure(target.url(), timeout=PATIENCE)
    return fleet.client


def body_of(answer: Answer) -> bytes:
    """The body of the response, as its record says that it is to be read."""
    assert 200 == answer.status, answer.content[:1000]
    body = answer.record["response"]["body"]
    if body["encoding"] == "utf-8":
        text: str = body["data"]
        return text.encode()
    assert "base64" == body["encoding"]
    return base64.b64decode(body["data"], validate=True)


# Responses


@pytest.mark.parametrize("size", [0, 1, 2, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, MIB, 10 * MIB, LARGE])
def test_a_response_body_arrives_byte_for_byte(client: Client, target: Echo, size: int) -> None:
    answer = client.execute(url=target.url(f"/bytes/{size}"), max_body_bytes=LARGE)
    assert known_bytes(size) == body_of(answer)
    body = answer.record["response"]["body"]
    assert (size, False) == (body["size"], body["truncated"])


def test_a_response_of_text_is_text_in_the_record(client: Client, target: Echo) -> None:
    answer = client.execute(url=target.url(), method="POST", body=TEXT)
    assert "utf-8" == answer.record["response"]["body"]["encoding"]
    assert TEXT.encode() == base64.b64decode(answer.echo["body_base64"])


@pytest.mark.parametrize(("size", "limit"), [(1001, 1000), (LARGE, 100_000), (1, 0), (10 * MIB + 1, 10 * MIB)])
def test_a_body_over_the_limit_is_cut_there_and_is_no_failure(
    client: Client, target: Echo, size: int, limit: int
) -> None:
    answer = client.execute(url=target.url(f"/bytes/{size}"), max_body_bytes=limit)
    assert known_bytes(size)[:limit] == body_of(answer)
    body = answer.record["response"]["body"]
    assert body["truncated"] is True
    assert limit < body["size"] <= size


def test_a_body_that_just_fits_is_not_cut(client: Client, target: Echo) -> None:
    answer = client.execute(url=target.url("/bytes/1000"), max_body_bytes=1000)
    assert known_bytes(1000) == body_of(answer)
    assert (1000, False) == (answer.record["response"]["body"]["size"], answer.record["response"]["body"]["truncated"])


def test_the_limit_that_nobody_set_is_ten_mebibytes(client: Client, target: Echo) -> None:
    body = client.execute(url=target.url(f"/bytes/{11 * MIB}")).record["response"]["body"]
    assert (True, 10 * MIB) == (body["truncated"], len(base64.b64decode(body["data"])))


def test_history_keeps_the_start_of_a_body_and_says_how_large_it_was(client: Client, target: Echo) -> None:
    identifier = client.execute(url=target.url(f"/bytes/{MIB}")).record["id"]
    body = client.get(f"/api/history/{identifier}")["response"]["body"]
    assert known_bytes(MIB)[:HISTORY_BYTES] == base64.b64decode(body["data"])
    assert (MIB, True) == (body["size"], body["truncated"])


# Requests


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 8 * MIB])
def test_a_request_body_arrives_byte_for_byte(client: Client, target: Echo, size: int) -> None:
    sent = base64.b64encode(known_bytes(size)).decode()
    answer = client.execute(url=target.url("/status/200"), method="PUT", body_base64=sent)
    assert b"status" == body_of(answer)
    received = target.requests[-1]
    assert known_bytes(size) == received.body
    assert ("PUT", str(size)) == (received.method, received.header("Content-Length"))


def test_large_bodies_go_up_and_down_at_the_same_time(client: Client, target: Echo) -> None:
    sent = base64.b64encode(known_bytes(4 * MIB)).decode()
    up = [client.begin(url=target.url("/status/200"), method="PUT", body_base64=sent) for _ in range(4)]
    down = [client.begin(url=target.url(f"/bytes/{5 * MIB}")) for _ in range(4)]
    assert {known_bytes(5 * MIB)} == {body_of(begun.result()) for begun in down}
    assert {b"status"} == {body_of(begun.result()) for begun in up}
    assert [known_bytes(4 * MIB)] * 4 == [request.body for request in target.requests if request.method == "PUT"]


# Large beside small

SMALL = 200
AT_ONCE = 8
MOST_SLOWDOWN = 8.0
"""Generous: the large body's work shares the processors with the small executions. A link that sends one after the
other would hold them up a hundredfold."""


@pytest.fixture
def far_target() -> Iterator[str]:
    """The base URL of an echo target in a process of its own, which does not compete with the callers in this one."""
    process = Process("target", [sys.executable, "-m", "tests.support.targets", "--address", TARGET])
    port = process.wait_for_line("ready ").split()[1]
    yield f"http://[{TARGET}]:{port}"
    assert 0 == process.end()


def small_ones(client: Client, url: str) -> list[Answer]:
    """Execute `SMALL` times, `AT_ONCE` at a time."""
    answers: list[Answer] = []
    for _ in range(SMALL // AT_ONCE):
        answers += [begun.result() for begun in [client.begin(url=url) for _ in range(AT_ONCE)]]
    return answers


def seconds_of(answers: list[Answer]) -> float:
    return answers[-1].ended_at - answers[0].begun_at


def test_small_executions_are_not_held_up_by_a_large_one_beside_them(client: Client, far_target: str) -> None:
    small_ones(client, far_target)
    alone = small_ones(client, far_target)
    large = client.begin(url=f"{far_target}/bytes/{LARGE}", max_body_bytes=LARGE)
    beside = small_ones(client, far_target)
    assert {200} == {answer.status for answer in (*alone, *beside)}
    assert known_bytes(LARGE) == body_of(large.result())
    overtaking = [answer for answer in beside if answer.ended_at < large.result().ended_at]
    assert len(overtaking) >= AT_ONCE
    assert seconds_of(beside) < MOST_SLOWDOWN * seconds_of(alone)
