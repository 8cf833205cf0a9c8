"""What an answer of the coordinator does to the state: the outcome of `e`, of the form, of a removal. Pure."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.monitor import changes, form, model
from dispatcher.monitor.events import (
    Answered,
    Execute,
    ReadOlder,
    ReadRecord,
    ReadRequest,
    RemoveAgent,
    StoreRequest,
)
from dispatcher.monitor.form import Form
from dispatcher.monitor.state import Detail, State, say


def answer(state: State, answered: Answered) -> State:
    """Return the state after an answer."""
    match answered.command:
        case Execute():
            return _executed(replace(state, executing=max(0, state.executing - 1)), answered)
        case ReadRequest():
            return _read_request(state, answered)
        case StoreRequest():
            return _stored(state, answered)
        case ReadRecord():
            return _read_record(state, answered, answered.command.id)
        case ReadOlder():
            return _read_older(replace(state, is_reading_older=False), answered)
        case RemoveAgent():
            return _removed(state, answered, answered.command.agent_id)
    return state


def _executed(state: State, answered: Answered) -> State:
    content = answered.content if answered.status == 200 else model.member(answered.content, "execution")
    if not content:
        return say(state, f"not executed: {_why(answered)}", "error")
    record = model.record(content)
    state = replace(state, last=Detail(record=record, whole=content))
    through = f"{record.source_ip} at {record.agent_id}" if record.source_ip else "no exit"
    if record.status is not None:
        took = f"{record.total_ms:.1f} ms"
        return say(state, f"{record.status} {record.reason} in {took} through {through} (o opens it)", "good")
    return say(state, f"{record.outcome}: {record.error_kind} through {through} (o opens it)", "error")


def _read_request(state: State, answered: Answered) -> State:
    if state.held is None and not isinstance(state.overlay, Form):
        return state  # It was given up.
    state = replace(state, held=None)
    if answered.status in (200, 404):
        stored = answered.content if answered.status == 200 else model.NOTHING
        shown = state.model.request if answered.status == 200 else None
        return replace(state, overlay=form.opened(stored, shown), message=None)
    return say(state, f"the request cannot be read: {_why(answered)}", "error")


def _stored(state: State, answered: Answered) -> State:
    is_open = isinstance(state.overlay, Form)
    edited = state.overlay if isinstance(state.overlay, Form) else state.draft
    if answered.status == 200:
        closed = replace(state, overlay=None if is_open else state.overlay, draft=None)
        return say(closed, f"stored as revision {answered.content.get('revision', '?')}", "good")
    if edited is None:
        return say(state, f"not stored: {_why(answered)}", "error")
    if answered.status == 422:
        edited = form.with_errors(edited, answered.content)
    else:
        edited = replace(edited, note=f"not stored: {_why(answered)}", is_saving=False)
    if is_open:
        return replace(state, overlay=edited)
    return say(replace(state, draft=edited), f"not stored: {_why(answered)} (c opens the form)", "error")


def _read_record(state: State, answered: Answered, record_id: str) -> State:
    detail = state.overlay
    if not isinstance(detail, Detail) or detail.record is None or detail.record.id != record_id:
        return state
    if answered.status == 200:
        return replace(state, overlay=replace(detail, whole=answered.content, problem=""))
    return replace(state, overlay=replace(detail, problem=_why(answered)))


def _read_older(state: State, answered: Answered) -> State:
    if answered.status != 200:
        return say(state, f"no older records: {_why(answered)}", "error")
    return replace(state, model=changes.add_older(state.model, answered.content))


def _removed(state: State, answered: Answered, agent_id: str) -> State:
    if answered.status == 204:
        return say(state, f"agent {agent_id} is removed", "good")
    return say(state, f"agent {agent_id} is not removed: {_why(answered)}", "error")


def _why(answered: Answered) -> str:
    return answered.problem or str(answered.content.get("detail") or f"status {answered.status}")
