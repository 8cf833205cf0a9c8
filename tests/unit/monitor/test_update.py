"""`update.py`, `pressing.py` and `browsing_keys.py`: what happens to the state, by tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.monitor import browse
from dispatcher.monitor.events import (
    Answered,
    Ended,
    Execute,
    LinkDown,
    LinkUp,
    ReadOlder,
    ReadRecord,
    ReadRequest,
    Refresh,
    RemoveAgent,
    Resized,
    TimePassed,
    Told,
)
from dispatcher.monitor.state import Confirm, Detail, FilterPrompt, Help, Panel
from tests.unit.monitor.examples import NOW, after, pressed, record, snapshot, told


@pytest.mark.parametrize(
    ("keys", "focus"),
    [
        (("tab",), Panel.AGENTS),
        (("backtab",), Panel.REQUEST),
        (("tab", "tab"), Panel.POOL),
        (("tab",) * 5, Panel.HISTORY),
        (("2",), Panel.POOL),
        (("9",), Panel.HISTORY),
    ],
)
def test_tab_goes_through_the_panels(keys: tuple[str, ...], focus: Panel) -> None:
    assert focus is pressed(told(), *keys).focus


@pytest.mark.parametrize(
    ("keys", "cursor"),
    [
        (("j",), "r000098"),
        (("down", "down"), "r000097"),
        (("j", "k"), None),
        (("k",), None),
        (("G",), "r000001"),
        (("end", "home"), None),
        (("pgdn",), "r000092"),
        (("pgdn", "pgup"), None),
        (("G", "j"), "r000001"),
    ],
)
def test_keys_move_the_cursor(keys: tuple[str, ...], cursor: str | None) -> None:
    assert cursor == pressed(told(), *keys).looks.cursor


def test_a_picked_row_stays_picked_while_new_ones_come() -> None:
    state = after(pressed(told(), "j"), Told({"type": "change", "executions": [record(200)]}))
    assert "r000098" == state.looks.cursor


@pytest.mark.parametrize(
    ("key", "commands"),
    [
        ("e", (Execute(),)),
        ("r", (Refresh(),)),
        ("c", (ReadRequest(),)),
        ("enter", (ReadRecord("r000099"),)),
        ("x", ()),
        ("d", ()),
    ],
)
def test_keys_ask_for_what_is_to_be_done(key: str, commands: tuple[object, ...]) -> None:
    assert commands == pressed(told(), key).commands


def test_the_end_of_what_is_known_asks_for_older_records_once() -> None:
    state = pressed(told(), "G", "k", "j")
    assert (ReadOlder("cursor1"),) == state.commands
    state = after(state, Answered(ReadOlder("cursor1"), 200, {"items": [record(0)], "next": None}))
    assert "r000000" == state.model.records[-1].id
    assert (ReadOlder("cursor1"),) == pressed(state, "G").commands


def test_a_stuck_key_does_not_empty_the_pool() -> None:
    assert 16 == len(pressed(told(), *"e" * 100).commands)


def test_an_execution_is_told_with_its_record_one_key_away() -> None:
    state = after(pressed(told(), "e"), Answered(Execute(), 200, record(200)))
    assert state.message is not None
    assert "503 OK in 14.4 ms through 2001:db8:2::9 at agent-02 (o opens it)" == state.message.text
    assert 0 == state.executing
    opened = pressed(state, "o").overlay
    assert isinstance(opened, Detail)
    assert opened.whole == record(200)


def test_a_failed_execution_is_told_with_its_kind() -> None:
    failed = Answered(Execute(), 504, {"detail": "connecting took", "execution": record(7)})
    message = after(pressed(told(), "e"), failed).message
    assert message is not None
    assert "failed: timeout through 2001:db8:1::8 at agent-01 (o opens it)" == message.text
    assert "error" == message.style


@pytest.mark.parametrize(
    ("answered", "text"),
    [
        (Answered(Execute(), 409, {"detail": "no request is configured"}), "not executed: no request is configured"),
        (Answered(Execute(), 0, problem="connection refused"), "not executed: connection refused"),
        (Answered(Execute(), 500), "not executed: status 500"),
    ],
)
def test_why_nothing_was_executed_is_told_and_stays_until_a_key(answered: Answered, text: str) -> None:
    state = after(pressed(told(), "e"), answered, TimePassed(NOW + 3600))
    assert state.message is not None
    assert text == state.message.text
    assert pressed(state, "j").message is None


def test_a_message_goes_after_a_while() -> None:
    state = after(told(), Answered(RemoveAgent("a"), 204))
    assert state.message is not None
    assert after(state, TimePassed(NOW + 60)).message is None


def test_a_record_is_opened_read_scrolled_and_left() -> None:
    state = after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, record(99)))
    assert isinstance(state.overlay, Detail)
    assert state.overlay.whole == record(99)
    last = pressed(state, "G").overlay.scroll
    assert last > 0
    assert last == pressed(state, "G", "j", "pgdn").overlay.scroll
    assert 0 == pressed(state, "j", "k", "k").overlay.scroll
    assert pressed(state, "esc").overlay is None


def test_an_answer_for_a_record_that_was_left_changes_nothing() -> None:
    state = pressed(told(), "enter", "esc")
    assert state == after(state, Answered(ReadRecord("r000099"), 200, record(99)))


def test_a_record_that_cannot_be_read_says_why() -> None:
    state = after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 404, {"detail": "no longer kept"}))
    assert "no longer kept" == state.overlay.problem


def test_arrows_in_a_record_go_to_the_one_beside_it() -> None:
    state = pressed(told(), "enter", "right")
    assert ("r000098", ReadRecord("r000098")) == (state.overlay.record.id, state.commands[-1])
    assert "r000099" == pressed(state, "left", "left").overlay.record.id


def test_enter_on_an_exit_shows_its_executions() -> None:
    state = pressed(told(focus=Panel.POOL), "enter")
    assert (Panel.HISTORY, "=2001:db8:0::1") == (state.focus, state.looks.filter)
    shown = browse.rows(state.model, Panel.HISTORY, state.looks)
    # Not those of 2001:db8:0::10, whose text has this address in it.
    assert {"2001:db8:0::1"} == {used.source_ip for used in shown}
    assert any(used.source_ip == "2001:db8:0::10" for used in state.model.records)
    assert "" == pressed(state, "esc").looks.filter


def test_enter_on_an_agent_shows_it() -> None:
    assert "agent-00" == pressed(told(focus=Panel.AGENTS), "enter").overlay.agent_id


def test_a_filter_is_typed_kept_or_given_up() -> None:
    typed = pressed(told(), "/", "!", "5", "0", "x", "backspace", "3")
    assert FilterPrompt("") == typed.overlay
    assert "!503" == typed.looks.filter
    assert ("!503", None) == (pressed(typed, "enter").looks.filter, pressed(typed, "enter").overlay)
    assert "" == pressed(typed, "esc").looks.filter
    assert "" == pressed(typed, "enter", "esc").looks.filter
    assert "" == pressed(typed, "ctrl-u").looks.filter


def test_letters_are_text_while_a_filter_is_typed() -> None:
    state = pressed(told(), "/", "q", "e")
    assert ("qe", (), False) == (state.looks.filter, state.commands, state.has_ended)


def test_sort_goes_through_the_orders_and_comes_round() -> None:
    assert [1, 2, 3, 4, 0] == [pressed(told(), *"s" * count).looks.sort for count in range(1, 6)]
    assert 4 == pressed(told(), "S").looks.sort


def test_pause_holds_what_is_shown_while_the_rest_goes_on() -> None:
    change = Told({"type": "change", "executions": [record(200)]})
    state = after(pressed(told(), "p"), change)
    assert ("r000099", "r000200") == (state.shown.records[0].id, state.model.records[0].id)
    assert "r000200" == pressed(state, "p").shown.records[0].id


def test_removal_asks_and_names_the_agent() -> None:
    asked = pressed(told(focus=Panel.AGENTS), "j", "d")
    assert Confirm("agent-01") == asked.overlay
    assert (RemoveAgent("agent-01"),) == pressed(asked, "y").commands
    for key in ("n", "enter", "esc", "d", " "):
        assert () == pressed(asked, key).commands


def test_a_removal_that_fails_is_told() -> None:
    state = after(told(), Answered(RemoveAgent("a"), 404, {"detail": "there is no agent a"}))
    assert state.message is not None
    assert "agent a is not removed: there is no agent a" == state.message.text


def test_q_and_ctrl_c_and_the_outside_end_the_monitor() -> None:
    assert pressed(told(), "q").has_ended
    assert after(told(), Ended()).has_ended
    for keys in ((), ("?",), ("/",), ("enter",)):
        assert pressed(told(), *keys, "ctrl-c").has_ended
    assert not pressed(told(), "?", "q").has_ended


def test_help_opens_and_closes() -> None:
    assert Help() == pressed(told(), "?").overlay
    assert pressed(told(), "?", "esc").overlay is None


def test_a_lost_coordinator_is_remembered_from_the_first_failure_on() -> None:
    state = after(told(), TimePassed(NOW + 5), LinkDown("refused"), TimePassed(NOW + 9), LinkDown("refused again"))
    assert (False, NOW + 5, NOW, "refused again") == (
        state.link.is_up,
        state.link.since,
        state.link.heard,
        state.link.reason,
    )
    assert after(state, LinkUp()).link.is_up


def test_keys_work_while_there_is_no_coordinator() -> None:
    state = pressed(after(told(), LinkDown("refused")), "j", "e")
    assert ("r000098", (Execute(),)) == (state.looks.cursor, state.commands)


def test_refreshing_is_said_until_it_is_over_one_way_or_the_other() -> None:
    state = pressed(told(), "r")
    assert state.message is not None
    assert "refreshing" == state.message.text
    assert after(state, Told({"type": "change"})).message == state.message
    assert after(state, LinkDown("refused")).message is None
    refreshed = after(state, Told(snapshot())).message
    assert refreshed is not None
    assert "refreshed" == refreshed.text


def test_a_record_opened_during_an_outage_is_read_once_the_coordinator_is_back() -> None:
    state = after(
        pressed(after(told(), LinkDown("refused")), "enter"), Answered(ReadRecord("r000099"), 0, problem="no")
    )
    assert "no" == state.overlay.problem
    back = after(replace(state, commands=()), LinkUp())
    assert ((ReadRecord("r000099"),), "") == (back.commands, back.overlay.problem)
    read = after(back, Answered(ReadRecord("r000099"), 200, record(99)))
    assert () == after(replace(read, commands=()), LinkUp()).commands


def test_what_is_said_of_a_filter_goes_with_it() -> None:
    shown = pressed(told(focus=Panel.POOL), "enter")
    assert shown.message is not None
    assert pressed(shown, "esc").message is None


@pytest.mark.parametrize("key", ["e", "c", "r", "d", "o", "enter", "/", "?", "s", "p", "z", "j", "G", "tab", "1"])
def test_no_key_is_lost_during_an_outage(key: str) -> None:
    """Each changes what is shown, asks for something, or is answered with a message."""
    down = after(told(), LinkDown("refused"))
    assert pressed(down, key) != down


def test_a_new_size_is_taken() -> None:
    state = after(told(), Resized(120, 35))
    assert (120, 35) == (state.width, state.height)
