"""Each part that does not work is a line that says so, and the others are checked all the same."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest

from dispatcher import selftest
from dispatcher.settings import SelfTestSettings
from dispatcher.wire.messages import Result
from dispatcher.wire.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ["python", "native", "compiled", "codec", "libcurl", "fetch", "history", "terminal"]


@pytest.fixture
def settings(tmp_path: Path) -> SelfTestSettings:
    """Return settings with a state folder that is not there yet."""
    return SelfTestSettings(tmp_path / "state")


def verdicts(settings: SelfTestSettings, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """Run the self-test; return its exit status and its lines, by the name of the part."""
    status = selftest.run(settings)
    out, err = capsys.readouterr()
    assert "" == err
    rows = [line.split(maxsplit=2) for line in out.splitlines()]
    assert NAMES == [name for _, name, _ in rows]
    return status, {name: f"{verdict} {detail}" for verdict, name, detail in rows}


def failures(lines: dict[str, str]) -> list[str]:
    """Return the parts that failed."""
    return [name for name, line in lines.items() if line.startswith("FAILED")]


def test_a_good_installation_is_good_in_every_part(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = verdicts(settings, capsys)
    assert (0, []) == (status, failures(lines))
    assert "ok the link and the records are written by msgspec 0." in lines["codec"]
    assert "HTTP2" in lines["libcurl"]
    assert "bound to ::1 left from it" in lines["fetch"]
    assert lines["terminal"].startswith("ok none here")
    assert [] == list(settings.state_dir.iterdir())


def test_without_pycurl_what_needs_it_fails_and_the_rest_does_not(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pycurl", "dispatcher.agent.executor"):
        monkeypatch.setitem(sys.modules, name, None)
    status, lines = verdicts(settings, capsys)
    assert (1, ["native", "libcurl", "fetch"]) == (status, failures(lines))
    assert "apk add py3-pycurl" in lines["native"]


def test_without_an_ipv6_loopback_the_request_fails_with_the_reason(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "SOURCE", "2001:db8::1")
    status, lines = verdicts(settings, capsys)
    assert (1, ["fetch"]) == (status, failures(lines))
    assert "FAILED nothing can listen on 2001:db8::1 here: Cannot assign requested address" == lines["fetch"]


class FromElsewhere:
    """An executor whose requests do not leave from where they were bound to."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self, _: object, on_result: Callable[[Result], None]) -> None:
        on_result(Result(id="self-test", status=200, source_ip="::2", timings=dict.fromkeys(PHASES, 0.0)))

    def begin(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_request_that_leaves_from_elsewhere_is_a_failure(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.agent.executor.Executor", FromElsewhere)
    status, lines = verdicts(settings, capsys)
    assert (1, ["fetch"]) == (status, failures(lines))
    assert "left from ::2, and the target saw []; it was bound to ::1" in lines["fetch"]


def test_a_state_folder_that_cannot_be_written_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    status, lines = verdicts(SelfTestSettings(tmp_path / "file" / "state"), capsys)
    assert (1, ["history"]) == (status, failures(lines))
    assert str(tmp_path / "file" / "state") in lines["history"]


def test_an_error_of_many_lines_is_told_in_one(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def many_lines(*_: object) -> None:
        raise sqlite3.OperationalError("disk\n  is\nfull")

    monkeypatch.setattr(sqlite3, "connect", many_lines)
    _, lines = verdicts(settings, capsys)
    assert "FAILED OperationalError: disk is full" == lines["history"]


def test_a_request_that_never_ends_is_a_failure(
    settings: SelfTestSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "_LIMIT_SECONDS", 0.05)
    monkeypatch.setattr("dispatcher.agent.executor.Executor.start", lambda *_: None)
    status, lines = verdicts(settings, capsys)
    assert (1, ["fetch"]) == (status, failures(lines))
    assert "FAILED the agent's part has not ended it within 0.05 s" == lines["fetch"]
