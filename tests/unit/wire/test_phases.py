"""The phases of an execution, named and in order, and what of them is read. Their bounds are in `test_messages.py`."""

from __future__ import annotations

from dispatcher.errors import FailureKind
from dispatcher.wire import codec, fields
from dispatcher.wire.messages import FROM_AGENT, Result
from dispatcher.wire.phases import PHASES, timings_of


def test_missing_phases_are_zero_and_unknown_ones_are_left_out() -> None:
    result = fields.parse(Result, {"id": "x", "timings": {"dns": 1, "lunch": "long"}})
    assert dict.fromkeys(PHASES, 0.0) | {"dns": 1.0} == result.timings


def test_without_any_phase_nothing_was_measured() -> None:
    said = codec.encode([Result("x", error_kind=FailureKind.INTERNAL)])
    (result,) = codec.decode(said, FROM_AGENT)
    assert isinstance(result, Result)
    assert {} == result.timings


def test_timings_are_milliseconds_of_every_phase_in_order() -> None:
    found = timings_of((0, 1, 20, 300, 4_000, 50_000, 600_000, 654_321))
    assert PHASES == tuple(found)
    assert [0.0, 0.001, 0.02, 0.3, 4.0, 50.0, 600.0, 654.321] == list(found.values())
