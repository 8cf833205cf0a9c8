"""Room for connections, asked of the real system in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, resource, sys
from dispatcher.descriptors import make_room
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig(format="%(message)s", stream=sys.stdout)
print(make_room(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "expected"),
    [
        (1024, 4096, 500, ["500 1024 4096"]),
        (1024, 4096, 3000, ["3000 3256 4096"]),
        (
            1024,
            2048,
            3000,
            ["--max-connections is 1792 here: this process may open 2048 files at most", "1792 2048 2048"],
        ),
    ],
)
def test_the_limit_is_raised_as_far_as_it_is_needed_and_allowed(
    soft: int, hard: int, wanted: int, expected: list[str]
) -> None:
    argv = [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(wanted)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert expected == done.stdout.splitlines()
