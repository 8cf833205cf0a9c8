"""A stall that is there every time fails the tests, one that is there once does not."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stalls import RUNS, collecting_only_what_is_new

ROOT = Path(__file__).parents[2]

TEST = """
from pathlib import Path
from tests.support.stalls import judge

def test_a_loop():
    run = Path("runs").open("a+")
    run.write("x")
    run.flush()
    judge([0.001, {held}], "the loop")
"""


@pytest.mark.parametrize(
    ("held", "status", "runs", "said"),
    [
        ("0.049", 0, 1, "1 passed"),
        ("0.051 if run.tell() == 1 else 0.0", 0, 2, "test_it.py: not so when run again, so it was the machine"),
        ("0.051 if run.tell() < 3 else 0.0", 0, 3, "test_it.py: not so when run again, so it was the machine"),
        ("0.051", 1, RUNS, f"test_it.py: FAILED again in each of {RUNS} runs"),
    ],
)
def test_a_stall_fails_the_tests_if_it_is_there_in_every_run(
    tmp_path: Path, held: str, status: int, runs: int, said: str
) -> None:
    (tmp_path / "test_it.py").write_text(TEST.format(held=held))
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p tests.conftest -p no:cacheprovider\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they are slow to load
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status == run.returncode, run.stdout + run.stderr
    assert said in run.stdout
    assert "x" * runs == (tmp_path / "runs").read_text()
    if runs > 1:
        assert "test_it.py::test_a_loop: the event loop of the loop was held for 51 ms of work" in run.stdout


def test_a_loop_of_pytests_own_process_is_not_held_by_a_look_at_all_that_pytest_has_loaded() -> None:
    loaded = [object()]
    with collecting_only_what_is_new():
        assert not any(each is loaded for each in gc.get_objects())
    assert any(each is loaded for each in gc.get_objects())
