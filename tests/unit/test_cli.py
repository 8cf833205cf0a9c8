"""The command line as its user types it: in this process where only words matter, in one of its own where more does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from dispatcher import __version__, cli
from dispatcher.errors import DispatcherError, RefusedError
from dispatcher.options import COMMANDS, MODES
from dispatcher.usage import overview, usage

PROGRAM = [sys.executable, "-W", "error", "-m", "dispatcher"]


class Ran:
    """Stands for every command, and keeps what it was run with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, result: int | BaseException = 0) -> None:
        self.name = ""
        self.given: Mapping[str, Any] = {}
        self._result = result
        for name in COMMANDS:
            monkeypatch.setitem(cli._RUNNERS, name, self._runner(name))

    def _runner(self, name: str) -> Any:
        def run(given: Mapping[str, Any], _environment: Mapping[str, str]) -> int:
            self.name, self.given = name, given
            if isinstance(self._result, BaseException):
                raise self._result
            return self._result

        return run


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    monkeypatch.delenv("DISPATCHER_MODE", raising=False)
    return Ran(monkeypatch)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["--help", "agent"]])
def test_help_goes_to_stdout(ran: Ran, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert 0 == cli.main(arguments)
    assert (overview(), "") == tuple(capsys.readouterr())


@pytest.mark.parametrize("argument", ["--version", "-V"])
def test_the_version_goes_to_stdout(ran: Ran, capsys: pytest.CaptureFixture[str], argument: str) -> None:
    assert 0 == cli.main([argument])
    assert (f"dispatcher.pyz {__version__}\n", "") == tuple(capsys.readouterr())


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--log-level", "INFO", "--help"], ["--nonsense", "-h"]])
def test_every_command_has_help(ran: Ran, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]) -> None:
    assert 0 == cli.main([name, *arguments])
    assert (usage(COMMANDS[name]), "") == tuple(capsys.readouterr())
    assert "" == ran.name


WRONG = [
    ([], "no command; dispatcher.pyz --help lists them"),
    ([""], "there is no command ''"),
    (["coordinatr"], "did you mean coordinator?"),
    (["xyzzy"], "there is no command 'xyzzy'; dispatcher.pyz --help lists them"),
    (["--port", "80", "coordinator"], "the command comes first, before --port"),
    (["coordinator", "--prot", "80"], "there is no option --prot; did you mean --port?"),
    (["coordinator", "--prot=80"], "there is no option --prot; did you mean --port?"),
    (["coordinator", "-p", "80"], "there is no option -p"),
    (["demo", "--count", "3"], "there is no option --count\n"),
    (["coordinator", "--"], "there is no option --"),
    (["coordinator", "80"], "there is nothing to do with '80'"),
    (["coordinator", "coordinator"], "there is nothing to do with 'coordinator'"),
    (["coordinator", "--port"], "--port: needs a value (PORT)"),
    (["coordinator", "--port", "--host", "::1"], "--port: needs a value (PORT)"),
    (["coordinator", "--port", "1", "--port", "2"], "--port: may be given once only"),
    (["monitor", "--json=yes"], "--json: takes no value"),
    (["monitor", "--json", "--json"], "--json: may be given once only"),
    (["agent", "--coord", "http://x"], "there is no option --coord"),
    (["--mode"], "--mode: must be one of coordinator, agent, monitor, monitoring, not ''"),
    (["--mode", "agnet"], "did you mean agent?"),
    (["--mode=demo"], "--mode: must be one of"),
    (["--mode", "agent", "agent"], "there is nothing to do with 'agent'"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG)
def test_what_is_mistyped_is_told_in_lines_of_ours_with_status_2(
    ran: Ran, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert 2 == cli.main(arguments)
    out, err = capsys.readouterr()
    assert ("", "") == (out, ran.name)
    assert told in err
    assert all(line.startswith("dispatcher.pyz: ") for line in err.splitlines())
    assert "Usage:" not in err
    assert len(err.splitlines()) <= 2


def test_all_that_is_mistyped_is_told_together(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["coordinator", "--prot", "80", "extra", "--gracee=1", "--host"])
    lines = capsys.readouterr().err.splitlines()
    assert ["--prot", "'extra'", "--gracee", "--host:", "--help"] == [
        next(word for word in ("--prot", "'extra'", "--gracee", "--host:", "--help") if word in line) for line in lines
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["agent", "--coordinator-url", "http://x", "--address", "::1", "--address=::2", "--include-ula"],
        ["agent", "--include-ula", "--address=::1", "--coordinator-url=http://x", "--address", "::2"],
        ["--mode", "agent", "--coordinator-url", "http://x", "--address", "::1", "--address", "::2", "--include-ula"],
        ["--mode=agent", "--include-ula", "--coordinator-url=http://x", "--address", "::1", "--address", "::2"],
        ["--coordinator-url", "http://x", "--address", "::1", "--mode", "agent", "--address", "::2", "--include-ula"],
        ["--include-ula", "--coordinator-url=http://x", "--address=::1", "--address=::2", "--mode=agent"],
    ],
)
def test_options_may_be_written_in_many_ways(ran: Ran, arguments: list[str]) -> None:
    assert 0 == cli.main(arguments)
    assert "agent" == ran.name
    assert ("http://x", ["::1", "::2"], True, None) == tuple(
        ran.given[flag] for flag in ("--coordinator-url", "--address", "--include-ula", "--agent-id")
    )


@pytest.mark.parametrize("value", ["-1", "", "a=b", "--x=y", "a b"])
def test_a_value_may_look_like_anything(ran: Ran, value: str) -> None:
    assert 0 == cli.main(["agent", f"--agent-id={value}"])
    assert value == ran.given["--agent-id"]


def test_a_negative_number_is_a_value(ran: Ran) -> None:
    assert 0 == cli.main(["coordinator", "--port", "-1"])
    assert "-1" == ran.given["--port"]


@pytest.mark.parametrize(("mode", "name"), MODES.items())
def test_the_older_form_starts_the_command_that_it_means(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, mode: str, name: str
) -> None:
    assert (0, name) == (cli.main(["--mode", mode]), ran.name)
    monkeypatch.setenv("DISPATCHER_MODE", mode)
    assert (0, name) == (cli.main(["--log-level", "INFO"]), ran.name)
    assert "INFO" == ran.given["--log-level"]
    assert (0, name) == (cli.main([]), ran.name)


def test_a_command_and_mode_beat_the_variable(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_MODE", "agent")
    assert (0, "demo") == (cli.main(["demo"]), ran.name)
    assert (0, "monitor") == (cli.main(["--mode", "monitoring"]), ran.name)


def test_a_wrong_variable_is_told_by_its_name_but_help_is_there(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPATCHER_MODE", "agnet")
    assert 2 == cli.main([])
    assert "DISPATCHER_MODE: must be one of" in capsys.readouterr().err
    assert 0 == cli.main(["--help"])


@pytest.mark.parametrize(
    ("raised", "status", "err"),
    [
        (DispatcherError("it broke"), 1, "dispatcher.pyz: it broke\n"),
        (DispatcherError("one\ntwo"), 1, "dispatcher.pyz: one\ndispatcher.pyz: two\n"),
        (RefusedError("not you"), 4, "dispatcher.pyz: not you\n"),
        (KeyboardInterrupt(), 0, ""),
    ],
)
def test_an_error_is_its_lines_and_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: BaseException, status: int, err: str
) -> None:
    Ran(monkeypatch, raised)
    assert status == cli.main(["demo"])
    assert ("", err) == tuple(capsys.readouterr())


def test_the_status_of_a_command_is_that_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    Ran(monkeypatch, 5)
    assert 5 == cli.main(["demo"])


# In a process of its own


def run(
    *arguments: str, more: tuple[str, ...] = (), variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
    command = [PROGRAM[0], *more, *PROGRAM[1:], *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=inherited | dict(variables or {})
    )


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["coordinator", "--help"], ["agent", "--nonsense"]])
def test_words_are_there_without_any_package_but_docopt(arguments: list[str]) -> None:
    done = run(*arguments, more=("-X", "importtime"))
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "import time:" in line
    }
    allowed = {*sys.stdlib_module_names, *sys.builtin_module_names, "docopt", "dispatcher", "imported package"}
    # What a virtual environment brings, and what `copy` tries for Jython.
    site = {"sitecustomize", "usercustomize", "distutils-precedence", "zipimport", "org"}
    assert "docopt" in imported
    assert set() == {name for name in imported - allowed - site if not name.startswith(("_", "encodings"))}
    ours = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert {name for name in ours if name.startswith("dispatcher.")} <= {
        "dispatcher.cli",
        "dispatcher.errors",
        "dispatcher.option",
        "dispatcher.options",
        "dispatcher.usage",
    }


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (["coordinator"], {"DISPATCHER_PORT": "x", "DISPATCHER_HOST": "a b"}, ["--host", "--port"]),
        (["agent"], {}, ["--coordinator-url"]),
        (["agent", "--coordinator-url", "x", "--address", "1"], {}, ["--coordinator-url", "--address"]),
        (["monitor", "--log-level", "loud"], {"DISPATCHER_COORDINATOR_URL": "http://x"}, ["--log-level"]),
        (["demo"], {"DISPATCHER_LOG_LEVEL": "loud"}, ["--log-level"]),
        (["coordinator", "--host", "x" * 64 + ".test"], {}, ["--host"]),
        (["coordinator", "--state-dir", "~no-such-user-here/x"], {}, ["--state-dir"]),
        ([], {"DISPATCHER_MODE": "agent"}, ["--coordinator-url"]),
    ],
)
def test_wrong_settings_end_with_status_2_and_a_line_each(
    arguments: list[str], variables: dict[str, str], told: list[str]
) -> None:
    done = run(*arguments, variables=variables)
    assert (2, "") == (done.returncode, done.stdout)
    lines = done.stderr.splitlines()
    assert told == [line.removeprefix("dispatcher.pyz: ").split()[0].rstrip(":") for line in lines]


def test_a_reader_that_goes_away_makes_no_trace() -> None:
    # Unbuffered, the trace would not show.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command, pipe = [*PROGRAM, "--help"], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=buffered) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 1 == process.wait(60)


def test_an_argument_that_is_not_utf_8_is_told_and_no_trace() -> None:
    done = subprocess.run([*map(os.fsencode, PROGRAM), b"\xff"], capture_output=True, check=False, timeout=60)
    assert 2 == done.returncode
    assert b"Traceback" not in done.stderr


FOREIGN = {
    "dispatcher.cli": {"apispec", "curtsies", "marshmallow", "msgspec", "pycurl", "pykka", "sqlite3", "ssl", "tornado"},
    "dispatcher.agent.main": {"apispec", "curtsies", "prometheus_client", "pykka", "sqlite3"},
    "dispatcher.coordinator": {"curtsies", "pycurl"},
    "dispatcher.monitor.main": {"apispec", "prometheus_client", "pycurl", "pykka", "sqlite3"},
    "dispatcher.execute.main": {"apispec", "curtsies", "prometheus_client", "pycurl", "pykka", "sqlite3"},
}
"""By what a command runs: packages that others need, which would cost its start and may be missing on its machine."""


@pytest.mark.parametrize("module", FOREIGN)
def test_a_command_imports_nothing_that_only_others_need(module: str) -> None:
    loaded = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert set() == FOREIGN[module] & set(done.stdout.split())
