#!/usr/bin/env python3
"""Builds, tests and tries HTTP Dispatcher: `python3 build.py COMMAND [ARGUMENTS]`, or `--help` for the commands.

Needs CPython 3.11 or newer with `venv`, and nothing else: what a command uses goes into `.venv/` and `build/` here,
from the lock files and checked against their hashes. How the one file is laid out stands in `dispatcher/packaging/`.
"""

from __future__ import annotations

import argparse
import difflib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if sys.version_info < (3, 11):  # noqa: UP036  said by this file to whoever runs it with an older one
    sys.exit(f"build.py needs CPython 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")

from dispatcher.bootstrap import target_tag
from dispatcher.errors import DispatcherError, SettingsError
from dispatcher.packaging import pack, prune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
PYZ = ROOT / "dist" / "dispatcher.pyz"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
CACHE = BUILD / "cache"
"""Where files built here unpack themselves to, so that each build does not leave 50 MB in the user's own cache."""

_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
_CHECKED = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--requirement")
_UNUSED_BUILD_SECONDS = 3600.0


# The commands


def build(arguments: list[str]) -> int:
    """Make dist/dispatcher.pyz."""
    parser = argparse.ArgumentParser(prog="build.py build", description=build.__doc__)
    parser.add_argument("--platform", choices=["this"], default="this", help="this: the Python and machine it runs on")
    parser.parse_args(arguments)
    with _alone():
        _build()
    return 0


def test(arguments: list[str]) -> int:
    """Run all tests, or what the pytest arguments select."""
    with _alone():
        _have_tools()
        _have_file()
    _replace([str(PYTHON), "-m", "pytest", *arguments])


def check(arguments: list[str]) -> int:
    """Run ruff and mypy over everything."""
    _no_more(arguments)
    with _alone():
        _have_tools()
    tools = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
    # All of them run, so that one look shows everything.
    return max([_status([str(PYTHON), "-m", *tool]) for tool in tools])


def demo(arguments: list[str]) -> int:
    """Run the demo out of the one file: coordinator, agents, target and a few executions on this machine."""
    with _alone():
        _have_file()
    _replace([sys.executable, str(PYZ), "demo", *arguments])


def bench(arguments: list[str]) -> int:
    """Run the measurements: all of tests/bench, or the one named first with the arguments behind its name."""
    names = sorted(path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "bench").glob("bench_*.py"))
    name, *rest = arguments or [""]
    if name and name not in names:
        raise SettingsError(f"no measurement {name!r}; there are: {', '.join(names)}")
    with _alone():
        _have_tools()
        _have_file()
    chosen = [name] if name else names
    return max([_status([str(PYTHON), "-m", f"tests.bench.bench_{one}", *rest]) for one in chosen], default=0)


def lock(arguments: list[str]) -> int:
    """Write the lock files from pyproject.toml; `--upgrade` takes newer versions than the locked ones."""
    with _alone():
        _have_tools()
    for extra, target in ((), LOCK), (("--extra", "dev", "--constraint", LOCK.name), DEV_LOCK):
        _run([*_compile_command(), *extra, "--output-file", target.name, *arguments, "pyproject.toml"])
    return 0


def clean(arguments: list[str]) -> int:
    """Remove everything that these commands made."""
    _no_more(arguments)
    caches = (ROOT / name for name in (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"))
    for folder in (BUILD, PYZ.parent, VENV, *caches):
        shutil.rmtree(folder, ignore_errors=True)
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "build": build,
    "test": test,
    "check": check,
    "demo": demo,
    "bench": bench,
    "lock": lock,
    "clean": clean,
}
"""Each takes the arguments behind its name and returns the exit status; the help is its docstring."""


# The one file


def _build() -> None:
    sources = pack.read_sources(ROOT, _commit())
    tag = target_tag()
    files = pack.read_wheels(locked_wheels(tag))
    PYZ.parent.mkdir(exist_ok=True)
    pack.pack(PYZ, sources, {tag: files}, _inputs(sources))
    if CACHE.is_dir():
        prune.prune(str(CACHE), keep="", unused_seconds=_UNUSED_BUILD_SECONDS)
    digest = hashlib.sha256(PYZ.read_bytes()).hexdigest()
    _say(f"{PYZ.relative_to(ROOT)}: {PYZ.stat().st_size / 1e6:.1f} MB for {tag}, SHA-256 {digest}")


def _have_file() -> None:
    """Build the one file unless it is what the sources would give, or another one is to be used."""
    if "DISPATCHER_PYZ" not in os.environ:
        if pack.read_inputs(PYZ) != _inputs(pack.read_sources(ROOT, _commit())):
            _build()
        os.environ["DISPATCHER_PYZ"] = str(PYZ)
    os.environ.setdefault("DISPATCHER_CACHE", str(CACHE))


def _inputs(sources: pack.Files) -> str:
    """Return the hash of all that decides what the one file holds."""
    makers = {path.name: path.read_bytes() for path in (LOCK, Path(__file__), Path(pack.__file__))}
    return pack.source_digest([*sorted((makers | sources).items()), (target_tag(), b"")])


def locked_wheels(tag: str) -> Path:
    """Return the folder with the locked wheels for this Python, which is `tag`; downloads them once a lock."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = BUILD / "wheels" / f"{tag}-{digest}"
    if not folder.is_dir():
        _have_venv()
        _say(f"downloading the packages of {LOCK.name}")
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        _run([str(PYTHON), *_PIP, "download", "--dest", str(new), *_CHECKED, str(LOCK)])
        new.rename(folder)
    return folder


def _commit() -> str:
    """Return the commit of the sources, with `.dirty` where they differ from it; empty without git."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return ""
    commit = _output(["git", "rev-parse", "--short=12", "HEAD"])
    changed = _output(
        ["git", "--no-optional-locks", "status", "--porcelain", "--", "dispatcher", LOCK.name, Path(__file__).name]
    )
    return f"{commit}.dirty" if changed else commit


# The virtual environment


def _have_tools() -> None:
    """Bring the virtual environment to what the lock says; a matter of milliseconds where it is."""
    _have_venv()
    stamp = VENV / "installed"
    wanted = hashlib.sha256(DEV_LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        _say(f"installing the packages of {DEV_LOCK.name} into {VENV.name}")
        _run([str(PYTHON), *_PIP, "install", *_CHECKED, str(DEV_LOCK)])
        stamp.write_text(wanted)


def _have_venv() -> None:
    stamp = VENV / "made-by"
    maker = f"{sys.version}\n{sys.base_prefix}\n"
    if PYTHON.exists() and stamp.is_file() and stamp.read_text() == maker:
        return
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if missing:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        what = f"{sys.executable} comes without {' and '.join(missing)}"
        raise SettingsError(f"{what}; install it (Debian, Ubuntu: apt-get install {package})")
    _say(f"making {VENV.name} with {sys.executable}")
    base = getattr(sys, "_base_executable", sys.executable)
    _run([base, "-m", "venv", "--clear", str(VENV)])
    stamp.write_text(maker)


def _compile_command() -> list[str]:
    compile_ = [str(PYTHON), "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    return [*compile_, "--universal", "--generate-hashes", "--python-version", "3.11", "--no-emit-index-url"]


# Helpers


@contextmanager
def _alone() -> Iterator[None]:
    """Let no two commands of this folder make the same things at once."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(command: list[str]) -> None:
    status = _status(command)
    if status:
        raise DispatcherError(f"failed with status {status}: {' '.join(command)}")


def _status(command: list[str]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _output(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()


def _replace(command: list[str]) -> NoReturn:
    """Go on as this command: its exit status and its signals are then this one's."""
    os.chdir(ROOT)
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606  a command of ours, and no shell is wanted


def _no_more(arguments: list[str]) -> None:
    if arguments:
        raise SettingsError(f"this command takes no arguments: {' '.join(arguments)}")


def _usage() -> str:
    lines = [f"  {name:8}{(command.__doc__ or '').strip()}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: python3 build.py COMMAND [ARGUMENTS]", "", *lines])


def main(arguments: list[str]) -> int:
    """Run a command and return its exit status: 2 for a wrong command line, else the command's own."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        _say(f"build.py: no command {name!r}{f'; did you mean {close[0]!r}?' if close else ''}")
        _say(_usage())
        return 2
    try:
        return COMMANDS[name](rest)
    except DispatcherError as error:
        _say(f"build.py: {error}")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
