"""A line of the log for what happens often: at once, and then with the count of what came since."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dispatcher import seldom
from dispatcher.seldom import Seldom
from tests.unit.loops import on_loop

if TYPE_CHECKING:
    import pytest

LOG = logging.getLogger("dispatcher.test")


def test_a_line_comes_at_once_and_then_one_for_all_that_followed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seldom, "LOG_SECONDS", 0.05)

    async def test() -> None:
        told = Seldom(LOG, "%d times, the last was %s")
        for number in range(1000):
            told.count(f"n{number}")
        assert ["1 times, the last was n0"] == caplog.messages
        while len(caplog.messages) < 2:  # noqa: ASYNC110 (nobody is told; the test's own deadline bounds it)
            await asyncio.sleep(0.01)
        assert "999 times, the last was n999" == caplog.messages[1]
        while told._timer is not None:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)
        told.count("again")
        assert ["1 times, the last was again"] == caplog.messages[2:]

    on_loop(test)
    assert {logging.WARNING} == {record.levelno for record in caplog.records}
