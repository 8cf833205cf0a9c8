"""What is told of addresses, decided without I/O; a driver does in order what the watcher does."""

from __future__ import annotations

import random
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.agent.addresses.netlink import AddressFlag, KernelAddress, LocalRoute
from dispatcher.agent.addresses.rules import NOT_HERE, AddressOptions
from dispatcher.agent.addresses.table import AddressTable
from dispatcher.wire.messages import AddressReport, AddressState

LIMIT = 1000


class Driver:
    """Puts addresses in and takes changes out; addresses in `unbindable` fail the bind test."""

    def __init__(self, *, unbindable: set[str] | None = None, **options: object) -> None:
        self.table = AddressTable(AddressOptions(**options), str)  # type: ignore[arg-type]  # test options
        self.unbindable = unbindable or set()
        self.tested: list[str] = []
        self.tested_as_routed: list[str] = []

    def put(self, *addresses: str, index: int = 1, flags: int = 0) -> None:
        for address in addresses:
            self.table.put(KernelAddress(address, index, flags=flags))

    def remove(self, *addresses: str, index: int = 1) -> None:
        for address in addresses:
            self.table.remove(KernelAddress(address, index))

    def list(self, *addresses: str) -> None:
        self.table.begin_list()
        self.put(*addresses)
        self.table.end_list()

    def settle(self) -> tuple[dict[str, AddressState], tuple[str, ...]]:
        """Do one pass; return the states that changed and the addresses that went."""
        for address in self.table.unsettled():
            if self.table.needs_test(address):
                self.tested.append(address)
                self.tested_as_routed += [address] * self.table.is_routed(address)
                self.table.tested(address, "cannot" if address in self.unbindable else None)
            self.table.settle(address)
        self.table.fill()
        changed, gone = self.table.changes(LIMIT)
        return {report.address: report.state for report in changed}, gone

    def states(self) -> dict[str, AddressState]:
        return {report.address: report.state for report in self.table.snapshot()}


def preferred(*addresses: str) -> dict[str, AddressState]:
    return dict.fromkeys(addresses, AddressState.PREFERRED)


def test_an_address_is_told_once_in_the_order_of_numbers() -> None:
    driver = Driver()
    driver.put("2a00::10", "2a00::9")
    changed, gone = driver.settle()
    assert (["2a00::9", "2a00::10"], ()) == (list(changed), gone)
    driver.put("2a00::10", "2a00::9")
    assert ({}, ()) == driver.settle()


def test_an_address_that_went_is_told_once() -> None:
    driver = Driver()
    driver.put("2a00::1")
    driver.settle()
    driver.remove("2a00::1")
    driver.remove("2a00::1")
    assert ({}, ("2a00::1",)) == driver.settle()
    assert ({}, ()) == driver.settle()


def test_an_address_that_came_and_went_at_once_is_not_told() -> None:
    driver = Driver()
    driver.put("2a00::1")
    driver.remove("2a00::1")
    assert ({}, ()) == driver.settle()
    assert [] == driver.tested


def test_an_address_that_went_and_came_back_at_once_is_tested_again_and_not_told() -> None:
    driver = Driver()
    driver.put("2a00::1")
    driver.settle()
    driver.remove("2a00::1")
    driver.put("2a00::1")
    assert ({}, ()) == driver.settle()
    assert ["2a00::1", "2a00::1"] == driver.tested


def test_a_renewed_lifetime_is_not_told() -> None:
    driver = Driver()
    driver.table.put(KernelAddress("2a00::1", 1, preferred_seconds=10, valid_seconds=20))
    driver.settle()
    driver.table.put(KernelAddress("2a00::1", 1, preferred_seconds=900, valid_seconds=990))
    assert ({}, ()) == driver.settle()
    assert ["2a00::1"] == driver.tested


def test_a_tentative_address_is_tested_when_it_becomes_preferred() -> None:
    driver = Driver()
    driver.put("2a00::1", flags=AddressFlag.TENTATIVE)
    assert ({"2a00::1": AddressState.TENTATIVE}, ()) == driver.settle()
    assert [] == driver.tested
    driver.put("2a00::1")
    assert (preferred("2a00::1"), ()) == driver.settle()
    assert ["2a00::1"] == driver.tested


def test_of_an_address_on_two_interfaces_the_better_one_counts() -> None:
    driver = Driver()
    driver.put("2a00::1", index=1, flags=AddressFlag.DEPRECATED)
    driver.put("2a00::1", index=2)
    assert (preferred("2a00::1"), ()) == driver.settle()
    driver.remove("2a00::1", index=2)
    assert ({"2a00::1": AddressState.DEPRECATED}, ()) == driver.settle()
    driver.remove("2a00::1", index=1)
    assert ({}, ("2a00::1",)) == driver.settle()


def test_a_list_takes_away_what_it_does_not_hold() -> None:
    driver = Driver()
    driver.put("2a00::1", "2a00::2")
    driver.settle()
    driver.list("2a00::2", "2a00::3")
    assert (preferred("2a00::3"), ("2a00::1",)) == driver.settle()


def test_an_abandoned_list_takes_nobody_away() -> None:
    driver = Driver()
    driver.put("2a00::1")
    driver.table.begin_list()
    driver.put("2a00::2")
    driver.table.abandon_list()
    assert (preferred("2a00::1", "2a00::2"), ()) == driver.settle()
    driver.list("2a00::2")
    assert ({}, ("2a00::1",)) == driver.settle()


def test_an_unbindable_address_is_told_as_such_until_a_test_passes() -> None:
    driver = Driver(unbindable={"2a00::1"})
    driver.put("2a00::1")
    assert ({"2a00::1": AddressState.UNBINDABLE}, ()) == driver.settle()
    assert "cannot" == driver.table.snapshot()[0].reason
    driver.unbindable.clear()
    driver.table.retest("2a00::1")
    assert (preferred("2a00::1"), ()) == driver.settle()


def test_an_unbindable_address_is_tested_on_each_event_but_not_on_each_list() -> None:
    driver = Driver(unbindable={"2a00::1"})
    driver.put("2a00::1")
    driver.settle()
    driver.list("2a00::1")
    driver.settle()
    assert 1 == len(driver.tested)
    driver.put("2a00::1")
    driver.settle()
    assert 2 == len(driver.tested)


def test_an_address_that_cannot_be_used_anyway_is_not_tested() -> None:
    driver = Driver()
    driver.put("fd00::1")
    assert ({"fd00::1": AddressState.EXCLUDED}, ()) == driver.settle()
    assert [] == driver.tested


def test_a_retest_of_an_address_that_went_or_passed_does_nothing() -> None:
    driver = Driver()
    driver.put("2a00::1")
    driver.settle()
    driver.table.retest("2a00::1")
    driver.table.retest("2a00::2")
    assert [] == driver.table.unsettled()


def test_an_address_asked_for_is_unbindable_until_it_appears_and_after_it_went() -> None:
    driver = Driver(explicit=("2001:db8::2", "::1"))
    assert (dict.fromkeys(("2001:db8::2", "::1"), AddressState.UNBINDABLE), ()) == driver.settle()
    assert {NOT_HERE} == {report.reason for report in driver.table.snapshot()}
    driver.put("2001:db8::2", "2a00::1")
    assert (preferred("2001:db8::2"), ()) == driver.settle()
    driver.remove("2001:db8::2")
    assert ({"2001:db8::2": AddressState.UNBINDABLE}, ()) == driver.settle()


NAMED = "2001:db8:77::5"
PREFIX = LocalRoute("2001:db8:77::", 64)


def test_an_address_asked_for_that_a_route_covers_is_usable_until_the_route_goes() -> None:
    driver = Driver(explicit=(NAMED,))
    driver.list()
    assert [NAMED] == driver.table.unasked()
    driver.table.routed(NAMED, True)
    assert (preferred(NAMED), ()) == driver.settle()
    assert [NAMED] == driver.tested_as_routed
    assert [] == driver.table.unasked()
    driver.table.route_changed(PREFIX)
    assert [NAMED] == driver.table.unasked()
    driver.table.routed(NAMED, False)
    assert not driver.table.is_routed(NAMED)
    assert ({NAMED: AddressState.UNBINDABLE}, ()) == driver.settle()
    assert NOT_HERE == driver.table.snapshot()[0].reason


def test_an_answer_that_changes_nothing_makes_no_noise() -> None:
    driver = Driver(explicit=(NAMED,))
    driver.table.routed(NAMED, True)
    driver.settle()
    driver.table.routed(NAMED, True)
    assert [] == driver.table.unsettled()


def test_a_routed_address_that_cannot_be_bound_is_unbindable() -> None:
    driver = Driver(unbindable={NAMED}, explicit=(NAMED,))
    driver.table.routed(NAMED, True)
    assert ({NAMED: AddressState.UNBINDABLE}, ()) == driver.settle()
    assert "cannot" == driver.table.snapshot()[0].reason


def test_the_word_of_an_interface_counts_more_than_a_route() -> None:
    driver = Driver(explicit=(NAMED,))
    driver.table.routed(NAMED, True)
    driver.settle()
    driver.put(NAMED, flags=AddressFlag.DADFAILED)
    assert ({NAMED: AddressState.DADFAILED}, ()) == driver.settle()
    assert not driver.table.is_routed(NAMED)
    driver.table.route_changed(PREFIX)
    assert [] == driver.table.unasked()


def test_an_address_that_moves_between_interface_and_route_is_tested_anew_and_not_told() -> None:
    driver = Driver(explicit=(NAMED,))
    driver.put(NAMED)
    driver.settle()
    driver.remove(NAMED)
    assert [NAMED] == driver.table.unasked()
    driver.table.routed(NAMED, True)
    assert ({}, ()) == driver.settle()
    driver.put(NAMED)
    assert ({}, ()) == driver.settle()
    assert ([NAMED] * 3, [NAMED]) == (driver.tested, driver.tested_as_routed)


def test_routes_are_asked_for_only_where_they_matter() -> None:
    driver = Driver(explicit=(NAMED, "2a00::1"))
    driver.list("2a00::1", "2a00::9")
    assert [NAMED] == driver.table.unasked()
    driver.table.routed(NAMED, False)
    driver.table.route_changed(LocalRoute("2a00::9", 128))
    assert [] == driver.table.unasked()
    driver.table.route_changed(LocalRoute(NAMED, 128))
    assert [NAMED] == driver.table.unasked()
    assert [] == Driver().table.unasked()


def test_addresses_asked_for_keep_the_users_order() -> None:
    driver = Driver(explicit=("2a00::9", "2a00::1", "2a00::5"))
    driver.put("2a00::1", "2a00::5", "2a00::9")
    driver.settle()
    assert ["2a00::9", "2a00::1", "2a00::5"] == list(driver.states())


def test_over_the_bound_the_lowest_are_taken_and_a_free_place_is_filled() -> None:
    driver = Driver(max_addresses=2)
    driver.put("2a00::3", "2a00::1", "2a00::2", "2a00::4")
    assert (preferred("2a00::1", "2a00::2"), ()) == driver.settle()
    assert 2 == driver.table.left_out
    driver.remove("2a00::1", "2a00::3")
    assert (preferred("2a00::4"), ("2a00::1",)) == driver.settle()
    assert 0 == driver.table.left_out


def test_a_newcomer_does_not_take_a_free_place_from_one_that_waits() -> None:
    driver = Driver(max_addresses=1)
    driver.put("2a00::1", "2a00::2")
    driver.settle()
    driver.remove("2a00::1")
    driver.put("2a00::3")
    assert (preferred("2a00::2"), ("2a00::1",)) == driver.settle()


def test_over_the_bound_a_lower_address_that_comes_later_displaces_nobody() -> None:
    driver = Driver(max_addresses=1)
    driver.put("2a00::2")
    driver.settle()
    driver.put("2a00::1")
    assert ({}, ()) == driver.settle()


def test_over_the_bound_an_excluded_address_makes_room_for_one_that_can_be_used() -> None:
    driver = Driver(max_addresses=2)
    driver.put("2a00::1", "fd00::1")
    driver.settle()
    driver.put("2a00::2")
    assert (preferred("2a00::2"), ("fd00::1",)) == driver.settle()
    driver.remove("2a00::1")
    assert ({"fd00::1": AddressState.EXCLUDED}, ("2a00::1",)) == driver.settle()


def test_a_free_place_goes_to_an_address_that_can_be_used_before_an_excluded_one() -> None:
    driver = Driver(max_addresses=1)
    driver.put("2a00::1", "2a00::2", "::1")
    driver.settle()
    driver.remove("2a00::1")
    assert (preferred("2a00::2"), ("2a00::1",)) == driver.settle()


def test_changes_come_in_portions() -> None:
    driver = Driver()
    driver.put(*(f"2a00::{number:x}" for number in range(1, 6)))
    for address in driver.table.unsettled():
        driver.table.settle(address)
    sizes = [len(driver.table.changes(2)[0]) for _ in range(4)]
    assert [2, 2, 1, 0] == sizes
    assert 5 == len(driver.table.snapshot())


ADDRESSES = (*tuple(f"2a00::{number:x}" for number in range(1, 7)), "fd00::1", "::1")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "settle"]),
        st.sampled_from(ADDRESSES),
        st.integers(1, 2),
        st.sampled_from([0, AddressFlag.TENTATIVE, AddressFlag.DEPRECATED]),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 9))
def test_what_was_told_adds_up_to_what_is_there(steps: list[tuple[str, str, int, int]], bound: int) -> None:
    driver = Driver(max_addresses=bound)
    there: set[tuple[str, int]] = set()
    told: dict[str, AddressState] = {}
    for action, address, index, flags in [*steps, ("settle", "", 0, 0)]:
        if action == "put":
            driver.put(address, index=index, flags=flags)
            there.add((address, index))
        elif action == "remove":
            driver.remove(address, index=index)
            there.discard((address, index))
        else:
            changed, gone = driver.settle()
            assert not told.items() & changed.items(), "told again without a change"
            assert set(gone) <= set(told)
            told = {key: state for key, state in told.items() if key not in gone} | changed
    present = {address for address, _ in there}
    assert min(bound, len(present)) == len(told)
    assert set(told) <= present
    assert told == driver.states()
    usable = {address for address in present if address.startswith("2a00")}
    assert min(bound, len(usable)) == len(usable & set(told))


def test_the_choice_over_the_bound_does_not_depend_on_the_kernels_order() -> None:
    addresses = [str(IPv6Address(f"2a00::{number:x}")) for number in range(1, 50)]
    chosen = []
    for seed in range(3):
        driver = Driver(max_addresses=10)
        driver.put(*random.Random(seed).sample(addresses, len(addresses)))
        driver.settle()
        chosen.append(tuple(driver.states()))
    assert [tuple(addresses[:10])] * 3 == chosen


def test_a_report_carries_the_reason() -> None:
    driver = Driver()
    driver.put("fd00::1")
    driver.settle()
    expected = AddressReport("fd00::1", AddressState.EXCLUDED, "unique local (RFC 4193); --include-ula takes it")
    assert (expected,) == driver.table.snapshot()
