"""What is declared Final for the compiler is what no line of a module sets again, and nothing else changes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dispatcher.packaging import compiled
from dispatcher.packaging.constants import final

ROOT = Path(__file__).parents[3]
HEAD = "from __future__ import annotations\n\n"
DECLARED = "from __future__ import annotations; from typing import Final as _Final\n\n"


def declared(body: str) -> str:
    """Return what becomes of a module with this body."""
    made = final(HEAD + body)
    assert made.startswith(DECLARED)
    return made.removeprefix(DECLARED)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("MOST = 64", "MOST: _Final = 64"),
        ("_KEPT_2 = {1: 2}", "_KEPT_2: _Final = {1: 2}"),
        ("logger = made(__name__)", "logger: _Final = made(__name__)"),
        ('known: dict[str, "int"] = {}', "known: _Final[dict[str, 'int']] = {}"),
        ("FORM = (\n    1 +\n    2\n)", "FORM: _Final = (\n    1 +\n    2\n)"),
        ('WORD = "\xe4\u20ac"; MOST = 1', 'WORD: _Final = "\xe4\u20ac"; MOST: _Final = 1'),
    ],
)
def test_a_constant_is_final(body: str, expected: str) -> None:
    assert expected == declared(body)


@pytest.mark.parametrize(
    "body",
    [
        "Headers = tuple[str, str]",
        'T = TypeVar("T")',
        'K = typing.TypeVar("K", bound=int)',
        'PHASES = ("dns", "connect")',
        "ONE, TWO = 1, 2",
        "MOST = LEAST = 1",
        "MOST = 1\nMOST = 2",
        "MOST = 1\nif MOST:\n    MOST = 2",
        "MOST = 1\nfor MOST in ():\n    pass",
        "MOST = 1\nMOST += 1",
        "MOST = 1\n\n\ndef f():\n    global MOST\n    MOST = 2",
        "MOST: int",
        "class A:\n    MOST = 1",
        "def f():\n    MOST = 1",
        "held.MOST = 1",
        "PING_SECONDS = 10.0",
    ],
)
def test_what_is_set_again_or_is_better_as_it_is_stays(body: str) -> None:
    assert body == declared(body)


def test_a_functions_own_name_is_no_second_time() -> None:
    assert "MOST: _Final = 1\n\n\ndef f():\n    MOST = 2" == declared("MOST = 1\n\n\ndef f():\n    MOST = 2")


TAKING = '''\
import time
import pycurl

AT_LOADING = pycurl.URL


class Lane:
    """A lane."""

    kind = pycurl.Curl

    def set(self, now: time.Time, option: int = pycurl.URL) -> pycurl.Curl:
        """Set."""
        text = "\xe4"; made: pycurl.Curl = pycurl.Curl(time.monotonic(), text, pycurl.URL)
        return [pycurl.e.with_member for _ in (lambda: time.monotonic())() if made.pycurl.URL]


def now() -> float:
    def inner() -> float:
        return time.time()

    return inner()
'''
TAKEN = '''\
import time; _time_monotonic: _Final = time.monotonic; _time_time: _Final = time.time
import pycurl; _pycurl_Curl: _Final = pycurl.Curl; _pycurl_URL: _Final = pycurl.URL; _pycurl_e: _Final = pycurl.e

AT_LOADING: _Final = pycurl.URL


class Lane:
    """A lane."""

    kind = pycurl.Curl

    def set(self, now: time.Time, option: int = pycurl.URL) -> pycurl.Curl:
        """Set."""
        text = "\xe4"; made: pycurl.Curl = _pycurl_Curl(_time_monotonic(), text, _pycurl_URL)
        return [_pycurl_e.with_member for _ in (lambda: _time_monotonic())() if made.pycurl.URL]


def now() -> float:
    def inner() -> float:
        return _time_time()

    return inner()
'''


def test_what_functions_take_of_other_modules_is_taken_once() -> None:
    assert TAKEN == declared(TAKING)


@pytest.mark.parametrize(
    "body",
    [
        "import time\n\n\ndef f(time):\n    return time.time()",
        "import time\n\n\ndef f():\n    time = g()\n    return time.time()",
        "from x import time\n\n\ndef f():\n    return time.time()",
        "import time as clock\n\n\ndef f():\n    return clock.time()",
        "def f():\n    import time\n    return time.time()",
        "import time\n\n\ndef f():\n    time.zone = 1",
        "import json\n\n\ndef f():\n    return json.loads",
    ],
)
def test_what_may_be_another_is_not_taken(body: str) -> None:
    assert body == declared(body)


@pytest.mark.parametrize("name", compiled.MODULES)
def test_no_line_of_a_compiled_module_moves(name: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    made = final(source)
    assert source.count("\n") == made.count("\n")
    before, after = (
        [(node.lineno, type(node)) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
        for text in (source, made)
    )
    assert {kind for _, kind in after} <= {kind for _, kind in before} | {ast.AnnAssign, ast.ImportFrom}
    assert {line for line, _ in before} == {line for line, _ in after}
