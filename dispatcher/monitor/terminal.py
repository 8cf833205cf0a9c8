"""The terminal while the monitor has it: keys and signals in, frames out, and given back whatever happens.

Runs on the main thread. What would surprise: a signal's handler only notes what came. Stopping and starting again is
done between two frames, so the terminal is never left half changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
from collections import deque
from types import FrameType
from typing import Self

from curtsies.events import Event as CurtsiesEvent
from curtsies.events import PasteEvent
from curtsies.formatstringarray import FSArray
from curtsies.input import Input

from dispatcher.monitor.events import Ended, Event, KeyPressed, Resized
from dispatcher.monitor.keys import KeyReader
from dispatcher.monitor.palette import Palette, palette_of
from dispatcher.monitor.window import Window

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_BRACKETED_PASTE = ("\x1b[?2004h", "\x1b[?2004l")


ESCAPE_SECONDS = 0.05
"""How long the rest of a key is waited for; people notice an escape key that is slower than 100 ms."""

UNFINISHED = re.compile(
    rb"\x1b(?:O|\[[0-9;]*)?\Z|[\xc2-\xdf]\Z|[\xe0-\xef][\x80-\xbf]?\Z|[\xf0-\xf4][\x80-\xbf]{0,2}\Z", re.DOTALL
)
"""Bytes that more bytes make a key of: a started escape sequence, or a started character of UTF-8."""


class _Wake(CurtsiesEvent):
    """Something was posted."""


class _PatientInput(Input):
    """Curtsies' input, which takes half a key for a whole one where a read ends in the middle of it.

    The rest of an escape sequence or a character is waited for, shortly: escape alone is a key too.
    """

    def _nonblocking_read(self) -> int:
        count = super()._nonblocking_read()
        while count and UNFINISHED.search(b"".join(self.unprocessed_bytes[-8:])):
            if not select.select([self.fileno()], [], [], ESCAPE_SECONDS)[0]:
                break
            more = super()._nonblocking_read()
            if not more:
                break
            count += more
        return count


class Terminal:
    """The terminal on stdin and stdout, taken while the context lasts."""

    def __init__(self) -> None:
        """Prepare; nothing is changed before the context is entered."""
        self._window = Window(sys.__stdout__)
        self._input = _PatientInput(disable_terminal_start_stop=True)
        self._keys = KeyReader()
        self._inbox: deque[Event] = deque()
        self._trigger = self._input.threadsafe_event_trigger(_Wake)
        self._is_woken = False
        self._signals: set[int] = set()
        self._handlers: dict[int, object] = {}
        self.palette: Palette = palette_of(os.environ, self._window.colours)

    @property
    def size(self) -> Resized:
        """The size of the window now."""
        return Resized(self._window.width, self._window.height)

    def __enter__(self) -> Self:
        """Take the terminal and the signals."""
        for number in (*_ENDING, signal.SIGINT, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            self._handlers[number] = signal.signal(number, self._note)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back as it was; also where it is gone already."""
        with contextlib.suppress(OSError, termios.error):
            self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def _take(self) -> None:
        self._input.__enter__()
        self._window.__enter__()
        self._window.send(_BRACKETED_PASTE[0])

    def _give_back(self) -> None:
        self._window.send(_BRACKETED_PASTE[1])
        self._window.__exit__()
        self._input.__exit__()

    def post(self, event: Event) -> None:
        """Add an event, from any thread; many of them before the next `read` cost one wake-up."""
        self._inbox.append(event)
        self._wake()

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            self._trigger()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.add(number)
        self._wake()

    def read(self, seconds: float) -> list[Event]:
        """Return what happened, waiting for it at most so long."""
        found = self._next(seconds)
        names = found.events if isinstance(found, PasteEvent) else [found] if isinstance(found, str) else []
        events = [event for name in names for event in self._keys.read(name)]
        if found is None and self._is_hung_up():
            events.append(Ended())
        # Cleared first: what is posted from here on wakes again.
        self._is_woken = False
        events += self._heed_signals()
        while self._inbox:
            events.append(self._inbox.popleft())
        return events

    def _next(self, seconds: float) -> object:
        try:
            return self._input.send(seconds)
        except (UnicodeDecodeError, ValueError):
            # Bytes that are no key in this encoding: curtsies has dropped them and goes on with what follows.
            return ""

    def _is_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._input.fileno(), select.POLLIN)
        return any(state & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, state in poll.poll(0))

    def _heed_signals(self) -> list[Event]:
        noted, self._signals = self._signals, set()
        events: list[Event] = []
        if noted.intersection(_ENDING):
            events.append(Ended())
        if signal.SIGINT in noted:
            events.append(KeyPressed("ctrl-c"))
        if signal.SIGTSTP in noted:
            self._stop()
        if noted & {signal.SIGTSTP, signal.SIGCONT}:
            self._window.forget()
        if signal.SIGCONT in noted and signal.SIGTSTP not in noted:
            self._give_back()
            self._take()
        if noted & {signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT}:
            events.append(self.size)
        return events

    def _stop(self) -> None:
        """Give the terminal back, stop as ctrl-z means it, and take it again once somebody continues us."""
        self._give_back()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self._take()
        self._signals.discard(signal.SIGCONT)

    def draw(self, frame: FSArray) -> None:
        """Draw a frame in one write of what differs from the one before."""
        try:
            self._window.draw(frame, self.palette)
        except OSError:
            # The terminal was closed; SIGHUP says so too, but not to a process that was started without it.
            self.post(Ended())
