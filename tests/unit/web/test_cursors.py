"""Cursors: what was encoded is decoded, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dispatcher.actors.messages import HistoryFilter, Outcome
from dispatcher.web import cursors

NUMBERS = st.one_of(st.none(), st.integers(0, 2**53))
FILTERS = st.builds(
    HistoryFilter,
    agent_id=st.one_of(st.none(), st.text(min_size=1, max_size=64)),
    source_ip=st.one_of(st.none(), st.sampled_from(["2001:db8::1", "::1"])),
    outcome=st.one_of(st.none(), st.sampled_from(Outcome)),
    status=st.one_of(st.none(), st.integers(100, 999)),
    error=st.one_of(st.none(), st.sampled_from(["dns", "timeout"])),
    since_ms=NUMBERS,
    until_ms=NUMBERS,
)
PLACES = st.integers(0, 36**12 - 1)


@given(PLACES, FILTERS)
def test_a_cursor_leads_to_where_it_was_made_for(before: int, where: HistoryFilter) -> None:
    cursor = cursors.encode(before, where)
    assert cursors.PATTERN.fullmatch(cursor)
    assert before == cursors.decode(cursor, where)


@given(PLACES, FILTERS, FILTERS)
def test_a_cursor_leads_nowhere_under_other_filters(before: int, where: HistoryFilter, other: HistoryFilter) -> None:
    assume(where != other)
    with pytest.raises(cursors.CursorError, match="with these filters"):
        cursors.decode(cursors.encode(before, where), other)


def test_no_filter_is_not_a_filter_of_the_word() -> None:
    cursor = cursors.encode(1, HistoryFilter())
    for where in (HistoryFilter(agent_id="None"), replace(HistoryFilter(), error="None")):
        with pytest.raises(cursors.CursorError):
            cursors.decode(cursor, where)


@given(st.text(max_size=25))
def test_what_nobody_gave_leads_nowhere(text: str) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.decode(text, HistoryFilter())
