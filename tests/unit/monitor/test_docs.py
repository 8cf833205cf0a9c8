"""`docs/monitor.md` shows what the monitor draws, and names every key."""

from __future__ import annotations

from dispatcher.monitor import browsing_keys, help  # noqa: A004 (the module of the help)
from tests.unit.monitor.docs import PAGE, README, with_screens


def test_the_screens_of_the_page_are_those_of_the_program() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert 6 == page.count("```text")
    assert with_screens(page) == page, "write them anew: python -m tests.unit.monitor.docs"


def test_the_screens_of_the_readme_are_those_of_the_program() -> None:
    readme = README.read_text(encoding="utf-8")
    assert 1 == readme.count("<!-- screen: ")
    assert with_screens(readme) == readme, "write them anew: python -m tests.unit.monitor.docs"


def test_no_line_of_the_help_is_cut_at_80_columns() -> None:
    assert [] == [what for keys, what in help.LINES if keys and len(f" {keys:<16}{what}") > 78]


def test_every_key_of_the_panels_is_in_the_help() -> None:
    explained = " ".join(keys for keys, _ in help.LINES)
    spoken = {"tab": "Tab", "backtab": "Shift-Tab", "enter": "Enter", "esc": "Esc"}
    for key in browsing_keys._ACTIONS:
        assert spoken.get(key, key) in explained
