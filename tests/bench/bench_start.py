"""How long the one file takes to start: its first start, and later ones beside a virtual environment's.

``python -m tests.bench.bench_start [ROUNDS]`` packs a file whose command imports the module it is given, and starts
it and the same import from this virtual environment in turn. Ratios count, since all share the machine's noise: the
aims are 1.2 for a later start of `agent`, and 3 times an empty program for `--version`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import build
from dispatcher.packaging import pack, targets

ROUNDS = 15
IMPORT = "import importlib, sys\nimportlib.import_module(sys.argv[1])\n"
COMMAND = b"import importlib\nimport sys\n\n\ndef main():\n    importlib.import_module(sys.argv[1])\n    return 0\n"
MODULES = {"coordinator": "dispatcher.coordinator", "agent": "dispatcher.agent.main"}


def _pack(folder: Path) -> tuple[Path, Path]:
    """Pack two files: the real one, and the one that imports."""
    sets = build.read_packages(targets.this())
    sources = pack.read_sources(build.ROOT, commit="")
    real, importing = folder / "real.pyz", folder / "importing.pyz"
    pack.pack(real, sources, sets, inputs="")
    pack.pack(importing, sources | {"dispatcher/cli.py": COMMAND}, sets, inputs="")
    return real, importing


def _seconds(*arguments: str, cache: Path) -> float:
    environment = os.environ | {"DISPATCHER_CACHE": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, cwd=build.ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Start everything in turn, `rounds` times; seconds by what was started."""
    real, importing = _pack(folder)
    starts = {"nothing": ["-c", "pass"], "--version": [str(real), "--version"]}
    for name, module in MODULES.items():
        starts[f"{name}, one file"] = [str(importing), module]
        starts[f"{name}, environment"] = ["-c", IMPORT, module]
    times: dict[str, list[float]] = {"first": [], **{name: [] for name in starts}}
    for number in range(rounds):
        times["first"].append(_seconds(str(importing), "json", cache=folder / f"first-{number}"))
        for name, arguments in starts.items():
            times[name].append(_seconds(*arguments, cache=folder / "first-0"))
    return times


def main() -> None:
    """Print medians in milliseconds and the two ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        times = _measure(Path(folder), rounds)
    median = {name: statistics.median(values) * 1000 for name, values in times.items()}
    for name, value in median.items():
        sys.stdout.write(f"{name:28}{value:7.0f} ms\n")
    sys.stdout.write(f"{'--version / nothing':28}{median['--version'] / median['nothing']:7.2f}\n")
    for name in MODULES:
        ratio = median[f"{name}, one file"] / median[f"{name}, environment"]
        sys.stdout.write(f"{name + ', file / environment':28}{ratio:7.2f}\n")


if __name__ == "__main__":
    main()
