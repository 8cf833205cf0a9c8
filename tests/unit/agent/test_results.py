"""Results as the wire takes them."""

from __future__ import annotations

from dispatcher.agent import results
from dispatcher.errors import Failure, FailureKind
from dispatcher.wire import fields
from dispatcher.wire.messages import PHASES, Result
from tests.support.executing import execution


def test_a_failed_result_passes_the_checks_of_the_wire() -> None:
    failure = Failure.of(FailureKind.DNS, "d" * 10_000)
    result = results.failed(execution("http://a.test/", id="x"), failure, {"dns": 1.23456}, 2.0)
    told = fields.parse(Result, {**fields.as_json(result), "error_kind": "dns", "error_party": "resolver"})
    assert results.MAX_DETAIL_CHARS == len(told.error_detail)
    assert (1.235, 2.0, 0.0) == (told.timings["dns"], told.timings["total"], told.timings["wait"])


def test_timings_have_every_phase_in_order_and_none_is_negative() -> None:
    assert dict.fromkeys(PHASES, 0.0) == results.timings({"wait": -1.0}, 0.0)
    assert PHASES == tuple(results.timings({}, 1.0))
