"""The long run works: three faults of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import soak

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SEED = 4


def test_a_few_random_faults_break_no_invariant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soak.run(60.0, SEED, tmp_path, most_faults=3)
    assert "faults: {" in capsys.readouterr().out
