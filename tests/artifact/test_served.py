"""A new gateway gets the file from the coordinator that it will work for."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

from tests.artifact.test_pure import coordinator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.artifact.conftest import Gateway


def test_what_the_coordinator_gives_out_is_its_own_file_and_runs(gateway: Gateway, pyz: Path, tmp_path: Path) -> None:
    got = tmp_path / "gateway" / "dispatcher.new"
    got.parent.mkdir()
    with coordinator(gateway, pyz) as url:
        curl = ["curl", "-sS", "--fail", "--max-time", "30", "-D", "-", "-o", str(got), f"{url}/dispatcher.pyz"]
        headers = subprocess.run(curl, check=True, capture_output=True, text=True).stdout.lower()
    assert pyz.read_bytes() == got.read_bytes()
    assert f'etag: "{hashlib.sha256(got.read_bytes()).hexdigest()}"' in headers
    assert f"content-length: {got.stat().st_size}" in headers
    installed = got.rename(got.with_name("dispatcher.pyz"))
    assert gateway.run(pyz, "--version").stdout == gateway.run(installed, "--version").stdout
