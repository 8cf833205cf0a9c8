"""The screens in `docs/monitor.md` and the README, drawn from the examples: a reader sees what the program draws.

``python -m tests.unit.monitor.docs`` writes them anew after the monitor was changed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from dispatcher.monitor.events import Answered, ReadRecord, ReadRequest, TextPasted
from dispatcher.monitor.lines import plain
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import State
from tests.unit.monitor.examples import after, pressed, record, request, told

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "monitor.md"
README = ROOT / "README.md"

_SCREEN = re.compile(r"<!-- screen: (\w+) (\d+)x(\d+) -->\n(?:```text\n.*?\n```\n)?", re.DOTALL)


def states() -> dict[str, State]:
    """Return what the page shows, by name."""
    form = after(pressed(told(), "c"), Answered(ReadRequest(), 200, request()))
    return {
        "panels": told(),
        "help": pressed(told(), "?"),
        "record": after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, record(99))),
        "form": after(form, TextPasted("curl https://example.com/items -H 'Accept: application/json' -d 'a=1'")),
    }


def with_screens(text: str) -> str:
    """Return the page with every screen as it is drawn now."""
    return _SCREEN.sub(_block, text)


def _block(found: re.Match[str]) -> str:
    name, width, height = found[1], int(found[2]), int(found[3])
    rows = compose(replace(states()[name], width=width, height=height))
    drawn = "\n".join(plain(row) for row in rows)
    return f"<!-- screen: {name} {width}x{height} -->\n```text\n{drawn}\n```\n"


if __name__ == "__main__":
    for page in (PAGE, README):
        page.write_text(with_screens(page.read_text(encoding="utf-8")), encoding="utf-8")
