"""`update(state, event) -> state`: the only way in which the monitor's state changes. Pure.

What is to be done, such as asking the coordinator, stands in the new state's `commands`; the loop in `app.py` does it.
"""

from __future__ import annotations

from dataclasses import replace

from dispatcher.monitor import answers, pressing
from dispatcher.monitor.changes import take_in
from dispatcher.monitor.events import (
    Answered,
    Ended,
    Event,
    KeyPressed,
    LinkDown,
    LinkUp,
    Resized,
    TextPasted,
    TimePassed,
    Told,
)
from dispatcher.monitor.state import Link, State


def update(state: State, event: Event) -> State:
    """Return the state after an event."""
    match event:
        case KeyPressed():
            return pressing.press(state, event.key)
        case TextPasted():
            return pressing.paste(state, event.text)
        case Told():
            link = replace(state.link, heard=state.now)
            return replace(state, model=take_in(state.model, event.message), link=link)
        case TimePassed():
            return _pass_time(state, event.now)
        case Resized():
            return replace(state, width=event.width, height=event.height)
        case Answered():
            return answers.answer(state, event)
        case LinkUp():
            return replace(state, link=Link(is_up=True, since=state.now, heard=state.now))
        case LinkDown():
            return _lose_link(state, event.reason)
        case Ended():
            return replace(state, has_ended=True)


def _pass_time(state: State, now: float) -> State:
    message = state.message
    if message is not None and message.until is not None and message.until <= now:
        message = None
    return replace(state, now=now, message=message)


def _lose_link(state: State, reason: str) -> State:
    since = state.now if state.link.is_up or not state.link.since else state.link.since
    return replace(state, link=Link(is_up=False, since=since, heard=state.link.heard, reason=reason))
