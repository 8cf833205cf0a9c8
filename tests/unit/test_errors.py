"""Every failure that has a name: the contract's kinds with their statuses, and the errors that end a command."""

from __future__ import annotations

import pytest

from dispatcher.errors import DispatcherError, ExitStatus, Failure, FailureKind, Party, RefusedError, SettingsError

STATUSES = {
    502: "dns connect tls reset http_protocol target_has_no_ipv6 source_address source_mismatch agent_lost "
    "invalid_result",
    504: "timeout agent_timeout",
    503: "no_exit overloaded",
    403: "blocked_target",
    500: "internal",
}


def test_every_kind_has_the_status_that_was_promised() -> None:
    promised = {kind: status for status, kinds in STATUSES.items() for kind in kinds.split()}
    assert promised == {str(kind): kind.http_status for kind in FailureKind}


def test_a_kind_is_its_own_name() -> None:
    for kind in FailureKind:
        assert kind is {str(member): member for member in FailureKind}[kind.value]
        assert kind == kind.value == str(kind)
        assert isinstance(kind.usual_party, Party)


def test_a_failure_is_the_usual_partys_unless_another_is_named() -> None:
    assert Failure(FailureKind.DNS, "x", Party.RESOLVER) == Failure.of(FailureKind.DNS, "x")
    assert Failure(FailureKind.DNS, "x", Party.AGENT) == Failure.of(FailureKind.DNS, "x", Party.AGENT)


@pytest.mark.parametrize(("error", "status"), [(DispatcherError, 1), (SettingsError, 2), (RefusedError, 4)])
def test_an_error_that_ends_a_command_knows_its_status(error: type[DispatcherError], status: int) -> None:
    assert status == error.exit_status


def test_the_exit_statuses_are_those_that_were_promised() -> None:
    expected = {"DONE": 0, "FAILED": 1, "USAGE": 2, "UNREACHABLE": 3, "REFUSED": 4, "NO_EXIT": 5}
    assert expected == {status.name: int(status) for status in ExitStatus}
