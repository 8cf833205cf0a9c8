"""`execute`: sends what was asked for to a coordinator and writes the records as they come. On an event loop.

Records go to stdout, the bar to stderr. What would surprise: Ctrl-C does not undo anything. It closes the connection,
so the coordinator begins no more, and what was in flight then ends in its history. And the loop is held while stdout
takes nothing, since all that there is to do is to write: so signals are not the loop's, which would not hear them then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from dispatcher import stdout
from dispatcher.access import Access
from dispatcher.auth import credentials
from dispatcher.errors import DispatcherError, ExitStatus, RefusedError
from dispatcher.execute.answer import Answer
from dispatcher.execute.progress import DRAW_SECONDS, Progress
from dispatcher.execute.report import HEAD, Counts, line
from dispatcher.monitor import feed

if TYPE_CHECKING:
    from dispatcher.settings import ExecuteSettings


RESTED_SECONDS = 1.0
"""How long stdout takes nothing before that may be why an answer ended early: --send-timeout is hardly ever less."""


class NoExitError(DispatcherError):
    """Nothing was begun, because the pool has no exit."""

    exit_status = ExitStatus.NO_EXIT


def run(settings: ExecuteSettings, token: str = "") -> int:
    """Execute as `settings` say, showing `token`; return the exit status.

    Raises:
        UnreachableError: no coordinator answers, or it went away.
        RefusedError: it lets nobody in with this token.
        NoExitError: it has no exit, so it began nothing.
        DispatcherError: it did not take the request for another reason.
        SettingsError: a file for TLS is wrong.
    """
    access = Access(settings.coordinator_url, token=token, ca_file=settings.ca_file)
    return asyncio.run(_until_signal(access, settings))


async def _until_signal(access: Access, settings: ExecuteSettings) -> int:
    execution = Execution(access, settings)  # made here, because its client belongs to the loop that runs here
    work = asyncio.ensure_future(execution.run())
    loop = asyncio.get_running_loop()
    is_first = True

    def end(*_: object) -> None:
        nonlocal is_first
        if not is_first:
            os._exit(execution.status)
        is_first = False
        loop.call_soon_threadsafe(work.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        return await work
    except asyncio.CancelledError:
        return execution.interrupted()


class Execution:
    """One run of the command."""

    def __init__(self, access: Access, settings: ExecuteSettings) -> None:
        """Prepare; `run` sends."""
        self._url = access.url
        self._json = settings.json
        self._is_batch = settings.count > 1
        self._wanted = settings.count
        content = {"count": settings.count} if self._is_batch else {}
        if self._is_batch and settings.concurrency:
            content["concurrency"] = settings.concurrency
        self._answer = Answer(access, content)
        self._counts = Counts()
        self._began = time.monotonic()
        self._progress = Progress(self._wanted)
        self._is_headed = False
        self._rested = 0.0

    async def run(self) -> int:
        """Send, and write what comes until it ends."""
        drawing = asyncio.create_task(self._draw()) if self._is_batch else None
        begun: list[bytes] = []  # what has come of a line, or of an answer that is one record
        try:
            async for piece in self._answer.pieces():
                *ends, begins = piece.split(b"\n") if self._is_lines else [piece]
                if ends:
                    self._write_all([b"".join((*begun, ends[0])), *ends[1:]])
                    begun.clear()
                begun.append(begins)
        except feed.UnreachableError:
            if self._counts.all:
                self._counts.stopped = self._why_ended
                self._sum_up()
            raise
        finally:
            if drawing is not None:
                drawing.cancel()
            self._progress.clear()
        if not self._is_lines:
            self._take_single(b"".join(begun))
        elif not self._json:
            self._sum_up()
        return self._counts.status(self._wanted)

    def interrupted(self) -> int:
        """Sum up what came before a signal. An end in order is no failure, so the status is about what came."""
        self._counts.stopped = "interrupted"
        if self._is_batch:
            self._sum_up()
        return self.status

    @property
    def status(self) -> ExitStatus:
        """The exit status that is about what has come."""
        return self._counts.status(self._counts.all)

    @property
    def _why_ended(self) -> str:
        gone = "the coordinator went away"
        if self._rested < RESTED_SECONDS:
            return gone
        return (
            f"{gone}; nothing of its answer was taken for {self._rested:.0f} s before, which its --send-timeout bounds"
        )

    @property
    def _is_lines(self) -> bool:
        return self._is_batch and self._answer.status == 200

    async def _draw(self) -> None:
        while True:
            self._progress.draw(self._counts)
            await asyncio.sleep(DRAW_SECONDS)

    def _write_all(self, lines: list[bytes]) -> None:
        written = [self._written(each) for each in lines]
        shown = "".join(f"{each}\n" for each in written if each)
        if shown:
            if sys.stdout.isatty():
                self._progress.clear()
            began = time.monotonic()
            stdout.write(shown)
            self._rested = max(self._rested, time.monotonic() - began)

    def _written(self, told: bytes) -> str:
        content = json.loads(told)
        if "summary" in content:
            self._counts.stopped = content["summary"]["stopped"]
            return told.decode() if self._json else ""
        self._counts.add(content)
        if self._json:
            return told.decode()
        row = line(content, self._counts.all)
        if self._is_headed:
            return row
        self._is_headed = True
        return f"{HEAD}\n{row}"

    def _take_single(self, body: bytes) -> None:
        """Take an answer that is one record, or a problem that may have one."""
        content = feed.parsed(body.decode("utf-8", "replace"))
        if self._answer.status == 200 and "outcome" in content:
            self._write_all([body])
        elif isinstance(content.get("execution"), dict):
            self._write_all([json.dumps(content["execution"], ensure_ascii=False).encode()])
        else:
            raise self._refusal(content)

    def _refusal(self, content: dict[str, Any]) -> DispatcherError:
        status = self._answer.status
        said = str(content.get("detail") or f"it answered {status}")
        if status in credentials.REFUSED:
            return RefusedError(f"{self._url} does not execute this: {credentials.refusal(status, said)}")
        if str(content.get("type", "")).endswith(":no_exit"):
            return NoExitError(said)
        return DispatcherError(f"{self._url} did not execute this: {said}")

    def _sum_up(self) -> None:
        self._progress.clear()
        seconds = time.monotonic() - self._began
        summary = self._counts.summary_json if self._json else self._counts.summary
        stdout.write(summary(self._wanted, seconds) + "\n")
