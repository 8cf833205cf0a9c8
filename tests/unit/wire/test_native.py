"""Where msgspec cannot be loaded all is done without it, and to the letter the same."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from dispatcher.wire import codec, native
from tests.unit.wire.said import EXAMPLES, decoded

PROGRAM = """
import sys
sys.modules["msgspec"] = None
from dispatcher.wire import codec, native
from tests.unit.wire.said import ALL_MESSAGES, EXAMPLES
print(native.describe())
given = bytes.fromhex(sys.stdin.read())
assert list(EXAMPLES) == codec.decode(given, ALL_MESSAGES)
print(codec.encode(EXAMPLES).hex())
"""


def test_it_says_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"msgspec 0\.\d+\.\d+", native.describe())
    monkeypatch.setattr(native, "msgspec", None)
    assert "Python's json, slower" == native.describe()


def test_a_process_without_msgspec_understands_one_with_it_and_is_understood() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=codec.encode(EXAMPLES).hex(),
        capture_output=True,
        text=True,
        check=True,
    )
    how, written = done.stdout.splitlines()
    assert "Python's json, slower" == how
    assert list(EXAMPLES) == decoded(bytes.fromhex(written))
