"""Points in time as text."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.timestamps import optional_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600.0, "2026-01-01T00:00:00.000Z"),
        (1_767_225_600.9994, "2026-01-01T00:00:00.999Z"),
        (1_767_225_600.9996, "2026-01-01T00:00:01.000Z"),
        (1_767_225_599.9999, "2026-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(seconds: float, expected: str) -> None:
    assert expected == rfc3339(seconds)


@given(milliseconds=st.integers(0, 4_102_444_800_000))
def test_every_millisecond_is_written_as_itself(milliseconds: int) -> None:
    written = rfc3339(milliseconds / 1000)
    assert milliseconds == round(datetime.fromisoformat(written).timestamp() * 1000)
    assert len("2026-01-01T00:00:00.000Z") == len(written)


def test_never_is_nothing() -> None:
    assert optional_rfc3339(None) is None
    assert "1970-01-01T00:00:00.000Z" == optional_rfc3339(0.0)
