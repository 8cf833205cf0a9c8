"""Where a transfer's time went."""

from __future__ import annotations

import pytest

from dispatcher.agent.curl_info import _phases

MARKS = {"dns": 1.0, "connect": 3.0, "tls": 6.0, "send": 7.0, "wait": 17.0}


@pytest.mark.parametrize(
    ("marks", "phase", "expected"),
    [
        (MARKS, "receive", {"dns": 1, "connect": 2, "tls": 3, "send": 1, "wait": 10, "receive": 3}),
        ({**MARKS, "tls": 0.0}, "receive", {"dns": 1, "connect": 2, "tls": 0, "send": 4, "wait": 10, "receive": 3}),
        (MARKS, "wait", {"dns": 1, "connect": 2, "tls": 3, "send": 1, "wait": 13, "receive": 0}),
        (MARKS, "connect", {"dns": 1, "connect": 19, "tls": 0, "send": 0, "wait": 0, "receive": 0}),
        (dict.fromkeys(MARKS, 0.0), "dns", {"dns": 20, "connect": 0, "tls": 0, "send": 0, "wait": 0, "receive": 0}),
        ({**MARKS, "send": 18.0}, "receive", {"dns": 1, "connect": 2, "tls": 3, "send": 12, "wait": 0, "receive": 2}),
    ],
)
def test_the_phases_add_up_to_the_whole_and_the_rest_is_the_last_ones(
    marks: dict[str, float], phase: str, expected: dict[str, float]
) -> None:
    phases = _phases(marks, phase, 20.0)
    assert expected == phases
    assert sum(phases.values()) == pytest.approx(20.0)
