"""Addresses that come and go: how soon it shows, what it ends, and that rotation stays exact for the others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.conftest import SOURCES
from tests.support import netns
from tests.support.cluster import Cluster, wait_for_requests
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.client import Answer, Client
    from tests.support.targets import Echo

# Addresses that an agent finds by itself; nothing of them leaves this namespace.
FOUND = tuple(f"2a0b:100::{number:x}" for number in range(1, 0x11))
CHURNED = tuple(f"2a0b:100::{number:x}" for number in range(0x21, 0x25))


@pytest.fixture
def found() -> Iterator[None]:
    """Addresses that agents may use unasked."""
    netns.add_addresses("lo", FOUND)
    yield
    here = netns.THIS.run(["ip", "-6", "-o", "addr", "show", "dev", "lo"])
    netns.THIS.remove_addresses("lo", [address for address in (*FOUND, *CHURNED) if f"{address}/128" in here])


class Absence(NamedTuple):
    """An address that was not in the pool; times are `time.monotonic()`, the end is before it came back."""

    address: str
    begun_at: float
    ended_at: float


class Churn:
    """Lets each address of `CHURNED` come and go in turn until it is left."""

    def __init__(self, client: Client) -> None:
        self.absences: list[Absence] = []
        self._client = client
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let the addresses of this round come and go, and then no more."""
        self._stop.set()

    @property
    def is_running(self) -> bool:
        """Whether an address may still come."""
        return self._thread.is_alive()

    def _run(self) -> None:
        gone = dict.fromkeys(CHURNED, time.monotonic())
        try:
            while not self._stop.is_set():
                for address in CHURNED:
                    self.absences.append(Absence(address, gone[address], time.monotonic()))
                    gone[address] = self._come_and_go(address)
        except BaseException as error:  # noqa: BLE001 - it is handed to the test's own thread
            self._failure = error

    def _come_and_go(self, address: str) -> float:
        netns.add_addresses("lo", [address])
        eventually(lambda: self._client.pool().get(address, {}).get("leased", 0) > 0, f"{address} at work")
        netns.remove_address("lo", address)
        eventually(lambda: address not in self._client.pool(), f"{address} out of the pool")
        return time.monotonic()


@pytest.mark.usefixtures("found")
def test_rotation_stays_exact_and_nothing_is_lost_while_addresses_come_and_go(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:16])
    cluster.agent("agent-02", (), "--interface", "lo")
    client = cluster.client
    client.wait_for_exits(32)
    client.configure(target.url(), timeout=10)
    answers: list[Answer] = []
    with Churn(client) as churn:
        while len(answers) < 480 or len(churn.absences) < 12:
            answers += executed_at_once(client, target, len(answers))
        churn.stop()
        while churn.is_running:  # its last address waits for its turn
            answers += executed_at_once(client, target, len(answers))
    _check_answers(answers)
    _check_target(answers, target)
    _check_history(client, answers)
    _check_absences(answers, churn.absences)
    _check_rotation(client.history(), [*SOURCES[:16], *FOUND])


def executed_at_once(client: Client, target: Echo, first: int) -> list[Answer]:
    """Execute 16 times at once, each with a path of its own."""
    begun = [client.begin(url=target.url(f"/{first + more}")) for more in range(16)]
    return [each.result() for each in begun]


def _check_answers(answers: list[Answer]) -> None:
    """Only an address that went may fail, and says so."""
    assert any(answer.record["source_ip"] in CHURNED for answer in answers)
    for answer in answers:
        if answer.status != 200:
            assert (502, "failed", "source_address", "agent") == answer.failure
            assert answer.record["source_ip"] in CHURNED


def _check_target(answers: list[Answer], target: Echo) -> None:
    """The target saw each execution at most once, and from the address that its record names."""
    seen = Counter(request.target for request in target.requests)
    assert {1} == set(seen.values())
    peers = {target.url(request.target): request.peer for request in target.requests}
    for answer in answers:
        if answer.status == 200:
            assert answer.record["source_ip"] == peers[answer.record["request"]["url"]] == answer.echo["peer"]


def _check_history(client: Client, answers: list[Answer]) -> None:
    """Each execution is recorded once, as it was answered."""
    history = client.history()
    assert len(answers) == len(history)
    assert {answer.record["id"]: answer.record for answer in answers} == {record["id"]: record for record in history}


def _check_absences(answers: list[Answer], absences: list[Absence]) -> None:
    """No execution leaves from an address that was not in the pool while the execution ran."""
    within = 0
    for absence in absences:
        for answer in answers:
            if absence.begun_at < answer.begun_at and answer.ended_at < absence.ended_at:
                within += 1
                assert absence.address != answer.record["source_ip"]
    assert within > 100


def _check_rotation(history: list[dict[str, Any]], steady: list[str]) -> None:
    """Among the exits that were there all the time, any n leases in a row are n different ones."""
    leased = [record["source_ip"] for record in sorted(history, key=lambda record: record["id"])]
    turns = [address for address in leased if address in steady]
    assert len(turns) > 10 * len(steady)
    assert turns[: -len(steady)] == turns[len(steady) :]
    assert set(steady) == set(turns[: len(steady)])


@pytest.mark.usefixtures("found")
def test_an_address_that_comes_or_goes_shows_in_the_pool_within_a_second(cluster: Cluster) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", (), "--interface", "lo")
    client = cluster.client
    client.wait_for_exits(16)
    for address in CHURNED:
        netns.add_addresses("lo", [address])
        assert eventually(partial(_has, client, address), f"{address} in the pool") < 1
    for address in CHURNED:
        netns.remove_address("lo", address)
        assert eventually(partial(_has, client, address, wanted=False), f"{address} out of the pool") < 1


def _has(client: Client, address: str, *, wanted: bool = True) -> bool:
    return (client.pool().get(address, {}).get("state") == "preferred") == wanted


def test_an_execution_that_hangs_on_an_address_that_goes_ends_at_once(cluster: Cluster, target: Echo) -> None:
    cluster.coordinator()
    cluster.agent("agent-01", SOURCES[:2])
    client = cluster.client
    client.wait_for_exits(2)
    client.configure(target.url("/fault/hang"), timeout=60)
    begun = client.begin()
    wait_for_requests(target, 1)
    gone, other = sorted(SOURCES[:2], key=lambda address: address != target.requests[0].peer)
    removed_at = time.monotonic()
    netns.remove_address("lo", gone)
    try:
        answer = begun.result(30)
        assert answer.ended_at - removed_at < 15
        assert (502, "failed", "source_address", "agent") == answer.failure
        assert f"the source address {gone} left this machine" == answer.record["error"]["detail"]
        assert gone == answer.record["source_ip"]
        assert [other, other] == [client.execute(url=target.url()).echo["peer"] for _ in range(2)]
    finally:
        netns.add_addresses("lo", [gone])
    client.wait_for_exits(2)
    assert {gone, other} == {client.execute(url=target.url()).echo["peer"] for _ in range(2)}
