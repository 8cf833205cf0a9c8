"""`execute` as a process: what it writes where, what it ends with, and what it leaves behind."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import SOURCES, TARGET
from tests.support.cluster import Cluster, running_cluster, serving
from tests.support.processes import dispatcher_command, eventually
from tests.support.targets import Echo, Hanging

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60.0
USED = SOURCES[:4]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, private_network: None) -> Iterator[Cluster]:
    """A coordinator with an agent of four exits, for all tests here."""
    with running_cluster(tmp_path_factory.mktemp("execute")) as cluster:
        cluster.coordinator()
        cluster.agent("agent-01", USED)
        cluster.client.wait_for_exits(len(USED))
        yield cluster


@pytest.fixture(scope="module")
def echo(fleet: Cluster) -> Iterator[Echo]:
    with serving(Echo(TARGET)) as target:
        yield target


def begun(cluster: Cluster, *options: str, **streams: Any) -> subprocess.Popen[str]:
    command = [*dispatcher_command(), "execute", "--coordinator-url", cluster.url, *options]
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | streams
    return subprocess.Popen(command, **given)


def ran(cluster: Cluster, *options: str) -> tuple[int, str, str]:
    process = begun(cluster, *options)
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def test_one_execution_is_a_line_of_a_table(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    status, out, err = ran(fleet)
    head, row = out.splitlines()
    assert (0, "", ["#", "agent", "source", "address", "status", "time"]) == (status, err, head.split())
    assert ["1", "agent-01", echo.requests[-1].peer, "200"] == row.split()[:4]


def test_one_execution_as_json_is_its_record(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    status, out, err = ran(fleet, "--json")
    assert (0, "", 1) == (status, err, out.count("\n"))
    assert json.loads(out) in fleet.client.history()


def test_a_batch_goes_round_as_the_target_sees_it_and_ends_with_a_sum(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    seen = len(echo.requests)
    status, out, err = ran(fleet, "--count", "400", "--concurrency", "1", "--json")
    *records, last = map(json.loads, out.splitlines())
    assert (0, "") == (status, err)
    peers = [request.peer for request in echo.requests[seen:]]
    assert peers == [record["source_ip"] for record in records]
    first = USED.index(peers[0])
    assert list(itertools.islice(itertools.cycle(USED), first, first + 400)) == peers
    assert (400, None) == (last["summary"]["completed"], last["summary"]["stopped"])


def test_a_wide_batch_uses_every_exit_alike_and_has_every_record_in_history(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    seen = len(echo.requests)
    status, out, _ = ran(fleet, "--count", "1000", "--json")
    records = sorted(map(json.loads, out.splitlines()[:-1]), key=lambda record: int(record["sequence"]))
    used = [record["source_ip"] for record in records]
    assert (0, 1000) == (status, len(used))
    assert all(len(set(used[place : place + len(USED)])) == len(USED) for place in range(1000 - len(USED)))
    assert dict.fromkeys(USED, 250) == {
        source: sum(request.peer == source for request in echo.requests[seen:]) for source in USED
    }
    kept = {record["id"] for record in fleet.client.history()}
    assert {record["id"] for record in records[-50:]} & kept


def test_failures_end_with_1_and_say_what_they_were(fleet: Cluster) -> None:
    fleet.client.configure(f"http://[{TARGET}]:9/")
    status, out, _ = ran(fleet, "--count", "3")
    assert (1, 3) == (status, out.count(" failed: Connection refused"))
    assert "3 executions" in out
    assert "0 completed, 3 failed, 0 unknown; connect x3" in out
    assert 1 == ran(fleet)[0]


def test_a_signal_in_mid_batch_sums_up_and_the_coordinator_begins_no_more(fleet: Cluster, echo: Echo) -> None:
    with serving(Hanging(TARGET)) as hanging:
        fleet.client.configure(hanging.url(), timeout=3)
        process = begun(fleet, "--count", "100", "--concurrency", "4")
        eventually(lambda: len(hanging.requests) == 4, "four requests at the target")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
        assert (0, "") == (process.returncode, err)
        assert "0 of 100 were told of: interrupted" in out
        eventually(lambda: not fleet.client.get("/api/stats")["executions"]["in_flight"], "nothing in flight")
        assert 4 == len(hanging.requests)
    fleet.client.configure(echo.url())


def test_a_signal_does_not_hide_what_had_failed_before(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(f"http://[{TARGET}]:9/")
    process = begun(fleet, "--count", "1000000", "--concurrency", "1")
    assert process.stdout is not None
    for _ in range(2):  # the head, and a failure
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert (1, "") == (process.returncode, err)
    assert "of 1000000 were told of: interrupted" in out
    fleet.client.configure(echo.url())


def test_a_reader_that_has_enough_ends_the_batch(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    before = fleet.client.get("/api/stats")["executions"]["total"]
    process = begun(fleet, "--count", "1000000")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.stdout.close()
    assert 1 == process.wait(SECONDS)
    assert process.stderr is not None
    assert "" == process.stderr.read()
    process.stderr.close()
    assert "time" in lines[0]
    eventually(lambda: not fleet.client.get("/api/stats")["executions"]["in_flight"], "nothing in flight")
    assert fleet.client.get("/api/stats")["executions"]["total"] - before < 100_000


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = begun(
        fleet, "--count", "500", "--json", stdout=subprocess.DEVNULL, stderr=slave, env=environment, close_fds=True
    )
    os.close(slave)
    drawn = _read_to_the_end(master)
    assert 0 == process.wait(SECONDS)
    assert b"% of 500" in drawn
    assert b"completed" in drawn
    assert drawn.endswith(b"\r\x1b[K")


def _read_to_the_end(master: int) -> bytes:
    found = b""
    with os.fdopen(master, "rb", buffering=0) as screen:
        while True:
            try:
                piece = screen.read(4096)
            except OSError:  # how a terminal says that nobody has it open any more
                return found
            if not piece:
                return found
            found += piece


def begun_and_held(cluster: Cluster, *options: str, **streams: Any) -> subprocess.Popen[str]:
    """Begin what writes more than is read: its head only, until a test reads on."""
    process = begun(cluster, *options, **streams)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    process.stdout.readline()
    eventually(lambda: _is_held(process.pid), "a pipe that takes nothing more")
    return process


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_while_nobody_reads_loses_nothing_of_what_is_being_written(
    fleet: Cluster, echo: Echo, unbuffered: str
) -> None:
    fleet.client.configure(echo.url())
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    process = begun_and_held(fleet, "--count", "1000000", env=environment)
    process.send_signal(signal.SIGINT)
    eventually(lambda: not _is_pending(process.pid), "a signal that is heard")
    assert process.stdout is not None
    assert process.stderr is not None
    *rows, counted, last = process.stdout.read().splitlines()
    assert (0, "") == (process.wait(SECONDS), process.stderr.read())
    assert f"{len(rows)} of 1000000 were told of: interrupted" == last
    assert counted.startswith(f"{len(rows)} executions in ")
    assert 1 == len({len(row.split()) for row in rows}), "each row is whole"
    process.stdout.close()
    process.stderr.close()


def test_a_second_signal_ends_it_at_once_even_while_nobody_reads(fleet: Cluster, echo: Echo) -> None:
    fleet.client.configure(echo.url())
    process = begun_and_held(fleet, "--count", "1000000")
    assert process.stdout is not None
    assert process.stderr is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        eventually(lambda: not _is_pending(process.pid), "a signal that is heard")
    assert 0 == process.wait(SECONDS)
    assert "" == process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    eventually(lambda: not fleet.client.get("/api/stats")["executions"]["in_flight"], "nothing in flight")


def _is_held(pid: int) -> bool:
    """Say whether a process waits in a write to a pipe."""
    return "pipe_write" in Path(f"/proc/{pid}/wchan").read_text(encoding="ascii")


def _is_pending(pid: int) -> bool:
    """Say whether a signal to a process waits to be heard."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return any(int(line.split()[1], 16) for line in lines if line.startswith(("ShdPnd", "SigPnd")))


def test_wrong_options_end_with_2_and_a_coordinator_that_is_not_there_with_3(fleet: Cluster) -> None:
    for options in (["--count", "0"], ["--concurrency", "-1"], ["--count", "x"], ["--conut", "3"]):
        assert 2 == ran(fleet, *options)[0]
    nowhere = subprocess.run(
        [*dispatcher_command(), "execute", "--coordinator-url", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (3, "") == (nowhere.returncode, nowhere.stdout)
    assert "dispatcher.pyz: http://127.0.0.1:1 does not answer: connection refused\n" == nowhere.stderr


def test_a_coordinator_that_is_stopped_in_mid_batch_finishes_what_it_has_and_says_how_much_that_is(
    tmp_path: Path, private_network: None
) -> None:
    with running_cluster(tmp_path) as cluster, serving(Hanging(TARGET)) as hanging:
        coordinator = cluster.coordinator()
        cluster.client.configure(hanging.url(), timeout=2)
        assert 5 == ran(cluster)[0]
        status, out, err = ran(cluster, "--count", "3")
        assert (5, "") == (status, out)
        assert "no exit is available" in err
        agent = cluster.agent("agent-01", USED)
        agent.expect("the coordinator shuts down", "does not answer", "cannot register", "cannot connect")
        cluster.client.wait_for_exits(len(USED))
        process = begun(cluster, "--count", "1000", "--concurrency", "5", "--json")
        eventually(lambda: len(hanging.requests) == 5, "five requests at the target")
        coordinator.signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=SECONDS)
        assert (1, 0) == (process.returncode, coordinator.wait())
        *records, last = map(json.loads, out.splitlines())
        assert ["timeout"] * 5 == [record["error"]["kind"] for record in records]
        assert (5, "the coordinator is shutting down") == (last["summary"]["failed"], last["summary"]["stopped"])


def test_a_coordinator_that_is_killed_in_mid_batch_is_said_to_have_gone(tmp_path: Path, private_network: None) -> None:
    with running_cluster(tmp_path) as cluster, serving(Echo(TARGET)) as target:
        coordinator = cluster.coordinator()
        agent = cluster.agent("agent-01", USED)
        agent.expect("closed the link", "cannot register", "cannot connect")
        cluster.client.wait_for_exits(len(USED))
        cluster.client.configure(target.url())
        process = begun(cluster, "--count", "1000000", "--json")
        assert process.stdout is not None
        process.stdout.readline()
        coordinator.kill()
        out, err = process.communicate(timeout=SECONDS)
        cluster.processes.remove(coordinator)
        last = json.loads(out.splitlines()[-1])["summary"]
        assert (3, "the coordinator went away") == (process.returncode, last["stopped"])
        assert err.startswith(f"dispatcher.pyz: {cluster.url} went away before its answer ended: ")
        assert 1 == err.count("\n")


def test_a_reader_that_rests_for_too_long_is_told_in_the_end_that_this_ended_it(
    tmp_path: Path, private_network: None
) -> None:
    with running_cluster(tmp_path) as cluster, serving(Echo(TARGET)) as target:
        coordinator = cluster.coordinator("--send-timeout", "1.5")
        cluster.agent("agent-01", USED)
        cluster.client.wait_for_exits(len(USED))
        cluster.client.configure(target.url())
        process = begun(cluster, "--count", "1000000", "--json")
        coordinator.wait_for_line("it took nothing of its answer for 1.5 s")
        out, err = process.communicate(timeout=SECONDS)
        last = json.loads(out.splitlines()[-1])["summary"]
        assert (3, last["completed"]) == (process.returncode, out.count("\n") - 1)
        assert "s before, which its --send-timeout bounds" in last["stopped"]
        assert 1 == err.count("\n")
