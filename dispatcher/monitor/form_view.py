"""The form over the whole screen: each field with what is typed and what is wrong with it. Pure.

What would surprise: the cursor is drawn as a reversed cell and not the terminal's own, so a frame is data alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.monitor import numbers
from dispatcher.monitor.form import CHOICES, FIELDS, MANY_LINES, Form
from dispatcher.monitor.lines import EMPTY, Line, Span, line, span
from dispatcher.monitor.text import cell_width, safe_text

if TYPE_CHECKING:
    from dispatcher.monitor.editing import Text
    from dispatcher.monitor.glyphs import Glyphs

LABELS = {
    "url": "URL",
    "method": "Method",
    "headers": "Headers",
    "body": "Body",
    "timeout": "Timeout, s",
    "follow_redirects": "Redirects",
    "verify_tls": "Verify TLS",
    "http_version": "HTTP",
}
HINTS = {"headers": "one a line, Name: value", "body": "text; empty for none"}
_LABEL = 13


def lines(form: Form, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw the form in `width` columns; the fields with many lines share what is left of `height`."""
    fixed = len(FIELDS) - len(MANY_LINES) + len(form.errors) + 3
    room = max(2, (height - fixed) // len(MANY_LINES))
    drawn: list[Line] = [_note(form), EMPTY]
    focused = 0
    for name in FIELDS:
        if name == form.name:
            focused = len(drawn)
        drawn += _field(form, name, width, min(room, 12), glyphs)
    return _in_sight(drawn, focused, height)


def _in_sight(drawn: list[Line], focused: int, height: int) -> list[Line]:
    """Where the window is too low for all of the form, begin a little above the field in focus."""
    start = 0 if len(drawn) <= height else max(0, min(focused - 1, len(drawn) - height))
    return drawn[start : start + height]


def _note(form: Form) -> Line:
    return line(span(form.note, "bad" if form.errors or "not " in form.note else "title"))


def _field(form: Form, name: str, width: int, room: int, glyphs: Glyphs) -> list[Line]:
    has_focus = name == form.name
    if name == "save":
        word = "storing" if form.is_saving else "Store"
        return [line(" " * _LABEL, Span(f"[ {word} ]", "selected" if has_focus else "title"))]
    label = Span(f"{glyphs.here if has_focus else ' '}{LABELS[name]:<{_LABEL - 1}}", "title" if has_focus else "dim")
    if name in CHOICES:
        drawn = [line(label, *_choice(form.value(name), CHOICES[name], has_focus=has_focus))]
    elif name == "body" and form.keeps_body:
        drawn = [line(label, span(_kept_body(form), "dim"))]
    else:
        drawn = _text(form.values[name], label, width - _LABEL, room if name in MANY_LINES else 1, has_focus=has_focus)
        if not form.value(name) and not has_focus and name in HINTS:
            drawn = [line(label, span(HINTS[name], "dim"))]
    if name in form.errors:
        drawn.append(line(" " * _LABEL, span(f"{glyphs.bad} {form.errors[name]}", "bad")))
    return drawn


def _choice(value: str, options: tuple[str, ...], *, has_focus: bool) -> list[Span]:
    chosen = "selected" if has_focus else "title"
    listed = [value] if value not in options else list(options)
    return [
        span(f"[{option}] " if option == value else f" {option}  ", chosen if option == value else "dim")
        for option in listed
    ]


def _kept_body(form: Form) -> str:
    if form.stored.get("body_base64"):
        return f"{numbers.size(len(str(form.stored['body_base64'])) * 3 // 4)}, no text, stay; type to replace them"
    return f"{numbers.size(len(str(form.stored.get('body', ''))))} stay; type to replace them"


def _text(text: Text, label: Span, width: int, room: int, *, has_focus: bool) -> list[Line]:
    """Draw a text with its cursor: the lines around it, each moved so far to the left that the cursor is in sight."""
    rows = text.text.split("\n")
    row = text.text.count("\n", 0, text.at)
    column = text.at - (text.text.rfind("\n", 0, text.at) + 1)
    first = max(0, min(row - room + 1, len(rows) - room)) if has_focus else 0
    drawn = []
    for number, content in enumerate(rows[first : first + room], start=first):
        lead = label if number == first else Span(" " * _LABEL)
        if has_focus and number == row:
            drawn.append((lead, *_with_cursor(content, column, width)))
        else:
            drawn.append(line(lead, span(content[:width])))
    return drawn


def _with_cursor(content: str, column: int, width: int) -> list[Span]:
    """Draw the part of a line that has the cursor, as a reversed cell, in sight."""
    before = safe_text(content[max(0, column - width) : column])
    while cell_width(before) > width - 2:
        before = before[max(1, width // 4) :]
    under = safe_text(content[column : column + 1]) or " "
    return [Span(before), Span(under, "selected"), span(content[column + 1 : column + 1 + width])]
