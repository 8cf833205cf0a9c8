"""The watcher and addresses that no interface has, which are asked for by name and covered by a local route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dispatcher.agent.addresses import netlink
from dispatcher.wire.messages import AddressState

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
from tests.unit.agent.addresses.listed import InterruptedSource, ListedSource, preferred, run, wait_for_record, watched

NAMED = "2001:db8:77::5"


def test_an_address_asked_for_is_told_as_its_route_comes_and_goes() -> None:
    async def scenario() -> None:
        tests: list[tuple[str, bool]] = []
        source = ListedSource()
        async with watched(
            source, options={"explicit": (NAMED,)}, test=lambda address, routed: tests.append((address, routed))
        ) as (watching, told):
            assert {NAMED: AddressState.UNBINDABLE} == told.states
            source.covered = {NAMED}
            source.tell_route()
            await told.until(lambda: preferred(NAMED) == told.states)
            assert ([(NAMED, True)], True) == (tests, watching.is_routed(NAMED))
            source.covered = set()
            source.tell_route()
            await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)
            assert not watching.is_routed(NAMED)

    run(scenario())


def test_a_route_that_went_without_an_event_is_missed_by_the_periodic_list() -> None:
    async def scenario() -> None:
        source = ListedSource()
        source.covered = {NAMED}
        async with watched(source, options={"explicit": (NAMED,)}, resync_seconds=0.1) as (_, told):
            assert preferred(NAMED) == told.states
            source.covered = set()
            await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)

    run(scenario())


def test_no_route_is_asked_for_before_a_list_was_whole() -> None:
    async def scenario() -> None:
        source = InterruptedSource(NAMED)
        source.covered = {NAMED}
        async with watched(source, options={"explicit": (NAMED,)}) as (watching, told):
            await told.until(lambda: preferred(NAMED) == told.states)
            assert [[]] == source.asked
            assert not watching.is_routed(NAMED)

    run(scenario())


class SourceThatDoesNotSay(ListedSource):
    """A kernel that has no memory for an answer, once a test says so."""

    failing = False

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        if self.failing:
            raise netlink.NetlinkError("no memory")
        yield from super().routed(addresses)


def test_a_question_that_fails_takes_nobody_away(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        source = SourceThatDoesNotSay()
        source.covered = {NAMED}
        async with watched(source, options={"explicit": (NAMED,)}) as (_, told):
            source.failing, source.covered = True, set()
            source.tell_route()
            await wait_for_record(caplog, "local routes could not be asked for: no memory")
            assert preferred(NAMED) == told.states
            source.failing = False
            source.wake()
            await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)
            assert 2 == len(told.calls)

    run(scenario())
