"""The unit that is printed; `tests/artifact/test_systemd.py` has systemd read one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dispatcher import bootstrap, cli, settings, systemd
from dispatcher.errors import DispatcherError
from dispatcher.usage import SYSTEMD_USAGE

URL = "http://[2001:db8::1]:8000"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> str:
    """Run from a file that is installed for all users, with a Python that is too."""
    monkeypatch.setattr(bootstrap, "ARCHIVE", "/usr/local/lib/dispatcher.pyz")
    for name, value in (("prefix", "/usr"), ("base_prefix", "/usr"), ("executable", "/usr/bin/python3")):
        monkeypatch.setattr(sys, name, value)
    return "/usr/bin/python3 /usr/local/lib/dispatcher.pyz"


def unit(*arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a unit."""
    assert 0 == cli.main(["systemd", *arguments])
    out, err = capsys.readouterr()
    assert "" == err
    return out.splitlines()


def refusal(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return why there is no unit."""
    assert 2 == cli.main(["systemd", *arguments])
    out, err = capsys.readouterr()
    assert "" == out
    return err


def test_the_unit_runs_the_file_with_the_given_options(installed: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = unit("agent", "--coordinator-url", URL, "--drain-timeout=5.5", capsys=capsys)
    assert f"ExecStart={installed} agent --coordinator-url {URL} --drain-timeout=5.5" in lines
    assert {"Type=notify", "WatchdogSec=30", "DynamicUser=yes", "TimeoutStopSec=20", "CapabilityBoundingSet="} <= {
        *lines
    }
    assert [] == [line for line in lines if line.startswith("BindReadOnlyPaths")]
    assert "RestartPreventExitStatus=2 4" in lines


@pytest.mark.parametrize(("role", "options"), [("coordinator", ()), ("agent", ("--coordinator-url", URL))])
def test_each_has_a_state_folder_of_its_own(
    role: str, options: tuple[str, ...], installed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = unit(role, *options, capsys=capsys)
    assert " ".join((f"ExecStart={installed} {role}", *options)) in lines
    assert f"StateDirectory=dispatcher-{role}" in lines
    assert "StateDirectoryMode=0700" in lines
    assert f"Environment=DISPATCHER_STATE_DIR=%S/dispatcher-{role}" in lines


@pytest.mark.parametrize("typed", [("--token-file", "/etc/a b/token"), ("--token-file=/etc/a b/token",)])
def test_a_token_that_only_root_can_read_is_handed_over(
    installed: str, typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = unit("agent", "--coordinator-url", URL, *typed, "--include-ula", capsys=capsys)
    assert f"ExecStart={installed} agent --coordinator-url {URL} --include-ula" in lines
    assert {'LoadCredential="token:/etc/a b/token"', "Environment=DISPATCHER_TOKEN_FILE=%d/token"} <= {*lines}


@pytest.mark.parametrize(("port", "expected"), [("443", "CAP_NET_BIND_SERVICE"), ("8000", ""), ("0", "")])
@pytest.mark.usefixtures("installed")
def test_only_a_low_port_needs_a_capability(port: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = unit("coordinator", "--port", port, capsys=capsys)
    assert {f"CapabilityBoundingSet={expected}", f"AmbientCapabilities={expected}"} <= {*lines}


@pytest.mark.usefixtures("installed")
def test_what_lies_in_a_home_is_bound_into_view(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "ARCHIVE", "/home/a user/dispatcher.pyz")
    monkeypatch.setattr(sys, "prefix", "/root/venv")
    bound = [line for line in unit("coordinator", capsys=capsys) if line.startswith("Bind")]
    assert ['BindReadOnlyPaths="/home/a user/dispatcher.pyz"', "BindReadOnlyPaths=/root/venv"] == bound


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain-1.2:/[x]", "plain-1.2:/[x]"),
        ("", '""'),
        ("two words", '"two words"'),
        ("100%$HOME", "100%%$$HOME"),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("it's", '"it\'s"'),
        ("a;b", '"a;b"'),
    ],
)
def test_a_word_stays_one_word_for_systemd(word: str, expected: str) -> None:
    assert expected == systemd.quote(word)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "systemd: needs agent or coordinator first, not ''"),
        ("monitor", "systemd: needs agent or coordinator first, not 'monitor'"),
        ("agent", "--coordinator-url"),
        ("agent --coordinator-url nonsense", "--coordinator-url: Must be an http or https URL"),
        ("agent --coordinator-ulr x", "did you mean --coordinator-url?"),
        ("coordinator --state-dir /x", "--state-dir: a unit has its own, /var/lib/dispatcher-coordinator"),
        (f"agent --coordinator-url {URL} --state-dir /x", "--state-dir: a unit has its own, /var/lib/dispatcher-agent"),
    ],
)
def test_wrong_options_are_told_and_give_no_unit(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refusal(*line.split(), capsys=capsys)


@pytest.mark.usefixtures("installed")
def test_the_environment_of_whoever_asks_is_not_the_units(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPATCHER_COORDINATOR_URL", URL)
    assert "--coordinator-url" in refusal("agent", capsys=capsys)


@pytest.mark.parametrize("line", ["--help", "agent -h"])
def test_help_says_what_it_prints(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert SYSTEMD_USAGE.splitlines() == unit(*line.split(), capsys=capsys)


def test_a_checkout_has_no_unit() -> None:
    with pytest.raises(DispatcherError, match="this is a checkout"):
        systemd.coordinator([], settings.coordinator({}, {}))


TLS = ["coordinator", "--tls-cert", "/etc/dispatcher/c.pem", "--tls-key", "/etc/dispatcher/c.key"]


@pytest.mark.usefixtures("installed")
def test_a_coordinator_with_certificates_reads_them_again_when_it_is_reloaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reload = "ExecReload=/bin/kill -HUP $MAINPID"
    assert reload in unit(*TLS, capsys=capsys)
    assert reload not in unit("coordinator", capsys=capsys)


@pytest.mark.usefixtures("installed")
def test_the_folder_of_certificates_in_a_home_is_seen_and_so_are_renewed_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = unit("agent", "--coordinator-url", "https://c.test", "--ca-file", "/home/me/tls/ca.pem", capsys=capsys)
    assert [each for each in said if each.startswith("Bind")] == ["BindReadOnlyPaths=/home/me/tls"]
    assert [each for each in unit(*TLS, capsys=capsys) if each.startswith("Bind")] == []


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("mode", "group", "is_given"), [(0o640, 1234, True), (0o600, 1234, False), (0o644, 1234, False), (0o640, 0, False)]
)
def test_the_unit_has_the_group_that_may_read_the_key(
    tmp_path: Path, mode: int, group: int, is_given: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "c.key"
    key.touch()
    os.chown(key, 0, group)
    key.chmod(mode)
    said = unit(*TLS[:-1], str(key), capsys=capsys)
    assert is_given is (f"SupplementaryGroups={group}" in said)


@pytest.mark.usefixtures("installed")
def test_a_path_that_depends_on_where_one_stands_gives_no_unit(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal("coordinator", "--tls-cert", "c.pem", capsys=capsys)
    assert "--tls-cert: a unit needs the whole path, not c.pem" in said
