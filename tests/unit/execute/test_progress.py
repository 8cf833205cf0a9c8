"""The bar of `execute`: what it says, how wide it is, and when it is drawn."""

from __future__ import annotations

import io
import os
import pty
from collections import Counter

import pytest

from dispatcher.execute import progress
from dispatcher.execute.progress import Progress, duration, text
from dispatcher.execute.report import Counts


def counts(**outcomes: int) -> Counts:
    return Counts(outcomes=Counter(outcomes))


@pytest.mark.parametrize(
    ("done", "total", "seconds", "expected"),
    [
        (counts(), 10, 0.5, "[................] 0% of 10  waiting  0/s  0 completed"),
        (counts(completed=5), 10, 2.0, "[########........] 50% of 10  0:02 left  2/s  5 completed"),
        (
            counts(completed=900, failed=60, unknown=40),
            1000,
            1.0,
            "[################] 100% of 1000  0:00 left  1000/s  900 completed, 60 failed, 40 unknown",
        ),
    ],
)
def test_the_bar_says_how_far_how_fast_how_well_and_how_long(
    done: Counts, total: int, seconds: float, expected: str
) -> None:
    assert expected == text(done, total, seconds, 200)


def test_the_bar_is_no_wider_than_the_terminal_and_what_has_no_room_is_left_out_as_a_whole() -> None:
    done = counts(completed=123_456, failed=7890, unknown=123)
    whole = text(done, 1_000_000, 60.0, 200)
    bar = "[##..............] 13% of 1000000"
    assert f"{bar}  6:36 left  2191/s  123456 completed, 7890 failed, 123 unknown" == whole
    assert whole == text(done, 1_000_000, 60.0, len(whole))
    assert f"{bar}  6:36 left  2191/s  123456 completed, 7890 failed" == text(done, 1_000_000, 60.0, len(whole) - 1)
    assert f"{bar}  6:36 left  2191/s" == text(done, 1_000_000, 60.0, 60)
    assert bar == text(done, 1_000_000, 60.0, 40)
    assert bar[:20] == text(done, 1_000_000, 60.0, 20)


def test_a_time_is_written_as_a_clock_does() -> None:
    assert ["0:00", "0:07", "12:30", "1:02:03"] == [duration(seconds) for seconds in (0.2, 7, 750, 3723)]


def test_without_a_terminal_nothing_is_drawn() -> None:
    stream = io.StringIO()
    bar = Progress(10, stream)
    bar.draw(counts(completed=1))
    bar.clear()
    assert "" == stream.getvalue()


def test_on_a_terminal_it_is_drawn_over_itself_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    now = 0.0
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, os.fdopen(master, "rb", buffering=0) as screen:
        bar = Progress(10, stream, lambda: now)
        bar.draw(counts(completed=1))
        bar.draw(counts(completed=2))
        now += progress.DRAW_SECONDS
        bar.draw(counts(completed=3))
        bar.clear()
        bar.clear()
        drawn = b""
        while drawn.count(b"\r") < 3:
            drawn += screen.read(1000)
    pieces = drawn.split(b"\r\x1b[K")
    assert [b"", b"10%", b"30%", b""] == [b"".join(piece.split()[1:2]) for piece in pieces]


@pytest.mark.parametrize("name", ["dumb", "unknown", None])
def test_a_terminal_that_cannot_draw_over_a_line_gets_no_bar(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", name) if name else monkeypatch.delenv("TERM", raising=False)
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, os.fdopen(master, "rb", buffering=0):
        assert not progress.has_terminal(stream)
