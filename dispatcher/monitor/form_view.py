"""The form over the whole screen: each field with what is typed and what is wrong with it. Pure.

What would surprise: the cursor is drawn as a reversed cell and not the terminal's own, so a frame is data alone.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from dispatcher.monitor import numbers
from dispatcher.monitor.form import CHOICES, FIELDS, LABELS, MANY_LINES, Form
from dispatcher.monitor.lines import EMPTY, Line, Span, fitted, line, span
from dispatcher.monitor.text import cell_width, cut, pad, safe_text

if TYPE_CHECKING:
    from dispatcher.monitor.editing import Text
    from dispatcher.monitor.glyphs import Glyphs

HINTS = {
    "form": "type, or paste a curl command line to fill all fields",
    "headers": "one a line, Name: value",
    "body": "text; empty for none",
}
_LABEL = 13

ROOMY = 14
"""Rows from which on there is room for more than the fields."""


def lines(form: Form, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw the form in `width` columns and at most `height` rows; what of a field is not in sight is counted."""
    note = _note(form, width, height)
    room = height - len(note)
    rooms = _rooms(form, width, room)
    drawn: list[Line] = []
    focused = 0
    for name in FIELDS:
        if name == form.name:
            focused = len(drawn)
        drawn += _field(form, name, width, rooms.get(name, 1), glyphs)
    return [*note, *_in_sight(drawn, focused, room)]


def notes(form: Form, width: int, height: int) -> str:
    """Return which field has the focus, where not all of them are in sight."""
    needed = len(_note(form, width, height)) + _fixed(form, width) + len(MANY_LINES)
    return "" if needed <= height else f"field {form.focus + 1} of {len(FIELDS)}"


def _fixed(form: Form, width: int) -> int:
    """Count the rows of all but the fields with many lines."""
    errors = sum(len(_error(text, width)) for text in form.errors.values())
    return len(FIELDS) - len(MANY_LINES) + errors


def _rooms(form: Form, width: int, height: int) -> dict[str, int]:
    """Share the rows that are left among the fields with many lines: first the one in focus, then the others."""
    left = max(height - _fixed(form, width), len(MANY_LINES))
    rooms = {}
    for number, name in enumerate(sorted(MANY_LINES, key=lambda name: name != form.name), start=1):
        wanted = form.value(name).count("\n") + 1
        others = len(MANY_LINES) - number
        rooms[name] = min(wanted, max(1, left - others))
        left -= rooms[name]
    if form.name in MANY_LINES:
        rooms[form.name] = min(form.value(form.name).count("\n") + 1, max(rooms[form.name], min(3, height - 1)))
    return rooms


def _in_sight(drawn: list[Line], focused: int, height: int) -> list[Line]:
    """Where the window is too low for all of the form, begin a little above the field in focus."""
    start = 0 if len(drawn) <= height else max(0, min(focused - 1, len(drawn) - height))
    return drawn[start : start + height]


def _note(form: Form, width: int, height: int) -> list[Line]:
    """Draw what is to be said of the whole form, which stays in sight; the hint only where there is room for it."""
    is_roomy = height >= ROOMY
    if not form.note:
        return [line(span(HINTS["form"], "dim")), EMPTY] if is_roomy else []
    style = "bad" if form.errors or "not " in form.note else "title"
    rows = [line(Span(row, style)) for row in textwrap.wrap(safe_text(form.note), width)][: max(1, height // 2)]
    return [*rows, EMPTY] if is_roomy else rows


def _error(text: str, width: int) -> list[str]:
    return textwrap.wrap(safe_text(text), max(10, width - _LABEL - 2)) or [""]


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
        drawn = _text(form.values[name], label, width - _LABEL, room, glyphs, has_focus=has_focus)
        if not form.value(name) and not has_focus and name in HINTS:
            drawn = [line(label, span(HINTS[name], "dim"))]
    if name in form.errors:
        first, *rest = _error(form.errors[name], width)
        drawn.append(line(" " * _LABEL, span(f"{glyphs.bad} {first}", "bad")))
        drawn += [line(" " * (_LABEL + 2), Span(more, "bad")) for more in rest]
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


def _text(  # noqa: PLR0913 (what a field is made of)
    text: Text, label: Span, width: int, room: int, glyphs: Glyphs, *, has_focus: bool
) -> list[Line]:
    """Draw a text with its cursor: the lines around it, each moved so far to the left that the cursor is in sight."""
    rows = text.text.split("\n")
    row = text.text.count("\n", 0, text.at)
    column = text.at - (text.text.rfind("\n", 0, text.at) + 1)
    first = max(0, min(row - room // 2, len(rows) - room)) if has_focus else 0
    last = min(first + room, len(rows)) - 1
    hidden = _hidden(first, len(rows) - 1 - last, last - first)
    drawn = []
    for number, content in enumerate(rows[first : last + 1]):
        lead = label if number == 0 else span(pad(cut(hidden.get(number, ""), _LABEL - 1), _LABEL), "dim")
        if has_focus and first + number == row:
            drawn.append((lead, *_with_cursor(content, column, width, glyphs)))
        else:
            drawn.append(line(lead, span(_start(content, width, glyphs))))
    if first == last and len(rows) > 1:
        drawn[0] = (*fitted(drawn[0], _LABEL + width - 10), span(f" +{len(rows) - 1} lines", "dim"))
    return drawn


def _hidden(above: int, below: int, last: int) -> dict[int, str]:
    """Return what stands beside the second and the last row drawn: how many lines are not in sight there."""
    if last == 1 and above and below:
        return {1: f" +{above + below} more"}
    marks = {last: f" +{below} below"} if below else {}
    return {1: f" +{above} above", **marks} if above else marks


def _start(content: str, width: int, glyphs: Glyphs) -> str:
    return cut(safe_text(content[: width + 1]), width, glyphs.ellipsis)


def _with_cursor(content: str, column: int, width: int, glyphs: Glyphs) -> list[Span]:
    """Draw the part of a line that has the cursor, as a reversed cell, in sight; an ellipsis is where it goes on."""
    before = safe_text(content[max(0, column - width) : column])
    is_cut = column > width
    while cell_width(before) > width - 3:
        before, is_cut = before[max(1, width // 4) :], True
    before = (glyphs.ellipsis if is_cut else "") + before
    under = safe_text(content[column : column + 1]) or " "
    room = width - cell_width(before) - cell_width(under)
    return [Span(before), Span(under, "selected"), Span(_start(content[column + 1 :][: width + 1], room, glyphs))]
