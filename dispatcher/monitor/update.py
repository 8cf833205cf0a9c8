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
    ReadRecord,
    ReadRequest,
    Resized,
    TextPasted,
    TimePassed,
    Told,
)
from dispatcher.monitor.form import Form
from dispatcher.monitor.model import Json
from dispatcher.monitor.state import REFRESHING, Detail, Link, State, order, say


def update(state: State, event: Event) -> State:
    """Return the state after an event."""
    match event:
        case KeyPressed():
            return pressing.press(state, event.key)
        case TextPasted():
            return pressing.paste(state, event.text)
        case Told():
            return _take_in(state, event.message)
        case TimePassed():
            return _pass_time(state, event.now)
        case Resized():
            return replace(state, width=event.width, height=event.height)
        case Answered():
            return _answer(state, event)
        case LinkUp():
            return _gain_link(state)
        case LinkDown():
            return _lose_link(state, event.reason)
        case Ended():
            return replace(state, has_ended=True)


def _pass_time(state: State, now: float) -> State:
    message = state.message
    if message is not None and message.until is not None and message.until <= now:
        message = None
    return replace(state, now=now, message=message)


def _answer(state: State, answered: Answered) -> State:
    held = state.held if isinstance(answered.command, ReadRequest) else None
    state = answers.answer(state, answered)
    for typed in held or ():
        state = update(state, typed) if isinstance(state.overlay, Form) else state
    return state


def _take_in(state: State, message: Json) -> State:
    if message.get("type") == "snapshot" and _is_refreshing(state):
        state = say(state, "refreshed")
    return replace(state, model=take_in(state.model, message), link=replace(state.link, heard=state.now))


def _is_refreshing(state: State) -> bool:
    return state.message is not None and state.message.text == REFRESHING


def _gain_link(state: State) -> State:
    state = replace(state, link=Link(is_up=True, since=state.now, heard=state.now))
    detail = state.overlay
    if isinstance(detail, Detail) and detail.record is not None and detail.whole is None:
        # It was opened while there was nobody to ask for the rest of it.
        return order(replace(state, overlay=replace(detail, problem="")), ReadRecord(detail.record.id))
    return state


def _lose_link(state: State, reason: str) -> State:
    message = None if _is_refreshing(state) else state.message
    since = state.now if state.link.is_up or not state.link.since else state.link.since
    return replace(state, link=Link(is_up=False, since=since, heard=state.link.heard, reason=reason), message=message)
