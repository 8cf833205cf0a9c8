"""The watcher against the kernel: addresses that `ip` adds, changes and removes, and links that go down."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.addresses.polled import InterfaceSource, ProcSource
from dispatcher.agent.addresses.rules import NOT_HERE
from dispatcher.agent.addresses.sources import ListInterruptedError, NetlinkSource
from dispatcher.wire.messages import AddressState
from tests.support.netns import THIS, Host, connect
from tests.support.processes import eventually
from tests.support.watching import Told, on_lo, run, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.agent.addresses.netlink import NetlinkMessage
    from dispatcher.agent.addresses.sources import AddressSource

PREFERRED = AddressState.PREFERRED
TENTATIVE = AddressState.TENTATIVE


@pytest.fixture
def neighbour() -> Iterator[Host]:
    """Make a machine whose interface `far0` is wired to our `near0`; addresses live as long as the link is up."""
    with Host() as host:
        connect(THIS, host, interfaces=("near0", "far0"))
        yield host


def test_an_address_that_is_added_or_removed_is_told_well_within_a_second() -> None:
    async def scenario() -> None:
        waits = []
        async with watching() as told:
            for number in range(1, 11):
                address = f"2a00:1::{number:x}"
                for change, there in ((THIS.add_addresses, True), (THIS.remove_addresses, False)):
                    change("lo", [address])
                    start = time.monotonic()
                    await told.until_there(address, there)
                    waits.append(time.monotonic() - start)
        assert max(waits) < 0.5

    run(scenario())


def test_loopback_and_documentation_addresses_are_told_as_excluded() -> None:
    async def scenario() -> None:
        async with watching() as told:
            states = {told.reports[address].state for address in ("::1", "2001:db8:1::1", "2001:db8:f::1")}
            assert {AddressState.EXCLUDED} == states

    run(scenario())


def test_an_address_asked_for_is_told_as_it_comes_and_goes_and_nothing_else_is() -> None:
    async def scenario() -> None:
        async with watching(explicit=("2001:db8:1::1", "fd00::5")) as told:
            assert (PREFERRED, None) == (told.reports["2001:db8:1::1"].state, told.reports["2001:db8:1::1"].reason)
            assert NOT_HERE == told.reports["fd00::5"].reason
            with on_lo("fd00::5", "2a00:1::1"):
                await told.until_past("fd00::5", AddressState.UNBINDABLE, PREFERRED)
            await told.until_past("fd00::5", AddressState.UNBINDABLE, PREFERRED, AddressState.UNBINDABLE)
            assert {"2001:db8:1::1", "fd00::5"} == set(told.past)

    run(scenario())


def test_a_deprecated_address_is_told_as_such() -> None:
    async def scenario() -> None:
        async with watching() as told:
            with on_lo("2a00:1::1"):
                await told.until_past("2a00:1::1", PREFERRED)
                THIS.run(["ip", "-6", "addr", "change", "2a00:1::1/128", "dev", "lo", "preferred_lft", "0"])
                await told.until_past("2a00:1::1", PREFERRED, AddressState.DEPRECATED)

    run(scenario())


def test_lifetimes_that_run_out_are_told_without_a_list() -> None:
    async def scenario() -> None:
        async with watching() as told:
            THIS.add_addresses("lo", ["2a00:1::1"], options=["valid_lft", "2", "preferred_lft", "1"])
            await told.until_past("2a00:1::1", PREFERRED, AddressState.DEPRECATED, None)

    run(scenario())


def test_a_tentative_address_waits_until_duplicate_detection_is_over(neighbour: Host) -> None:
    async def scenario() -> None:
        async with watching() as told:
            THIS.add_addresses("near0", ["2a00:1::1/64"], nodad=False)
            await told.until_past("2a00:1::1", TENTATIVE, PREFERRED)

    run(scenario())


def test_an_address_that_another_machine_has_is_told_as_failed(neighbour: Host) -> None:
    async def scenario() -> None:
        neighbour.add_addresses("far0", ["2a00:1::1/64"])
        async with watching() as told:
            THIS.add_addresses("near0", ["2a00:1::1/64"], nodad=False)
            await told.until(lambda: AddressState.DADFAILED in told.past.get("2a00:1::1", ()))
            assert "another machine" in str(told.reports["2a00:1::1"].reason)
            assert PREFERRED not in told.past["2a00:1::1"]

    run(scenario())


@pytest.mark.parametrize(("include", "state"), [(False, AddressState.EXCLUDED), (True, PREFERRED)])
def test_a_temporary_address_is_used_only_when_asked_for(neighbour: Host, include: bool, state: AddressState) -> None:
    async def scenario() -> None:
        THIS.sysctl("ipv6/conf/near0/use_tempaddr", 2)
        async with watching(include_temporary=include) as told:
            lifetimes = ("mngtmpaddr", "valid_lft", "1000", "preferred_lft", "900")
            THIS.add_addresses("near0", ["2a00:6::1/64"], options=lifetimes)
            await told.until(lambda: state in [told.past[address][-1] for address in temporary(told)])
            assert PREFERRED == told.reports["2a00:6::1"].state

    def temporary(told: Told) -> list[str]:
        return [address for address in told.past if address.startswith("2a00:6::") and address != "2a00:6::1"]

    run(scenario())


def test_the_addresses_of_a_link_that_goes_down_are_gone(neighbour: Host) -> None:
    async def scenario() -> None:
        async with watching() as told:
            THIS.add_addresses("near0", ["2a00:1::1/64"])
            await told.until_past("2a00:1::1", PREFERRED)
            THIS.link_down("near0")
            await told.until_past("2a00:1::1", PREFERRED, None)
            THIS.link_up("near0")
            THIS.add_addresses("near0", ["2a00:1::1/64"])
            await told.until_past("2a00:1::1", PREFERRED, None, PREFERRED)

    run(scenario())


def test_an_interface_that_vanishes_takes_its_addresses_along(neighbour: Host) -> None:
    async def scenario() -> None:
        async with watching(interfaces=frozenset({"near0"})) as told:
            THIS.add_addresses("near0", ["2a00:1::1/64"])
            await told.until_past("2a00:1::1", PREFERRED)
            THIS.run(["ip", "link", "del", "near0"])
            await told.until_past("2a00:1::1", PREFERRED, None)

    run(scenario())


def test_the_same_address_on_two_interfaces_counts_until_the_last_is_gone(neighbour: Host) -> None:
    async def scenario() -> None:
        async with watching() as told:
            with on_lo("2a00:1::1"):
                THIS.add_addresses("near0", ["2a00:1::1/64"])
                await told.until_past("2a00:1::1", PREFERRED)
            with on_lo("2a00:1::2"):
                await told.until_past("2a00:1::2", PREFERRED)
            assert [PREFERRED] == told.past["2a00:1::1"]
            THIS.remove_address("near0", "2a00:1::1/64")
            await told.until_past("2a00:1::1", PREFERRED, None)

    run(scenario())


class SourceThatCountsLosses(NetlinkSource):
    """The kernel's netlink, noting each time that events were lost."""

    losses = 0

    def take_events(self) -> list[NetlinkMessage] | None:
        events = super().take_events()
        self.losses += events is None
        return events


def test_a_flood_of_changes_that_overflows_the_event_buffer_loses_nothing() -> None:
    addresses = [f"2a00:2::{number:x}" for number in range(1, 501)]

    async def scenario() -> None:
        source = SourceThatCountsLosses(event_buffer_bytes=4096)
        async with watching(source) as told:
            with on_lo(*addresses):
                await told.until(lambda: set(addresses) <= set(told.reports))
            await told.until(lambda: not set(addresses) & set(told.reports))
        assert source.losses >= 2

    run(scenario())


@pytest.mark.parametrize("source", [ProcSource(), InterfaceSource()])
def test_without_netlink_changes_are_told_within_two_seconds(source: AddressSource) -> None:
    async def scenario() -> None:
        async with watching(source) as told:
            start = time.monotonic()
            with on_lo("2a00:1::1"):
                await told.until_past("2a00:1::1", PREFERRED)
            await told.until_past("2a00:1::1", PREFERRED, None)
            assert time.monotonic() - start < 4.0

    run(scenario())


async def places(source: AddressSource) -> list[tuple[str, int]]:
    """Where which address is, in a stable order; none where they changed while they were listed."""
    try:
        return sorted([(each.address, each.interface_index) async for piece in source.pieces() for each in piece])
    except ListInterruptedError:
        return []


def test_the_c_library_lists_what_netlink_lists(neighbour: Host) -> None:
    def agree() -> bool:
        netlink, library = asyncio.run(places(NetlinkSource())), asyncio.run(places(InterfaceSource()))
        return len(netlink) > 1000 and netlink == library

    THIS.add_addresses("near0", ["2a00:1::1/64", "fd00::1/64"], nodad=False)
    with on_lo("2a00:1::1", *(f"2a00:3::{number:x}" for number in range(1, 1001))):
        eventually(agree, "the same addresses, once the new link's own are settled")


def test_4096_addresses_are_listed_and_tested_within_two_seconds() -> None:
    addresses = [f"2a00:3::{number:x}" for number in range(1, 4097)]

    async def scenario() -> None:
        start = time.monotonic()
        async with watching() as told:
            assert time.monotonic() - start < 2.0
            assert set(addresses) <= {address for address, report in told.reports.items() if report.state is PREFERRED}

    with on_lo(*addresses):
        run(scenario())
