"""After all tests: the files in which an event loop was held too long are run again, see `tests/support/stalls.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import stalls

if TYPE_CHECKING:
    from collections.abc import Iterator

_said: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    for file, lines in stalls.noticed().items():
        _said.extend(lines)
        printed = stalls.comes_back(file, str(session.config.rootpath))
        if printed is None:
            _said.append(f"{file}: not so when run again, so it was the machine")
        else:
            _said.extend((f"{file}: FAILED again in each of {stalls.RUNS} runs, the last of which printed:", printed))
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _said:
        terminalreporter.section("stalls of an event loop")
        terminalreporter.write("\n".join((*_said, "")))
