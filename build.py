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
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NoReturn

if sys.version_info < (3, 11):  # noqa: UP036  said by this file to whoever runs it with an older one
    sys.exit(f"build.py needs CPython 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")

from dispatcher.bootstrap import PURE, target_tag
from dispatcher.errors import DispatcherError, SettingsError
from dispatcher.packaging import compiled, constants, licences, pack, plain_classes, prune, pythons, roots, targets
from dispatcher.packaging.environment import Environment, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
PYZ = ROOT / "dist" / "dispatcher.pyz"
BILL = PYZ.with_name("dispatcher.cdx.json")
SUMS = PYZ.with_name("SHA256SUMS")
VENV = ROOT / ".venv"
ENVIRONMENT = Environment(VENV)
PYTHON = ENVIRONMENT.python
LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
BUILD_LOCK = ROOT / "requirements-build.lock"
"""What a build alone needs, so that the first one on a machine does not wait for the tests' tools."""

CACHE = BUILD / "cache"
"""Where files built here unpack themselves to, so that each build does not leave 50 MB in the user's own cache."""

_UNUSED_BUILD_SECONDS = 3600.0


# The commands


def build(arguments: list[str]) -> int:
    """Make dist/dispatcher.pyz for every Python and machine; `--platform this` for this one alone, quickly."""
    parser = argparse.ArgumentParser(prog="build.py build", description=build.__doc__)
    parser.add_argument("--platform", choices=["all", "this"], default="all", help="this: only this Python and machine")
    wanted = parser.parse_args(arguments).platform
    with _alone():
        _build(targets.released() if wanted == "all" else targets.this(), compiles=True)
        _describe()
        return _try_out()


def compile_(arguments: list[str]) -> int:
    """Compile the hottest modules for the Python that runs this, as `build` does; a build packs what was compiled."""
    _no_more(arguments)
    with _alone():
        _compile()
    return 0


def test(arguments: list[str]) -> int:
    """Run all tests, or what the pytest arguments select; `--matrix` first: under every Python, here and elsewhere."""
    if arguments[:1] != ["--matrix"]:
        with _alone():
            ENVIRONMENT.have(DEV_LOCK)
            # Whoever tries a part of it after each change does not want to wait for a C compiler.
            _have_file(compiles=not arguments)
        if not arguments:
            return _test_in_two_halves()
        _replace([str(PYTHON), "-m", "pytest", *arguments])
    return _test_under_every_python(arguments[1:])


def _test_in_two_halves() -> int:
    """Run what is tested by itself beside what is tested together, which mostly waits: so two cores are done sooner."""
    pytest = [str(PYTHON), "-m", "pytest"]
    alone = ("tests/unit", "tests/artifact")
    with TemporaryFile("w+") as printed:
        half = subprocess.Popen([*pytest, *alone], cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT)
        try:
            status = _status([*pytest, "tests", *(f"--ignore={folder}" for folder in alone)])
            half.wait()
        finally:
            half.kill()
            half.wait()
        printed.seek(0)
        shutil.copyfileobj(printed, sys.stdout)
    return max(status, half.returncode, key=abs)


def _test_under_every_python(arguments: list[str]) -> int:
    """Each Python makes the environment anew, so this takes a minute for each more than the tests themselves.

    The tests of the one file run once more, under the Pythons of other systems that are made for it below build/roots.
    """
    found = {version: path for version in targets.PYTHONS if (path := pythons.find(version))}
    statuses = {version: _status([path, Path(__file__).name, "test", *arguments]) for version, path in found.items()}
    statuses["of other systems"] = _test_under_other_systems()
    for name in (*targets.PYTHONS, "of other systems"):
        status = statuses.get(name)
        say(f"Python {name}: {'not on this machine' if status is None else f'exit status {status}'}")
    return max(statuses.values())


def _test_under_other_systems() -> int:
    programs = roots.make(BUILD / "roots", ROOT)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return _status([sys.executable, Path(__file__).name, "test", "tests/artifact", "--timeout", "3600"])


def check(arguments: list[str]) -> int:
    """Run ruff and mypy over everything."""
    _no_more(arguments)
    with _alone():
        ENVIRONMENT.have(DEV_LOCK)
    # mypy reads for macOS too: what exists on Linux alone stands behind a question for the system.
    elsewhere = ["mypy", "--platform", "darwin", "--no-warn-unreachable", "dispatcher"]
    tools = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], elsewhere)
    # All of them run, so that one look shows everything.
    return max([_status([str(PYTHON), "-m", *tool]) for tool in tools])


def demo(arguments: list[str]) -> int:
    """Run the demo out of the one file: coordinator, agents, target and a few executions on this machine."""
    with _alone():
        _have_file()
    _replace([sys.executable, str(PYZ), "demo", *arguments])


def bench(arguments: list[str]) -> int:
    """Print the table of measurements, `--quick` a smaller one, or run the one that is named with its arguments."""
    names = sorted(path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "bench").glob("bench_*.py"))
    is_named = bool(arguments) and not arguments[0].startswith("-")
    name, *rest = arguments if is_named else ["table", *arguments]
    if name not in names:
        raise SettingsError(f"no measurement {name!r}; there are: {', '.join(names)}")
    with _alone():
        ENVIRONMENT.have(DEV_LOCK)
        _have_file()
    return _status([str(PYTHON), "-m", f"tests.bench.bench_{name}", *rest])


def soak(arguments: list[str]) -> int:
    """Commit random faults at a running pool (`--minutes N`, `--seed S`) and check its history at the end."""
    with _alone():
        ENVIRONMENT.have(DEV_LOCK)
        _have_file()
    _replace([str(PYTHON), "-m", "tests.faults.soak", *arguments])


def lock(arguments: list[str]) -> int:
    """Write the lock files from pyproject.toml; `--upgrade` takes newer versions than the locked ones."""
    with _alone():
        ENVIRONMENT.have(DEV_LOCK)
    dev = ("--extra", "dev", "--constraint", LOCK.name, "pyproject.toml")
    alone = ("--group", "build", "--constraint", DEV_LOCK.name)
    for what, target in ((("pyproject.toml",), LOCK), (dev, DEV_LOCK), (alone, BUILD_LOCK)):
        _run([*_compile_command(), "--output-file", target.name, *arguments, *what])
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
    "compile": compile_,
    "test": test,
    "check": check,
    "demo": demo,
    "bench": bench,
    "soak": soak,
    "lock": lock,
    "clean": clean,
}
"""Each takes the arguments behind its name and returns the exit status; the help is its docstring."""


# The one file


def _build(wanted: Sequence[targets.Target], *, compiles: bool) -> None:
    if compiles:
        _compile()
    sources = pack.read_sources(ROOT, _commit())
    native = read_compiled()
    sets = {tag: files | native.get(tag, {}) for tag, files in read_packages(wanted).items()}
    PYZ.parent.mkdir(exist_ok=True)
    pack.pack(PYZ, sources, sets, _inputs(sources, native))
    if CACHE.is_dir():
        prune.prune(str(CACHE), keep="", unused_seconds=_UNUSED_BUILD_SECONDS)
    digest = hashlib.sha256(PYZ.read_bytes()).hexdigest()
    say(f"{PYZ.relative_to(ROOT)}: {PYZ.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")
    say(f"for {', '.join(sets)}; compiled for {', '.join(sorted(sets.keys() & native.keys())) or 'none of them'}")


def _compile() -> None:
    """Compile for this Python what is not yet, where that can be done here."""
    why_not = compiled.why_not() if targets.this() else "it is not one that the file is for"
    if why_not is not None:
        say(f"the hottest modules are not compiled and run a quarter slower: {why_not}")
        return
    sources = pack.read_sources(ROOT, "")
    folder = _compiled_folder(target_tag(), sources)
    if folder.is_dir():
        return
    tools = Environment(BUILD / f"compiler-{target_tag()}")
    tools.have(BUILD_LOCK)
    say(f"compiling {len(compiled.MODULES)} modules for {target_tag()}, which takes a minute or two")
    for older in BUILD.glob(f"{folder.name.rpartition('-')[0]}-*"):
        shutil.rmtree(older)
    compiled.compile_into(folder, sources, tools.python, locked_packages(targets.this()[0], tools) / "packages")


def read_compiled() -> dict[str, pack.Files]:
    """Return what is compiled of these sources, by the tag of the Python that it is for."""
    sources = pack.read_sources(ROOT, "")
    folders = {target.tag: _compiled_folder(target.tag, sources) for target in targets.released()}
    return {tag: compiled.read(folder) for tag, folder in folders.items() if folder.is_dir()}


def _compiled_folder(tag: str, sources: pack.Files) -> Path:
    return BUILD / f"compiled-{tag}-{compiled.digest(sources, BUILD_LOCK.read_bytes())}"


def _describe() -> None:
    """Write what is published beside the file: its bill of materials, and the checksums of both."""
    python = sys.executable
    if find_spec("cyclonedx") is None:
        ENVIRONMENT.have(BUILD_LOCK, DEV_LOCK)
        python = str(PYTHON)
    # The time of the sources and not of the build, so that the same sources give the same bill.
    time = _output(["git", "show", "--no-patch", "--format=%cI", "HEAD"]) if _has_commit() else ""
    _run([python, "-m", "dispatcher.packaging.bill", str(PYZ), str(BILL), time or "1980-01-01T00:00:00+00:00"])
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in (PYZ, BILL)]
    SUMS.write_text("".join(lines), encoding="utf-8")


def _try_out() -> int:
    """Run the file's own test of itself, where it has the packages of this Python."""
    if not targets.this():
        return 0
    os.environ.setdefault("DISPATCHER_CACHE", str(CACHE))
    return _status([sys.executable, str(PYZ), "self-test", "--state-dir", str(BUILD / "self-test")])


def _have_file(*, compiles: bool = True) -> None:
    """Build the one file for this Python, unless it is what the sources would give or another one is to be used."""
    if "DISPATCHER_PYZ" not in os.environ:
        if compiles:
            _compile()
        sources = pack.read_sources(ROOT, _commit())
        wanted = targets.this()
        if not pack.is_up_to_date(PYZ, _inputs(sources, read_compiled()), [target.tag for target in wanted]):
            _build(wanted, compiles=False)
        os.environ["DISPATCHER_PYZ"] = str(PYZ)
    os.environ.setdefault("DISPATCHER_CACHE", str(CACHE))


def _inputs(sources: pack.Files, native: Mapping[str, pack.Files]) -> str:
    """Return the hash of all that decides what the one file holds, but for the targets."""
    modules = (compiled, constants, licences, pack, plain_classes, targets)
    texts = licences.TEXTS.glob("*.txt")
    makers = (
        LOCK,
        Path(__file__),
        *(Path(str(each.__file__)) for each in modules),
        *targets.STAND_INS.values(),
        *texts,
    )
    named = {path.name: path.read_bytes() for path in makers}
    made = {f"{tag}/{path}": data for tag, files in native.items() for path, data in files.items()}
    return pack.source_digest(sorted((named | sources | made).items()))


def read_packages(wanted: Sequence[targets.Target]) -> dict[str, pack.Files]:
    """Return the locked packages of these targets by tag, and the pure ones; downloads what is not there yet."""
    sets = {target.tag: targets.read_installed(locked_packages(target)) for target in wanted}
    some = next(iter(sets.values()), None) or targets.read_installed(locked_packages(targets.released()[0]))
    return sets | {PURE: targets.pure(some)}


def locked_packages(target: targets.Target, tools: Environment = ENVIRONMENT) -> Path:
    """Return the folder with the locked packages for this target; downloads them once a lock, by `tools`."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = BUILD / "packages" / f"{target.tag}-{digest}"
    if not folder.is_dir():
        tools.have(BUILD_LOCK, DEV_LOCK)
        say(f"fetching the packages of {LOCK.name} for {target.tag}")
        targets.install(target, LOCK, folder, [str(tools.python), "-m", "uv"])
    return folder


def _commit() -> str:
    """Return the commit of the sources, with `.dirty` where they differ from it; empty without git."""
    if not _has_commit():
        return ""
    commit = _output(["git", "rev-parse", "--short=12", "HEAD"])
    changed = _output(
        ["git", "--no-optional-locks", "status", "--porcelain", "--", "dispatcher", LOCK.name, Path(__file__).name]
    )
    return f"{commit}.dirty" if changed else commit


def _has_commit() -> bool:
    """Say whether these sources have a commit of their own, and git is here to tell it."""
    return (ROOT / ".git").exists() and shutil.which("git") is not None


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
        say(f"build.py: no command {name!r}{f'; did you mean {close[0]!r}?' if close else ''}")
        say(_usage())
        return 2
    try:
        return COMMANDS[name](rest)
    except DispatcherError as error:
        say(f"build.py: {error}")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
