from __future__ import annotations

import sys
import time

import pytest

from dispatcher.demo import processes
from dispatcher.demo.processes import Processes
from dispatcher.errors import DispatcherError


@pytest.fixture(autouse=True)
def python_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start Python with a program of the test's instead of ourselves."""
    monkeypatch.setattr(processes, "self_command", lambda: [sys.executable, "-c"])


SAYS = "import sys, signal; sys.stderr.write('thing ready on {}\\n'); sys.stderr.flush(); signal.pause()"


def test_what_follows_the_ready_line_is_returned_and_the_process_ends_with_the_block() -> None:
    with Processes() as started:
        assert "http://here" == started.start([SAYS.format("http://here")], "ready on ")
        process = started._started[0][0]
        assert process.poll() is None
    assert process.returncode is not None


def test_a_process_that_ends_early_is_told_with_what_it_said() -> None:
    with Processes() as started, pytest.raises(DispatcherError, match="did not become ready:\nno such luck"):
        started.start(["import sys; sys.exit('no such luck')"], "ready on ")


def test_a_process_that_says_nothing_is_told_so() -> None:
    with Processes() as started, pytest.raises(DispatcherError, match="it said nothing"):
        started.start(["pass"], "ready on ")


def test_a_process_that_is_never_ready_is_given_up_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "READY_SECONDS", 0.3)
    with Processes() as started:
        with pytest.raises(DispatcherError, match="did not become ready"):
            started.start(["import signal; signal.pause()"], "ready on ")
        process = started._started[0][0]
    assert process.returncode is not None


def test_a_process_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SAYS.format("x")
    begun = time.monotonic()
    with Processes() as started:
        started.start([stubborn], "ready on ")
        process = started._started[0][0]
    assert -9 == process.returncode
    assert time.monotonic() - begun < 10


def test_processes_get_no_settings_that_are_meant_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_MODE", "monitor")
    monkeypatch.setenv("DISPATCHER_AGENT_ID", "theirs")
    monkeypatch.setenv("DISPATCHER_CACHE", "/cache")
    shows = "import os, sys; sys.stderr.write('seen ' + repr(sorted(k for k in os.environ if 'DISPATCHER' in k)))"
    with Processes() as started:
        assert "['DISPATCHER_CACHE']" == started.start([shows], "seen ")
