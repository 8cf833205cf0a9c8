"""All addresses of a machine, what is told of them, and what is to be told next. Decides; does no I/O.

Stands before a request's way; `watcher.py` feeds it on the agent's event loop. The same address may be on several
interfaces, and the best of them counts; one that was asked for by name and is on none may still be ours by a local
route. What is told is compared with what was told last, so an event that changes
nothing (every router advertisement renews lifetimes) makes no noise.
"""

from __future__ import annotations

import heapq
import socket
from typing import TYPE_CHECKING

from dispatcher.agent.addresses import rules
from dispatcher.wire.messages import AddressReport, AddressState

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.agent.addresses.netlink import KernelAddress, LocalRoute


class AddressTable:
    """What is known of each address: a verdict for each interface, the last bind test, and the report told.

    The watcher puts in what the kernel says (`put`, `remove`, a list between `begin_list` and `end_list`), looks
    through the `unsettled` addresses, settles each (after a bind test where `needs_test`), and takes the `changes`.
    Before it settles, and while the list is complete, it asks for the routes of the `unasked` and puts in each answer
    (`routed`).
    """

    def __init__(self, options: rules.AddressOptions, interface_name: Callable[[int], str]) -> None:
        """Start with no address but those asked for by name, which are not there yet."""
        self._options = options
        self._interface_name = interface_name
        self._order = {address: place for place, address in enumerate(options.explicit)}
        self._verdicts: dict[str, dict[int, tuple[rules.Verdict, int]]] = {}
        self._unasked: set[str] = set()
        self._routed: set[str] = set()
        self._list_number = 0
        self._listing = False
        self._tests: dict[str, str | None] = {}
        self._unsettled: set[str] = set(options.explicit)
        self._reports: dict[str, AddressReport] = {}
        self._excluded: dict[str, None] = {}
        self._left_out: set[str] = set()
        self._told: dict[str, AddressReport] = {}
        self._untold: dict[str, None] = {}

    @property
    def left_out(self) -> int:
        """How many addresses are over the bound."""
        return len(self._left_out)

    def snapshot(self) -> tuple[AddressReport, ...]:
        """Return what has been told and holds, in a stable order."""
        return tuple(sorted(self._told.values(), key=lambda report: self._place(report.address)))

    # What the kernel says

    def put(self, address: KernelAddress) -> None:
        """Take in an address that is there or changed."""
        verdict = rules.judge(address, self._options, self._interface_name)
        if verdict is None:
            self.remove(address)
            return
        if address.address not in self._verdicts:
            self.routed(address.address, False)  # an interface has it, and its word counts
        places = self._verdicts.setdefault(address.address, {})
        before = places.get(address.interface_index)
        places[address.interface_index] = verdict, self._list_number
        # An address that cannot be bound is tried again whenever the kernel tells of it by itself.
        failing = not self._listing and self._tests.get(address.address) is not None
        if before is None or before[0] != verdict or failing:
            self._unsettled.add(address.address)

    def remove(self, address: KernelAddress) -> None:
        """Take in that an address went from its interface."""
        self._remove(address.address, address.interface_index)

    def begin_list(self) -> None:
        """Start a complete list of addresses: each is `put`, and at the end the others are gone."""
        self._list_number += 1
        self._listing = True

    def abandon_list(self) -> None:
        """End a list that is not complete: what was put stays, and nobody is gone."""
        self._listing = False

    def end_list(self) -> None:
        """End a complete list."""
        self._listing = False
        old = [
            (address, index)
            for address, places in self._verdicts.items()
            for index, (_, number) in places.items()
            if number != self._list_number
        ]
        for address, index in old:
            self._remove(address, index)
        self._ask_for_all()

    def _remove(self, address: str, index: int) -> None:
        places = self._verdicts.get(address, {})
        if places.pop(index, None) is None:
            return
        self._unsettled.add(address)
        if not places:
            del self._verdicts[address]
            self._tests.pop(address, None)  # it may come back as another machine's
            self._ask_for(address)

    # What its routes say of addresses asked for by name that are on no interface

    def route_changed(self, route: LocalRoute) -> None:
        """Take in that a local route came or went. Each address of an interface has one of its own, for it alone."""
        if route.prefix_length == 128:
            self._ask_for(route.destination)
        else:
            self._ask_for_all()

    def unasked(self) -> list[str]:
        """Return the addresses that only a route can make ours, and of whose routes nothing current is known."""
        return list(self._unasked - self._verdicts.keys())

    def routed(self, address: str, is_routed: bool) -> None:
        """Take in whether a local route covers an address that is on no interface."""
        self._unasked.discard(address)
        if is_routed == self.is_routed(address):
            return
        (self._routed.add if is_routed else self._routed.discard)(address)
        self._tests.pop(address, None)  # it is bound in another way now
        self._unsettled.add(address)

    def is_routed(self, address: str) -> bool:
        """Say whether only a local route makes the address ours."""
        return address in self._routed

    def _ask_for(self, address: str) -> None:
        if address in self._options.named:
            self._unasked.add(address)

    def _ask_for_all(self) -> None:
        self._unasked.update(self._options.named)

    # What is made of it

    def retest(self, address: str) -> None:
        """Have the address tested again."""
        if self._tests.pop(address, None) is not None:
            self._unsettled.add(address)

    def unsettled(self) -> list[str]:
        """Return the addresses that something was said of since they were settled, in a stable order."""
        return sorted(self._unsettled, key=self._place)

    def needs_test(self, address: str) -> bool:
        """Say whether the address would be usable and has not passed a bind test since it came."""
        verdict = self._verdict(address)
        return verdict is not None and verdict.state in rules.USABLE and not self._passed(address)

    def tested(self, address: str, error: str | None) -> None:
        """Take in the outcome of a bind test: None, or why it failed."""
        self._tests[address] = error

    def settle(self, address: str) -> None:
        """Decide what is to be told of the address."""
        self._unsettled.discard(address)
        report = self._report(address)
        if report is None:
            self._left_out.discard(address)
            self._drop(address)
        elif address in self._reports or self._admit(report):
            self._keep(report)

    def fill(self) -> None:
        """Give the places that became free to addresses that are left out."""
        free = self._options.max_addresses - len(self._reports)
        if free > 0 and self._left_out:
            for address in heapq.nsmallest(free, self._left_out, key=self._turn):
                report = self._report(address)
                assert report is not None, "who went is left out no more"
                self._keep(report)

    def changes(self, limit: int) -> tuple[tuple[AddressReport, ...], tuple[str, ...]]:
        """Take out at most `limit` differences to what was told: reports that are new or changed, and who went."""
        changed: list[AddressReport] = []
        gone: list[str] = []
        while self._untold and len(changed) + len(gone) < limit:
            address = next(iter(self._untold))
            del self._untold[address]
            report, told = self._reports.get(address), self._told.get(address)
            if report is not None and report != told:
                self._told[address] = report
                changed.append(report)
            elif report is None and self._told.pop(address, None) is not None:
                gone.append(address)
        return tuple(changed), tuple(gone)

    def _verdict(self, address: str) -> rules.Verdict | None:
        places = self._verdicts.get(address)
        if not places:
            return rules.Verdict(AddressState.PREFERRED) if self.is_routed(address) else None
        return min((verdict for verdict, _ in places.values()), key=lambda verdict: rules.RANK[verdict.state])

    def _passed(self, address: str) -> bool:
        return address in self._tests and self._tests[address] is None

    def _report(self, address: str) -> AddressReport | None:
        verdict = self._verdict(address)
        if verdict is None:
            named = address in self._order
            return AddressReport(address, AddressState.UNBINDABLE, rules.NOT_HERE) if named else None
        if verdict.state in rules.USABLE and (error := self._tests.get(address)) is not None:
            return AddressReport(address, AddressState.UNBINDABLE, error)
        return AddressReport(address, verdict.state, verdict.reason)

    def _admit(self, report: AddressReport) -> bool:
        """Find a place for one more address: a free one that nobody waits for, or that of an excluded address."""
        if len(self._reports) < self._options.max_addresses and not self._left_out:
            return True
        if report.state is not AddressState.EXCLUDED and self._excluded:
            other, _ = self._excluded.popitem()
            self._drop(other)
            self._left_out.add(other)
            return True
        self._left_out.add(report.address)
        return False

    def _keep(self, report: AddressReport) -> None:
        self._left_out.discard(report.address)
        self._reports[report.address] = report
        self._untold[report.address] = None
        if report.state is AddressState.EXCLUDED:
            self._excluded[report.address] = None
        else:
            self._excluded.pop(report.address, None)

    def _drop(self, address: str) -> None:
        self._excluded.pop(address, None)
        if self._reports.pop(address, None) is not None:
            self._untold[address] = None

    def _turn(self, address: str) -> tuple[bool, tuple[int, bytes]]:
        """Order as `_place` does, but let those that are excluded wait."""
        verdict = self._verdict(address)
        return verdict is not None and verdict.state is AddressState.EXCLUDED, self._place(address)

    def _place(self, address: str) -> tuple[int, bytes]:
        """Order by the user's order of ``--address``, then by number."""
        return self._order.get(address, len(self._order)), socket.inet_pton(socket.AF_INET6, address)
