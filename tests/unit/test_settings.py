"""Settings: layers, checks, and how faults are told. The tests of precedence are made from the table of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dispatcher import settings
from dispatcher.errors import ExitStatus, SettingsError
from dispatcher.option import Command, Kind, Option
from dispatcher.options import COMMANDS

LOADERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, str]], Any]] = {
    "coordinator": settings.coordinator,
    "agent": settings.agent,
    "monitor": settings.monitor,
    "execute": settings.execute,
    "demo": settings.demo,
    "self-test": settings.self_test,
}
EVERY = [
    pytest.param(command, option, id=f"{command.name} {option.name}")
    for command in COMMANDS.values()
    for option in command.options
]

SAMPLES: dict[Kind, tuple[tuple[str, object], tuple[str, object]]] = {
    Kind.TEXT: (("eth0", "eth0"), ("eth1", "eth1")),
    Kind.LOG_LEVEL: (("debug", "DEBUG"), ("ERROR", "ERROR")),
    Kind.HOST: (("[::1]", "::1"), ("localhost", "localhost")),
    Kind.URL: (("http://[::1]:8000/", "http://[::1]:8000"), ("HTTPS://c.test", "https://c.test")),
    Kind.ADDRESS: (("[2001:DB8::1]", "2001:db8::1"), ("::1", "::1")),
    Kind.AGENT_ID: (("a", "a"), ("b", "b")),
    Kind.PATH: (("/tmp/a", Path("/tmp/a")), ("/tmp/b", Path("/tmp/b"))),
    Kind.FILE: (("/tmp/a.pem", Path("/tmp/a.pem")), ("/tmp/b.pem", Path("/tmp/b.pem"))),
    Kind.HEADER: (("X-A", "X-A"), ("X-B", "X-B")),
    Kind.TARGET: (("2001:DB8::/32", "2001:db8::/32"), ("Web.Test.", "web.test")),
    Kind.ORIGIN: (("https://A.test", "https://a.test"), ("http://[::1]:80", "http://[::1]:80")),
}


NEEDS = {name: {"DISPATCHER_TLS_CERT": "/tmp/c.pem"} for name in ("tls-key", "tls-client-ca")}
"""What an option makes no sense without."""


def samples(option: Option) -> tuple[tuple[str, object], tuple[str, object]]:
    """Return two values that are right and not the default, as they are typed and as they are loaded."""
    if option.kind in SAMPLES:
        return SAMPLES[option.kind]
    assert option.low is not None
    # Of ping-timeout and ping-interval either may be changed alone.
    low = 10.0 if option.name == "ping-interval" else option.low
    numbers = (low + 1, low + 2) if option.kind is Kind.WHOLE or option.low < 1 else (low + 0.5, low + 1.5)
    convert = int if option.kind is Kind.WHOLE else float
    return tuple((str(convert(number)), convert(number)) for number in numbers)  # type: ignore[return-value]  # two


def required(command: Command, *but: Option) -> dict[str, str]:
    """Return an environment with all that a command cannot do without."""
    return {
        option.variable: SAMPLES[option.kind][1][0]  # https, which some options need
        for option in command.options
        if option.is_required and option not in but
    }


def load(command: Command, option: Option, given: Mapping[str, Any], environment: Mapping[str, str]) -> object:
    others = required(command, option) | NEEDS.get(option.name, {})
    return getattr(LOADERS[command.name](given, others | dict(environment)), option.key)


@pytest.mark.parametrize(("command", "option"), EVERY)
def test_the_command_line_beats_the_environment_which_beats_the_default(command: Command, option: Option) -> None:
    if option.kind is Kind.FLAG:
        assert load(command, option, {}, {}) is False
        assert load(command, option, {}, {option.variable: "1"}) is True
        assert load(command, option, {option.flag: True}, {option.variable: "0"}) is True
        return
    (typed, first), (varied, second) = samples(option)
    if option.repeats:
        assert (first,) == load(command, option, {option.flag: [typed]}, {option.variable: varied})
        assert (second,) == load(command, option, {option.flag: []}, {option.variable: varied})
    else:
        assert first == load(command, option, {option.flag: typed}, {option.variable: varied})
        assert second == load(command, option, {option.flag: None}, {option.variable: varied})


@pytest.mark.parametrize(("command", "option"), EVERY)
def test_what_is_not_given_is_the_default(command: Command, option: Option) -> None:
    for environment in ({}, {option.variable: ""}):
        if option.is_required:
            with pytest.raises(SettingsError, match=f"{option.flag} .{option.variable}.: Is missing"):
                load(command, option, {}, environment)
        elif option.kind is not Kind.PATH:
            assert (() if option.repeats else option.default) == load(command, option, {}, environment)


BAD = {
    Kind.TEXT: [" "],
    Kind.LOG_LEVEL: ["loud", "NOTSET", "10"],
    Kind.HOST: ["[::1", "::1]", "a b", "http://x", "u@h", "::g", "h:80", "[h]", "a..b", "x" * 64 + ".test", "..", "\\"],
    Kind.URL: ["localhost:8000", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h?x", "http://h#x"],
    Kind.ADDRESS: ["1.2.3.4", "[::1", "::g", "host", "fe80::1%"],
    Kind.AGENT_ID: ["-a", "a b", "a/b", "x" * 65, "register", "a\n"],
    Kind.PATH: [" ", "~no-such-user-here/x"],
    Kind.FILE: [" ", "~no-such-user-here/x"],
    Kind.HEADER: ["a b", "a:", "\u00e4"],
    Kind.TARGET: ["1.2.3.4", "10.0.0.0/8", "::1/129", "::1/64", "a b", "http://a.test", "a.test:80", "[::1", "*.test"],
    Kind.ORIGIN: [
        "a.test",
        "https://",
        "https://a.test/",
        "ftp://a.test",
        "https://u@a.test",
        "null",
        "*",
        "https://a b",
    ],
    Kind.WHOLE: ["x", "1.5", "1_0", "\u0663", "1e3", "9" * 50],
    Kind.NUMBER: ["x", "nan", "inf", "-inf", "1_0", "\u0663", "1e999", "0x1"],
    Kind.FLAG: ["maybe", "2", " "],
}
BAD[Kind.URL] += ["http://a b", "http://[::1", "http://h\n", "http://h\\@x", "http://h/\udcff"]
BAD[Kind.URL] += ["http://a..b", f"http://{'x' * 64}.test:8000"]


@pytest.mark.parametrize(("command", "option"), EVERY)
def test_what_is_wrong_is_told_in_one_line_with_where_it_was_set(command: Command, option: Option) -> None:
    for text in BAD[option.kind]:
        if text.strip() or not option.repeats:  # a list in the environment may have empty places
            with pytest.raises(SettingsError) as refused:
                load(command, option, {}, {option.variable: text})
            (line,) = str(refused.value).splitlines()
            assert line.startswith(f"{option.flag} ({option.variable}): ")
        if option.kind is not Kind.FLAG:
            with pytest.raises(SettingsError) as refused:
                load(command, option, {option.flag: [text] if option.repeats else text}, {})
            (line,) = str(refused.value).splitlines()
            assert line.startswith(f"{option.flag}: ")
    assert ExitStatus.USAGE == SettingsError.exit_status


@pytest.mark.parametrize(("command", "option"), EVERY)
def test_bounds_are_bounds(command: Command, option: Option) -> None:
    if option.low is None or option.high is None:
        return
    other = {"DISPATCHER_PING_INTERVAL": "600"} if option.name == "ping-timeout" else {}
    other |= {"DISPATCHER_PING_TIMEOUT": "0.1"} if option.name == "ping-interval" else {}
    for bound in (option.low, option.high):
        text = str(int(bound) if option.kind is Kind.WHOLE else bound)
        assert float(bound) == load(command, option, {option.flag: text}, other)
    for beyond in (option.low - 1, option.high * 2):
        with pytest.raises(SettingsError):
            load(command, option, {option.flag: str(int(beyond))}, other)


def test_all_wrong_settings_are_told_together_in_the_order_of_the_table() -> None:
    environment = {
        "DISPATCHER_PORT": "x",
        "DISPATCHER_HOST": "a b",
        "DISPATCHER_PING_TIMEOUT": "20",
        "DISPATCHER_REDACT_HEADER": "ok, a b,c d",
        "DISPATCHER_LOG_LEVEL": "loud",
    }
    with pytest.raises(SettingsError) as refused:
        settings.coordinator({"--grace": "-1"}, environment)
    assert [
        "--host (DISPATCHER_HOST)",
        "--port (DISPATCHER_PORT)",
        "--grace",
        "--ping-timeout (DISPATCHER_PING_TIMEOUT)",
        "--redact-header (DISPATCHER_REDACT_HEADER)",
        "--redact-header (DISPATCHER_REDACT_HEADER)",
        "--log-level (DISPATCHER_LOG_LEVEL)",
    ] == [line.partition(": ")[0] for line in str(refused.value).splitlines()]
    assert "'a b'" in str(refused.value)


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["x" * 257], "--redact-header: 'xxx"),
        ([f"x-{number}" for number in range(257)], "--redact-header: May be given 256 times at most."),
    ],
)
def test_an_agent_can_be_told_every_header_that_is_redacted(names: list[str], fault: str) -> None:
    longest = ["x" * 256] * 256
    assert tuple(longest) == settings.coordinator({"--redact-header": longest}, {}).redact_header
    with pytest.raises(SettingsError, match=fault):
        settings.coordinator({"--redact-header": names}, {})


def test_a_repeated_option_is_a_list_with_commas_in_the_environment() -> None:
    environment = {
        "DISPATCHER_COORDINATOR_URL": "http://c",
        "DISPATCHER_ADDRESS": " ::1 ,[2001:DB8::2],,",
        "DISPATCHER_INTERFACE": "eth0,eth1",
    }
    loaded = settings.agent({}, environment)
    assert (("::1", "2001:db8::2"), ("eth0", "eth1")) == (loaded.address, loaded.interface)
    assert ("::3",) == settings.agent({"--address": ["::3"]}, environment).address


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("false", False), ("no", False)],
)
def test_a_flag_is_set_and_cleared_by_its_variable(text: str, expected: bool) -> None:
    environment = {"DISPATCHER_COORDINATOR_URL": "http://c", "DISPATCHER_INCLUDE_ULA": text}
    assert expected is settings.agent({}, environment).include_ula


@pytest.mark.parametrize("typed", ["::1", "[::1]", "0:0::1"])
def test_an_address_to_listen_on_may_stand_in_brackets(typed: str) -> None:
    assert "::1" == settings.coordinator({"--host": typed}, {}).host


@pytest.mark.parametrize("typed", ["0.0.0.0", "127.0.0.1", "localhost", "gateway-1.example", "\u00e4.example"])
def test_a_name_or_an_old_address_is_taken_as_it_is(typed: str) -> None:
    assert typed == settings.coordinator({"--host": typed}, {}).host


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("fe80::1", "Is link-local, which reaches its own link only."),
        ("2a00::1%eth0", "Names an interface; an exit is an address alone."),
        ("ff02::1", "Is not a unicast IPv6 address."),
        ("::", "Is not a unicast IPv6 address."),
        ("[::ffff:192.0.2.1]", "Is not a unicast IPv6 address."),
        ("192.0.2.1", "Is not an IPv6 address."),
    ],
)
def test_what_can_never_be_an_exit_is_refused(typed: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.agent({"--coordinator-url": "http://c", "--address": ["::1", typed]}, {})
    assert f"--address: {typed!r}: {fault}" == str(caught.value)


def test_a_home_is_found() -> None:
    assert Path.home() / "x" == settings.coordinator({"--state-dir": "~/x"}, {}).state_dir


def test_the_state_stands_in_the_users_folder_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert Path("/somewhere/dispatcher") == settings.coordinator({}, {}).state_dir


def test_other_variables_mean_nothing() -> None:
    others = {"DISPATCHER_MODE": "agent", "PORT": "1", "HOST": "x"}
    assert settings.coordinator({}, {}) == settings.coordinator({}, others)


@pytest.mark.parametrize("option", ["--tls-key", "--tls-client-ca"])
def test_what_belongs_to_a_certificate_needs_one(option: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings.coordinator({option: "/tmp/x.pem"}, {})
    assert f"{option}: Needs --tls-cert too." == str(refused.value)
    assert Path("/tmp/x.pem") == settings.coordinator({option: "/tmp/x.pem", "--tls-cert": "/tmp/x.pem"}, {}).tls_cert


@pytest.mark.parametrize("load", [settings.agent, settings.monitor])
def test_whom_to_trust_is_nothing_to_say_where_nothing_is_encrypted(load: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"--coordinator-url": "http://c.test", "--ca-file": "/tmp/x.pem"}, {})
    assert "--ca-file: Needs an https:// --coordinator-url." == str(refused.value)
    given = {"--coordinator-url": "https://c.test", "--ca-file": "/tmp/x.pem"}
    assert Path("/tmp/x.pem") == load(given, {}).ca_file


def test_an_agent_shows_no_certificate_where_nothing_is_encrypted() -> None:
    with pytest.raises(SettingsError) as refused:
        settings.agent({"--coordinator-url": "http://c.test", "--tls-cert": "/tmp/x.pem"}, {})
    assert "--tls-cert: Needs an https:// --coordinator-url." == str(refused.value)
