"""What is inside this program and what it runs on, for `--version --verbose` and for a report of a fault. Main thread.

Reads the packages' own metadata where this start imports them from, so that it shows what runs and not what was built.
"""

from __future__ import annotations

import platform
import sqlite3
import ssl
import sys
from importlib import metadata
from pathlib import Path

from dispatcher import __version__, bootstrap
from dispatcher.wire import native


def text() -> str:
    """Return a line for each thing: its name, then what there is to say."""
    rows = [*_surroundings(), *sorted(_packages().items())]
    width = max(len(name) for name, _ in rows)
    lines = [f"dispatcher.pyz {__version__}", *(f"  {name:<{width}}  {value}" for name, value in rows)]
    return "\n".join(lines) + "\n"


def _surroundings() -> list[tuple[str, str]]:
    libc = " ".join(platform.libc_ver()) or "unknown C library"
    return [
        ("python", f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}, {libc.strip()}"),
        ("file", bootstrap.ARCHIVE or "none; this is a checkout"),
        ("packages for", packages_for()),
        ("unpacked to", place()),
        ("libcurl", _libcurl()),
        ("codec", native.describe()),
        ("sqlite", sqlite3.sqlite_version),
        ("tls", ssl.OPENSSL_VERSION),
    ]


def packages_for() -> str:
    """Return the target whose packages are used."""
    return bootstrap.chosen_set()[0] if bootstrap.ARCHIVE else "this environment"


def place() -> str:
    """Return where the packages were unpacked to."""
    if bootstrap.ARCHIVE is None:
        return "nowhere"
    first = str(Path(sys.path[0]).absolute())
    return "memory" if first == bootstrap.ARCHIVE else first


def _libcurl() -> str:
    try:
        import pycurl  # noqa: PLC0415  may be missing, which is what is to be told
    except ImportError as error:
        return f"none ({error})"
    parts = pycurl.version.split()
    return " ".join(part.removeprefix("libcurl/") for part in parts if not part.startswith("PycURL/"))


def _packages() -> dict[str, str]:
    places = None if bootstrap.ARCHIVE is None else sys.path[:2] if place() == "memory" else sys.path[:1]
    found = metadata.distributions() if places is None else metadata.distributions(path=places)
    return {item.name: item.version for item in found}
