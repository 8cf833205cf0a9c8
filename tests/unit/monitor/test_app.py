"""`app.py`: the loop draws at most eight times a second, at once after a pause, and hands on commands."""

from __future__ import annotations

import threading
import time
from typing import Any

from curtsies.formatstringarray import FSArray

from dispatcher.monitor.app import Loop
from dispatcher.monitor.events import Command, Ended, Event, Execute, KeyPressed, Resized, Told
from dispatcher.monitor.pace import FRAME_SECONDS
from tests.unit.monitor.examples import record, told


class ScriptedTerminal:
    """A terminal whose user does what a script says: seconds from the start, and what happens then."""

    size = Resized(80, 24)

    def __init__(self, script: list[tuple[float, Event]]) -> None:
        self._script = script
        self._begun = time.monotonic()
        self.frames: list[tuple[float, FSArray]] = []

    def read(self, seconds: float) -> list[Event]:
        """Return the next event once it is due; nothing where that is later than `seconds` from now."""
        elapsed = time.monotonic() - self._begun
        due = self._script[0][0] if self._script else elapsed + seconds
        wait_until = self._begun + min(due, elapsed + seconds)
        threading.Event().wait(max(0.0, wait_until - time.monotonic()))
        return [self._script.pop(0)[1]] if self._script and time.monotonic() >= self._begun + due else []

    def draw(self, frame: FSArray) -> None:
        self.frames.append((time.monotonic() - self._begun, frame))


class CountingLink:
    """A link that only remembers."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.messages = 0

    def do(self, command: Command) -> None:
        self.commands.append(command)

    def taken(self, count: int) -> None:
        self.messages += count


def run(script: list[tuple[float, Event]]) -> tuple[ScriptedTerminal, CountingLink]:
    terminal, link = ScriptedTerminal(script), CountingLink()
    anything: Any = terminal
    anything_else: Any = link
    Loop(told(), anything, anything_else).run()
    return terminal, link


def test_many_changes_make_at_most_eight_frames_a_second() -> None:
    changes = [(0.01 * number, Told({"type": "change", "executions": [record(200 + number)]})) for number in range(100)]
    terminal, link = run([*changes, (1.0, Ended())])
    times = [when for when, _ in terminal.frames]
    assert 100 == link.messages
    # One frame was saved up, and a frame's time is taken after it was drawn. A busy machine takes longer for all of it.
    assert (len(times) - 2) * FRAME_SECONDS - 0.05 <= times[-1] - times[0]
    assert 1 / 8 <= FRAME_SECONDS
    assert 3 <= len(times)


def test_a_key_after_a_pause_is_drawn_at_once() -> None:
    terminal, _ = run([(0.3, KeyPressed("?")), (0.4, Ended())])
    when, frame = terminal.frames[-1]
    assert FRAME_SECONDS > when - 0.3
    assert "Looking around" in "".join(row.s for row in frame)


def test_nothing_is_drawn_while_nothing_happens_within_a_second() -> None:
    terminal, _ = run([(0.4, Ended())])
    assert 2 >= len(terminal.frames)


def test_commands_go_to_the_link_once() -> None:
    _, link = run([(0.0, KeyPressed("e")), (0.01, KeyPressed("j")), (0.02, Ended())])
    assert [Execute()] == link.commands
