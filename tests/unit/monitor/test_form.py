"""`form.py` and `editing.py`: typing, choosing, and the configuration that comes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.monitor import form
from dispatcher.monitor.editing import Text, edit
from dispatcher.monitor.form import Form
from tests.unit.monitor.examples import request


def typed(edited: Form, *keys: str) -> Form:
    for key in keys:
        edited = form.press(edited, key)
    return edited


def test_an_untouched_form_makes_what_was_stored() -> None:
    stored = request(headers=[["Authorization", "Bearer a"], ["authorization", "Bearer b"]], body="x", max_redirects=9)
    shown = request(headers=[["Authorization", "[redacted]"], ["authorization", "[redacted]"]], body="x")
    content, errors = form.to_request(form.opened(stored, shown))
    assert {} == errors
    assert {key: value for key, value in stored.items() if key != "revision"} == content


def test_a_url_with_secrets_is_shown_without_and_stored_with_them() -> None:
    stored, shown = request(url="https://u:p@x.test/"), request(url="https://[redacted]@x.test/")
    edited = form.opened(stored, shown)
    assert "https://[redacted]@x.test/" == edited.value("url")
    assert "https://u:p@x.test/" == form.to_request(edited)[0]["url"]


def test_a_secret_that_is_typed_over_is_replaced() -> None:
    stored, shown = request(headers=[["A", "old"]]), request(headers=[["A", "[redacted]"]])
    edited = typed(form.opened(stored, shown), "tab", "tab", *["backspace"] * 10, *"new")
    assert [["A", "new"]] == form.to_request(edited)[0]["headers"]


def test_a_binary_body_is_kept_until_something_is_typed() -> None:
    edited = form.opened(request(body_base64="AAEC"), request())
    assert "AAEC" == form.to_request(edited)[0]["body_base64"]
    edited = typed(edited, "tab", "tab", "tab", "x")
    assert ("x", None) == (form.to_request(edited)[0]["body"], form.to_request(edited)[0]["body_base64"])


def test_enter_is_a_new_line_in_headers_and_the_next_field_elsewhere() -> None:
    edited = typed(form.opened(request(headers=[["A", "b"]]), None), "enter", "enter")
    assert "headers" == edited.name
    edited = typed(edited, "enter", *"C: d")
    assert [["A", "b"], ["C", "d"]] == form.to_request(edited)[0]["headers"]


def test_space_changes_a_choice() -> None:
    edited = typed(form.opened(request(), None), *["tab"] * 5)
    assert "follow_redirects" == edited.name
    edited = typed(edited, " ", "tab", "right", "tab", "left")
    content, _ = form.to_request(edited)
    assert (True, False, "3") == (content["follow_redirects"], content["verify_tls"], content["http_version"])


def test_a_curl_command_typed_as_the_url_is_taken_when_the_field_is_left() -> None:
    edited = typed(form.opened(request(), None), "ctrl-u", *"curl -k x.test", "tab")
    assert ("http://x.test", "no") == (edited.value("url"), edited.value("verify_tls"))


def test_a_paste_with_line_breaks_becomes_one_line_where_there_is_one() -> None:
    edited = form.paste(typed(form.opened(request(), None), "ctrl-u"), "http://x\r\n/path\n")
    assert "http://x/path" == edited.value("url")


def test_an_error_goes_when_its_field_is_edited() -> None:
    edited = form.with_errors(form.opened(request(), None), {"errors": [{"pointer": "/url", "detail": "no"}]})
    assert {} == typed(edited, "x").errors


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        (Text("ab", 1), "x", Text("axb", 2)),
        (Text("ab", 1), "backspace", Text("b", 0)),
        (Text("ab", 0), "backspace", Text("ab", 0)),
        (Text("ab", 1), "delete", Text("a", 1)),
        (Text("ab", 1), "left", Text("ab", 0)),
        (Text("ab", 2), "right", Text("ab", 2)),
        (Text("ab\ncd", 4), "home", Text("ab\ncd", 3)),
        (Text("ab\ncd", 0), "end", Text("ab\ncd", 2)),
        (Text("ab\ncd", 1), "down", Text("ab\ncd", 4)),
        (Text("ab\nc", 2), "down", Text("ab\nc", 4)),
        (Text("ab\ncd", 5), "up", Text("ab\ncd", 2)),
        (Text("ab cd", 5), "ctrl-w", Text("ab ", 3)),
        (Text("ab cd", 3), "ctrl-u", Text("cd", 0)),
        (Text("ab cd", 3), "ctrl-k", Text("ab ", 3)),
        (Text("ab", 1), "enter", Text("a\nb", 2)),
    ],
)
def test_keys_edit_a_text_of_many_lines(before: Text, key: str, after: Text) -> None:
    assert after == edit(before, key, has_many_lines=True)


@given(
    st.lists(
        st.sampled_from(
            ["x", "é", " ", "enter", "backspace", "delete", "left", "right", "up", "down", "home", "end", "ctrl-w"]
        ),
        max_size=40,
    )
)
def test_the_cursor_never_leaves_the_text(keys: list[str]) -> None:
    text = Text()
    for key in keys:
        text = edit(text, key, has_many_lines=True)
        assert 0 <= text.at <= len(text.text)
