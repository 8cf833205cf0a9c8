"""`needs.py` and what it does to the screen: width goes where names and URLs need it, and nothing jumps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispatcher.monitor import layout, needs
from dispatcher.monitor.events import Told
from dispatcher.monitor.lines import plain
from dispatcher.monitor.screen import compose
from dispatcher.monitor.state import Panel, State
from tests.unit.monitor.examples import after, agent, exit_, model_with, record, snapshot, told

LONG = "2001:db8:1111:2222:3333:4444:5555:6666"
PATH = "/a/path/that/is/as/long/as/paths/of/apis"


def pool(*exits: dict[str, Any]) -> dict[str, Any]:
    return {"size": len(exits), "available": len(exits), "next": None, "exits": list(exits)}


def rows(state: State, size: tuple[int, int]) -> list[str]:
    return [plain(row) for row in compose(replace(state, width=size[0], height=size[1]))]


def test_the_longest_names_are_found() -> None:
    listed = pool(exit_(0, 1, address=LONG), exit_(0, 2, state="dadfailed", reason="taken"))
    told_of = model_with(agents=[agent(0, hostname="日本")], pool=listed)
    assert needs.Needs(address=len(LONG), agent=8, host=4, condition=16, result=7) == needs.of(told_of)


def test_nothing_told_needs_nothing() -> None:
    assert needs.Needs(0, 0, 0, 0, 0) == needs.of(State().model)


def test_at_200x50_history_has_what_the_pool_does_not_need() -> None:
    state = after(told(), Told(snapshot(executions=[record(1, request={"method": "GET", "url": f"http://x{PATH}"})])))
    assert any(f"http://x{PATH} " in row for row in rows(state, (200, 50)))


def test_at_200x50_long_addresses_and_reasons_have_the_room_that_they_need() -> None:
    listed = pool(exit_(0, 1, address=LONG), exit_(0, 2, state="dadfailed", reason="another has it"))
    state = after(told(), Told(snapshot(pool=listed)))
    assert any(f" {LONG} " in row for row in rows(state, (200, 50)))
    assert 90 == layout.area_of(replace(state, width=200, height=50), Panel.POOL).width


def test_numbers_move_no_column() -> None:
    before = told()
    busy = [exit_(number, low, leased=4321, completed=4000, failed=321) for low in range(1, 17) for number in range(3)]
    after_load = after(before, Told(snapshot(pool=pool(*busy))))
    for size in ((80, 24), (200, 50)):
        titles = [[row.find("used") for row in rows(state, size)] for state in (before, after_load)]
        assert titles[0] == titles[1]
        places = [layout.areas(replace(state, width=size[0], height=size[1])) for state in (before, after_load)]
        assert places[0] == places[1]
