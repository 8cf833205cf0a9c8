"""The README's commands, all of them, run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher import usage
from tests.integration import readme_run
from tests.integration.conftest import TARGET
from tests.support import netns
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60.0

LOCAL = "By hand on one machine"
TWO_MACHINES = "Quick start on two machines"
INSTALL = "Install on a gateway"
SHELL = "From a shell"
MONITOR = "The monitor"
DEVELOP = "Develop"
FIRST = ["python3 build.py demo", "python3 build.py test"]


class Shell:
    """One shell of a reader: what it starts in the background ends with it."""

    def __init__(self, folder: Path) -> None:
        stand_ins, gateway, state = folder / "bin", folder / "gateway", folder / "state"
        for made in (stand_ins, gateway, state):
            made.mkdir()
        readme_run.write_stand_ins(stand_ins, sys.executable)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
        environment |= {
            "PATH": f"{stand_ins}:{os.environ['PATH']}",
            "GATEWAY": str(gateway),
            "DISPATCHER_STATE_DIR": str(state),
        }
        self._process = subprocess.Popen(
            ["bash"],
            cwd=readme_run.ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._arrived = threading.Condition()
        self.said: list[str] = []
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self._arrived:
                self.said.append(line)
                self._arrived.notify_all()

    def run(self, command: str) -> str:
        """Run a command and return its stdout; it has to succeed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        quiet = re.sub("^curl ", "curl -sS --fail-with-body --max-time 20 ", command)
        self._process.stdin.write(f"{quiet}\nprintf '\\n%s\\n' \"end $?\"\n")
        self._process.stdin.flush()
        output = ""
        for line in self._process.stdout:
            if line.startswith("end "):
                assert line == "end 0\n", f"{command}\n{output}\n{''.join(self.said)}"
                return output
            output += line
        pytest.fail(f"the shell ended at {command}")

    def await_line(self, text: str) -> None:
        """Wait until a background process says `text` on stderr."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: any(text in line for line in self.said), SECONDS)
        assert found, "".join(self.said)

    def close(self) -> None:
        """End the shell and all that it started."""
        os.killpg(self._process.pid, signal.SIGTERM)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(SECONDS)
            self._reader.join(SECONDS)  # it ends when the last process that holds stderr has ended
            assert not self._reader.is_alive(), "what the shell started did not end"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for stream in (self._process.stdout, self._process.stderr):
                assert stream is not None
                stream.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A reader's shell at the root of the checkout."""
    opened = Shell(tmp_path)
    yield opened
    opened.close()


def test_no_command_of_the_readme_is_left_untested() -> None:
    """What no test below runs is `build.py test` and `.ci/run`, which run these tests, and `build.py check`."""
    tested = [*FIRST]
    for title in (TWO_MACHINES, INSTALL, LOCAL, SHELL, MONITOR, DEVELOP):
        tested += readme_run.section(title)

    assert sorted(tested) == sorted(readme_run.commands())
    ci = (readme_run.ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python3 build.py check" in ci
    assert "python3 build.py test" in ci


def test_the_settings_of_the_readme_are_those_of_the_program() -> None:
    """To write them anew: ``python -c 'from dispatcher import usage; print(usage.markdown_table())'``."""
    readme = (readme_run.ROOT / "README.md").read_text(encoding="utf-8")

    assert usage.markdown_table().strip() == readme.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip()


def test_the_first_command_shows_twelve_executions(shell: Shell) -> None:
    output = shell.run(FIRST[0])

    assert 12 == output.count("the same")
    assert "all 12 executions left from the address that their record names" in output


def test_every_endpoint_answers_by_hand_on_one_machine(shell: Shell) -> None:
    answers = {}
    for command in readme_run.section(LOCAL):
        answers[command] = shell.run(command)
        if "coordinator &" in command:
            shell.await_line("coordinator ready on")
        if "pyz agent --" in command:
            shell.await_line("agent agent-01 connected")
            _await_exit("http://localhost:8000")
        if "http.server" in command:
            _await_listener("::1", 8080)

    [once] = readme_run.section(MONITOR)
    assert "agent-01" in shell.run(once)
    one, many = readme_run.section(SHELL)
    assert ["1", "agent-01", "::1", "200"] == shell.run(one).splitlines()[1].split()[:4]
    shell.run(many)
    *records, last = (readme_run.ROOT / "dist" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert (100, 100) == (len(records), json.loads(last)["summary"]["completed"])
    executed = json.loads(next(answer for command, answer in answers.items() if command.endswith("/api/execute")))
    assert "::1" == executed["source_ip"]
    assert 200 == executed["response"]["status"]
    documented = json.loads(answers["curl http://localhost:8000/api/openapi.json"])["paths"]
    called = "\n".join(answers)
    assert [] == [path for path in documented if path.split("{")[0] not in called and path != "/ws/monitor"]


def test_the_quick_start_on_two_machines_works(shell: Shell) -> None:
    netns.set_hosts({"coordinator.example": ["127.0.0.1"], "target.example": [TARGET]})
    shell.run(f"python3 -m http.server --bind {TARGET} 80 &")
    _await_listener(TARGET, 80)
    answer = ""
    for command in readme_run.section(TWO_MACHINES):
        # The addresses of a test's network are documentation addresses, which an agent takes and asks only by name.
        named = f" --address {TARGET} --allow-target {TARGET} &" if "pyz agent --" in command else " &"
        answer = shell.run(command.replace(" &", named))
        if "coordinator --host" in command:
            shell.await_line("coordinator ready on")
        if "pyz agent --" in command:
            shell.await_line("agent gateway-1 connected")
            token = (readme_run.ROOT / "dist" / "admin.token").read_text(encoding="utf-8").strip()
            _await_exit("http://localhost:8000", {"Authorization": f"Bearer {token}"})

    assert "gateway-1" == json.loads(answer)["agent_id"]

    answers = [shell.run(command) for command in readme_run.section(INSTALL)]
    assert "dispatcher.new: OK" in answers[1]
    assert 6 <= answers[3].count("ok ")
    assert "ExecStart=" in answers[-1]


def _await_exit(url: str, headers: dict[str, str] | None = None) -> None:
    def has_exit() -> bool:
        request = urllib.request.Request(f"{url}/api/pool/status", headers=headers or {})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return bool(json.load(answer)["available"])

    eventually(has_exit, "the pool has an exit", seconds=SECONDS)


def _await_listener(address: str, port: int) -> None:
    def listens() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((address, port), SECONDS):
            return True
        return False

    eventually(listens, f"something listens on {address} port {port}", seconds=SECONDS)
