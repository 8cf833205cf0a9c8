"""`window.py`: a frame is one write, and what a terminal shows afterwards is the frame."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TextIO

import pyte
import pytest

from dispatcher.monitor.events import Told
from dispatcher.monitor.lines import plain
from dispatcher.monitor.palette import Palette
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import State
from dispatcher.monitor.view import view
from dispatcher.monitor.window import Window
from tests.unit.monitor.examples import after, agent, pressed, snapshot, told
from tests.unit.monitor.test_screen import hostile

READ = 1 << 20


class Seen:
    """A terminal of 80x24 that remembers what it was sent."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self.screen = pyte.Screen(80, 24)
        self._feed = pyte.ByteStream(self.screen)
        os.set_blocking(self.master, False)

    def rows(self) -> list[str]:
        self._feed.feed(self.read())
        return [row.rstrip() for row in self.screen.display]

    def read(self) -> bytes:
        content = b""
        while True:
            try:
                content += os.read(self.master, READ)
            except BlockingIOError:
                return content

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Seen()
    yield terminal
    terminal.close()


def wanted(state: State) -> list[str]:
    return [plain(row) for row in compose(replace(state, width=80, height=24))]


@pytest.mark.parametrize("palette", list(Palette))
def test_the_terminal_shows_the_frame_and_then_the_next(seen: Seen, palette: Palette) -> None:
    with Window(seen.stream) as window:
        for state in (told(), pressed(told(), "?"), pressed(told(), "j")):
            window.draw(view(state, 80, 24), palette)
            assert wanted(state) == seen.rows()


def test_wide_characters_end_a_row_well(seen: Seen) -> None:
    wide = after(told(), Told(snapshot(agents=[agent(0, agent_id="日本語"), agent(1), agent(2)])))
    with Window(seen.stream) as window:
        window.draw(view(wide, 80, 24), Palette.MANY)
        rows = seen.rows()
    # pyte gives a wide character's second cell an empty text, so the rows read as they are.
    assert wanted(wide) == rows
    assert [row[-1] for row in rows[1:-1]] == [row[-1] for row in wanted(told())[1:-1]]


def test_hostile_text_does_nothing_to_the_terminal(seen: Seen) -> None:
    state = after(told(), Told(hostile()))
    with Window(seen.stream) as window:
        window.draw(view(state, 80, 24), Palette.MANY)
        assert wanted(state) == seen.rows()
    assert "" == seen.screen.title


def test_only_rows_that_differ_are_sent(seen: Seen) -> None:
    with Window(seen.stream) as window:
        window.draw(view(told(), 80, 24), Palette.SIXTEEN)
        seen.read()
        window.draw(view(told(), 80, 24), Palette.SIXTEEN)
        assert b"" == seen.read()
        window.draw(view(pressed(told(), "j"), 80, 24), Palette.SIXTEEN)
        assert 2 == seen.read().count(b"https://exa")


def test_without_colours_none_is_sent(seen: Seen) -> None:
    with Window(seen.stream) as window:
        window.draw(view(told(), 80, 24), Palette.NONE)
        content = seen.read().decode()
    assert [] == re.findall("\x1b\\[(?:[34][0-9]|38;5;[0-9]+)m", content)
    assert "\x1b[1m" in content


def test_a_frame_is_one_write(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = os.write

    def counting(file: int, content: memoryview) -> int:
        sizes.append(len(content))
        return write(file, content)

    with Window(seen.stream) as window:
        monkeypatch.setattr("dispatcher.monitor.window.os.write", counting)
        window.draw(view(told(), 80, 24), Palette.MANY)
        monkeypatch.undo()
    assert 1 == len(sizes)


def test_the_window_leaves_what_was_there_before(seen: Seen) -> None:
    with Window(seen.stream):
        seen.read()
    content = seen.read()
    assert b"\x1b[?1049l" in content
    assert b"\x1b[?25h" in content
