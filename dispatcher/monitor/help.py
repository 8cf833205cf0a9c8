"""The keys, as the help shows them and as the last row reminds of them. Pure."""

from __future__ import annotations

import textwrap

from dispatcher.monitor.lines import Line, line, span

KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Pool",
        (
            ("e", "execute the configured request once, through the next exit"),
            ("o", "open the record of that execution"),
            ("c", "configure the request; the form takes a pasted curl command"),
            ("d", "remove the agent under the cursor (asks first)"),
            ("r", "refresh: a new snapshot, or a new attempt to connect"),
        ),
    ),
    (
        "Looking around",
        (
            ("Tab, Shift-Tab", "next and previous panel; 1 to 5 go to one"),
            ("arrows, j, k", "one row down or up"),
            ("PgDn, PgUp", "a page down or up (space, ctrl-f and ctrl-b too)"),
            ("g, G", "first and last row; the first row follows what is new"),
            ("Enter", "the whole record, the agent, the executions of an exit"),
            ("Esc, q", "back; q in the panels ends the monitor"),
            ("left, right", "in a record: the newer and the older one"),
            ("z", "give the panel the whole window, and back"),
            ("?", "these keys"),
        ),
    ),
    (
        "Finding",
        (
            ("/", "filter by a part of the row; =text a column, !text without"),
            ("Esc", "take the filter away"),
            ("s, S", "sort by the next or the previous column"),
            ("p", "pause what is shown; the coordinator goes on"),
        ),
    ),
    (
        "Form",
        (
            ("Tab, Shift-Tab", "next and previous field; Enter too where there is one line"),
            ("space, arrows", "change a choice"),
            ("ctrl-s", "store (or Enter on Store)"),
            ("ctrl-r", "take what is stored, and drop what was typed"),
            ("Esc", "back; what was changed is kept for the next c"),
        ),
    ),
    ("Leaving", (("q, ctrl-c", "end; the terminal is given back as it was"), ("ctrl-z", "stop; fg goes on"))),
)
"""Every key by what it is for: (title, ((keys, what they do), ...))."""

LINES: tuple[tuple[str, str], ...] = tuple(row for title, keys in KEYS for row in (("", title), *keys, ("", "")))[:-1]
"""The help line by line: (keys, what they do); a title has no keys."""

KEYS_WIDTH = 17
NARROWEST_TEXT = 16


def rows(width: int) -> list[Line]:
    """Draw the help in `width` columns, as many rows as it takes."""
    return [row for keys, what in LINES for row in _rows(keys, what, width)]


def _rows(keys: str, what: str, width: int) -> list[Line]:
    if not keys:
        return [line(span(what, "dim"))]
    first, *rest = textwrap.wrap(what, max(NARROWEST_TEXT, width - KEYS_WIDTH))
    return [line(span(f" {keys}".ljust(KEYS_WIDTH), "title"), first), *(line(" " * KEYS_WIDTH + more) for more in rest)]


REMINDERS = (
    "q quit",
    "? help",
    "e execute",
    "c configure",
    "Tab panel",
    "Enter open",
    "/ filter",
    "s sort",
    "p pause",
    "r refresh",
    "z zoom",
    "d remove agent",
)
"""The last row, most needed first: as many as have room."""

FORM_REMINDERS = ("ctrl-s store", "Esc back", "Tab field", "ctrl-r reload", "paste a curl command to fill all fields")
DETAIL_REMINDERS = ("Esc back", "j/k scroll", "left/right newer/older", "e execute", "q back")
HELP_REMINDERS = ("Esc back", "j/k scroll", "PgDn page")
