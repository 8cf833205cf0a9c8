"""The monitor in a real terminal, on a real coordinator with real agents: every key, every way to end, every size."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
from typing import TYPE_CHECKING

import pytest

from dispatcher.actors.history import HistoryLog
from dispatcher.actors.messages import AppendRecords
from dispatcher.monitor.glyphs import UNICODE
from tests.integration.conftest import SOURCES, TARGET
from tests.support import altered, netns
from tests.support.cluster import Cluster, running_cluster, serving
from tests.support.processes import dispatcher_command
from tests.support.targets import Echo
from tests.support.tmux import BINARY, PROMPT, Tmux
from tests.unit.actors.stored import WAIT, row, running
from tests.unit.monitor.examples import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", autouse=True)
def tmux_is_here() -> None:
    """Skip by name where there is no tmux, and in CI fail."""
    if BINARY is None and os.environ.get("CI"):
        pytest.fail("tmux is not installed", pytrace=False)
    if BINARY is None:
        pytest.skip("tmux is not installed")


@pytest.fixture(scope="module")
def target() -> Iterator[Echo]:
    with serving(Echo(TARGET)) as running:
        yield running


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path) as running:
        running.coordinator()
        yield running


@pytest.fixture
def steered(cluster: Cluster, target: Echo) -> Cluster:
    """A coordinator with two agents of four addresses each, a configured request and three executions."""
    return with_agents(cluster, target)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, target: Echo) -> Iterator[Cluster]:
    """The same for all tests that only look."""
    with running_cluster(tmp_path_factory.mktemp("shared")) as running:
        running.coordinator()
        yield with_agents(running, target)


def with_agents(cluster: Cluster, target: Echo) -> Cluster:
    cluster.agent("agent-01", SOURCES[:4])
    cluster.agent("agent-02", SOURCES[4:8])
    cluster.client.wait_for_exits(8)
    cluster.client.configure(target.url("/echo"))
    for _ in range(3):
        assert 200 == cluster.client.execute().status
    return cluster


def started(terminal: Tmux, cluster: Cluster, *options: str) -> None:
    """Start the monitor in the terminal and wait until it is live."""
    command = [*dispatcher_command(), "monitor", "--coordinator-url", cluster.url, *options]
    terminal.type(f"clear; {' '.join(command)}; echo status $?")
    terminal.keys("Enter")
    terminal.wait_for("● live")


def was_given_back(terminal: Tmux, before: str) -> None:
    """Check that the terminal is as it was: the first screen, its modes, a cursor."""
    terminal.wait_for(PROMPT)
    assert ("0", "1") == (terminal.told("alternate_on"), terminal.told("cursor_flag"))
    assert before == modes(terminal)


_numbers = itertools.count(1)


def modes(terminal: Tmux) -> str:
    """Return the terminal's modes as stty says them; what it said before may still be on the screen."""
    told = f"modes told, {next(_numbers)}"
    terminal.type(f"clear; stty -g; echo {told}")
    terminal.keys("Enter")
    said = terminal.wait_for(f"\n{told}").replace("\n", "").partition(told)[0]
    assert said.count(":") > 10, said
    return said


def test_all_panels_are_drawn_from_a_running_pool(shared: Cluster) -> None:
    with Tmux() as terminal:
        started(terminal, shared)
        screen = terminal.wait_for("● agent-01", "8/8 available", "● 200", "total   3", "GET http://[2001:db8:f::1]")
        for panel in ("1 Agents", "2 Pool", "3 Stats", "4 Request", "5 History"):
            assert panel in screen
        assert f"▶ {SOURCES[3]}" in screen


def test_e_executes_and_o_opens_the_record(steered: Cluster, target: Echo) -> None:
    with Tmux(100, 40) as terminal:
        started(terminal, steered)
        terminal.keys("e")
        terminal.wait_for("200 OK in", f"through {SOURCES[3]} at agent-01", "total   4")
        assert SOURCES[3] == target.requests[-1].peer
        terminal.keys("o")
        terminal.wait_for("Execution", "Timings", "connect", "Request headers", "Response headers")
        terminal.keys("G")
        terminal.wait_for("Body")
        terminal.keys("Escape")
        terminal.wait_for("5 History")


def test_every_key_of_the_panels_does_what_the_help_says(steered: Cluster) -> None:
    with Tmux() as terminal:
        started(terminal, steered)
        terminal.keys("?")
        terminal.wait_for("Looking around", "next and previous panel")
        terminal.keys("q")
        terminal.keys("Tab")
        terminal.wait_for(f"{UNICODE.here}1 Agents")
        terminal.keys("BTab")
        terminal.wait_for(f"{UNICODE.here}5 History")
        terminal.keys("/")
        terminal.type("!" + SOURCES[0])
        terminal.wait_for("Enter keeps it")
        terminal.keys("Enter")
        terminal.wait_without("Enter keeps it")
        rows = [line for line in terminal.wait_for(f"/!{SOURCES[0]}").splitlines() if "● 200" in line]
        assert [SOURCES[2], SOURCES[1]] == [line.split()[5] for line in rows]
        terminal.keys("Escape")
        terminal.keys("s")
        terminal.wait_for("by slowest")
        terminal.keys("S")
        terminal.wait_without("by slowest")
        terminal.keys("p")
        terminal.wait_for("PAUSED")
        steered.client.execute()
        terminal.keys("p")
        terminal.wait_without("PAUSED")
        terminal.wait_for("total   4")
        terminal.keys("z")
        terminal.wait_without("1 Agents")
        terminal.keys("z")
        terminal.wait_for("1 Agents")
        terminal.keys("r")
        terminal.wait_for("refreshed")
        terminal.keys("j", "Enter")
        terminal.wait_for("Execution", "Timings")
        terminal.keys("Left")
        terminal.keys("Escape", "G", "g", "NPage", "PPage", "Down", "Up", "k")
        terminal.wait_for("5 History")
        terminal.keys("2", "Enter")
        terminal.wait_for("(Esc shows all)")


def test_the_request_is_configured_in_a_form_that_loses_nothing(steered: Cluster, target: Echo) -> None:
    with Tmux() as terminal:
        started(terminal, steered)
        terminal.keys("c")
        terminal.wait_for("Configure the request", "/echo")
        terminal.keys("C-u")
        terminal.type("ftp://x.test/")
        terminal.keys("C-s")
        terminal.wait_for("✖ Must start with http:// or https://.", "ftp://x.test/")
        terminal.keys("Escape")
        terminal.wait_for("what you typed is kept")
        terminal.keys("c")
        terminal.wait_for("ftp://x.test/")
        terminal.paste(f"curl '{target.url('/pasted')}' \\\n  -H 'X-Test: 日本' -X PUT --data-raw 'a=1' -m 7")
        terminal.wait_for("taken from the curl command", "PUT", "X-Test: 日本", "a=1")
        terminal.keys("C-s")
        terminal.wait_for("✖ line 1: The value must be Latin-1.")
        terminal.keys("Up", "End", "C-u")
        terminal.type("X-Test: latin")
        terminal.keys("C-s")
        terminal.wait_for("stored as revision 2")
        stored = steered.client.get("/api/config/request")
        assert ("PUT", "a=1", 7.0) == (stored["method"], stored["body"], stored["timeout"])


def test_a_curl_command_that_is_not_understood_is_named(shared: Cluster) -> None:
    with Tmux() as terminal:
        started(terminal, shared)
        terminal.keys("c")
        terminal.wait_for("Configure the request")
        terminal.paste("curl --proxy p:1 http://x.test/")
        terminal.wait_for("curl: --proxy is not understood; nothing was taken over", "/echo")


def test_d_asks_names_the_agent_and_removes_it(steered: Cluster) -> None:
    steered.processes[-1].expect("removed")
    with Tmux() as terminal:
        started(terminal, steered)
        terminal.keys("1", "j", "d")
        terminal.wait_for("y removes agent agent-02 (4 addresses, 0 in flight), any other key does not")
        terminal.keys("n")
        terminal.wait_for("agent agent-02 stays", "8/8 available")
        terminal.keys("d", "y")
        terminal.wait_for("agent agent-02 is removed", "4/4 available")
        assert 4 == steered.processes[-1].wait()


def test_a_resize_redraws_at_once_and_uses_the_room(shared: Cluster) -> None:
    with Tmux() as terminal:
        started(terminal, shared)
        for width, height in ((200, 50), (120, 35), (40, 10), (80, 24)):
            terminal.resize(width, height)
            terminal.wait_for("─" * (width - 2 if width < 200 else 118) + "╯", "5 History", "q quit")
            assert height == len(terminal.screen().splitlines())
        terminal.resize(30, 8)
        terminal.wait_for("The window is too small: 30x8.", "40x10 is needed.")


def test_a_coordinator_that_is_killed_is_said_and_followed_again(steered: Cluster) -> None:
    port = steered.port
    for process in steered.processes[1:]:
        process.expect("lost", "connect", "coordinator", "again")
    with Tmux() as terminal:
        started(terminal, steered)
        terminal.wait_for("total   3")
        steered.processes[0].kill()
        terminal.wait_for("✖ no coordinator for", "shown as of", "trying again", "total   3")
        # Keys go on working meanwhile, and none is lost.
        terminal.keys("j", "j", "/")
        terminal.type("2001")
        terminal.keys("Enter", "e")
        terminal.wait_for("/2001", "not executed: connection refused")
        steered.coordinator(port=port)
        terminal.wait_for("● live", "total   3", "/2001")


@pytest.mark.parametrize("way", ["q", "C-c", "SIGTERM", "SIGHUP", "SIGINT"])
def test_the_terminal_is_given_back(shared: Cluster, way: str) -> None:
    with Tmux() as terminal:
        before = modes(terminal)
        started(terminal, shared)
        assert "1" == terminal.told("alternate_on")
        if way.startswith("SIG"):
            os.kill(terminal.children()[0], getattr(signal, way))
        else:
            terminal.keys(way)
        terminal.wait_for("status 0")
        was_given_back(terminal, before)


def test_the_terminal_is_given_back_when_the_monitor_fails(shared: Cluster) -> None:
    command = altered.command("code=from dispatcher.monitor import app; app.view = lambda *_: 1 / 0")
    with Tmux() as terminal:
        before = modes(terminal)
        terminal.type(f"{shlex.join(command)} monitor --coordinator-url {shared.url}; echo status $?")
        terminal.keys("Enter")
        terminal.wait_for("ZeroDivisionError", "status 1")
        was_given_back(terminal, before)


def test_ctrl_z_gives_the_terminal_back_and_fg_goes_on(steered: Cluster) -> None:
    with Tmux() as terminal:
        before = modes(terminal)
        started(terminal, steered)
        terminal.keys("C-z")
        terminal.wait_for("Stopped")
        was_given_back(terminal, before)
        steered.client.execute()
        terminal.type("fg")
        terminal.keys("Enter")
        terminal.wait_for("● live", "total   4", "5 History")
        assert "1" == terminal.told("alternate_on")
        terminal.keys("q")
        was_given_back(terminal, before)


def test_what_a_target_sends_does_nothing_to_the_terminal(cluster: Cluster) -> None:
    with serving(Echo(TARGET)) as target, Tmux(100, 50) as terminal:
        cluster.agent("agent-01", SOURCES[:2])
        hostile = {"X-Evil": "\x9b31m\x85"}
        cluster.client.wait_for_exits(2)
        cluster.client.configure(target.url("/echo"), headers=hostile)
        started(terminal, cluster)
        title = terminal.told("pane_title")
        terminal.keys("e")
        terminal.wait_for("200 OK")
        terminal.keys("o")
        terminal.wait_for("X-Evil: \\x9b31m\\x85")
        assert title == terminal.told("pane_title")


@pytest.mark.parametrize(
    ("environment", "has_colour", "has_many"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, False),
        ({"TERM": "vt100"}, False, False),
    ],
)
def test_colours_are_those_of_the_terminal(
    shared: Cluster, environment: dict[str, str], has_colour: bool, has_many: bool
) -> None:
    with Tmux(**environment) as terminal:
        started(terminal, shared)
        terminal.wait_for("● agent-01")
        escapes = terminal.screen(with_escapes=True)
        assert has_many == ("\x1b[38;5;" in escapes)
        assert has_colour == ("\x1b[38;5;" in escapes or "\x1b[36m" in escapes or "\x1b[33m" in escapes)


def test_where_the_locale_is_not_utf_8_the_screen_is_ascii(shared: Cluster) -> None:
    with Tmux(LC_ALL="C") as terminal:
        terminal.type(f"{' '.join(dispatcher_command())} monitor --coordinator-url {shared.url}")
        terminal.keys("Enter")
        screen = terminal.wait_for("* live", "* agent-01", "> 2001:db8:1::4")
        assert screen.isascii()


@pytest.mark.parametrize("kind", ["dumb", "nobody-knows-it"])
def test_a_terminal_that_cannot_place_text_gets_lines(steered: Cluster, kind: str) -> None:
    with Tmux(200, 20, TERM=kind) as terminal:
        terminal.type(f"{' '.join(dispatcher_command())} monitor --coordinator-url {steered.url}")
        terminal.keys("Enter")
        terminal.wait_for('"by_status":{"200":3}')
        steered.client.execute()
        terminal.wait_for('"type":"change"', '"by_status":{"200":4}')
        terminal.keys("C-c")
        terminal.wait_for(PROMPT)
        assert "0" == terminal.told("alternate_on")


def test_ten_thousand_records_are_scrolled_through_page_by_page(tmp_path: Path) -> None:
    fill_history(tmp_path / "state", 10_000)
    with running_cluster(tmp_path) as cluster, Tmux() as terminal:
        cluster.coordinator()
        started(terminal, cluster)
        terminal.wait_for("newest 100 of 10k", "10:46:39")
        for held in (200, 300, 400):
            terminal.keys("G")
            terminal.wait_for(f"newest {held} of 10k")
        terminal.keys("g")
        terminal.wait_for("10:46:39")


def fill_history(state_dir: Path, count: int) -> None:
    """Put records into a history before any coordinator has it."""
    state_dir.mkdir()
    with running(HistoryLog, state_dir, max_records=2 * count) as log:
        asked = [
            log.ask(AppendRecords((row(number, record=json.dumps(record(number)).encode()),)), block=False)
            for number in range(count)
        ]
        for future in asked:
            future.get(timeout=WAIT)


def test_a_thousand_exits_and_hundreds_of_executions_a_second_are_followed(tmp_path: Path) -> None:
    addresses = [f"2001:db8:7::{number:x}" for number in range(1, 1001)]
    with running_cluster(tmp_path) as cluster, Tmux(120, 35) as terminal:
        cluster.coordinator()
        netns.add_addresses("lo", addresses)
        cluster.agent("agent-01", addresses)
        cluster.client.wait_for_exits(1000)
        started(terminal, cluster)
        terminal.wait_for("1000/1000 available")
        with serving(Echo(TARGET)) as target:
            cluster.client.configure(target.url("/"))
            for begun in [cluster.client.begin() for _ in range(500)]:
                assert 200 == begun.result(30).status
        terminal.wait_for("total   500", f"▶ {addresses[500]}")
