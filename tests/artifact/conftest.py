"""What the tests of the one file share: the built file, a probe made like it, and a way to run either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import build
from dispatcher.bootstrap import PURE, target_tag
from dispatcher.packaging import pack, pythons, targets

ROOT = Path(build.__file__).parent
TIMEOUT = 60.0
EMULATED_TIMEOUT = 600.0
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [name for name in (*targets.PYTHONS, "3.13-aarch64") if name != THIS and pythons.find(name)]
"""The other Pythons that are here; the last one is there in a run of `build.py test --matrix` alone."""

every_python = pytest.mark.parametrize("gateway", [THIS, *OTHERS], indirect=True)
"""Runs a test on a gateway with each Python that is here."""

PROBE_SOURCES = ("dispatcher/__init__.py", "dispatcher/bootstrap.py", "dispatcher/errors.py", "dispatcher/packaging/")
PROBE_PACKAGES = ("tornado/", "pycurl", "pykka/", "cwcwidth/", "docopt/", "msgspec/")


@pytest.fixture(scope="session")
def pyz() -> Path:
    """Return the built file, the one that users get."""
    path = Path(os.environ.get("DISPATCHER_PYZ", ROOT / "dist" / "dispatcher.pyz"))
    assert path.is_file(), f"{path} is missing: python3 build.py build"
    return path


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file packed like the built one, with fewer packages, whose command reports what it imported."""
    path = tmp_path_factory.mktemp("probe") / "dispatcher.pyz"
    ours = pack.read_sources(ROOT, commit="")
    sources = {name: data for name, data in ours.items() if name.startswith(PROBE_SOURCES)}
    # The content names the set: one that an earlier run left somewhere is not this run's.
    mark = f"# {uuid.uuid4()}\n".encode()
    sources["dispatcher/cli.py"] = (Path(__file__).parent / "probe.py").read_bytes() + mark
    sets = {
        tag: {name: data for name, data in everything.items() if name.startswith(PROBE_PACKAGES)}
        for tag, everything in build.read_packages(_here()).items()
        if tag != PURE
    }
    pack.pack(path, sources, sets, inputs="probe")
    return path


def _here() -> list[targets.Target]:
    """Return the targets of the Pythons that are here."""
    platform = target_tag().split("-", 2)[2]
    machines = {THIS: platform} | {name: "aarch64-linux-gnu" if "-" in name else platform for name in OTHERS}
    wanted = {f"cpython-{name.partition('-')[0].replace('.', '')}-{machine}" for name, machine in machines.items()}
    return [target for target in targets.released() if target.tag in wanted]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file for every Python and machine, as it is released."""
    path = tmp_path_factory.mktemp("release") / "dispatcher.pyz"
    native = build.read_compiled()
    sets = {tag: files | native.get(tag, {}) for tag, files in build.read_packages(targets.released()).items()}
    pack.pack(path, pack.read_sources(ROOT, commit=""), sets, inputs="release")
    return path


@pytest.fixture(scope="session")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the packages alone that need no processor or system of their own."""
    path = tmp_path_factory.mktemp("pure") / "dispatcher.pyz"
    sets = {PURE: build.read_packages(targets.this())[PURE]}
    pack.pack(path, pack.read_sources(ROOT, commit=""), sets, inputs="pure")
    return path


@dataclass
class Gateway:
    """A machine that the file was copied to: its home, and the environment of its user."""

    home: Path
    python: str = os.path.realpath(sys.executable)  # the bare one, without the packages beside the tests
    env: dict[str, str] = field(default_factory=dict)

    @property
    def timeout(self) -> float:
        """How long a command may take, in seconds."""
        return EMULATED_TIMEOUT if self.python.endswith("aarch64") else TIMEOUT

    @property
    def cache(self) -> Path:
        """Where a first start unpacks to if nothing is in its way."""
        return self.home / ".cache" / "dispatcher"

    @property
    def sets(self) -> list[Path]:
        """What lies unpacked in the cache, leftovers included."""
        return sorted(path for path in self.cache.glob("*") if path.name != "lock")

    def start(self, file: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the file; `wrap` is a command that runs it."""
        wrap = options.pop("wrap", [])
        command = [*wrap, self.python, *options.pop("flags", []), str(file), *arguments]
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"]} | self.env
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, env=env, text=True, cwd=options.pop("cwd", self.home), **pipes, **options)

    def run(self, file: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the file to its end."""
        with self.start(file, *arguments, **options) as process:
            try:
                out, err = process.communicate(timeout=self.timeout)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def report(self, file: Path, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run the probe, which must succeed and say nothing, and return its report."""
        done = self.run(file, *arguments, **options)
        assert (0, "") == (done.returncode, done.stderr)
        return json.loads(done.stdout)


@pytest.fixture
def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Gateway:
    """Return a fresh machine with an empty, private home, and the Python that `every_python` names."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    made = Gateway(home)
    name = getattr(request, "param", THIS)
    if name != THIS:
        found = pythons.find(name)
        assert found is not None
        made.python = found
    return made
