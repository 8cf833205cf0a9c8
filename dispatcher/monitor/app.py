"""The loop of the full-screen monitor: what happened goes into `update`, what is to be done to the link, and as often
as `pace` allows the state goes through `view` to the terminal. Runs on the main thread.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.errors import ExitStatus
from dispatcher.monitor.events import Event, TimePassed, Told
from dispatcher.monitor.link import Link
from dispatcher.monitor.pace import Pace
from dispatcher.monitor.palette import glyphs_of
from dispatcher.monitor.state import State
from dispatcher.monitor.terminal import Terminal
from dispatcher.monitor.update import update
from dispatcher.monitor.view import view

if TYPE_CHECKING:
    from dispatcher.access import Access

TICK_SECONDS = 1.0
"""Ages on the screen are redrawn this often though nothing happens."""


def run(access: Access) -> int:
    """Show the monitor until its user has enough; return the exit status.

    Raises:
        RefusedError: the coordinator does not let this monitor in.
    """
    state = State(url=access.url, glyphs=glyphs_of(os.environ), now=time.time())
    with Terminal() as terminal, Link(access, terminal.post) as link:
        Loop(state, terminal, link).run()
    if link.failure is not None:
        raise link.failure
    return ExitStatus.DONE


class Loop:
    """One run of the monitor."""

    def __init__(self, state: State, terminal: Terminal, link: Link) -> None:
        """Begin with a state; the terminal and the link are up."""
        self._state = update(state, terminal.size)
        self._terminal = terminal
        self._link = link
        self._drawn: State | None = None
        self._drawn_at = 0.0
        self._pace = Pace()

    def run(self) -> None:
        """Go on until the state says that it is over."""
        while not self._state.has_ended:
            self._draw_if_due()
            self._take_in(self._terminal.read(self._patience()))

    def _take_in(self, events: list[Event]) -> None:
        for event in (TimePassed(time.time()), *events):
            self._state = update(self._state, event)
        self._link.taken(sum(isinstance(event, Told) for event in events))
        commands, self._state = self._state.commands, replace(self._state, commands=())
        for command in commands:
            self._link.do(command)

    def _draw_if_due(self) -> None:
        if self._is_changed() and not self._pace.wait(time.monotonic()):
            self._pace.drawn(time.monotonic())
            self._terminal.draw(view(self._state, self._state.width, self._state.height))
            self._drawn, self._drawn_at = self._state, time.monotonic()

    def _is_changed(self) -> bool:
        """Say whether the screen may look different; of the time only whole seconds are seen."""
        drawn, state = self._drawn, self._state
        if drawn is None or int(drawn.now) != int(state.now):
            return True
        return replace(drawn, now=state.now, link=state.link) != state if drawn.link == state.link else True

    def _patience(self) -> float:
        now = time.monotonic()
        return self._pace.wait(now) if self._is_changed() else max(0.0, self._drawn_at + TICK_SECONDS - now)
