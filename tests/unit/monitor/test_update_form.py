"""`update.py` and `pressing.py`: what happens to the form of the request, by tables."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.monitor.events import Answered, ReadRequest, StoreRequest, TextPasted, Told
from dispatcher.monitor.form import Form
from dispatcher.monitor.pressing import HELD_KEYS
from dispatcher.monitor.state import Help, State
from tests.unit.monitor.examples import after, pressed, request, snapshot, told

STORED = request(headers=[["Accept", "*/*"], ["Authorization", "Bearer s3cret"]])


def form_of(*keys: str) -> tuple[Form, State]:
    state = pressed(after(pressed(told(), "c"), Answered(ReadRequest(), 200, STORED)), *keys)
    assert isinstance(state.overlay, Form)
    return state.overlay, state


def test_the_form_opens_with_what_is_stored() -> None:
    edited, _ = form_of()
    assert "https://example.com/path?x=1" == edited.value("url")
    assert "Accept: */*\nAuthorization: [redacted]" == edited.value("headers")


def test_the_form_opens_empty_where_nothing_is_stored() -> None:
    bare = replace(told(), model=replace(told().model, request=None))
    state = after(pressed(bare, "c"), Answered(ReadRequest(), 404, {"detail": "none"}))
    assert ("http://", "GET", "30") == tuple(state.overlay.value(name) for name in ("url", "method", "timeout"))


def test_saving_sends_the_secrets_that_were_stored() -> None:
    _, state = form_of("z", "ctrl-s")
    command = state.commands[-1]
    assert isinstance(command, StoreRequest)
    assert "https://example.com/path?x=1z" == command.content["url"]
    assert [["Accept", "*/*"], ["Authorization", "Bearer s3cret"]] == command.content["headers"]
    assert "revision" not in command.content


def test_what_the_coordinator_says_stands_beside_the_fields_and_nothing_typed_is_lost() -> None:
    _, state = form_of("z", "ctrl-s")
    problem = {
        "detail": "not valid: /timeout: must be greater than 0; /headers/1: the value must be Latin-1",
        "errors": [
            {"pointer": "/timeout", "detail": "Must be greater than 0."},
            {"pointer": "/headers/1", "detail": "The value must be Latin-1."},
            {"pointer": "/max_body_bytes", "detail": "Too large."},
        ],
    }
    state = after(state, Answered(StoreRequest({}), 422, problem))
    edited = state.overlay
    assert {"timeout": "Must be greater than 0.", "headers": "line 2: The value must be Latin-1."} == edited.errors
    assert "headers" == edited.name
    assert "not stored: see Headers and Timeout; max_body_bytes: Too large." == edited.note
    assert "https://example.com/path?x=1z" == edited.value("url")
    assert not edited.is_saving


def test_a_stored_form_closes_and_says_the_revision() -> None:
    _, state = form_of("ctrl-s")
    state = after(state, Answered(StoreRequest({}), 200, {"revision": 4}))
    assert state.overlay is None
    assert state.message is not None
    assert "stored as revision 4" == state.message.text


def test_a_form_that_was_left_comes_back_with_what_was_typed() -> None:
    _, state = form_of("z")
    again = pressed(state, "esc", "c")
    assert "https://example.com/path?x=1z" == again.overlay.value("url")
    reloaded = pressed(again, "ctrl-r")
    assert ReadRequest() == reloaded.commands[-1]


def test_a_form_that_was_left_as_it_was_leaves_nothing_behind() -> None:
    state = pressed(form_of("tab")[1], "esc")
    assert (None, None) == (state.overlay, state.draft)
    assert state.message is not None
    assert "nothing was changed" == state.message.text
    assert pressed(form_of("z", "backspace")[1], "esc").draft is None


def test_a_form_that_was_changed_says_that_it_is_kept() -> None:
    state = pressed(form_of("z")[1], "esc")
    assert state.message is not None
    assert "what you typed is kept for the next c" in state.message.text


def test_what_is_typed_before_the_form_is_there_goes_into_it() -> None:
    state = after(pressed(told(), "c", "q", "p"), TextPasted("/x"), Answered(ReadRequest(), 200, STORED))
    assert not state.has_ended
    assert state.paused is None
    assert "https://example.com/path?x=1qp/x" == state.overlay.value("url")
    assert state.held is None


def test_a_form_that_is_waited_for_can_be_given_up() -> None:
    state = pressed(told(), "c", "x", "esc")
    assert state.message is not None
    assert "the form is not opened" == state.message.text
    assert after(state, Answered(ReadRequest(), 200, STORED)).overlay is None
    assert pressed(state, "?").overlay == Help()
    assert pressed(told(), "c", "ctrl-c").has_ended


def test_what_was_typed_for_a_form_that_does_not_open_does_nothing_in_the_panels() -> None:
    state = after(pressed(told(), "c", "q", "e"), Answered(ReadRequest(), 0, problem="connection refused"))
    assert (False, (ReadRequest(),), None) == (state.has_ended, state.commands, state.held)
    assert state.message is not None
    assert "the request cannot be read: connection refused" == state.message.text


def test_what_is_kept_for_a_form_is_bounded() -> None:
    assert HELD_KEYS == len(pressed(told(), "c", *"x" * (HELD_KEYS + 5)).held or ())


def test_a_coordinator_that_is_gone_loses_nothing_of_the_form() -> None:
    _, state = form_of("z", "ctrl-s")
    state = after(state, Answered(StoreRequest({}), 0, problem="connection refused"))
    assert "not stored: connection refused" == state.overlay.note
    assert "https://example.com/path?x=1z" == state.overlay.value("url")


def test_a_header_without_colon_and_a_timeout_without_number_are_told_before_anything_is_sent() -> None:
    edited, state = form_of("tab", "tab", "x", "tab", "tab", "s", "ctrl-s")
    assert {"timeout": "Must be a number of seconds."} == edited.errors
    assert not any(isinstance(command, StoreRequest) for command in state.commands)


def test_a_paste_outside_of_the_form_does_nothing_dangerous() -> None:
    state = after(told(), TextPasted("qedy"))
    assert (False, ()) == (state.has_ended, state.commands)


def test_a_pasted_curl_command_fills_the_form() -> None:
    _, state = form_of("tab")
    pasted = TextPasted("curl -X PUT 'https://new.test/' \\\n -H 'A: b' --data 'x=1' -m 5 -k")
    edited = after(state, pasted).overlay
    names = ("url", "method", "headers", "body", "timeout", "verify_tls")
    assert (
        "https://new.test/",
        "PUT",
        "A: b\nContent-Type: application/x-www-form-urlencoded",
        "x=1",
        "5",
        "no",
    ) == tuple(edited.value(name) for name in names)


def test_a_curl_command_that_is_not_understood_changes_nothing_and_is_named() -> None:
    before, state = form_of()
    edited = after(state, TextPasted("curl --proxy p http://x")).overlay
    assert before.values == edited.values
    assert "curl: --proxy is not understood; nothing was taken over" == edited.note


def test_a_snapshot_does_not_touch_the_form() -> None:
    edited, state = form_of("z")
    assert edited == after(state, Told(snapshot())).overlay
