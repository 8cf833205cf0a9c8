"""The first code of ours in the one file: finds what was unpacked for this Python, or has it unpacked.

Comes before every command, on the main thread. Imports only what Python has loaded by then (and `fcntl`), since each
start pays for it; the first start alone imports `packaging/unpack.py`. What may surprise: an unpacked set is looked
over at each start, size, time, owner and mode of every file (2 ms for 600 files), because a native library that was
cut short does not raise but kills the process.
"""

# ruff: noqa: PTH100, PTH111, PTH112, PTH116, PTH117, PTH118, PTH120  (pathlib takes 10 ms to load, and every start would pay for it)

from __future__ import annotations

import os
import stat
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

from dispatcher import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEX = "index"
"""The file in an unpacked set that names all the others: a line `SIZE PATH` each, then `end`."""

FILE_TIME = 315_532_800
"""The modification time of every unpacked file: 1980-01-01 in UTC. A file with another one was touched since."""

PURE = "pure"
"""The target of every Python and machine that has none of its own: no native packages, `pycurl` from the system."""

_GLIBC = (2, 28)
_DAY_SECONDS = 86_400
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class NotUsableError(Exception):
    """The one file cannot run here; the text has a line for each reason."""


def _own_archive() -> str | None:
    archive: str | None = getattr(__spec__.loader, "archive", None)
    return os.path.abspath(archive) if archive else None


ARCHIVE = _own_archive()
"""The one file that this code came from; None in a checkout. Taken before anyone changes the current folder."""


def self_command() -> list[str]:
    """Return the command that starts this program again; the arguments follow it."""
    if ARCHIVE is None:
        return [sys.executable, "-m", "dispatcher"]
    return [sys.executable, ARCHIVE]


def start() -> int:
    """Run the command line from the one file and return its exit status; 2 where the file cannot run here."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # Here, since it is asked by scripts on every gateway, and the command line alone takes 30 ms to import.
        sys.stdout.write(f"dispatcher.pyz {__version__}\n")
        sys.stdout.flush()
        return 0
    shield_path()
    light = is_light(sys.argv[1:])
    try:
        use_packages(may_unpack=not light)
    except NotUsableError as error:
        if not light:
            sys.stderr.write(f"{error}\n")
            return 2
    except KeyboardInterrupt:
        return 0
    from dispatcher.cli import main  # noqa: PLC0415  the path that it imports from is only right now

    return main()


def is_light(arguments: list[str]) -> bool:
    """Say whether these arguments only ask for a text, which needs nothing unpacked."""
    if "--verbose" in arguments:
        return False
    return not {"-h", "--help"}.isdisjoint(arguments) or arguments[:1] in (["help"], ["-V"], ["--version"])


def shield_path() -> None:
    """Take PYTHONPATH, the user's packages and stray byte code out of the way of imports.

    What the system's administrator installed stays, behind ours and the standard library.
    """
    foreign = {_absolute(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    if user_site := getattr(sys.modules.get("site"), "USER_SITE", None):
        foreign.add(_absolute(user_site))
    library = os.path.dirname(os.__file__)
    kept = {ARCHIVE, library, os.path.join(library, "lib-dynload")}
    sys.path[:] = [entry for entry in sys.path if _absolute(entry) in kept or _absolute(entry) not in foreign]
    sys.pycache_prefix = None


def _absolute(entry: str) -> str:
    return os.path.abspath(entry)


def use_packages(*, may_unpack: bool = True) -> None:
    """Make the packages importable, unpacked before or, if that may be, now.

    Even what can be imported straight from the file comes faster from a set: byte code is only there.

    Raises:
        NotUsableError: the file holds nothing for this Python, is damaged, or no place is fit to unpack it.
    """
    name = set_name()
    folder = find(name)
    if folder is not None:
        import_from(folder)
    elif may_unpack:
        try:
            from dispatcher.packaging import unpack  # noqa: PLC0415  only a first start pays for it
        except ImportError as error:
            raise NotUsableError(f"dispatcher.pyz cannot be unpacked by {sys.executable}: {error}") from error
        unpack.provide(name)


def target_tag() -> str:
    """Return what this Python's native modules are named by, such as `cpython-311-x86_64-linux-gnu`."""
    tag = EXTENSION_SUFFIXES[0].strip(".").rsplit(".", 1)[0]
    # macOS leaves the processor out, and its wheels do not.
    return f"{tag}-{os.uname().machine}" if sys.platform == "darwin" else tag


def set_name() -> str:
    """Return the name of this Python's set of files. Raises `NotUsableError` where the file holds none."""
    return chosen_set()[1]


def chosen_set() -> tuple[str, str]:
    """Return which target's set this Python uses, and the set's name here. Raises `NotUsableError` if there is none."""
    tag = target_tag()
    try:
        known = dict(line.split(" ") for line in read_stored("targets.txt").decode().splitlines())
    except ValueError as error:
        raise damaged(error) from error
    if tag in known and can_load_native(tag):
        return tag, known[tag]
    if PURE in known:
        # Named by this Python all the same: its byte code is in the set.
        return PURE, known[PURE].replace(PURE, tag, 1)
    has = ", ".join(known)
    raise NotUsableError(f"dispatcher.pyz was built for {has}; this is {tag} ({sys.executable})")


def can_load_native(tag: str) -> bool:
    """Say whether native packages for `tag` load here: they were built against glibc 2.28, and an older one fails."""
    if not tag.endswith("linux-gnu"):
        return True
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    numbers = version.split(".")
    return name == "glibc" and (int(numbers[0]), int(numbers[1])) >= _GLIBC


def read_stored(member: str) -> bytes:
    """Read a member of the one file that is stored uncompressed."""
    data: bytes = __spec__.loader.get_data(member)  # type: ignore[union-attr]  # a zipimporter
    return data


def damaged(error: Exception) -> NotUsableError:
    """Return what to say of a file whose content is not what was packed."""
    what = f"{ARCHIVE} is damaged ({error})"
    return NotUsableError(f"{what}; copy it again and compare its SHA-256 with the published one")


def find(name: str) -> str | None:
    """Find the whole, private folder of this set; None where it has to be unpacked.

    A set that lies elsewhere does not stand in for one in the place that DISPATCHER_CACHE names: unpacking puts one
    there, or says at each start why it cannot.
    """
    for origin, root in places():
        folder = os.path.join(root, name)
        if os.path.isdir(folder) and not why_unfit(root) and take(folder):
            return folder
        if origin == "DISPATCHER_CACHE":
            break
    return None


def import_from(folder: str) -> None:
    """Import everything from this unpacked set from now on, the rest of our own package too."""
    sys.path[:] = [folder, *(entry for entry in sys.path if _absolute(entry) != ARCHIVE)]
    sys.modules["dispatcher"].__path__[:] = [os.path.join(folder, "dispatcher")]


def places() -> Iterator[tuple[str, str]]:
    """Yield where a set may lie, best first: what names the place, and its path."""
    env = os.environ
    ours = f"dispatcher-{os.geteuid()}"
    if cache := env.get("DISPATCHER_CACHE"):
        yield "DISPATCHER_CACHE", os.path.realpath(cache)
    named = [
        ("XDG_CACHE_HOME", env.get("XDG_CACHE_HOME"), "dispatcher"),
        ("the home directory", os.path.expanduser("~/.cache"), "dispatcher"),
        ("XDG_RUNTIME_DIR", env.get("XDG_RUNTIME_DIR"), "dispatcher"),
        ("/var/tmp", "/var/tmp", ours),  # noqa: S108  not used unless it is private
        ("TMPDIR", env.get("TMPDIR") or "/tmp", ours),  # noqa: S108  the same
    ]
    for origin, base, name in named:
        if base and os.path.isabs(base):
            # No link is followed below a base: where others may write, they could lead us anywhere.
            yield origin, os.path.join(os.path.realpath(base), name)


def why_unfit(root: str) -> str | None:
    """Say why the existing folder `root`, one of `places()`, is not fit to import from; None where it is.

    Fit is what nobody but us, root and the owner of `/` (root outside, in a user namespace) can change, and what
    allows execution.
    """
    status = os.lstat(root)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return "it is not a folder of this user"
    if status.st_mode & _OTHERS_MAY_WRITE:
        return "others may write to it"
    if os.statvfs(root).f_flag & getattr(os, "ST_NOEXEC", 0):
        return "it is mounted noexec"
    return _why_exposed(root)


def _why_exposed(root: str) -> str | None:
    trusted = {0, os.geteuid(), os.stat("/").st_uid}
    parent = os.path.dirname(root)
    while True:
        status = os.lstat(parent)
        if status.st_uid not in trusted:
            return f"{parent} belongs to another user"
        if status.st_mode & _OTHERS_MAY_WRITE and not status.st_mode & stat.S_ISVTX:
            return f"others may write to {parent}"
        if parent == os.path.dirname(parent):
            return None
        parent = os.path.dirname(parent)


def take(folder: str) -> bool:
    """Say whether the set in `folder` is whole; if so it is marked as in use for as long as this process lives."""
    try:
        file = os.open(os.path.join(folder, INDEX), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    if _share(file) and _is_whole(folder, file):
        _note_use(folder)
        return True
    os.close(file)
    return False


def _share(file: int) -> bool:
    """Hold off whoever wants to remove the set; False where that is under way."""
    import fcntl  # noqa: PLC0415  not loaded by Python itself, and `--help` does without

    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_whole(folder: str, index: int) -> bool:
    if stat.S_IMODE(os.lstat(folder).st_mode) != stat.S_IRWXU:
        return False
    try:
        with open(index, encoding="utf-8", closefd=False) as stream:
            *lines, last = stream.read().splitlines() or [""]
        return last == "end" and all(_is_untouched(folder, line) for line in lines)
    except (OSError, ValueError):
        return False  # a file is missing, or the index is no longer what was written


def _is_untouched(folder: str, line: str) -> bool:
    size, _, name = line.partition(" ")
    status = os.lstat(os.path.join(folder, name))
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == int(size)
        and status.st_mtime == FILE_TIME
        and status.st_uid == os.geteuid()
        and not status.st_mode & _OTHERS_MAY_WRITE
    )


def _note_use(folder: str) -> None:
    """Keep the folder's own time within a day of its last use; what is unused for 30 days gets removed."""
    import time  # noqa: PLC0415  built in, and only needed here

    if time.time() - os.lstat(folder).st_mtime > _DAY_SECONDS:
        os.utime(folder)
