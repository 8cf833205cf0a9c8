"""The worker between link and executor: what a link is told, and what becomes of results."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from dispatcher.wire import limits
from dispatcher.wire.messages import AddressesChanged, AddressState, Holding
from tests.unit.agent.working import EXECUTE, RESULT, Bench, KeptLink, report
from tests.unit.loops import on_loop


def test_each_link_says_which_headers_are_secret() -> None:
    async def test() -> None:
        bench = Bench()
        assert ("X-Token", "s") == bench.executor.secret
        bench.worker.on_lost(bench.link)
        link: Any = KeptLink(bench.worker, session="t")
        bench.worker.on_welcome(link)
        assert ("X-Token", "t") == bench.executor.secret

    on_loop(test)


def test_a_new_link_is_told_all_addresses() -> None:
    async def test() -> None:
        bench = Bench(report("::1"), report("::2"))
        assert [AddressesChanged(changed=(report("::1"), report("::2")))] == bench.link.sent

    on_loop(test)


def test_many_addresses_are_told_in_messages_of_bounded_length() -> None:
    async def test() -> None:
        count = limits.MAX_ADDRESSES_PER_MESSAGE * 2 + 1
        bench = Bench(*(report(f"2001:db8::{number:x}") for number in range(count)))
        assert [1000, 1000, 1] == [len(message.changed) for message in bench.link.sent]
        bench.worker.on_addresses((), tuple(f"2001:db8::{number:x}" for number in range(count)))
        assert [1000, 1000, 1] == [len(message.gone) for message in bench.link.sent[3:]]

    on_loop(test)


def test_changes_are_told_as_they_come() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_addresses((report("::1"),), ("::2",))
        assert [AddressesChanged(changed=(report("::1"),), gone=("::2",))] == bench.link.sent

    on_loop(test)


def test_the_connections_of_an_address_that_cannot_be_used_any_more_are_dropped() -> None:
    async def test() -> None:
        bench = Bench()
        unusable = [state for state in AddressState if state not in (AddressState.PREFERRED, AddressState.DEPRECATED)]
        changed = [report(f"2001:db8::{number}", state) for number, state in enumerate(AddressState)]
        bench.worker.on_addresses(changed, ("2001:db8::ff",))
        expected = {"2001:db8::ff"} | {known.address for known in changed if known.state in unusable}
        assert expected == set(bench.executor.dropped)

    on_loop(test)


def test_addresses_are_followed_without_a_link_too() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_lost(bench.link)
        bench.worker.on_addresses((), ("::1",))
        assert ["::1"] == bench.executor.dropped
        assert [] == bench.link.sent

    on_loop(test)


def test_the_requests_of_a_frame_begin_together() -> None:
    async def test() -> None:
        bench = Bench()
        for each in (EXECUTE, replace(EXECUTE, id="x2")):
            bench.worker.on_execute(bench.link, each)
        assert [] == bench.executor.begun
        bench.worker.on_heard()
        assert [["x1", "x2"]] == bench.executor.begun

    on_loop(test)


def test_a_result_goes_back_on_the_link_that_its_session_has() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_execute(bench.link, EXECUTE)
        bench.executor.finish("x1")
        assert [RESULT] == bench.link.sent

    on_loop(test)


def test_what_finishes_after_its_link_was_lost_is_told_on_the_next_one() -> None:
    async def test() -> None:
        bench = Bench(report("::1"))
        for each in (EXECUTE, replace(EXECUTE, id="x2")):
            bench.worker.on_execute(bench.link, each)
        bench.worker.on_lost(bench.link)
        bench.executor.finish("x1")
        newer: Any = KeptLink(bench.worker)
        bench.worker.on_welcome(newer)
        assert [Holding(frozenset({"x1", "x2"})), RESULT] == newer.sent[:2]
        assert isinstance(newer.sent[2], AddressesChanged)
        bench.executor.finish("x2")
        assert [replace(RESULT, id="x2")] == newer.sent[3:]

    on_loop(test)


def test_a_result_is_told_again_until_the_coordinator_has_it() -> None:
    async def test() -> None:
        bench = Bench()
        for each in (EXECUTE, replace(EXECUTE, id="x2"), replace(EXECUTE, id="x3")):
            bench.worker.on_execute(bench.link, each)
        bench.executor.finish(*bench.executor.held)
        bench.worker.on_delivered(frozenset({"x2"}))
        bench.worker.on_cancel("x3")
        newer: Any = KeptLink(bench.worker)
        bench.worker.on_lost(bench.link)
        bench.worker.on_welcome(newer)
        assert [Holding(frozenset({"x1"})), RESULT] == newer.sent

    on_loop(test)


@pytest.mark.parametrize("newer_coordinator", [{"session": "t"}, {"can_resume": False}])
def test_what_nobody_waits_for_any_more_is_dropped_with_a_line(
    newer_coordinator: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        bench = Bench()
        for each in (EXECUTE, replace(EXECUTE, id="x2")):
            bench.worker.on_execute(bench.link, each)
        bench.worker.on_lost(bench.link)
        bench.executor.finish("x1")
        newer: Any = KeptLink(bench.worker, **newer_coordinator)
        bench.worker.on_welcome(newer)
        assert [] == newer.sent
        bench.executor.finish("x2")
        assert [] == newer.sent

    on_loop(test)
    assert [
        "dropped 1 results: the coordinator does not wait for them any more",
        "dropped the result of 'x2': the coordinator does not wait for it any more",
    ] == caplog.messages


def test_the_oldest_results_go_when_there_are_too_many(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        bench = Bench()
        many = [replace(EXECUTE, id=f"x{number}") for number in range(12)]
        for each in many:
            bench.worker.on_execute(bench.link, each)
        bench.worker.on_lost(bench.link)
        bench.executor.finish(*bench.executor.held)
        newer: Any = KeptLink(bench.worker)
        bench.worker.on_welcome(newer)
        assert [each.id for each in many[3:]] == [result.id for result in newer.sent[1:]]

    caplog.set_level(logging.INFO)
    on_loop(test)
    assert 3 == caplog.text.count("take more than --undelivered-bytes")


def test_the_loss_of_an_older_link_does_not_end_the_newer_one() -> None:
    async def test() -> None:
        bench = Bench()
        newer: Any = KeptLink(bench.worker)
        bench.worker.on_welcome(newer)
        bench.worker.on_lost(bench.link)
        bench.worker.on_addresses((report("::1"),), ())
        assert [Holding(), AddressesChanged(changed=(report("::1"),))] == newer.sent

    on_loop(test)


def test_a_cancel_reaches_the_executor() -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_cancel("x1")
        assert ["x1"] == bench.executor.cancelled

    on_loop(test)


def test_an_agent_says_when_no_address_may_be_used_though_some_are_there(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        bench = Bench()
        bench.worker.on_addresses([report("2001:db8::1", AddressState.EXCLUDED)], ())
        bench.worker.warn_without_exits()
        assert 1 == caplog.text.count("no IPv6 address of this machine may be used")

        bench.worker.on_addresses([report("2001:db8::2"), report("2001:db8::3")], ())
        bench.worker.on_addresses([report("2001:db8::3", AddressState.UNBINDABLE)], ())
        assert 1 == caplog.text.count("no IPv6 address of this machine may be used")

        bench.worker.on_addresses([], ("2001:db8::2",))
        assert 2 == caplog.text.count("no IPv6 address of this machine may be used")

    on_loop(test)
