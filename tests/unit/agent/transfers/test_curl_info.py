"""Where a transfer's time went."""

from __future__ import annotations

import pycurl
import pytest

from dispatcher.agent.transfers.curl_info import HOP_PHASES, _of_kept, _phases

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


@pytest.mark.parametrize(
    ("sent", "begun", "expected"),
    [
        (5, 12, (0, 0, 0, 5, 7, 8)),
        (0, 0, (0, 0, 0, 0, 0, 20)),
        (5, 20, (0, 0, 0, 5, 15, 0)),
        # Marks that are out of order, as where the answer came before all was sent, and a clock that is behind.
        (13, 12, (0, 0, 0, 13, 0, 7)),
        (5, 21, (0, 0, 0, 5, 16, 0)),
    ],
)
def test_the_phases_of_a_kept_connection_are_those_from_sending_on(
    sent: int, begun: int, expected: tuple[int, ...]
) -> None:
    told = {
        pycurl.POSTTRANSFER_TIME_T: sent,
        pycurl.STARTTRANSFER_TIME_T: begun,
    }
    ending = _of_kept(told.__getitem__, "2001:db8::1", 20)
    assert (expected, "receive") == (ending.phases, ending.phase)
    assert (0, "2001:db8::1") == (ending.errno, ending.local_ip)
    assert _phases((0, 0, 0, sent, begun), HOP_PHASES.index("receive"), 20) == ending.phases
