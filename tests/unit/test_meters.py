"""`Meters`: what an execution adds to them, and histograms against a plain count."""

from __future__ import annotations

import functools
import operator
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.actors.messages import Outcome
from dispatcher.errors import Failure, FailureKind
from dispatcher.meters import PHASE_BOUNDS, Histogram, Meters, Traffic
from dispatcher.record import Record
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES
from tests.support.records import record


def ended(outcome: Outcome, timings: dict[str, float], failure: Failure | None = None) -> Record:
    return record(outcome=outcome, result=Result(id="1", status=200, timings=timings), failure=failure)


@given(st.lists(st.floats(0, 100)), st.sets(st.floats(0.001, 100), min_size=1))
def test_a_histogram_counts_as_a_list_of_all_values_does(values: list[float], bounds: set[float]) -> None:
    histogram = Histogram(sorted(bounds))
    for value in values:
        histogram.add(value)
    expected = [sum(value <= bound for value in values) for bound in sorted(bounds)]
    assert [*expected, len(values)] == histogram.cumulative
    assert functools.reduce(operator.add, values, 0.0) == histogram.sum  # from 3.12 on `sum` rounds once, at the end


@given(st.lists(st.lists(st.floats(0, 100))), st.sets(st.floats(0.001, 100), min_size=1))
def test_values_count_the_same_together_as_one_by_one(groups: list[list[float]], bounds: set[float]) -> None:
    together, one_by_one = Histogram(sorted(bounds)), Histogram(sorted(bounds))
    for group in groups:
        together.add_all(group)
        for value in group:
            one_by_one.add(value)
    assert one_by_one.cumulative == together.cumulative
    assert one_by_one.sum == pytest.approx(together.sum)  # in another order, so rounded otherwise


def test_a_phase_as_long_as_a_bound_is_within_it() -> None:
    meters = Meters()
    for bound in PHASE_BOUNDS:
        meters.finished(ended(Outcome.COMPLETED, {"wait": bound * 1000}))
    assert [*range(1, len(PHASE_BOUNDS) + 1), len(PHASE_BOUNDS)] == meters.phases["wait"].cumulative


def test_each_of_many_executions_is_counted_once_whenever_somebody_looks() -> None:
    meters = Meters()
    for number in range(1, 1001):
        meters.finished(ended(Outcome.COMPLETED, {"wait": float(number)}))
        if number in (1, 255, 256, 257, 1000):
            wait = meters.phases["wait"]
            assert (number, {("completed", ""): number}) == (wait.cumulative[-1], meters.executions)
            assert number * (number + 1) / 2000 == pytest.approx(wait.sum)


def test_the_timings_of_few_executions_are_kept() -> None:
    class Timings(dict[str, float]):
        """What weak references may be made to."""

    meters, seen = Meters(), []
    for _ in range(1000):
        timings = Timings(wait=1.0)
        seen.append(weakref.ref(timings))
        meters.finished(ended(Outcome.COMPLETED, timings))
    assert 256 >= sum(each() is not None for each in seen)


def test_an_answered_execution_counts_with_the_phases_that_took_place() -> None:
    meters = Meters()
    meters.finished(ended(Outcome.COMPLETED, {"dns": 0.0, "connect": 2.0, "total": 30.0, "unheard_of": 1.0}))
    assert {("completed", ""): 1} == meters.executions
    found = {phase: (histogram.cumulative[-1], histogram.sum) for phase, histogram in meters.phases.items()}
    assert dict.fromkeys(PHASES, (0, 0.0)) | {"connect": (1, 0.002), "total": (1, 0.03)} == found
    assert PHASE_BOUNDS == meters.phases["total"].bounds


def test_a_failed_execution_counts_by_its_kind_and_without_its_phases() -> None:
    meters = Meters()
    dns = Failure.of(FailureKind.DNS, "so it was")
    lost = Failure.of(FailureKind.AGENT_LOST, "so it was")
    for outcome, failure in ((Outcome.FAILED, dns), (Outcome.FAILED, dns), (Outcome.UNKNOWN, lost)):
        meters.finished(ended(outcome, {"total": 30.0}, failure))
    assert {("failed", "dns"): 2, ("unknown", "agent_lost"): 1} == meters.executions
    assert 0 == meters.phases["total"].cumulative[-1]


def test_traffic_counts_frames_and_their_bytes() -> None:
    traffic = Traffic()
    traffic.add(b"12345")
    traffic.add(b"1")
    assert (2, 6) == (traffic.frames, traffic.size)
