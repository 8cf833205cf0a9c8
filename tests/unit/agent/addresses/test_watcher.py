"""The watcher on a real loop, fed by hand-written sources; the kernel itself is in the integration tests."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses import watcher as module
from dispatcher.wire import limits
from dispatcher.wire.messages import AddressReport, AddressState
from tests.support.stalls import collecting_only_what_is_new, judge
from tests.unit.agent.addresses.listed import (
    InterruptedSource,
    ListedSource,
    RefusingSource,
    SourceInPieces,
    Told,
    preferred,
    run,
    watched,
    watcher,
)


def test_when_start_returns_everything_there_was_told() -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::2", "2a00::1", "fe80::1")
        async with watched(source) as (watching, told):
            assert preferred("2a00::1", "2a00::2") == told.states
            assert ["2a00::1", "2a00::2"] == [report.address for report in watching.snapshot()]
        assert source.closed

    run(scenario())


def test_events_are_told_together_and_only_differences() -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::1")
        async with watched(source) as (_, told):
            source.tell(netlink.RTM_NEWADDR, "2a00::2")
            source.tell(netlink.RTM_NEWADDR, "2a00::1")
            source.tell(netlink.RTM_NEWADDR, "2a00::3")
            source.tell(netlink.RTM_DELADDR, "2a00::3")
            source.tell(netlink.RTM_DELADDR, "2a00::1")
            await told.until(lambda: "2a00::1" not in told.states)
            reports = (AddressReport("2a00::2", AddressState.PREFERRED, None),)
            assert [(reports, ("2a00::1",))] == told.calls[1:]

    run(scenario())


def test_events_of_a_few_loop_turns_are_told_in_one_call() -> None:
    async def scenario() -> None:
        source = ListedSource()
        async with watched(source) as (_, told):
            for number in range(1, 6):
                source.tell(netlink.RTM_NEWADDR, f"2a00::{number}")
                await asyncio.sleep(0)
            await told.until(lambda: len(told.states) == 5)
            assert 1 == len(told.calls)

    run(scenario())


def test_nothing_is_told_after_stop() -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::1")
        async with watched(source) as (watching, told):
            source.tell(netlink.RTM_NEWADDR, "2a00::2")
            await watching.stop()
        assert preferred("2a00::1") == told.states

    run(scenario())


def test_after_lost_events_the_list_is_read_again() -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::1", "2a00::2")
        async with watched(source) as (_, told):
            source.addresses = ["2a00::2", "2a00::3"]
            source.lose()
            await told.until(lambda: preferred("2a00::2", "2a00::3") == told.states)
            assert 2 == source.lists

    run(scenario())


def test_a_change_without_an_event_is_found_by_the_periodic_list() -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::1")
        async with watched(source, resync_seconds=0.1) as (_, told):
            source.addresses = ["2a00::2"]
            await told.until(lambda: preferred("2a00::2") == told.states)

    run(scenario())


def test_a_source_without_events_is_polled() -> None:
    async def scenario() -> None:
        source = ListedSource()
        source.poll_seconds = 0.1
        async with watched(source) as (_, told):
            source.addresses = ["2a00::1"]
            await told.until(lambda: preferred("2a00::1") == told.states)

    run(scenario())


@pytest.mark.parametrize("kind", [InterruptedSource, RefusingSource])
def test_a_list_that_failed_is_read_again_soon(kind: type[ListedSource]) -> None:
    async def scenario() -> None:
        async with watched(kind("2a00::1")) as (_, told):
            assert {} == told.states
            await told.until(lambda: preferred("2a00::1") == told.states)

    run(scenario())


def test_a_receiver_that_raises_does_not_end_the_watching(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        told = Told()

        def raise_at_first(changed: tuple[AddressReport, ...], gone: tuple[str, ...]) -> None:
            told(changed, gone)
            if len(told.calls) == 1:
                raise RuntimeError("receiver")

        source = ListedSource("2a00::1")
        watching = watcher(source, raise_at_first)
        await watching.start()
        source.addresses.append("2a00::2")
        source.tell(netlink.RTM_NEWADDR, "2a00::2")
        await told.until(lambda: "2a00::2" in told.states)
        await watching.stop()

    run(scenario())
    assert "could not be handled" in caplog.text


def test_an_unbindable_address_is_told_as_such_and_as_usable_when_a_later_test_passes() -> None:
    async def scenario() -> None:
        answers = iter(["cannot be bound", None])
        async with watched(ListedSource("2a00::1"), test=lambda *_: next(answers)) as (watching, told):
            assert (AddressReport("2a00::1", AddressState.UNBINDABLE, "cannot be bound"),) == watching.snapshot()
            await told.until(lambda: preferred("2a00::1") == told.states)

    run(scenario())


def test_an_event_tests_an_unbindable_address_at_once() -> None:
    async def scenario() -> None:
        tests: list[float] = []

        def fail_once(address: str, is_routed: bool) -> str | None:
            tests.append(time.monotonic())
            return "cannot be bound" if len(tests) == 1 else None

        source = ListedSource("2a00::1")
        async with watched(source, test=fail_once) as (_, told):
            source.tell(netlink.RTM_NEWADDR, "2a00::1")
            await told.until(lambda: preferred("2a00::1") == told.states)
            assert tests[1] - tests[0] < 1.0

    run(scenario())


def test_addresses_over_the_bound_are_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        source = ListedSource("2a00::3", "2a00::2", "2a00::1")
        async with watched(source, options={"max_addresses": 2}) as (_, told):
            assert preferred("2a00::1", "2a00::2") == told.states
            source.tell(netlink.RTM_NEWADDR, "2a00::4")
            source.tell(netlink.RTM_DELADDR, "2a00::1")
            await told.until(lambda: preferred("2a00::2", "2a00::3") == told.states)

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert ["1 addresses are over the limit and left out"] == [record.getMessage() for record in caplog.records]


def test_only_addresses_on_the_interfaces_asked_for_are_usable() -> None:
    async def scenario() -> None:
        async with watched(ListedSource("2a00::1"), options={"interfaces": frozenset({"none0"})}) as (_, told):
            assert {"2a00::1": AddressState.EXCLUDED} == told.states

    run(scenario())


class SystemThatRenamesAnInterface:
    """The socket module of a system where interface 1 gets another name after the first question."""

    def __init__(self) -> None:
        """Start with the first name."""
        self.names = iter(["old0"])

    def if_indextoname(self, index: int) -> str:
        return next(self.names, "new0")


def test_an_interface_that_is_renamed_is_known_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "socket", SystemThatRenamesAnInterface())
        options = {"interfaces": frozenset({"new0"})}
        async with watched(ListedSource("2a00::1"), options=options, resync_seconds=0.05) as (_, told):
            assert {"2a00::1": AddressState.EXCLUDED} == told.states
            await told.until(lambda: preferred("2a00::1") == told.states)

    run(scenario())


def test_ten_thousand_addresses_take_the_loop_for_less_than_50_ms_a_turn_and_fit_into_messages() -> None:
    async def scenario() -> None:
        told = Told()
        source = SourceInPieces(*(f"2a00::{number:x}" for number in range(10_000)))
        watching = watcher(source, told)
        with collecting_only_what_is_new():
            start = asyncio.create_task(watching.start())
            turns = [await busy_seconds() for _ in iter(start.done, True)]
            await start
        assert 10_000 == len(told.states)
        assert {limits.MAX_ADDRESSES_PER_MESSAGE} == {len(changed) for changed, _ in told.calls}
        # CPU time, since another process may take the CPU from a turn.
        judge(turns, "the watcher")
        assert len(turns) > 20
        await watching.stop()

    run(scenario())


async def busy_seconds() -> float:
    before = time.thread_time()
    await asyncio.sleep(0)
    return time.thread_time() - before
