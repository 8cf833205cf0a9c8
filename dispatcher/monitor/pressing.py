"""What keys do, by what is open: a question, the filter prompt, the form, a record, the help, or the panels. Pure."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.monitor import (
    browsing_keys,
    curl_line,
    form,
    help,  # noqa: A004 (the module of the help)
    record_view,
)
from dispatcher.monitor.events import KeyPressed, ReadRequest, RemoveAgent, StoreRequest, TextPasted
from dispatcher.monitor.form import Form
from dispatcher.monitor.state import Confirm, Detail, FilterPrompt, Help, State, look, order, say

HELD_KEYS = 1000
"""Keys and pastes that are kept for a form which is about to open."""

_SCROLLS = {"up": -1, "k": -1, "down": 1, "j": 1}


def press(state: State, key: str) -> State:
    """Return the state after a key."""
    if key == "ctrl-c":
        return replace(state, has_ended=True)
    if state.held is not None:
        return _hold(state, KeyPressed(key))
    if state.message is not None and state.message.until is None:
        state = replace(state, message=None)
    match state.overlay:
        case Confirm():
            return _confirm(state, state.overlay, key)
        case FilterPrompt():
            return _type_filter(state, state.overlay, key)
        case Form():
            return _press_form(state, state.overlay, key)
        case Detail():
            return _press_detail(state, state.overlay, key)
        case Help():
            return _press_help(state, state.overlay, key)
    return browsing_keys.press(state, key)


def paste(state: State, text: str) -> State:
    """Return the state after a paste; where nothing is typed it is only named, never taken for keys."""
    if state.held is not None:
        return _hold(state, TextPasted(text))
    match state.overlay:
        case Form():
            return replace(state, overlay=form.paste(state.overlay, text))
        case FilterPrompt():
            return look(state, filter=state.looks.filter + " ".join(text.split()), cursor=None)
    return say(state, "a paste goes into the form (c) or the filter (/)")


def _hold(state: State, typed: KeyPressed | TextPasted) -> State:
    """Keep what is meant for the form until it opens; in the panels it would do who knows what."""
    held = state.held or ()
    if typed == KeyPressed("esc"):
        return say(replace(state, held=None), "the form is not opened")
    return replace(state, held=(*held, typed)) if len(held) < HELD_KEYS else state


def _confirm(state: State, asked: Confirm, key: str) -> State:
    state = replace(state, overlay=None)
    if key in ("y", "Y"):
        return order(say(state, f"removing agent {asked.agent_id}"), RemoveAgent(asked.agent_id))
    return say(state, f"agent {asked.agent_id} stays")


def _type_filter(state: State, prompt: FilterPrompt, key: str) -> State:
    typed = state.looks.filter
    match key:
        case "enter":
            return replace(state, overlay=None)
        case "esc":
            return look(replace(state, overlay=None), filter=prompt.before, cursor=None)
        case "backspace":
            return look(state, filter=typed[:-1], cursor=None)
        case "ctrl-u":
            return look(state, filter="", cursor=None)
    return look(state, filter=typed + key, cursor=None) if len(key) == 1 else state


def _press_form(state: State, edited: Form, key: str) -> State:
    if key == "esc":
        if not (edited.is_touched or edited.is_saving):
            return say(replace(state, overlay=None, draft=None), "nothing was changed")
        kept = replace(state, overlay=None, draft=replace(edited, is_saving=False))
        return say(kept, "nothing stored; what you typed is kept for the next c")
    if key == "ctrl-r":
        return order(replace(state, draft=None), ReadRequest())
    if key == "ctrl-s" or (key == "enter" and edited.name == "save"):
        return _save(state, edited)
    return replace(state, overlay=form.press(edited, key))


def _save(state: State, edited: Form) -> State:
    if edited.is_saving:
        return state
    if curl_line.is_curl(edited.value("url")):
        # The command takes the fields over; a second ctrl-s stores what it made of them.
        return replace(state, overlay=form.moved(edited, 0))
    content, errors = form.to_request(edited)
    if errors:
        return replace(state, overlay=replace(edited, errors=errors, note="not stored yet"))
    saving = replace(edited, errors={}, note="storing", is_saving=True)
    return order(replace(state, overlay=saving), StoreRequest(content))


def _press_detail(state: State, detail: Detail, key: str) -> State:
    if key in ("esc", "q", "enter"):
        return replace(state, overlay=None)
    if key in ("left", "right", "h", "l") and detail.record is not None:
        return browsing_keys.open_beside(state, -1 if key in ("left", "h") else 1)
    if key == "e":
        return browsing_keys.press(state, key)
    if key == "o" and state.last is not None:
        return replace(state, overlay=state.last)
    height = max(1, state.height - 4)
    last = max(0, len(record_view.lines(state, detail, state.width - 2)) - height)
    return replace(state, overlay=replace(detail, scroll=_scrolled(detail.scroll, key, height, last)))


def _press_help(state: State, shown: Help, key: str) -> State:
    if key in ("esc", "q", "?", "enter"):
        return replace(state, overlay=None)
    height = max(1, state.height - 4)
    last = max(0, len(help.rows(state.width - 2)) - height)
    return replace(state, overlay=Help(_scrolled(shown.scroll, key, height, last)))


def _scrolled(scroll: int, key: str, height: int, last: int) -> int:
    match key:
        case "home" | "g":
            return 0
        case "end" | "G":
            return last
        case "pgup" | "ctrl-b":
            return max(0, scroll - height)
        case "pgdn" | "ctrl-f" | " ":
            return min(last, scroll + height)
    return max(0, min(last, scroll + _SCROLLS.get(key, 0)))
