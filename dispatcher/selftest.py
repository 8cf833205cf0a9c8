"""`self-test`: proves on the spot that this installation can do its work, a line for each part. Main thread.

Uses the parts that the commands use, down to a request that the real executor sends over loopback. Each part is
imported by its own check, so that one that does not load is a line and not the end.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher import inventory
from dispatcher.errors import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.settings import SelfTestSettings
    from dispatcher.wire.messages import Result

SOURCE = "::1"
_SECONDS = 10.0
_LIMIT_SECONDS = 15.0  # a libcurl that works otherwise than we know may lead to no end at all
_NEEDED = ("IPV6", "SSL", "ASYNCHDNS")
_WANTED = ("HTTP2", "HTTP3", "BROTLI", "LIBZ")


class CheckError(Exception):
    """A part does not do its work; the text says what it did instead."""


def run(settings: SelfTestSettings) -> int:
    """Check every part, print a line each, and return the exit status: 1 where one failed."""
    failed = False
    for name, check in CHECKS:
        try:
            verdict, detail = "ok", check(settings)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a part is what is to be told
            verdict, detail, failed = "FAILED", _one_line(error), True
        sys.stdout.write(f"{verdict:<8}{name:<10}{detail}\n")
        sys.stdout.flush()
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CheckError) else f"{type(error).__name__}: {text}"


def _python(_: SelfTestSettings) -> str:
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return f"{here}; packages for {inventory.packages_for()}, unpacked to {inventory.place()}"


def _native(_: SelfTestSettings) -> str:
    import curtsies  # noqa: F401, PLC0415  this check is about whether it loads
    import cwcwidth  # noqa: F401, PLC0415  the same

    from dispatcher.native import need_pycurl  # noqa: PLC0415  the same

    need_pycurl()
    try:
        import tornado.speedups  # noqa: F401, PLC0415  the same
    except ImportError:
        return "pycurl loads; Tornado runs without its native part, slower"
    return "pycurl, Tornado's and the terminal's native parts load"


def _compiled(_: SelfTestSettings) -> str:
    from dispatcher import deadlines  # noqa: PLC0415  any of them; it needs nothing that may be missing

    if deadlines.__file__.endswith(".py"):
        return "the hottest modules run from their sources, slower"
    return "the hottest modules are compiled"


def _codec(_: SelfTestSettings) -> str:
    from dispatcher.wire import codec, messages, native  # noqa: PLC0415  the same

    said = messages.Cancel("self-test")
    if codec.decode(codec.encode([said]), messages.FROM_COORDINATOR) != [said]:
        raise CheckError("what is said on the link is not what is heard")
    return f"the link and the records are written by {native.describe()}"


def _libcurl(_: SelfTestSettings) -> str:
    import pycurl  # noqa: PLC0415  may be missing

    from dispatcher.agent.transfers.curl_options import interface  # noqa: PLC0415  imports pycurl

    version, features = pycurl.version_info()[1], pycurl.version_info()[4]
    there = {name for name in (*_NEEDED, *_WANTED) if features & getattr(pycurl, f"VERSION_{name}", 0)}
    missing = [name for name in _NEEDED if name not in there]
    if missing:
        raise CheckError(f"libcurl {version} was built without {', '.join(missing)}")
    return f"{version} with {', '.join(name for name in _WANTED if name in there)}; binds to {interface(SOURCE)}"


def _fetch(_: SelfTestSettings) -> str:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((SOURCE, 0))
    except OSError as error:
        # Asked before the target is made, since Tornado leaves a socket behind where it cannot bind.
        raise CheckError(f"nothing can listen on {SOURCE} here: {error.strerror}") from error
    try:
        result, seen = asyncio.run(_execute())
    except TimeoutError as error:
        raise CheckError(f"the agent's part has not ended it within {_LIMIT_SECONDS:g} s") from error
    if result.failure is not None:
        raise CheckError(f"{result.failure.kind}: {result.failure.detail}")
    if (result.status, result.source_ip, seen) != (200, SOURCE, [SOURCE]):
        raise CheckError(
            f"the request left from {result.source_ip}, and the target saw {seen}; it was bound to {SOURCE}"
        )
    return f"a request bound to {SOURCE} left from it, as the target saw, in {result.timings['total']:.1f} ms"


async def _execute() -> tuple[Result, list[str]]:
    """Send one request to a target of our own, as an agent sends it."""
    from dispatcher.agent.answer import in_full  # noqa: PLC0415  only this check needs it
    from dispatcher.agent.executor import Executor  # noqa: PLC0415  imports pycurl, which may be missing
    from dispatcher.agent.targets.guard import TargetGuard  # noqa: PLC0415  only this check needs it
    from dispatcher.demo.target import Target  # noqa: PLC0415  only this check needs it
    from dispatcher.request import RequestSpec  # noqa: PLC0415  the same

    target = Target(SOURCE)
    executor = Executor(max_concurrency=1, guard=TargetGuard(allow=[SOURCE]))
    answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    try:
        executor.start(RequestSpec(target.url).to_execute("self-test", SOURCE, _SECONDS), answered.set_result)
        executor.begin()
        async with asyncio.timeout(_LIMIT_SECONDS):
            result = await answered
    finally:
        executor.close()
        await target.stop()
    return in_full(result), target.seen


def _history(settings: SelfTestSettings) -> str:
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="self-test-", dir=settings.state_dir) as folder,
        closing(sqlite3.connect(Path(folder) / "test.db")) as database,
    ):
        [(mode,)] = database.execute("PRAGMA journal_mode = WAL")
        with database:
            database.execute("CREATE TABLE kept (what TEXT NOT NULL)")
            database.execute("INSERT INTO kept VALUES ('this')")
        if mode != "wal" or database.execute("SELECT what FROM kept").fetchall() != [("this",)]:
            raise CheckError(f"SQLite keeps nothing in {settings.state_dir} (journal mode {mode})")
    return f"SQLite {sqlite3.sqlite_version} writes to {settings.state_dir}"


def _terminal(_: SelfTestSettings) -> str:
    if not sys.stdout.isatty():
        return "none here; a monitor without one takes --once or --json"
    size = os.get_terminal_size(sys.stdout.fileno())
    return f"{os.environ.get('TERM', 'unknown')}, {size.columns} x {size.lines}, {sys.stdout.encoding}"


CHECKS: tuple[tuple[str, Callable[[SelfTestSettings], str]], ...] = (
    ("python", _python),
    ("native", _native),
    ("compiled", _compiled),
    ("codec", _codec),
    ("libcurl", _libcurl),
    ("fetch", _fetch),
    ("history", _history),
    ("terminal", _terminal),
)
"""Every part, in the order of the lines."""
