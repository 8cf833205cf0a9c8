from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.actors.errors import StoreError
from dispatcher.errors import DispatcherError
from tests.support.client import Client
from tests.support.processes import Process, dispatcher_command


class Started:
    """Coordinators of one test, ended at its end."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.processes: list[Process] = []

    def __call__(self, *options: str) -> Process:
        place = ("--port", "0", "--state-dir", str(self.state_dir))
        process = Process("coordinator", [*dispatcher_command(), "coordinator", *place, *options])
        self.processes.append(process)
        return process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path / "state")
    yield started
    for process in started.processes:
        process.end()


def url_of(process: Process) -> str:
    return process.wait_for_line("coordinator ready on ").removeprefix("coordinator ready on ")


def test_a_coordinator_says_where_it_can_be_reached_once_it_can(start: Started) -> None:
    process = start()
    client = Client(url_of(process))
    assert 200 == client.call("GET", "/readyz").status
    client.close()
    assert 0 == process.end()
    assert ["coordinator ready on " + client.url] == [line for line in process.lines if " INFO " not in line]


def test_an_ipv6_address_stands_in_brackets_in_its_url(start: Started) -> None:
    process = start("--host", "[::1]")
    client = Client(url_of(process))
    assert client.url.startswith("http://[::1]:")
    assert 200 == client.call("GET", "/livez").status
    client.close()


def test_a_name_is_listened_on_too(start: Started) -> None:
    client = Client(url_of(start("--host", "localhost")))
    assert 200 == client.call("GET", "/livez").status
    client.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "2001:db8::99"), "cannot listen on 2001:db8::99 port 0: Cannot assign requested address"),
        (("--state-dir", "/proc/nowhere"), "cannot open /proc/nowhere/history.sqlite3: No such file or directory"),
    ],
)
def test_a_coordinator_that_cannot_start_says_why_in_one_line_and_ends_with_1(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    assert [f"dispatcher.pyz: {said}"] == failed_start(tmp_path, *options)


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = failed_start(tmp_path, "--port", port)
    assert [f"dispatcher.pyz: cannot listen on 127.0.0.1 port {port}: Address already in use"] == said


def failed_start(state_dir: Path, *options: str) -> list[str]:
    """Start a coordinator that must end with 1, and return what it said."""
    place = {"--port": "0", "--state-dir": str(state_dir)} | dict(zip(options[::2], options[1::2], strict=True))
    words = [word for pair in place.items() for word in pair]
    # Without -W error: Tornado leaves a socket that it could not bind to the garbage collector.
    process = Process("coordinator", [*dispatcher_command(()), "coordinator", *words])
    assert 1 == process.wait()
    return process.lines


def test_a_second_coordinator_over_the_same_state_is_refused_and_the_first_goes_on(start: Started) -> None:
    first = start()
    client = Client(url_of(first))
    second = start()
    assert 1 == second.wait()
    expected = f"dispatcher.pyz: {start.state_dir} is in use by another coordinator (process {first.pid})"
    assert [expected] == second.lines
    assert 200 == client.call("GET", "/readyz").status
    client.close()


def test_a_killed_coordinator_leaves_nothing_that_stops_the_next(start: Started) -> None:
    first = start()
    url_of(first)
    first.kill()
    client = Client(url_of(start()))
    assert 200 == client.call("GET", "/readyz").status
    client.close()


def test_state_that_is_no_state_is_left_as_it_is(start: Started) -> None:
    start.state_dir.mkdir()
    strange = start.state_dir / "history.sqlite3"
    strange.write_bytes(b"somebody's notes" * 100)
    process = start()
    assert 1 == process.wait()
    assert 1 == len(process.lines)
    assert str(strange) in process.lines[0]
    assert b"somebody's notes" * 100 == strange.read_bytes()


def test_a_store_error_is_an_error_that_ends_a_command() -> None:
    assert issubclass(StoreError, DispatcherError)
