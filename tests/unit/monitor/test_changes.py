"""`changes.py`: what the feed says becomes the model."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.monitor import changes
from dispatcher.monitor.model import Model
from tests.unit.monitor.examples import agent, exit_, model_with, record, snapshot


def change(**members: object) -> dict[str, object]:
    return {"type": "change", **members}


def pool(*changed: dict[str, object], **members: object) -> dict[str, object]:
    return {"size": 48, "available": 47, "next": None, "changed": list(changed), "gone": [], **members}


def test_a_snapshot_is_taken_whole() -> None:
    model = model_with()
    assert ["agent-00", "agent-01", "agent-02"] == list(model.agents)
    assert 48 == len(model.exits)
    assert ("agent-00", "2001:db8:0::1") == model.next_exit
    assert "r000099" == model.records[0].id
    assert "cursor1" == model.older
    assert 300 == len(model.rate)


def test_a_message_of_an_unknown_type_changes_nothing() -> None:
    model = model_with()
    assert model is changes.take_in(model, {"type": "news"})
    assert model is changes.take_in(model, {})


def test_members_of_the_wrong_type_are_read_as_nothing() -> None:
    model = changes.take_in(Model(), {"type": "snapshot", "agents": 5, "pool": [], "executions": [1, {}], "rate": "x"})
    assert ({}, {}, 1, ()) == (model.agents, model.exits, len(model.records), model.rate)


def test_new_records_come_first_and_twice_is_once() -> None:
    model = changes.take_in(model_with(), change(executions=[record(99), record(100), record(101)], skipped=0))
    assert ["r000101", "r000100", "r000099"] == [known.id for known in model.records[:3]]
    assert 101 == len(model.records)


def test_a_leased_exit_goes_to_the_back() -> None:
    model = changes.take_in(model_with(), change(pool=pool(exit_(0, 1, leased=2))))
    assert ("agent-00", "2001:db8:0::1") == list(model.exits)[-1]


def test_an_exit_that_only_ended_its_execution_keeps_its_place() -> None:
    model = changes.take_in(model_with(), change(pool=pool(exit_(0, 1, completed=2))))
    assert ("agent-00", "2001:db8:0::1") == next(iter(model.exits))


def test_an_exit_that_is_not_leasable_stands_behind_all_that_are() -> None:
    failed = change(pool=pool(exit_(0, 1, state="dadfailed")))
    model = changes.take_in(changes.take_in(model_with(), failed), change(pool=pool(exit_(1, 1, leased=9))))
    assert [("agent-01", "2001:db8:1::1"), ("agent-00", "2001:db8:0::1")] == list(model.exits)[-2:]


def test_an_order_that_is_told_is_taken() -> None:
    keys = list(model_with().exits)
    model = changes.take_in(model_with(), change(pool=pool(order=[list(key) for key in reversed(keys)])))
    assert keys[::-1] == list(model.exits)


def test_exits_and_agents_that_are_gone_are_gone() -> None:
    gone = change(pool=pool(gone=[["agent-00", "2001:db8:0::1"]]), agents={"changed": [], "gone": ["agent-02"]})
    model = changes.take_in(model_with(), gone)
    assert ("agent-00", "2001:db8:0::1") not in model.exits
    assert ["agent-00", "agent-01"] == list(model.agents)


def test_an_agent_told_without_addresses_keeps_those_it_had() -> None:
    told = agent(1, completed=999)
    del told["addresses"]
    model = changes.take_in(model_with(), change(agents={"changed": [told], "gone": []}))
    assert (999, 16) == (model.agents["agent-01"].completed, len(model.agents["agent-01"].addresses))


def test_the_rate_goes_on_for_five_minutes() -> None:
    model = changes.take_in(model_with(), change(rate=[7, 8]))
    assert (300, (7, 8)) == (len(model.rate), model.rate[-2:])


def test_an_older_page_goes_behind() -> None:
    page = {"items": [record(1), record(0)], "next": "cursor2"}
    model = changes.add_older(model_with(), page)
    assert (100, "r000000", "cursor2") == (len(model.records), model.records[-1].id, model.older)


def test_no_more_records_are_read_than_are_kept() -> None:
    full = replace(model_with(), records=model_with().records * 102)
    model = changes.add_older(full, {"items": [record(0)], "next": "cursor2"})
    assert (changes.RECORDS_KEPT, None) == (len(model.records), model.older)


def test_a_new_snapshot_that_meets_what_is_known_keeps_what_was_scrolled_to() -> None:
    older = changes.add_older(model_with(), {"items": [record(0)], "next": None})
    model = changes.take_in(older, snapshot(executions=[record(101), record(100), record(99)]))
    assert ("r000101", "r000000", None) == (model.records[0].id, model.records[-1].id, model.older)


def test_a_new_snapshot_that_does_not_meet_replaces_all_records() -> None:
    model = changes.take_in(model_with(), snapshot(executions=[record(500)], older="cursor9"))
    assert (1, "cursor9") == (len(model.records), model.older)
