"""The frame of the bench: what a row says and holds, that every measurement is in the table, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import bench_table, peers
from tests.bench.table import at_least, at_most

BENCHES = Path(bench_table.__file__).parent


def test_a_row_holds_on_its_own_side_of_its_bound() -> None:
    assert [True, True, False] == [at_least(2, "m", value, "").holds for value in (3, 2, 1.99)]
    assert [False, True, True] == [at_most(2, "m", value, "").holds for value in (2.01, 2, 1)]


def test_a_row_that_misses_its_bound_says_so() -> None:
    assert "| what | 1.50 x **missed** | at least 2 x | 3 against 2 |" == str(at_least(2, "what", 1.5, "3 against 2"))
    assert "| what | 1.50 MB | at most 2 MB | all |" == str(at_most(2, "what", 1.5, "all", "MB"))


def test_what_was_not_measured_holds_nothing_and_says_why() -> None:
    row = at_least(1.3, "batch", None, "haproxy is not installed")
    assert not row.holds
    assert "| batch | **not measured** | at least 1.3 x | haproxy is not installed |" == str(row)


def test_every_measurement_with_rows_is_in_the_table() -> None:
    with_rows = {
        path.stem.removeprefix("bench_")
        for path in BENCHES.glob("bench_*.py")
        if "\ndef rows(" in path.read_text(encoding="utf-8")
    }
    assert with_rows == set(bench_table.MEASUREMENTS)


def test_a_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "_PATH", str(tmp_path))
    with pytest.raises(peers.MissingError, match="squid is not installed"):
        peers.program("squid")
