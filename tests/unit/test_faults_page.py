"""`docs/faults.md` says what each fault does, and names a test for each that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
ROWS = [
    line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "| test |" not in line
]


def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_row_names_a_test_that_is_there(row: str) -> None:
    named = re.fullmatch(r"\| .+ \| .+ \| .+ \| `(tests/[a-z_/]+\.py)::(test_\w+)` \|", row)
    assert named is not None, row
    assert named[2] in names_in(ROOT / named[1])


def test_every_file_of_fault_tests_is_on_the_page() -> None:
    files = {f"tests/faults/{path.name}" for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    assert set() == {file for file in files if file not in PAGE.read_text(encoding="utf-8")}
