"""A text being edited: the characters, where the cursor is, and what the usual keys do. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the cursor before its `at`-th character."""

    text: str = ""
    at: int = 0


def insert(before: Text, text: str) -> Text:
    """Return the text with more of it at the cursor."""
    return Text(before.text[: before.at] + text + before.text[before.at :], before.at + len(text))


def edit(before: Text, key: str, *, has_many_lines: bool) -> Text:
    """Return the text after a key; the very same value where the key does nothing to it."""
    if len(key) == 1:
        return insert(before, key)
    if has_many_lines:
        if key == "enter":
            return insert(before, "\n")
        if key in ("up", "down"):
            return _by_line(before, -1 if key == "up" else 1)
    return _edit_line(before, key)


def _edit_line(before: Text, key: str) -> Text:
    text, at = before.text, before.at
    start, end = line_bounds(before)
    match key:
        case "left":
            return Text(text, max(0, at - 1))
        case "right":
            return Text(text, min(len(text), at + 1))
        case "home" | "ctrl-a":
            return Text(text, start)
        case "end" | "ctrl-e":
            return Text(text, end)
        case "backspace":
            return Text(text[: max(0, at - 1)] + text[at:], max(0, at - 1))
        case "delete" | "ctrl-d":
            return Text(text[:at] + text[at + 1 :], at)
        case "ctrl-u":
            return Text(text[:start] + text[at:], start)
        case "ctrl-k":
            return Text(text[:at] + text[end:], at)
        case "ctrl-w":
            kept = text[:at].rstrip()
            kept = kept[: max(kept.rfind(separator) for separator in " /\n") + 1]
            return Text(kept + text[at:], len(kept))
    return before


def line_bounds(text: Text) -> tuple[int, int]:
    """Return where the cursor's line starts and ends."""
    start = text.text.rfind("\n", 0, text.at) + 1
    end = text.text.find("\n", text.at)
    return start, len(text.text) if end < 0 else end


def _by_line(before: Text, step: int) -> Text:
    start, end = line_bounds(before)
    if (step < 0 and start == 0) or (step > 0 and end == len(before.text)):
        return before
    there = Text(before.text, start - 1 if step < 0 else end + 1)
    there_start, there_end = line_bounds(there)
    return Text(before.text, min(there_start + before.at - start, there_end))
