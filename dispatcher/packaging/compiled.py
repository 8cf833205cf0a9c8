"""Compiles the hottest modules with mypyc into native ones, for the Python that builds. Runs at build time only.

A set that holds them runs them instead of the sources, which lie beside: Python prefers an extension. Every other set,
and a checkout, runs the sources. What would surprise: it takes a C compiler and Python's headers, a build without them
is a whole one all the same; and all modules go into one library, so that calls between them are calls of C.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.errors import DispatcherError
from dispatcher.packaging import constants, licences, plain_classes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.packaging.pack import Files

MODULES = (
    "dispatcher/actors/agent_connection.py",
    "dispatcher/actors/in_flight.py",
    "dispatcher/actors/loop_actor.py",
    "dispatcher/actors/loop_inbox.py",
    "dispatcher/actors/messages/agents.py",
    "dispatcher/actors/messages/base.py",
    "dispatcher/actors/messages/exits.py",
    "dispatcher/actors/messages/storage.py",
    "dispatcher/actors/pool.py",
    "dispatcher/actors/rotation.py",
    "dispatcher/actors/setbacks.py",
    "dispatcher/afterwards.py",
    "dispatcher/agent/answer.py",
    "dispatcher/agent/executor.py",
    "dispatcher/agent/link.py",
    "dispatcher/agent/proof.py",
    "dispatcher/agent/results.py",
    "dispatcher/agent/run.py",
    "dispatcher/agent/targets/guard.py",
    "dispatcher/agent/targets/target.py",
    "dispatcher/agent/transfers/curl_info.py",
    "dispatcher/agent/transfers/driver.py",
    "dispatcher/agent/transfers/engine.py",
    "dispatcher/agent/transfers/hop.py",
    "dispatcher/agent/transfers/lanes.py",
    "dispatcher/agent/transfers/response.py",
    "dispatcher/agent/transfers/sockets.py",
    "dispatcher/agent/transfers/transfer.py",
    "dispatcher/agent/undelivered.py",
    "dispatcher/agent/worker.py",
    "dispatcher/attempts.py",
    "dispatcher/batch.py",
    "dispatcher/deadlines.py",
    "dispatcher/departures.py",
    "dispatcher/execution.py",
    "dispatcher/executions.py",
    "dispatcher/meters.py",
    "dispatcher/record.py",
    "dispatcher/recorder.py",
    "dispatcher/redaction.py",
    "dispatcher/request.py",
    "dispatcher/slots.py",
    "dispatcher/tally.py",
    "dispatcher/timestamps.py",
    "dispatcher/turns.py",
    "dispatcher/web/batching.py",
    "dispatcher/web/rate.py",
    "dispatcher/web/record_writer.py",
    "dispatcher/wire/channel.py",
    "dispatcher/wire/codec.py",
    "dispatcher/wire/frames.py",
    "dispatcher/wire/limits.py",
    "dispatcher/wire/messages.py",
    "dispatcher/wire/outbox.py",
    "dispatcher/wire/phases.py",
    "dispatcher/wire/pump.py",
    "dispatcher/wire/sharing.py",
    "dispatcher/wire/structs.py",
)
"""What runs for each execution of a batch, on either side. A module that is added needs to be loaded by each command
that loads one which names its classes, for types alone too: see `tests/unit/packaging/test_compiled.py`."""

LIBRARY = licences.COMPILED.removesuffix("__mypyc")
"""The group that all of them are in, behind whose name mypyc puts this."""

_GLIBC = (2, 28)
"""What every native package of the file is content with, see `bootstrap.can_load_native`."""

_OBJDUMP = "objdump"

_SETUP = """\
from setuptools import setup
from mypyc.build import mypycify

modules = mypycify(["--config-file=mypy.ini", *{paths!r}], opt_level="3", debug_level="0", group_name={library!r})
setup(name={library!r}, packages=[], ext_modules=modules, script_args=["--quiet", "build_ext", "--inplace"])
"""

_MYPY = """\
[mypy]
mypy_path = {packages}
follow_imports = silent
ignore_missing_imports = true
disable_error_code = {codes}
"""

_NOT_OF_PLAIN_CLASSES = (
    "attr-defined",
    "import-untyped",
    "method-assign",
    "misc",
    "name-defined",
    "no-any-return",
    "no-redef",
    "override",
    "type-var",
)
"""What mypy finds wrong with the plain form of what it finds right in the source, which `build.py check` holds."""


_NO_GENERATOR = "Treating generator comprehension as list"
"""mypyc's warning of what takes memory for all of its items at once, and is nothing for `next`."""


class CompileError(DispatcherError):
    """The modules cannot be compiled; the compiler has said why."""


def why_not() -> str | None:
    """Say what is missing here to compile for the running Python; None where nothing is."""
    if sys.platform != "linux":
        return f"nobody has tried it on {sys.platform}"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if shutil.which(_OBJDUMP) is None:
        return f"there is no {_OBJDUMP} (Debian: binutils)"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-dev"
        return f"Python's headers are not installed (Debian: {package})"
    return None


def digest(sources: Files, lock: bytes) -> str:
    """Return the hash of all that decides what is compiled, but for the compiler; `lock` names mypyc's version."""
    found = hashlib.sha256(lock + Path(__file__).read_bytes())
    for module in (constants, plain_classes):
        found.update(Path(str(module.__file__)).read_bytes())
    for name in sorted(sources):
        if name.endswith(".py"):
            found.update(f"{name} {len(sources[name])}\n".encode() + sources[name])
    return found.hexdigest()[:32]


def compile_into(folder: Path, sources: Files, python: Path, packages: Path) -> None:
    """Compile for `python`, which has mypyc and setuptools, into `folder`, whole or not at all.

    What lies in `packages` tells mypyc of which classes of ours it can make no native ones, since they inherit theirs.

    Raises:
        CompileError: the compiler fails, or what it makes needs a newer C library than the file's other parts.
    """
    work = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    _write(work, sources, packages)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "LDFLAGS": "-s"}
    done = subprocess.run(  # noqa: S603  our own tool, no shell
        [python, "setup.py"], cwd=work, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
        raise CompileError(f"mypyc cannot compile what lies in {work}")
    if otherwise := [line for line in done.stdout.decode().splitlines() if line.endswith(_NO_GENERATOR)]:
        raise CompileError("\n".join(["these would be no iterators; make them functions, or lists:", *otherwise]))
    made = work.with_name(f"{folder.name}.made")
    shutil.rmtree(made, ignore_errors=True)
    for path in _libraries(work):
        _must_load_everywhere(path)
        place = made / path.relative_to(work)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    made.rename(folder)
    shutil.rmtree(work)


def read(folder: Path) -> Files:
    """Read what `compile_into` made."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _libraries(folder)}


def _libraries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.so") if "build" not in path.relative_to(folder).parts[:1])


def _write(work: Path, sources: Files, packages: Path) -> None:
    opened = open_names(sources)
    for name, data in sources.items():
        if name.endswith(".py"):
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_prepared(data, opened) if name in MODULES else data)
    codes = ", ".join(_NOT_OF_PLAIN_CLASSES)
    (work / "mypy.ini").write_text(_MYPY.format(codes=codes, packages=packages), encoding="utf-8")
    (work / "setup.py").write_text(_SETUP.format(paths=list(MODULES), library=LIBRARY), encoding="utf-8")


def _prepared(source: bytes, opened: frozenset[str]) -> bytes:
    return constants.final(plain_classes.plain(source.decode(), opened)).encode()


def open_names(sources: Files) -> frozenset[str]:
    """Return the names of compiled classes that classes which are not compiled inherit."""
    made = {node.name for name in MODULES for node in _classes(sources[name])}
    others = (name for name in sources if name.endswith(".py") and name not in MODULES)
    return frozenset(base for name in others for node in _classes(sources[name]) for base in _bases(node)) & made


def _classes(source: bytes) -> Iterable[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def _bases(node: ast.ClassDef) -> Iterable[str]:
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return [ast.unparse(base).rsplit(".", 1)[-1] for base in plain]


def _must_load_everywhere(library: Path) -> None:
    said = subprocess.run([_OBJDUMP, "-p", library], check=True, capture_output=True, text=True).stdout  # noqa: S603  the compiler's
    needed = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_(\d+\.\d+)", said)}
    if needed and max(needed) > _GLIBC:
        version = ".".join(map(str, max(needed)))
        raise CompileError(f"{library.name} needs glibc {version}, and the file is for 2.28")
