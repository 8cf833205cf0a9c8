"""The watcher on a real loop, fed by hand-written sources; the kernel itself is in the integration tests."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.agent.addresses import netlink
from dispatcher.agent.addresses import watcher as module
from dispatcher.agent.addresses.netlink import KernelAddress, NetlinkMessage
from dispatcher.agent.addresses.rules import AddressOptions
from dispatcher.agent.addresses.sources import ListInterruptedError
from dispatcher.agent.addresses.watcher import AddressWatcher
from dispatcher.wire import limits
from dispatcher.wire.messages import AddressReport, AddressState
from tests.support.stalls import judge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable

LIMIT_SECONDS = 10.0


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SECONDS * 2):
            await coroutine

    asyncio.run(limited())


class ListedSource:
    """A kernel that has these addresses, and local routes that cover others; a test changes them, or tells of it."""

    poll_seconds: float | None = None

    def __init__(self, *addresses: str) -> None:
        """Have these addresses."""
        self.addresses = list(addresses)
        self.events: list[NetlinkMessage] | None = []
        self.covered: set[str] = set()
        self.asked: list[list[str]] = []
        self.lists = 0
        self.closed = False
        self.wake: Callable[[], None] = lambda: None

    def open(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def close(self) -> None:
        self.closed = True

    def take_events(self) -> list[NetlinkMessage] | None:
        events, self.events = self.events, []
        return events

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        yield [KernelAddress(address, 1) for address in self.addresses]

    def routed(self, addresses: Iterable[str]) -> Generator[tuple[str, bool], None, None]:
        self.asked.append(sorted(addresses))
        for address in self.asked[-1]:
            yield address, address in self.covered

    def tell(self, kind: int, address: str) -> None:
        assert self.events is not None
        self.events.append(NetlinkMessage(kind, 0, False, KernelAddress(address, 1)))
        self.wake()

    def tell_route(self) -> None:
        assert self.events is not None
        route = netlink.LocalRoute("2001:db8:77::", 64)
        self.events.append(NetlinkMessage(netlink.RTM_NEWROUTE, 0, False, route=route))
        self.wake()

    def lose(self) -> None:
        self.events = None
        self.wake()


class SourceInPieces(ListedSource):
    """A kernel that lists its addresses as the real one does: some 400 at a time, a loop turn each."""

    def __init__(self, *addresses: str) -> None:
        """Make the pieces beforehand: their making is the kernel's work."""
        super().__init__()
        known = [KernelAddress(address, 1) for address in addresses]
        self.ready = [known[start : start + 400] for start in range(0, len(known), 400)]

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        for piece in self.ready:
            yield piece
            await asyncio.sleep(0)


class InterruptedSource(ListedSource):
    """A kernel whose first list lacks its addresses, and says so."""

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        if self.lists == 1:
            yield []
            raise ListInterruptedError("changed")
        yield [KernelAddress(address, 1) for address in self.addresses]


class RefusingSource(ListedSource):
    """A kernel that refuses the first list."""

    async def pieces(self) -> AsyncGenerator[list[KernelAddress], None]:
        self.lists += 1
        if self.lists == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        yield [KernelAddress(address, 1) for address in self.addresses]


class Told:
    """Keeps what a watcher told and wakes the test that waits for it."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self.states: dict[str, AddressState] = {}
        self.calls: list[tuple[tuple[AddressReport, ...], tuple[str, ...]]] = []
        self.news = asyncio.Event()

    def __call__(self, changed: tuple[AddressReport, ...], gone: tuple[str, ...]) -> None:
        self.calls.append((changed, gone))
        self.states.update({report.address: report.state for report in changed})
        for address in gone:
            del self.states[address]
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition():
                self.news.clear()
                await self.news.wait()


def bindable(address: str, is_routed: bool) -> str | None:
    return None


def watcher(source: ListedSource, told: Any, **more: Any) -> AddressWatcher:
    options = AddressOptions(**more.pop("options", {}))
    return AddressWatcher(options, told, source=source, **{"test": bindable, **more})


def preferred(*addresses: str) -> dict[str, AddressState]:
    return dict.fromkeys(addresses, AddressState.PREFERRED)


def test_when_start_returns_everything_there_was_told() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::2", "2a00::1", "fe80::1")
        watching = watcher(source, told)
        await watching.start()
        assert preferred("2a00::1", "2a00::2") == told.states
        assert ["2a00::1", "2a00::2"] == [report.address for report in watching.snapshot()]
        await watching.stop()
        assert source.closed

    run(scenario())


def test_events_are_told_together_and_only_differences() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::1")
        watching = watcher(source, told)
        await watching.start()
        source.tell(netlink.RTM_NEWADDR, "2a00::2")
        source.tell(netlink.RTM_NEWADDR, "2a00::1")
        source.tell(netlink.RTM_NEWADDR, "2a00::3")
        source.tell(netlink.RTM_DELADDR, "2a00::3")
        source.tell(netlink.RTM_DELADDR, "2a00::1")
        await told.until(lambda: "2a00::1" not in told.states)
        reports = (AddressReport("2a00::2", AddressState.PREFERRED, None),)
        assert [(reports, ("2a00::1",))] == told.calls[1:]
        await watching.stop()

    run(scenario())


def test_events_of_a_few_loop_turns_are_told_in_one_call() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource()
        watching = watcher(source, told)
        await watching.start()
        for number in range(1, 6):
            source.tell(netlink.RTM_NEWADDR, f"2a00::{number}")
            await asyncio.sleep(0)
        await told.until(lambda: len(told.states) == 5)
        assert 1 == len(told.calls)
        await watching.stop()

    run(scenario())


def test_nothing_is_told_after_stop() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::1")
        watching = watcher(source, told)
        await watching.start()
        source.tell(netlink.RTM_NEWADDR, "2a00::2")
        await watching.stop()
        await watching.stop()
        assert preferred("2a00::1") == told.states

    run(scenario())


def test_after_lost_events_the_list_is_read_again() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::1", "2a00::2")
        watching = watcher(source, told)
        await watching.start()
        source.addresses = ["2a00::2", "2a00::3"]
        source.lose()
        await told.until(lambda: preferred("2a00::2", "2a00::3") == told.states)
        assert 2 == source.lists
        await watching.stop()

    run(scenario())


def test_a_change_without_an_event_is_found_by_the_periodic_list() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::1")
        watching = watcher(source, told, resync_seconds=0.1)
        await watching.start()
        source.addresses = ["2a00::2"]
        await told.until(lambda: preferred("2a00::2") == told.states)
        await watching.stop()

    run(scenario())


def test_a_source_without_events_is_polled() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource()
        source.poll_seconds = 0.1
        watching = watcher(source, told)
        await watching.start()
        source.addresses = ["2a00::1"]
        await told.until(lambda: preferred("2a00::1") == told.states)
        await watching.stop()

    run(scenario())


@pytest.mark.parametrize("kind", [InterruptedSource, RefusingSource])
def test_a_list_that_failed_is_read_again_soon(kind: type[ListedSource]) -> None:
    async def scenario() -> None:
        told = Told()
        watching = watcher(kind("2a00::1"), told)
        await watching.start()
        assert {} == told.states
        await told.until(lambda: preferred("2a00::1") == told.states)
        await watching.stop()

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
        told = Told()
        answers = iter(["cannot be bound", None])
        watching = watcher(ListedSource("2a00::1"), told, test=lambda *_: next(answers))
        await watching.start()
        assert (AddressReport("2a00::1", AddressState.UNBINDABLE, "cannot be bound"),) == watching.snapshot()
        await told.until(lambda: preferred("2a00::1") == told.states)
        await watching.stop()

    run(scenario())


def test_an_event_tests_an_unbindable_address_at_once() -> None:
    async def scenario() -> None:
        told = Told()
        tests: list[float] = []

        def fail_once(address: str, is_routed: bool) -> str | None:
            tests.append(time.monotonic())
            return "cannot be bound" if len(tests) == 1 else None

        source = ListedSource("2a00::1")
        watching = watcher(source, told, test=fail_once)
        await watching.start()
        source.tell(netlink.RTM_NEWADDR, "2a00::1")
        await told.until(lambda: preferred("2a00::1") == told.states)
        assert tests[1] - tests[0] < 1.0
        await watching.stop()

    run(scenario())


def test_addresses_over_the_bound_are_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource("2a00::3", "2a00::2", "2a00::1")
        watching = watcher(source, told, options={"max_addresses": 2})
        await watching.start()
        assert preferred("2a00::1", "2a00::2") == told.states
        source.tell(netlink.RTM_NEWADDR, "2a00::4")
        source.tell(netlink.RTM_DELADDR, "2a00::1")
        await told.until(lambda: preferred("2a00::2", "2a00::3") == told.states)
        await watching.stop()

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert ["1 addresses are over the limit and left out"] == [record.getMessage() for record in caplog.records]


def test_only_addresses_on_the_interfaces_asked_for_are_usable() -> None:
    async def scenario() -> None:
        told = Told()
        watching = watcher(ListedSource("2a00::1"), told, options={"interfaces": frozenset({"none0"})})
        await watching.start()
        assert {"2a00::1": AddressState.EXCLUDED} == told.states
        await watching.stop()

    run(scenario())


class SystemThatRenamesAnInterface:
    """The socket module of a system where interface 1 gets another name after the first question."""

    def __init__(self) -> None:
        """Start with the first name."""
        self.names = iter(["old0"])

    def if_indextoname(self, index: int) -> str:
        return next(self.names, "new0")


NAMED = "2001:db8:77::5"


def test_an_address_asked_for_is_told_as_its_route_comes_and_goes() -> None:
    async def scenario() -> None:
        told = Told()
        tests: list[tuple[str, bool]] = []
        source = ListedSource()
        watching = watcher(
            source, told, options={"explicit": (NAMED,)}, test=lambda address, routed: tests.append((address, routed))
        )
        await watching.start()
        assert {NAMED: AddressState.UNBINDABLE} == told.states
        source.covered = {NAMED}
        source.tell_route()
        await told.until(lambda: preferred(NAMED) == told.states)
        assert ([(NAMED, True)], True) == (tests, watching.is_routed(NAMED))
        source.covered = set()
        source.tell_route()
        await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)
        assert not watching.is_routed(NAMED)
        await watching.stop()

    run(scenario())


def test_a_route_that_went_without_an_event_is_missed_by_the_periodic_list() -> None:
    async def scenario() -> None:
        told = Told()
        source = ListedSource()
        source.covered = {NAMED}
        watching = watcher(source, told, options={"explicit": (NAMED,)}, resync_seconds=0.1)
        await watching.start()
        assert preferred(NAMED) == told.states
        source.covered = set()
        await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)
        await watching.stop()

    run(scenario())


def test_no_route_is_asked_for_before_a_list_was_whole() -> None:
    async def scenario() -> None:
        told = Told()
        source = InterruptedSource(NAMED)
        source.covered = {NAMED}
        watching = watcher(source, told, options={"explicit": (NAMED,)})
        await watching.start()
        await told.until(lambda: preferred(NAMED) == told.states)
        assert [[]] == source.asked
        assert not watching.is_routed(NAMED)
        await watching.stop()

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
        told = Told()
        source = SourceThatDoesNotSay()
        source.covered = {NAMED}
        watching = watcher(source, told, options={"explicit": (NAMED,)})
        await watching.start()
        source.failing, source.covered = True, set()
        source.tell_route()
        await wait_for_record(caplog, "local routes could not be asked for: no memory")
        assert preferred(NAMED) == told.states
        source.failing = False
        source.wake()
        await told.until(lambda: {NAMED: AddressState.UNBINDABLE} == told.states)
        assert 2 == len(told.calls)
        await watching.stop()

    run(scenario())


async def wait_for_record(caplog: pytest.LogCaptureFixture, text: str) -> None:
    said = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == text:
                loop.call_soon(said.set)

    listener = Listener()
    module.logger.addHandler(listener)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await said.wait()
    finally:
        module.logger.removeHandler(listener)
    assert text in caplog.text


def test_an_interface_that_is_renamed_is_known_by_its_new_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        told = Told()
        monkeypatch.setattr(module, "socket", SystemThatRenamesAnInterface())
        options = {"interfaces": frozenset({"new0"})}
        watching = watcher(ListedSource("2a00::1"), told, options=options, resync_seconds=0.05)
        await watching.start()
        assert {"2a00::1": AddressState.EXCLUDED} == told.states
        await told.until(lambda: preferred("2a00::1") == told.states)
        await watching.stop()

    run(scenario())


def test_ten_thousand_addresses_take_the_loop_for_less_than_50_ms_a_turn_and_fit_into_messages() -> None:
    async def scenario() -> None:
        gc.collect()
        gc.freeze()  # a full collection over all that pytest has loaded takes 45 ms by itself
        told = Told()
        source = SourceInPieces(*(f"2a00::{number:x}" for number in range(10_000)))
        watching = watcher(source, told)
        start = asyncio.create_task(watching.start())
        turns = [await busy_seconds() for _ in iter(start.done, True)]
        await start
        assert 10_000 == len(told.states)
        assert {limits.MAX_ADDRESSES_PER_MESSAGE} == {len(changed) for changed, _ in told.calls}
        # CPU time, since another process may take the CPU from a turn.
        judge(turns, "the watcher")
        assert len(turns) > 20
        await watching.stop()
        gc.unfreeze()

    run(scenario())


async def busy_seconds() -> float:
    before = time.thread_time()
    await asyncio.sleep(0)
    return time.thread_time() - before
