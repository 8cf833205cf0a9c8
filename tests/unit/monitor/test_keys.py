"""`keys.py`: names of curtsies become keys and pastes, and none is lost."""

from __future__ import annotations

import pytest

from dispatcher.monitor.events import Event, KeyPressed, TextPasted
from dispatcher.monitor.keys import KeyReader


def read(*names: str) -> list[Event]:
    reader = KeyReader()
    return [event for name in names for event in reader.read(name)]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("a", ["a"]),
        ("é", ["é"]),
        ("<SPACE>", [" "]),
        ("<Ctrl-j>", ["enter"]),
        ("<Ctrl-c>", ["ctrl-c"]),
        ("<Shift-TAB>", ["backtab"]),
        ("<PAGEDOWN>", ["pgdn"]),
        ("<ESC>", ["esc"]),
        ("<Esc+j>", ["esc", "j"]),
        ("<F5>", []),
        ("\x1b[99", []),
    ],
)
def test_names_become_keys(name: str, keys: list[str]) -> None:
    assert [KeyPressed(key) for key in keys] == read(name)


def test_what_stands_in_brackets_is_one_paste_though_it_comes_in_parts() -> None:
    reader = KeyReader()
    names = ["\x1b[200", "~", "c", "<SPACE>", "<Ctrl-j>", "q", "\x1b[201", "~", "q"]
    events = [event for name in names for event in reader.read(name)]
    assert [TextPasted("c \nq"), KeyPressed("q")] == events


def test_keys_that_come_fast_are_keys() -> None:
    assert [KeyPressed("j")] * 20 == read(*"j" * 20)


def test_an_empty_paste_is_nothing() -> None:
    assert [] == read("\x1b[200", "~", "\x1b[201", "~")
