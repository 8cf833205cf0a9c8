"""The virtual environment that the build's tools are installed into. Runs at build time only.

From a lock file, and checked against its hashes. Two stamps in it say which Python made it and which lock it holds, so
a command that finds both right loses milliseconds.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dispatcher.errors import DispatcherError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_INSTALL = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes", "--only-binary")


class Environment:
    """A virtual environment in `folder`, made when it is needed."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made yet."""
        self._folder = folder
        self.python = folder / "bin" / "python"

    def have(self, lock: Path, *others: Path) -> None:
        """Bring it to what `lock` says, unless it holds that, or one of `others`, already.

        Raises:
            SettingsError: this Python cannot make one; the text says what to install.
            DispatcherError: the packages cannot be installed; pip has said why.
        """
        self._have_venv()
        stamp = self._folder / "installed"
        installed = stamp.read_text() if stamp.is_file() else ""
        if installed not in [_digest(path) for path in (lock, *others)]:
            say(f"installing the packages of {lock.name} into {self._folder.name}")
            _run([str(self.python), *_INSTALL, ":all:", "--no-deps", "--requirement", str(lock)])
            stamp.write_text(_digest(lock))

    def _have_venv(self) -> None:
        stamp = self._folder / "made-by"
        maker = f"{sys.version}\n{sys.base_prefix}\n"
        if self.python.exists() and stamp.is_file() and stamp.read_text() == maker:
            return
        missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
        if missing:
            package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            what = f"{sys.executable} comes without {' and '.join(missing)}"
            raise SettingsError(f"{what}; install it (Debian, Ubuntu: apt-get install {package})")
        say(f"making {self._folder.name} with {sys.executable}")
        base = getattr(sys, "_base_executable", sys.executable)
        _run([base, "-m", "venv", "--clear", str(self._folder)])
        stamp.write_text(maker)


def say(text: str) -> None:
    """Tell whoever builds what is going on."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str]) -> None:
    status = subprocess.run(command, check=False).returncode  # noqa: S603  our own tool, no shell
    if status:
        raise DispatcherError(f"failed with status {status}: {' '.join(command)}")
