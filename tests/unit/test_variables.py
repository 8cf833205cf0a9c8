"""A variable that is mistyped is named, with the one that was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.options import COMMANDS
from dispatcher.variables import BESIDE_OPTIONS, warnings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DISPATCHER_AGNET_ID", "DISPATCHER_AGENT_ID"),
        ("DISPATCHER_COORDINATOR", "DISPATCHER_COORDINATOR_URL"),
        ("DISPATCHER_TOKENFILE", "DISPATCHER_TOKEN_FILE"),
        ("DISPATCHER_CASHE", "DISPATCHER_CACHE"),
    ],
)
def test_a_mistyped_variable_is_named_with_the_nearest(name: str, meant: str) -> None:
    assert [f"{name} is no setting, and is not looked at; did you mean {meant}?"] == warnings({name: "secret"})


def test_a_variable_like_no_other_is_named_alone() -> None:
    assert ["DISPATCHER_XYZZY is no setting, and is not looked at"] == warnings({"DISPATCHER_XYZZY": "1"})


def test_known_variables_and_those_of_others_are_not_named() -> None:
    options = [option.variable for command in COMMANDS.values() for option in command.options]
    assert [] == warnings(
        dict.fromkeys([*options, *BESIDE_OPTIONS, "PATH", "dispatcher_agent_id", "MY_DISPATCHER_"], "1")
    )


def test_all_of_them_are_named_in_a_stable_order() -> None:
    given = dict.fromkeys(["DISPATCHER_PROT", "DISPATCHER_HOTS"], "1")
    assert ["DISPATCHER_HOTS", "DISPATCHER_PROT"] == [line.split()[0] for line in warnings(given)]


def test_a_command_warns_on_stderr_and_does_its_work(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
    environment |= {"DISPATCHER_STATE_DIR": str(tmp_path), "DISPATCHER_ROLL": "reader", "DISPATCHER_ROLE": "reader"}
    argv = [sys.executable, "-m", "dispatcher", "token", "create"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    expected = (
        "dispatcher.pyz: warning: DISPATCHER_ROLL is no setting, and is not looked at; did you mean DISPATCHER_ROLE?"
    )
    assert (0, expected) == (done.returncode, done.stderr.splitlines()[0])
    assert done.stdout.strip()
