"""The bind test on real sockets, and the schedule of tests without a clock."""

from __future__ import annotations

import errno
import socket

import pytest

from dispatcher.agent.addresses.binding import LONGEST_PAUSE_SECONDS, RetestSchedule, bind_error, lacks_route


def test_an_address_of_this_machine_can_be_bound() -> None:
    assert bind_error("::1") is None


def test_an_address_of_another_machine_is_refused_with_the_errors_name_and_text() -> None:
    expected = "cannot be bound: EADDRNOTAVAIL (Cannot assign requested address)"
    assert expected == bind_error("2001:db8:ffff::1")


def test_a_route_is_looked_up_in_the_kernels_tables_alone() -> None:
    assert not lacks_route("::1", "::1")
    assert lacks_route("2001:db8:ffff::1", "::1")


def test_a_bind_test_leaves_no_socket_open() -> None:
    with socket.socket() as before:
        lowest = before.fileno()
    bind_error("::1")
    bind_error("2001:db8:ffff::1")
    lacks_route("::1", "::1")
    with socket.socket() as after:
        assert lowest == after.fileno()


def test_pauses_grow_from_one_second_to_a_minute() -> None:
    schedule = RetestSchedule()
    now = 0.0
    pauses = []
    for _ in range(8):
        schedule.failed("2a00::1", now)
        due = schedule.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert ["2a00::1"] == schedule.due(now)
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS] == pauses


def test_nothing_is_due_before_its_time() -> None:
    schedule = RetestSchedule()
    schedule.failed("2a00::1", 10.0)
    assert [] == schedule.due(10.9)
    assert ["2a00::1"] == schedule.due(11.0)
    assert [] == schedule.due(99.0)


def test_a_forgotten_address_is_not_tested_and_starts_anew() -> None:
    schedule = RetestSchedule()
    schedule.failed("2a00::1", 0.0)
    schedule.failed("2a00::1", 0.0)
    schedule.forget("2a00::1")
    schedule.forget("2a00::2")
    assert schedule.next_due() is None
    assert [] == schedule.due(99.0)
    schedule.failed("2a00::1", 100.0)
    assert 101.0 == schedule.next_due()


def test_a_failure_between_tests_moves_the_next_one() -> None:
    schedule = RetestSchedule()
    schedule.failed("2a00::1", 0.0)
    schedule.failed("2a00::1", 0.5)
    assert [] == schedule.due(2.4)
    assert ["2a00::1"] == schedule.due(2.5)


def test_an_address_that_only_a_route_can_make_ours_is_bound_all_the_same() -> None:
    assert bind_error("2001:db8:ffff::1", is_routed=True) is None


class SystemWithoutFreeBinding(socket.socket):
    """A socket of a system that does not know IPV6_FREEBIND."""

    def setsockopt(self, level: int, name: int, value: int) -> None:  # type: ignore[override]  # as it is used here
        if level == socket.IPPROTO_IPV6:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        super().setsockopt(level, name, value)


def test_where_the_system_cannot_bind_freely_the_test_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", SystemWithoutFreeBinding)
    expected = "cannot be bound: ENOPROTOOPT (Protocol not available)"
    assert expected == bind_error("2001:db8:ffff::1", is_routed=True)
