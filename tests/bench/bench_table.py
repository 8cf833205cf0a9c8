"""The table of what this product promises of its speed: ``python3 build.py bench table``, `--quick` for less of it.

Each measurement is a program of its own (most move into a network namespace, which a process cannot leave), and prints
its rows as JSON. To add one, write ``bench_NAME`` with ``rows(size)`` and name it in `MEASUREMENTS`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pycurl
import tornado

from tests.bench.table import Row
from tests.support import one_file

if TYPE_CHECKING:
    from collections.abc import Iterator

MEASUREMENTS = ("executor", "batch", "single", "rotation", "fleet", "reading", "memory", "masking")


def heading() -> str:
    """Say what was measured, and on what."""
    now = datetime.datetime.now(datetime.UTC).date()
    machine = f"{os.cpu_count()} cores of {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start"
    versions = f"Python {platform.python_version()}, Tornado {tornado.version}, {pycurl.version.split(' OpenSSL')[0]}"
    head = "| measure | value | bound | of |\n|---|---|---|---|"
    return f"{now}, {machine}, {versions}\nmeasured: {one_file.description()}\n\n{head}"


def rows_of(name: str, arguments: list[str]) -> Iterator[Row]:
    """Run one measurement and return its rows as they come; one that breaks is a failure of all.

    Raises:
        subprocess.CalledProcessError: what it checks does not hold.
    """
    argv = [sys.executable, "-m", f"tests.bench.bench_{name}", "--json", *arguments]
    missed = False
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                row = Row(**json.loads(line))
                missed |= not row.holds
                yield row
    if process.returncode != int(missed):
        raise subprocess.CalledProcessError(process.returncode, argv)


def main() -> None:
    """Print the table; fail where a bound is missed or a check does not hold."""
    sys.stdout.write(f"{heading()}\n")
    missed = False
    for name in MEASUREMENTS:
        for row in rows_of(name, sys.argv[1:]):
            missed |= not row.holds
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
