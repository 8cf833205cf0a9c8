"""When an exit is put aside, for how long, and what brings it back."""

from __future__ import annotations

import pytest

from dispatcher.actors.setbacks import Finding, Setbacks, pause


def test_pauses_double_from_one_second_to_the_longest_and_are_a_little_apart() -> None:
    for failures, full in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], 1):
        drawn = [pause(failures) for _ in range(50)]
        assert 0.8 * full <= min(drawn) < max(drawn) <= full
    assert pause(10_000, 60.0) <= 60.0
    assert pause(1, 0.1) <= 0.1


def test_one_failure_puts_aside_and_the_trial_after_it_decides() -> None:
    setbacks = Setbacks()
    setbacks.leased()
    assert not setbacks.is_aside
    assert setbacks.ended(Finding.FAILS, "connect in execution 1")
    assert "set aside, failure 1 in a row: connect in execution 1" == setbacks.reason
    setbacks.pause_over()
    assert (False, None) == (setbacks.is_aside, setbacks.reason)
    setbacks.leased()
    assert "being tried again after: connect in execution 1" == setbacks.reason
    assert setbacks.ended(Finding.FAILS, "connect in execution 2")
    assert "set aside, failure 2 in a row: connect in execution 2" == setbacks.reason
    setbacks.pause_over()
    setbacks.leased()
    assert not setbacks.ended(Finding.WORKS, "")
    setbacks.leased()
    assert not setbacks.is_aside


@pytest.mark.parametrize("finding", Finding)
def test_what_ends_during_a_pause_changes_nothing(finding: Finding) -> None:
    setbacks = Setbacks()
    setbacks.ended(Finding.FAILS, "first")
    assert not setbacks.ended(finding, "second")
    assert (1, True, "first") == (setbacks.failures, setbacks.is_paused, setbacks.why)


def test_what_tells_nothing_leaves_the_failures_counted() -> None:
    setbacks = Setbacks()
    setbacks.ended(Finding.FAILS, "first")
    setbacks.pause_over()
    setbacks.leased()
    assert not setbacks.ended(Finding.NOTHING, "")
    assert (1, False) == (setbacks.failures, setbacks.is_aside)


def test_the_first_failure_and_the_end_of_a_row_are_news() -> None:
    setbacks = Setbacks()
    told = []
    for finding in (Finding.WORKS, Finding.FAILS, Finding.FAILS, Finding.NOTHING, Finding.WORKS, Finding.WORKS):
        failures = setbacks.failures
        setbacks.leased()
        setbacks.ended(finding, "no route")
        told.append(setbacks.news(failures))
        setbacks.pause_over()
    assert [None, "is set aside: no route", None, None, "works again, after 2 failures in a row", None] == told
