"""Where a transfer's time went."""

from __future__ import annotations

import pytest

from dispatcher.agent.transfers.curl_info import HOP_PHASES, _phases

MARKS = (1, 3, 6, 7, 17)


@pytest.mark.parametrize(
    ("marks", "phase", "expected"),
    [
        (MARKS, "receive", (1, 2, 3, 1, 10, 3)),
        ((1, 3, 0, 7, 17), "receive", (1, 2, 0, 4, 10, 3)),
        (MARKS, "wait", (1, 2, 3, 1, 13, 0)),
        (MARKS, "connect", (1, 19, 0, 0, 0, 0)),
        ((0, 0, 0, 0, 0), "dns", (20, 0, 0, 0, 0, 0)),
        ((1, 3, 6, 18, 17), "receive", (1, 2, 3, 12, 0, 2)),
    ],
)
def test_the_phases_add_up_to_the_whole_and_the_rest_is_the_last_ones(
    marks: tuple[int, ...], phase: str, expected: tuple[int, ...]
) -> None:
    phases = _phases(marks, HOP_PHASES.index(phase), 20)
    assert expected == phases
    assert 20 == sum(phases)


def test_a_clock_that_is_behind_makes_no_phase_negative() -> None:
    assert (1, 2, 3, 1, 10, 0) == _phases(MARKS, HOP_PHASES.index("receive"), 16)
