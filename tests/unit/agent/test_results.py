"""Results as the wire takes them."""

from __future__ import annotations

from dispatcher.agent import results
from dispatcher.errors import Failure, FailureKind
from dispatcher.wire import fields
from dispatcher.wire.messages import Result
from tests.support.executing import execution


def test_a_failed_result_passes_the_checks_of_the_wire() -> None:
    failure = Failure.of(FailureKind.DNS, "d" * 10_000)
    phases = (0, 1235, 0, 0, 0, 0, 0)
    result = results.failed(execution("http://a.test/", id="x"), failure, phases, 2000)
    told = fields.parse(Result, {**fields.as_json(result), "error_kind": "dns", "error_party": "resolver"})
    assert results.MAX_DETAIL_CHARS == len(told.error_detail)
    assert (1.235, 2.0, 0.0) == (told.timings["dns"], told.timings["total"], told.timings["wait"])
