"""`screen.py`, the panels and `view.py`: the screen as data at every size, with long, wide and hostile text."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.monitor import help  # noqa: A004 (the module of the help)
from dispatcher.monitor.events import (
    Answered,
    Execute,
    LinkDown,
    ReadRecord,
    ReadRequest,
    StoreRequest,
    TextPasted,
    TimePassed,
    Told,
)
from dispatcher.monitor.glyphs import ASCII
from dispatcher.monitor.lines import plain, width_of
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import Panel, State
from dispatcher.monitor.view import view
from tests.unit.monitor.examples import NOW, after, agent, exit_, pressed, record, request, snapshot, told

SIZES = ((40, 10), (80, 24), (120, 35), (200, 50))
HOSTILE = "\x1b]0;owned\x07\r\u202e日本語\u200b\x9b2J" + "x" * 300


def text(state: State, size: tuple[int, int] = (80, 24)) -> str:
    return "\n".join(plain(row) for row in compose(replace(state, width=size[0], height=size[1])))


def overlays() -> dict[str, State]:
    form = after(pressed(told(), "c"), Answered(ReadRequest(), 200, request()))
    return {
        "nothing told yet": State(url="http://x", now=NOW),
        "panels": told(),
        "record": after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, record(99))),
        "agent": pressed(told(focus=Panel.AGENTS), "enter"),
        "help": pressed(told(), "?"),
        "form": form,
        "long form": after(form, TextPasted("https://x/" + "y" * 500)),
        "filter": pressed(told(), "/", *"abc"),
        "question": pressed(told(focus=Panel.AGENTS), "d"),
        "down": after(told(), LinkDown("connection refused")),
        "zoomed": pressed(told(focus=Panel.STATS), "z"),
        "hostile": after(told(), Told(hostile())),
    }


def hostile() -> dict[str, Any]:
    """Return a snapshot with text in every place that was written to harm."""
    bad_record = record(99, agent_id=HOSTILE, source_ip=HOSTILE, error={"kind": HOSTILE, "detail": HOSTILE})
    bad_record["request"] = {"method": HOSTILE, "url": HOSTILE, "headers": []}
    return snapshot(
        agents=[agent(0, HOSTILE, hostname=HOSTILE, version=HOSTILE), agent(1, agent_id=HOSTILE)],
        pool={"size": 1, "available": 1, "next": None, "exits": [exit_(0, 1, address=HOSTILE, reason=HOSTILE)]},
        executions=[bad_record],
        request=request(url=HOSTILE, headers=[[HOSTILE, HOSTILE]], body=HOSTILE, body_size=5),
        stats={**snapshot()["stats"], "by_error": {HOSTILE: 3}, "version": HOSTILE},
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", list(overlays()))
def test_every_screen_has_exactly_its_size(name: str, size: tuple[int, int]) -> None:
    width, height = size
    rows = compose(replace(overlays()[name], width=width, height=height))
    assert height == len(rows)
    assert [width] * height == [width_of(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 230), st.integers(0, 70), st.sampled_from(list(overlays())))
def test_any_size_at_all_is_drawn(width: int, height: int, name: str) -> None:
    rows = compose(replace(overlays()[name], width=width, height=height))
    assert height == len(rows)
    assert all(width_of(row) <= width for row in rows)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_from_outside_reaches_the_terminal_unseen(size: tuple[int, int]) -> None:
    for focus in Panel:
        state = after(told(focus=focus), Told(hostile()))
        for shown in (state, pressed(state, "enter"), pressed(state, "d")):
            drawn = text(shown, size).replace("\n", "")
            assert drawn.isprintable()
            assert not set("\u202e\u200b\x9b\r\x07") & set(drawn)


def test_a_window_that_is_too_small_says_so() -> None:
    assert text(told(), (39, 10)).startswith("The window is too small: 39x10.\n40x10 is needed.")


def test_all_panels_are_there_at_80x24() -> None:
    drawn = text(told())
    for panel in Panel:
        assert panel in drawn
    assert 24 == len(drawn.splitlines())


def test_at_40x10_there_is_the_panel_in_focus_with_its_most_important_columns() -> None:
    drawn = text(told(), (40, 10))
    assert "5 History" in drawn
    assert "1 Agents" not in drawn
    assert "2001:db8:0::4" in drawn
    assert "method" not in drawn


def test_at_200x50_there_are_columns_that_80x24_has_no_room_for() -> None:
    drawn = text(told(), (200, 50))
    for title in ("host", "version", "method", "size", "last", "busy"):
        assert title in drawn


def test_the_next_exit_is_marked_with_a_glyph_and_a_legend() -> None:
    rows = text(told()).splitlines()
    assert [row for row in rows if "▶ next" in row]
    assert [row for row in rows if "▶ 2001:db8:0::1 " in row]


def test_a_state_is_a_word_and_a_glyph_and_not_only_a_colour() -> None:
    rows = text(told()).splitlines()
    assert [row for row in rows if "● agent-00 connected" in row]
    assert [row for row in rows if "✖ agent-02 lost" in row]


def test_an_agent_of_another_version_than_the_coordinator_is_marked_and_both_are_told() -> None:
    state = after(told(focus=Panel.AGENTS), Told(snapshot(agents=[agent(0, version="0.0.9"), agent(1)])))
    drawn = text(state, (200, 50))
    assert "!0.0.9" in drawn
    assert "!0.1.0" not in drawn
    assert "version     0.0.9  (the coordinator runs 0.1.0)" in text(pressed(state, "enter"))


def test_an_exit_that_is_not_used_says_why_where_there_is_room() -> None:
    pool = {
        "size": 1,
        "available": 0,
        "next": None,
        "exits": [exit_(0, 1, state="dadfailed", reason="another machine has it")],
    }
    state = pressed(after(told(focus=Panel.POOL), Told(snapshot(pool=pool))), "z")
    assert "✖ dadfailed: another machine has it" in text(state, (120, 35))


def test_ascii_marks_leave_nothing_but_ascii() -> None:
    assert text(replace(told(), glyphs=ASCII), (120, 35)).isascii()


def test_a_lost_coordinator_is_said_with_the_age_of_what_is_shown() -> None:
    state = after(told(), TimePassed(NOW + 5), LinkDown("connection refused"), TimePassed(NOW + 17))
    drawn = text(state)
    assert "✖ no coordinator for 12s, shown as of 17s ago" in drawn
    assert "connection refused; trying again" in drawn
    assert "r" in drawn.splitlines()[-1]


def test_a_silent_coordinator_is_said_too() -> None:
    assert "silent for 10s" in text(after(told(), TimePassed(NOW + 10)))


def test_a_pause_is_said() -> None:
    assert "PAUSED" in text(pressed(told(), "p"))


def test_the_question_names_the_agent_and_what_it_takes_along() -> None:
    last = text(pressed(told(focus=Panel.AGENTS), "j", "d")).splitlines()[-1]
    assert " y removes agent agent-01 (16 addresses, 1 in flight), any other key does not" == last


def test_the_whole_record_has_headers_timings_and_body() -> None:
    drawn = text(overlays()["record"], (80, 60))
    for part in ("Execution r000099", "Timings", "connect       3.0 ms", "Content-Type: text/plain", "Body", "hello"):
        assert part in drawn


def test_a_failed_record_says_its_error_in_words_and_whose_fault_it_is() -> None:
    failed = after(pressed(told(), "/", *"path/98", "enter", "enter"), Answered(ReadRecord("r000098"), 200, record(98)))
    drawn = text(failed, (80, 60))
    assert "timeout: connecting took longer than 5 s" in drawn
    assert "at fault    target" in drawn


def test_each_attempt_is_shown_where_retries_were_asked_for() -> None:
    whole = record(99)
    failed = {"agent_id": "agent-07", "source_ip": "2001:db8::7", "outcome": "failed", "timings": {"total": 12.3}}
    whole["attempts"] = [failed | {"error": {"kind": "connect"}}]
    state = after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, whole))
    drawn = text(state, (100, 60))
    assert "Attempts" in drawn
    assert "✖ 2001:db8::7  at agent-07  connect  12.3 ms" in drawn
    assert "Attempts" not in text(overlays()["record"], (80, 60))


def test_a_binary_body_is_shown_as_bytes() -> None:
    whole = record(99)
    whole["response"]["body"] = {"encoding": "base64", "data": "AAEC/w==", "size": 4, "truncated": False}
    state = after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, whole))
    assert "000000  00 01 02 ff" in text(state, (100, 60))


def test_a_huge_body_and_a_huge_paste_are_drawn_at_once() -> None:
    whole = record(99)
    whole["response"]["body"] = {"encoding": "utf-8", "data": "ü" * 10_000_000, "size": 10**7, "truncated": False}
    state = after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, whole))
    begun = time.monotonic()
    assert "the rest is in the REST API" in text(pressed(state, "G"))
    text(after(overlays()["form"], TextPasted("日" * 1_000_000)))
    assert 3.0 > time.monotonic() - begun


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", list(overlays()))
def test_where_the_locale_is_not_utf_8_no_text_from_outside_is_written_but_in_ascii(
    name: str, size: tuple[int, int]
) -> None:
    state = replace(overlays()[name], glyphs=ASCII, width=size[0], height=size[1])
    rows = compose(replace(state, url="http://日本.test:8000"))
    assert all(plain(row).isascii() for row in rows)
    assert {size[0]} == {width_of(row) for row in rows}


def test_header_values_in_utf_8_are_read_as_such_and_others_stay() -> None:
    whole = record(99)
    whole["response"]["headers"] = [["A", "日本 ü".encode().decode("latin-1")], ["B", "\xfc\xe9"]]
    shown = text(after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, whole)), (80, 60))
    assert "A: 日本 ü" in shown
    assert "B: üé" in shown


def test_a_header_longer_than_the_window_is_shown_to_its_end() -> None:
    whole = record(99)
    whole["response"]["headers"] = [["A", "日" * 100 + "the end"]]
    rows = text(after(pressed(told(), "enter"), Answered(ReadRecord("r000099"), 200, whole)), (80, 60)).splitlines()
    first = next(number for number, row in enumerate(rows) if "A: 日" in row)
    assert "the end" in rows[first + 2]


@pytest.mark.parametrize(
    ("keys", "title"),
    [
        ("", "newest 99 of 1234 ─"),
        ("/timeout", "14 of newest 99 /timeout"),
        ("/!timeout", "85 of newest 99 /!timeout"),
    ],
)
def test_the_title_counts_what_matches_the_filter(keys: str, title: str) -> None:
    assert title in text(pressed(told(), *keys, *["enter"] * bool(keys)))


def test_the_title_counts_matches_in_every_panel_with_rows() -> None:
    assert "1 Agents 1 of 3 /agent-02" in text(pressed(told(focus=Panel.AGENTS), "/", *"agent-02", "enter"))
    assert "2 Pool 16 of 48 /agent-02" in text(pressed(told(focus=Panel.POOL), "/", *"agent-02", "enter"))


def test_a_long_name_leaves_room_for_what_says_that_there_is_more() -> None:
    long = record(99, id="01a2070f-20fc-7000-869b-79d97b52d258")
    state = pressed(after(told(), Told(snapshot(executions=[long]))), "enter")
    opened = after(state, Answered(ReadRecord(long["id"]), 200, long))
    assert "Execution 01a2070f-20fc… 1-6 of 28 " in text(opened, (40, 10)).splitlines()[1]


def test_the_outcome_of_an_execution_leaves_room_for_the_keys() -> None:
    last = text(after(pressed(told(), "e"), Answered(Execute(), 200, record(200))), (120, 35)).splitlines()[-1]
    assert last.startswith(" 503 OK in 14.4 ms through 2001:db8:2::9 at agent-02 (o opens it)")
    assert "q quit  ? help  e execute" in last


def test_all_of_the_help_can_be_read_at_40x10() -> None:
    shown = pressed(replace(told(), width=40, height=10), "?")
    seen = []
    for _ in range(30):
        rows = text(shown, (40, 10)).splitlines()
        assert "…" not in "".join(rows)
        seen += [row.strip("│ ") for row in rows[2:-2]]
        shown = pressed(shown, "pgdn")
    read = " ".join(" ".join(seen).split())
    for keys, what in help.LINES:
        assert keys in read
        assert all(word in read for word in what.split())
    assert "of 72" in text(shown, (40, 10)).splitlines()[1]


LARGE = request(
    url="https://example.com/" + "a" * 100,
    headers=[[f"Name-{number}", str(number)] for number in range(14)],
    body="\n".join(f"line {number}" for number in range(9)),
)


def large_form(*keys: str) -> State:
    return pressed(after(pressed(told(), "c"), Answered(ReadRequest(), 200, LARGE)), *keys)


@pytest.mark.parametrize(
    ("keys", "marks"),
    [
        ((), (" +4 below ", "+8 lines")),
        (("tab", "tab"), (" +4 above ", "+8 lines")),
        (("tab", "tab", *["up"] * 7), (" +1 above ", " +3 below ", "+8 lines")),
        (("tab", "tab", "tab"), (" +12 below ",)),
    ],
)
def test_lines_of_the_form_that_are_not_in_sight_are_counted(keys: tuple[str, ...], marks: tuple[str, ...]) -> None:
    drawn = text(large_form(*keys))
    assert all(mark in drawn for mark in marks), drawn
    assert len(marks) == sum(drawn.count(word) for word in (" above ", " below ", " lines "))


def test_the_field_in_focus_has_the_room() -> None:
    assert 10 == sum("Name-" in row for row in text(large_form("tab", "tab")).splitlines())
    assert 9 == sum(
        " line " in row.replace("command line", "") for row in text(large_form("tab", "tab", "tab")).splitlines()
    )


def test_a_long_line_of_the_form_says_with_an_ellipsis_where_it_goes_on() -> None:
    def url(*keys: str) -> str:
        return next(row for row in text(large_form(*keys)).splitlines() if "URL " in row).strip("│")

    assert url("tab").rstrip().endswith("a…")
    assert url("home").rstrip().endswith("a…")
    assert "URL         …aaa" in url()
    assert "URL         …aaa" in url(*["left"] * 40)
    assert url(*["left"] * 40).rstrip().endswith("a…")


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (40, 10)])
def test_all_of_what_is_said_of_the_form_stays_in_sight(size: tuple[int, int]) -> None:
    unknown = ("--proxy", "--cert", "--interface", "--resolve", "--netrc")
    state = after(large_form(), TextPasted(f"curl {' x '.join(unknown)} http://x.test"))
    drawn = text(state, size)
    assert all(option in drawn for option in (*unknown, "nothing was taken over"[:7])), drawn
    assert "URL " in drawn


def test_an_error_beside_a_field_is_shown_to_its_end() -> None:
    problem = {"errors": [{"pointer": "/url", "detail": "Must start with http:// or https://, and this is its end."}]}
    drawn = text(after(pressed(large_form(), "ctrl-s"), Answered(StoreRequest({}), 422, problem)), (40, 20))
    assert "✖ Must start with" in drawn
    assert "end." in drawn


def test_a_window_too_low_for_the_form_says_which_field_has_the_focus() -> None:
    assert "field 3 of 9" in text(large_form("tab", "tab"), (40, 10))
    assert "field 3" not in text(large_form("tab", "tab"))


def test_wide_characters_line_up() -> None:
    wide = after(told(), Told(snapshot(agents=[agent(0, hostname="日本語"), agent(1, hostname="plain")])))
    rows = [row for row in compose(replace(wide, width=200, height=50)) if "gw" in plain(row) or "日本" in plain(row)]
    assert {200} == {width_of(row) for row in rows}


def test_the_form_shows_errors_beside_their_fields() -> None:
    from dispatcher.monitor.events import StoreRequest  # noqa: PLC0415 (for this test alone)

    problem = {"errors": [{"pointer": "/method", "detail": "Must be a token."}]}
    state = after(pressed(overlays()["form"], "ctrl-s"), Answered(StoreRequest({}), 422, problem))
    rows = text(state).splitlines()
    place = next(number for number, row in enumerate(rows) if "Method      GET" in row)
    assert "✖ Must be a token." in rows[place + 1]


def test_the_form_keeps_the_cursor_in_sight() -> None:
    rows = text(overlays()["long form"]).splitlines()
    assert next(row for row in rows if "URL  " in row).rstrip("│ ").endswith("yyy")


def test_the_array_of_curtsies_has_the_size_and_the_text_of_the_screen() -> None:
    array = view(told(), 80, 24)
    assert (24, 80) == array.shape
    assert [80] * 24 == [row.width for row in array]
    assert text(told()) == "\n".join(row.s.rstrip() for row in array)


def test_drawing_the_same_state_twice_gives_the_same_screen() -> None:
    assert [str(row) for row in view(told(), 80, 24)] == [str(row) for row in view(told(), 80, 24)]
