"""What keys do in the panels: move, open, sort, filter, execute. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dispatcher.monitor import browse, layout
from dispatcher.monitor.events import Execute, ReadOlder, ReadRecord, ReadRequest, Refresh
from dispatcher.monitor.state import (
    REFRESHING,
    Browsing,
    Confirm,
    Detail,
    FilterPrompt,
    Help,
    Panel,
    State,
    look,
    order,
    say,
)

EXECUTIONS_AT_ONCE = 16
"""How many executions `e` has under way at most: a key that got stuck must not empty the pool."""

ROWS_BEFORE_OLDER = 50
"""How near to the last record the cursor comes before older ones are read."""

_PANELS = tuple(Panel)
_ROW_PANELS = (Panel.AGENTS, Panel.POOL, Panel.HISTORY)


def press(state: State, key: str) -> State:
    """Return the state after a key in the panels; a key that means nothing changes nothing."""
    if key in _ACTIONS:
        return _ACTIONS[key](state)
    if key.isdigit() and 1 <= int(key) <= len(_PANELS):
        return replace(state, focus=_PANELS[int(key) - 1])
    step = _step(state, key)
    return state if step is None else _move(state, step)


def _step(state: State, key: str) -> int | None:
    """Return how many rows a key moves; as many as there can be for the first and the last."""
    page = max(1, layout.area_of(state, state.focus).rows)
    steps = {
        "down": 1, "j": 1, "up": -1, "k": -1,
        "pgdn": page, "ctrl-f": page, " ": page, "pgup": -page, "ctrl-b": -page,
        "end": 10**9, "G": 10**9, "home": -(10**9), "g": -(10**9),
    }  # fmt: skip
    return steps.get(key)


def _move(state: State, step: int) -> State:
    items = browse.rows(state.shown, state.focus, state.looks)
    place = max(0, min(browse.place(items, state.looks.cursor) + step, len(items) - 1))
    return _read_older(look(state, cursor=browse.cursor_at(items, place)), place, len(items))


def _read_older(state: State, place: int, count: int) -> State:
    is_near = state.focus is Panel.HISTORY and place >= count - ROWS_BEFORE_OLDER
    if not is_near or state.is_reading_older or state.model.older is None or state.paused is not None:
        return state
    return order(replace(state, is_reading_older=True), ReadOlder(state.model.older))


def _change_panel(state: State, step: int) -> State:
    return replace(state, focus=_PANELS[(_PANELS.index(state.focus) + step) % len(_PANELS)])


def _open(state: State) -> State:
    if state.focus is Panel.REQUEST:
        return _configure(state)
    items = browse.rows(state.shown, state.focus, state.looks)
    if not items:
        return replace(state, is_zoomed=not state.is_zoomed) if state.focus is Panel.STATS else state
    picked = items[browse.place(items, state.looks.cursor)]
    match state.focus:
        case Panel.AGENTS:
            return replace(state, overlay=Detail(agent_id=picked.agent_id))
        case Panel.POOL:
            return _show_uses(state, picked.address)
    opened = order(replace(state, overlay=Detail(record=picked)), ReadRecord(picked.id))
    return look(opened, cursor=browse.cursor_at(items, browse.place(items, state.looks.cursor)))


def _show_uses(state: State, address: str) -> State:
    history = Browsing(filter=f"={address}")
    shown = replace(state, focus=Panel.HISTORY, browsing={**state.browsing, Panel.HISTORY: history})
    return say(shown, f"executions through {address} (Esc shows all)")


def open_beside(state: State, step: int) -> State:
    """Return the state with the record beside the one that is open: -1 is the one above it in history."""
    items = browse.rows(state.shown, Panel.HISTORY, state.browsing[Panel.HISTORY])
    detail = state.overlay
    place = browse.place(items, detail.record.id)
    beside = place + step
    if not 0 <= beside < len(items):
        return state
    moved = look(replace(state, focus=Panel.HISTORY), cursor=browse.cursor_at(items, beside))
    opened = order(replace(moved, overlay=Detail(record=items[beside])), ReadRecord(items[beside].id))
    return _read_older(opened, beside, len(items))


def _open_last(state: State) -> State:
    return replace(state, overlay=state.last) if state.last else say(state, "nothing was executed here yet (e does)")


def _execute(state: State) -> State:
    if state.executing >= EXECUTIONS_AT_ONCE:
        return say(state, f"{state.executing} executions are under way, as many as are started from here")
    return order(replace(say(state, "executing"), executing=state.executing + 1), Execute())


def _configure(state: State) -> State:
    if state.draft is not None:
        note = "what you typed before; ctrl-r takes what is stored"
        return replace(state, overlay=replace(state.draft, note=state.draft.note or note), draft=None)
    return order(replace(say(state, "reading the request (Esc gives up)"), held=()), ReadRequest())


def _filter(state: State) -> State:
    if state.focus not in _ROW_PANELS:
        return say(state, f"{state.focus} has no rows to filter")
    return replace(state, overlay=FilterPrompt(before=state.looks.filter))


def _sort(state: State, step: int) -> State:
    if state.focus not in _ROW_PANELS:
        return say(state, f"{state.focus} has no rows to sort")
    count = len(browse.ORDERS[state.focus])
    return look(state, sort=(state.looks.sort + step) % count, cursor=None)


def _pause(state: State) -> State:
    return replace(state, paused=None if state.paused is not None else state.model)


def _remove(state: State) -> State:
    if state.focus is not Panel.AGENTS:
        return say(state, "d removes an agent: pick one in Agents")
    agents = browse.rows(state.shown, Panel.AGENTS, state.looks)
    if not agents:
        return say(state, "there is no agent to remove")
    picked = agents[browse.place(agents, state.looks.cursor)]
    return replace(state, overlay=Confirm(picked.agent_id), message=None)


def _escape(state: State) -> State:
    if state.looks.filter:
        return look(replace(state, message=None), filter="", cursor=None)
    return replace(state, is_zoomed=False, message=None)


_ACTIONS: dict[str, Callable[[State], State]] = {
    "q": lambda state: replace(state, has_ended=True),
    "r": lambda state: order(say(replace(state, paused=None), REFRESHING), Refresh()),
    "e": _execute,
    "o": _open_last,
    "c": _configure,
    "d": _remove,
    "p": _pause,
    "s": lambda state: _sort(state, 1),
    "S": lambda state: _sort(state, -1),
    "z": lambda state: replace(state, is_zoomed=not state.is_zoomed),
    "/": _filter,
    "?": lambda state: replace(state, overlay=Help()),
    "tab": lambda state: _change_panel(state, 1),
    "backtab": lambda state: _change_panel(state, -1),
    "enter": _open,
    "esc": _escape,
}
