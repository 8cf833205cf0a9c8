"""Key names of curtsies made into events: short names, pastes in one piece, nothing lost. Pure.

What would surprise: a paste is known by the brackets that terminals put around it, and not by how fast characters come.
Whoever types fast, or sends keys to a terminal from a program, means keys.
"""

from __future__ import annotations

from dispatcher.monitor.events import Event, KeyPressed, TextPasted

NAMES = {
    "<UP>": "up",
    "<DOWN>": "down",
    "<LEFT>": "left",
    "<RIGHT>": "right",
    "<HOME>": "home",
    "<END>": "end",
    "<PAGEUP>": "pgup",
    "<PAGEDOWN>": "pgdn",
    "<TAB>": "tab",
    "<Ctrl-i>": "tab",
    "<Shift-TAB>": "backtab",
    "<ESC>": "esc",
    "<SPACE>": " ",
    "<BACKSPACE>": "backspace",
    "<Ctrl-h>": "backspace",
    "<DELETE>": "delete",
    "<Ctrl-j>": "enter",
    "<Ctrl-m>": "enter",
}
"""Curtsies' names and ours; every other `<Ctrl-x>` becomes ``ctrl-x``."""

TEXTS = {"<SPACE>": " ", "<TAB>": "\t", "<Ctrl-i>": "\t", "<Ctrl-j>": "\n", "<Ctrl-m>": "\n"}
"""What stands for text within a paste."""

PASTE_CHARS = 1024 * 1024
"""Of one paste that are kept."""

_BRACKETS = {"\x1b[200": True, "\x1b[201": False}
"""How curtsies names the start and the end of a paste: the sequence without its last character, which follows."""


class KeyReader:
    """Turns names of keys, one after another, into events."""

    def __init__(self) -> None:
        """Start outside of any paste."""
        self._pasted: list[str] | None = None
        self._bracket: bool | None = None

    def read(self, name: str) -> list[Event]:
        """Take one name; return the events that it completes."""
        if name in _BRACKETS:
            self._bracket = _BRACKETS[name]
            return []
        if self._bracket is not None:
            begins, self._bracket = self._bracket, None
            if name == "~":
                return self._begin() if begins else self._end()
        if self._pasted is not None:
            self._collect(self._pasted, name)
            return []
        return [KeyPressed(key) for key in _keys(name)]

    def _begin(self) -> list[Event]:
        self._pasted = []
        return []

    def _end(self) -> list[Event]:
        pasted, self._pasted = self._pasted, None
        return [TextPasted("".join(pasted))] if pasted else []

    @staticmethod
    def _collect(pasted: list[str], name: str) -> None:
        text = TEXTS.get(name, name if len(name) == 1 else "")
        if text and len(pasted) < PASTE_CHARS:
            pasted.append(text)


def _keys(name: str) -> list[str]:
    if name in NAMES:
        return [NAMES[name]]
    if name.startswith("<Ctrl-"):
        return [f"ctrl-{name[6:-1].lower()}"]
    if name.startswith("<Esc+") and len(name) == 7:
        # Escape and the next key in one read: somebody was fast, or sent both at once.
        return ["esc", name[5]]
    return [name] if len(name) == 1 and name.isprintable() else []
