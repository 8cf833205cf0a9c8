"""Room for connections, asked of the real system in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from dispatcher.descriptors import make_room

SCRIPT = """
import logging, resource, sys
from dispatcher.descriptors import make_room
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig(format="%(message)s", stream=sys.stdout)
print(make_room(wanted, "--max-connections"), *resource.getrlimit(resource.RLIMIT_NOFILE))
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


def test_a_system_that_gives_less_than_asked_for_is_believed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = [256, resource.RLIM_INFINITY]
    asked = []

    def clip(_what: int, wanted: tuple[int, int]) -> None:
        asked.append(wanted)
        limits[0] = min(wanted[0], 1024)

    monkeypatch.setattr(resource, "getrlimit", lambda _what: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", clip)
    assert 512 == make_room(2000, "--max-concurrency", reserved=512)
    assert [(2512, resource.RLIM_INFINITY)] == asked
    assert "--max-concurrency is 512 here: this process may open 1024 files at most" == caplog.messages[0]


def test_a_system_that_refuses_to_raise_the_limit_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _what: (300, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert 44 == make_room(2000, "--max-connections")
    assert 1 == make_room(2000, "--max-connections", reserved=512)
