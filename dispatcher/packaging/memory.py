"""The last resort of a first start: imports from memory where no place on the disk is fit to unpack to.

Runs at every start on such a machine, on the main thread, before any command. Linux only: anonymous memory files can
be loaded from although no writable mount allows execution. Native libraries find each other by name once they are
loaded, so they are loaded in rounds until none is left.
"""

# ruff: noqa: PTH119  (paths are strings, as in bootstrap.py)

from __future__ import annotations

import importlib.util
import io
import os
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from typing import TYPE_CHECKING

from dispatcher.bootstrap import NotUsableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class MemoryFinder:
    """Finds native modules in anonymous memory files, by module name."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        """Find these modules: name to path."""
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module lies, or None for a module of others."""
        del path, target
        location = self._modules.get(fullname)
        if location is None:
            return None
        loader = ExtensionFileLoader(fullname, location)
        return importlib.util.spec_from_file_location(fullname, location, loader=loader)


def provide(files: Mapping[str, bytes], reasons: Sequence[str]) -> None:
    """Import from memory from now on.

    Raises:
        NotUsableError: this system cannot do that; the text gives `reasons`, why each place was not fit, and this one.
    """
    try:
        _provide(files)
    except (ImportError, AttributeError, OSError) as error:
        lines = ["dispatcher.pyz finds no place to unpack its packages to:", *reasons, f"  memory: {error}"]
        lines.append("set DISPATCHER_CACHE to a folder of this user, mode 0700, on a mount that allows execution")
        raise NotUsableError("\n".join(lines)) from error


def _provide(files: Mapping[str, bytes]) -> None:
    native = {path: data for path, data in files.items() if ".so" in os.path.basename(path)}
    modules = {name: _memory_file(native[path]) for path in native if (name := _module_name(path))}
    _load_libraries([_memory_file(native[path]) for path in native if not _module_name(path)])
    sys.meta_path.insert(0, MemoryFinder(modules))
    rest = {path: data for path, data in files.items() if path not in native and not path.startswith("dispatcher/")}
    # Behind the one file, from which the rest of our own package is imported.
    sys.path.insert(1, _memory_file(_zip(rest)))


def _memory_file(data: bytes) -> str:
    """Put `data` into a memory file that lives as long as this process; return a path to it."""
    if sys.platform != "linux":
        raise OSError("only Linux runs what lies in memory files")
    file = os.memfd_create("dispatcher")
    with open(file, "wb", closefd=False) as stream:
        stream.write(data)
    return f"/proc/self/fd/{file}"


def _module_name(path: str) -> str | None:
    """Return the name of the extension module at `path`; None for a library that modules need."""
    for suffix in EXTENSION_SUFFIXES:
        if path.endswith(suffix) and ".libs/" not in path:
            return path.removesuffix(suffix).replace("/", ".")
    return None


def _load_libraries(paths: Sequence[str]) -> None:
    if not paths:
        return
    import ctypes  # noqa: PLC0415  some Pythons are built without it

    left = list(paths)
    while left:
        waiting = []
        for path in left:
            try:
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                waiting.append(path)
                reason = error
        if len(waiting) == len(left):
            raise reason
        left = waiting


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packages:
        for path, data in files.items():
            packages.writestr(path, data)
    return buffer.getvalue()
