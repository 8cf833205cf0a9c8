"""The long answer to `--version`, in a checkout; `tests/artifact/test_start.py` asks the one file."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from dispatcher import __version__, inventory


def told() -> dict[str, str]:
    """Return the lines behind the first, by name."""
    first, *lines = inventory.text().splitlines()
    assert f"dispatcher.pyz {__version__}" == first
    return {name: value.strip() for name, _, value in (line.strip().partition("  ") for line in lines)}


def test_a_checkout_tells_the_versions_of_its_environment() -> None:
    found = told()
    assert "none; this is a checkout" == found["file"]
    assert "nowhere" == found["unpacked to"]
    assert {name: version(name) for name in ("pycurl", "pykka", "tornado")}.items() <= found.items()
    assert f"msgspec {version('msgspec')}" == found["codec"]


def test_a_missing_pycurl_is_told_and_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycurl", None)
    assert told()["libcurl"].startswith("none (import of pycurl halted")
