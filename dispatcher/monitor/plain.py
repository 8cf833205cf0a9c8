"""The monitor without a screen: a line of JSON for every message of the feed, or one snapshot and the end.

Runs on an event loop. A reader that is slow holds this process back, and so the coordinator sends it a new snapshot
instead of the changes that it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher import stdout
from dispatcher.errors import DispatcherError, ExitStatus, RefusedError
from dispatcher.monitor import changes, feed
from dispatcher.monitor.layout import FOR_ALL
from dispatcher.monitor.lines import plain
from dispatcher.monitor.model import Json, Model
from dispatcher.monitor.palette import glyphs_of
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import Link, State

if TYPE_CHECKING:
    from dispatcher.access import Access

SNAPSHOT_SECONDS = 10.0
RETRY_SECONDS = 2.0
ONCE_ROWS = 50
"""How many rows a snapshot as text has: room for the newest executions and the front of the pool."""


def run(access: Access, *, as_json: bool, once: bool) -> int:
    """Write what the coordinator says until a signal or the end of `--once`; return the exit status."""
    return asyncio.run(_until_signal(access, as_json=as_json, once=once))


async def _until_signal(access: Access, *, as_json: bool, once: bool) -> int:
    work = asyncio.ensure_future(_once(access, as_json=as_json) if once else _follow(access))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return ExitStatus.DONE


async def _once(access: Access, *, as_json: bool) -> None:
    try:
        async with asyncio.timeout(SNAPSHOT_SECONDS), feed.opened(access) as socket:
            message = await anext(feed.messages(socket))
    except TimeoutError as error:
        raise feed.UnreachableError(f"{access.url} gave no snapshot within {SNAPSHOT_SECONDS:g} s") from error
    _write(message if as_json else snapshot_text(access.url, feed.parsed(message), time.time()))


def snapshot_text(coordinator_url: str, message: Json, now: float) -> str:
    """Draw a snapshot as text, without colours: as wide as the terminal or COLUMNS says, 100 columns elsewhere."""
    width = max(FOR_ALL[0], shutil.get_terminal_size((100, ONCE_ROWS)).columns)
    link = Link(is_up=True, since=now, heard=now)
    glyphs = glyphs_of(os.environ)
    state = State(url=coordinator_url, glyphs=glyphs, now=now, width=width, height=ONCE_ROWS, link=link)
    rows = compose(replace(state, model=changes.take_in(Model(), message)))
    return "\n".join(plain(row) for row in rows[:-1])


async def _follow(access: Access) -> None:
    told = ""
    while True:
        try:
            async with feed.opened(access) as socket:
                told = ""
                async for message in feed.messages(socket):
                    if not is_heartbeat(feed.parsed(message)):
                        _write(message)
                    elif _has_no_reader():
                        raise BrokenPipeError(errno.EPIPE, "nobody reads the lines any more")
        except RefusedError:
            raise
        except feed.UnreachableError as error:
            if str(error) != told:
                told = str(error)
                sys.stderr.write(f"{told}; trying again\n")
        await asyncio.sleep(RETRY_SECONDS)


def is_heartbeat(message: Json) -> bool:
    """Say whether a message tells nothing but that a second passed in which nothing ended."""
    return message.keys() <= {"type", "rate"} and not any(message.get("rate", ()))


def _write(text: str) -> None:
    try:
        stdout.write(f"{text}\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DispatcherError(f"cannot write to stdout: {error.strerror}") from error


def _has_no_reader() -> bool:
    """Say whether stdout is a pipe whose reader has left; without a line to write nothing else would tell."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    return any(happened & select.POLLERR for _, happened in pipe.poll(0))
