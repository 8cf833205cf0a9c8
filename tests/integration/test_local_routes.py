"""A whole prefix as exits: the administrator makes one local route, and an ordinary user's agent needs no more."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from dispatcher.agent.addresses.rules import NOT_HERE
from dispatcher.errors import FailureKind
from dispatcher.wire.messages import AddressState, HttpVersion
from tests.integration.conftest import TARGET
from tests.support.cluster import Cluster, serving
from tests.support.executing import echoed, elapsed, executed, execution, executor, watched_loop
from tests.support.h3_target import H3Target
from tests.support.netns import THIS, Host, Machine, connect
from tests.support.processes import dispatcher_command, eventually
from tests.support.stalls import judge
from tests.support.targets import Echo, Hanging
from tests.support.watching import on_lo, run, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.processes import Process

PREFIX = "2001:db8:77::/64"
ONE, TWO, THREE = EXITS = ("2001:db8:77::1", "2001:db8:77:0:beef::2", "2001:db8:77:0:ffff:ffff:ffff:ffff")
PREFERRED, UNBINDABLE = AddressState.PREFERRED, AddressState.UNBINDABLE


def add_route(prefix: str = PREFIX, *words: str, kind: str = "local") -> None:
    THIS.run(["ip", "-6", "route", "add", kind, prefix, "dev", "lo", *words])


def delete_route(prefix: str = PREFIX, *words: str, kind: str = "local") -> None:
    THIS.run(["ip", "-6", "route", "del", kind, prefix, "dev", "lo", *words])


@contextmanager
def route(prefix: str = PREFIX, *words: str, kind: str = "local") -> Iterator[None]:
    """A route for the length of a block; a test may have deleted it."""
    add_route(prefix, *words, kind=kind)
    try:
        yield
    finally:
        subprocess.run(
            ["ip", "-6", "route", "del", kind, prefix, "dev", "lo", *words], check=False, stderr=subprocess.DEVNULL
        )


NOBODY = 65534


class OrdinaryUsers(Machine):
    """This machine for somebody without any right; where the program is hidden from others, root without its rights.

    `home` is a folder of theirs.
    """

    nobody = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
    rightless = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")

    def __init__(self, home: Path) -> None:
        """Find out what works here, and give `home` to whom it is for."""
        self.home = home
        check = [*self.nobody, *dispatcher_command(), "--version"]
        works = subprocess.run(check, capture_output=True, check=False, timeout=30).returncode == 0
        rights = self.nobody if works else self.rightless
        # They may not use what another user unpacked.
        self._prefix = ("env", f"DISPATCHER_CACHE={home}/cache", *rights)
        if works:
            os.chown(home, NOBODY, NOBODY)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` without rights."""
        return super().argv([*self._prefix, *argv])


@pytest.fixture
def users() -> Iterator[OrdinaryUsers]:
    """Ordinary users with a home outside of pytest's own folder, which is closed to them."""
    with tempfile.TemporaryDirectory(prefix="dispatcher-tests-") as home:
        yield OrdinaryUsers(Path(home))


def agent_of(users: OrdinaryUsers, cluster: Cluster) -> Process:
    """Start an ordinary user's agent, which keeps its state at home."""
    cluster.agent_state_dir = users.home
    return cluster.agent("agent-01", EXITS, machine=users)


def rights_of(pid: int) -> int:
    """The capabilities that a process can use, as a number."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)


def test_an_ordinary_users_agent_uses_addresses_of_a_locally_routed_prefix(
    users: OrdinaryUsers, cluster: Cluster, target: Echo
) -> None:
    with route():
        cluster.coordinator()
        agent = agent_of(users, cluster)
        assert 0 == rights_of(agent.pid)
        cluster.client.wait_for_exits(3)
        cluster.client.configure(target.url())
        records = [cluster.client.execute().record for _ in range(6)]
        assert list(EXITS) * 2 == [record["source_ip"] for record in records]
        assert list(EXITS) * 2 == [request.peer for request in target.requests]


def test_when_the_route_goes_what_hangs_fails_at_once_and_when_it_comes_the_exits_are_back(
    users: OrdinaryUsers, cluster: Cluster, target: Echo
) -> None:
    with route(), serving(Hanging(TARGET)) as hanging:
        cluster.coordinator()
        agent = agent_of(users, cluster)
        agent.expect("no IPv6 address of this machine may be used")
        client = cluster.client
        client.wait_for_exits(3)
        client.configure(hanging.url(), timeout=20)
        begun = [client.begin() for _ in EXITS]
        eventually(lambda: hanging.open_connections == len(EXITS), "a connection from each")
        delete_route()
        gone = time.monotonic()
        failed = [each.result() for each in begun]
        assert elapsed(gone) < 1.0
        assert [(502, "source_address")] * 3 == [(each.status, each.record["error"]["kind"]) for each in failed]
        client.wait_for_exits(0, seconds=1.0)
        assert {("unbindable", NOT_HERE)} == {(known["state"], known["reason"]) for known in client.pool().values()}
        add_route()
        assert client.wait_for_exits(3) < 1.0
        client.configure(target.url())
        assert set(EXITS) == {client.execute().record["source_ip"] for _ in EXITS}


def test_an_address_that_has_left_an_interface_still_fails_at_once_while_others_are_routed() -> None:
    async def scenario() -> None:
        async with (
            watching(explicit=("2001:db8:1::ff", ONE)) as told,
            Echo(TARGET) as target,
            executor(is_routed=told.is_routed) as made,
        ):
            with on_lo("2001:db8:1::ff"):
                await told.until(lambda: {PREFERRED} == {report.state for report in told.reports.values()})
                for source in ("2001:db8:1::ff", ONE):
                    done = await executed(made, execution(target.url(), source=source))
                    assert source == echoed(done)["peer"]
            # The kept connection ends, so a new one has to be bound, whether the watcher has heard or not.
            made.drop_source("2001:db8:1::ff")
            begun = time.monotonic()
            result = await executed(made, execution(target.url(), source="2001:db8:1::ff", timeout=10))
            assert FailureKind.SOURCE_ADDRESS == result.error_kind
            assert "EADDRNOTAVAIL" in result.error_detail
            assert elapsed(begun) < 1.0
            assert 2 == target.connections

    with route():
        run(scenario())


def test_a_routed_address_whose_route_went_fails_at_once_and_is_not_bound_freely() -> None:
    async def scenario() -> None:
        async with (
            watching(explicit=(ONE,)) as told,
            Echo(TARGET) as target,
            executor(is_routed=told.is_routed) as made,
        ):
            assert 200 == (await executed(made, execution(target.url(), source=ONE))).status
            delete_route()
            await told.until_past(ONE, PREFERRED, UNBINDABLE)
            made.drop_source(ONE)
            begun = time.monotonic()
            result = await executed(made, execution(target.url(), source=ONE, timeout=10))
            assert FailureKind.SOURCE_ADDRESS == result.error_kind
            assert elapsed(begun) < 1.0

    with route():
        run(scenario())


def test_http_3_leaves_from_a_routed_address_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def scenario() -> None:
        async with (
            H3Target(TARGET, authority.issue_cert(TARGET), tmp_path) as target,
            executor(is_routed=EXITS.__contains__, ca_file=str(tmp_path / "ca.pem")) as made,
        ):
            for source in EXITS:
                done = await executed(made, execution(target.url, source=source, http_version=HttpVersion.HTTP_3))
                assert (200, "3", source) == (done.status, done.http_version, done.body.decode())

    with route():
        run(scenario())


def test_a_route_that_comes_or_goes_is_told_well_within_a_second() -> None:
    async def scenario() -> None:
        waits = []
        async with watching(explicit=EXITS) as told:
            for _ in range(5):
                for change, state in ((add_route, PREFERRED), (delete_route, UNBINDABLE)):
                    change()
                    begun = time.monotonic()
                    await told.until(lambda state=state: {state} == {each.state for each in told.reports.values()})
                    waits.append(elapsed(begun))
            assert not told.is_routed(ONE)
        assert max(waits) < 0.5

    run(scenario())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("2001:db8:77::1/128",), id="for one address"),
        pytest.param((PREFIX, "table", "main"), id="in another table that counts"),
    ],
)
def test_other_local_routes_count_too(words: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with watching(explicit=(ONE,)) as told:
            with route(*words):
                await told.until_past(ONE, UNBINDABLE, PREFERRED)
            await told.until_past(ONE, UNBINDABLE, PREFERRED, UNBINDABLE)

    run(scenario())


def test_a_local_route_that_packets_do_not_take_does_not_count() -> None:
    async def scenario() -> None:
        with route("::/0", "table", "100"), route(), route("2001:db8:77::1/128", "table", "local", kind="unreachable"):
            async with watching(explicit=(ONE, TWO, "2001:db8:ffff::1")) as told:
                states = {address: report.state for address, report in told.reports.items()}
        assert {ONE: UNBINDABLE, TWO: PREFERRED, "2001:db8:ffff::1": UNBINDABLE} == states

    run(scenario())


def test_without_being_asked_for_no_address_of_a_routed_prefix_is_told() -> None:
    async def scenario() -> None:
        async with watching() as told:
            assert not [address for address in told.reports if address.startswith("2001:db8:77:")]

    with route():
        run(scenario())


def test_an_address_that_moves_between_a_route_and_an_interface_is_usable_all_the_time() -> None:
    async def scenario() -> None:
        async with watching(explicit=(ONE, "2001:db8:1::ff")) as told:
            assert told.is_routed(ONE)
            with on_lo(ONE, "2001:db8:1::ff"):
                await told.until(lambda: PREFERRED is told.reports["2001:db8:1::ff"].state)
                assert not told.is_routed(ONE)
            await told.until(lambda: UNBINDABLE is told.reports["2001:db8:1::ff"].state)
            assert told.is_routed(ONE)
            assert [PREFERRED] == told.past[ONE]

    with route():
        run(scenario())


def test_a_duplicate_on_an_interface_is_not_made_usable_by_a_route() -> None:
    async def scenario() -> None:
        with Host() as other:
            connect(THIS, other, interfaces=("near0", "far0"), b_addresses=["2001:db8:77::1/64"])
            async with watching(explicit=(ONE,)) as told:
                await told.until_past(ONE, PREFERRED)
                THIS.add_addresses("near0", ["2001:db8:77::1/64"], nodad=False)
                await told.until(lambda: AddressState.DADFAILED is told.reports[ONE].state)
                assert PREFERRED not in told.past[ONE][1:]
                assert not told.is_routed(ONE)

    with route():
        run(scenario())


def test_the_routes_of_a_link_that_goes_down_are_gone() -> None:
    async def scenario() -> None:
        with Host() as other:
            connect(THIS, other, interfaces=("near0", "far0"))
            THIS.run(["ip", "-6", "route", "add", "local", PREFIX, "dev", "near0"])
            async with watching(explicit=(ONE,)) as told:
                await told.until_past(ONE, PREFERRED)
                THIS.link_down("near0")
                await told.until_past(ONE, PREFERRED, UNBINDABLE)

    run(scenario())


MANY = tuple(f"2001:db8:77::{number:x}" for number in range(4096))


@pytest.mark.parametrize("change", [add_route, delete_route])
def test_4096_routed_addresses_come_and_go_and_hold_up_nothing(change: Callable[[], None]) -> None:
    before, after = (UNBINDABLE, PREFERRED) if change is add_route else (PREFERRED, UNBINDABLE)

    async def scenario() -> None:
        async with watched_loop() as stalls, watching(explicit=MANY) as told:
            assert {before} == {report.state for report in told.reports.values()}
            change()
            await told.until(lambda: [after] * len(MANY) == [report.state for report in told.reports.values()])
        judge(stalls.busy, "the watcher")

    if change is delete_route:
        add_route()
    try:
        run(scenario())
    finally:
        if change is add_route:
            delete_route()
