"""`/api/history`: pages that stand still, filters, cursors, single records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from dispatcher.actors.loop_actor import ask
from dispatcher.actors.messages import AppendRecords, Outcome
from dispatcher.errors import Failure, FailureKind
from dispatcher.record import Record
from dispatcher.wire.messages import Execute
from tests.support.api import Served, served
from tests.support.records import record
from tests.support.scripted_agent import answers, ok
from tests.unit.web.wrong_values import QUERY_WRONG

PATH = "/api/history"
T0 = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def one_of_many(number: int) -> Record:
    """Make one of many different records; `number` seconds after `T0`."""
    kind = (None, FailureKind.DNS, FailureKind.TIMEOUT)[number % 3]
    source = f"2001:db8::{number % 5 + 1}"
    execute = Execute(id=f"r{number:03}", source=source, method="GET", url="http://t/", timeout=1.0)
    return record(
        identifier=f"r{number:03}",
        outcome=Outcome.COMPLETED if kind is None else (Outcome.FAILED, Outcome.UNKNOWN)[number % 2],
        exit_used=(f"agent-{number % 2}", source),
        result=ok(execute, status=(200, 404)[number % 2]),
        failure=None if kind is None else Failure.of(kind, "so it was"),
        started_at=T0 + number,
        finished_at=T0 + number,
    )


RECORDS = [one_of_many(number) for number in range(30)]


def append(api: Served, *records: Record) -> None:
    for one in records:
        api.run(ask(api.running.services.history, AppendRecords((one.to_row(65536),))))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A coordinator whose history has `RECORDS`."""
    with served(tmp_path_factory.mktemp("state")) as running:
        append(running, *RECORDS)
        yield running


def get(api: Served, **query: object) -> Any:
    reply = api.call("GET", f"{PATH}?{urlencode(query)}")
    assert 200 == reply.status, reply.body
    return reply.json


def ids(page: Any) -> list[str]:
    return [item["id"] for item in page["items"]]


def test_an_empty_history_has_one_empty_page(api: Served) -> None:
    assert b'{"items":[],"next":null}' == api.call("GET", PATH).body


def test_the_newest_comes_first(filled: Served) -> None:
    assert [one.id for one in reversed(RECORDS)] == ids(get(filled))


def test_a_record_is_the_same_in_a_page_and_alone(filled: Served) -> None:
    for item in get(filled, limit=3)["items"]:
        assert item == filled.call("GET", f"{PATH}/{item['id']}").json


@pytest.mark.parametrize("limit", [1, 7, 10, 29, 30, 31, 500])
def test_cursors_lead_through_all_records_once(filled: Served, limit: int) -> None:
    found, page = [], get(filled, limit=limit)
    for _ in range(40):
        found += ids(page)
        if page["next"] is None:
            break
        assert limit == len(page["items"])
        page = get(filled, limit=limit, cursor=page["next"])
    assert [one.id for one in reversed(RECORDS)] == found


def test_pages_stand_still_while_new_records_arrive(api: Served) -> None:
    append(api, *RECORDS[:10])
    page, found = get(api, limit=3), []
    for number in itertools.count(10):
        found += ids(page)
        if page["next"] is None:
            break
        append(api, one_of_many(number))
        page = get(api, limit=3, cursor=page["next"])
    assert [f"r{number:03}" for number in reversed(range(10))] == found


def test_fifty_records_are_a_page_unless_asked_otherwise(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        append(api, *map(one_of_many, range(60)))
        assert [50, 60] == [len(get(api)["items"]), len(get(api, limit=500)["items"])]


FILTERS: dict[str, tuple[str, Callable[[Record], bool]]] = {
    "agent_id": ("agent-1", lambda one: one.agent_id == "agent-1"),
    "source_ip": ("[2001:DB8:0::2]", lambda one: one.source_ip == "2001:db8::2"),
    "outcome": ("unknown", lambda one: one.outcome == "unknown"),
    "status": ("200", lambda one: one.response is not None and one.response.status == 200),
    "error": ("timeout", lambda one: one.failure is not None and one.failure.kind == "timeout"),
    "since": ("2026-01-01T00:00:10Z", lambda one: one.finished_at_ms >= (T0 + 10) * 1000),
    "until": ("2026-01-01T01:00:20+01:00", lambda one: one.finished_at_ms < (T0 + 20) * 1000),
}
COMBINATIONS = [names for count in range(len(FILTERS) + 1) for names in itertools.combinations(FILTERS, count)]


@pytest.mark.parametrize("names", COMBINATIONS, ids=lambda names: "+".join(names) or "none")
def test_filters_mean_what_they_say_alone_and_together(filled: Served, names: tuple[str, ...]) -> None:
    wanted = [one.id for one in reversed(RECORDS) if all(FILTERS[name][1](one) for name in names)]
    query = {name: FILTERS[name][0] for name in names}
    assert wanted == ids(get(filled, **query))
    if len(wanted) > 1:
        first = get(filled, limit=1, **query)
        assert wanted[:2] == ids(first) + ids(get(filled, limit=1, cursor=first["next"], **query))


def test_every_filter_of_the_contract_finds_some_and_not_all() -> None:
    for _, matches in FILTERS.values():
        assert 0 < sum(map(matches, RECORDS)) < len(RECORDS)


def test_since_takes_in_its_own_millisecond_and_until_leaves_it_out(filled: Served) -> None:
    moment = get(filled, limit=1)["items"][0]["finished_at"]
    assert ["r029"] == ids(get(filled, since=moment))
    assert "r029" not in ids(get(filled, until=moment))
    assert [] == ids(get(filled, since=moment, until=moment))


def test_a_plus_sign_that_was_not_escaped_is_understood(filled: Served) -> None:
    assert ids(get(filled, since="2026-01-01T01:00:10+01:00")) == [
        item["id"] for item in filled.call("GET", f"{PATH}?since=2026-01-01T01:00:10+01:00").json["items"]
    ]


@pytest.mark.parametrize(("name", "value"), QUERY_WRONG)
def test_a_wrong_query_gets_422_with_its_pointer(filled: Served, name: str, value: str) -> None:
    reply = filled.call("GET", f"{PATH}?{name}={quote(value)}")
    assert (422, [f"/{name}"]) == (reply.status, reply.pointers)


def test_all_that_is_wrong_in_a_query_is_told_together(filled: Served) -> None:
    reply = filled.call("GET", f"{PATH}?limit=0&status=x&a%2Fb=1&m~n=1")
    assert (422, ["/a~1b", "/limit", "/m~0n", "/status"]) == (reply.status, sorted(reply.pointers))


@pytest.mark.parametrize("query", ["limit=5&limit=5", "agent_id=a&limit=5&limit=6", "cursor=1&cursor="])
def test_a_name_may_stand_once_in_a_query(filled: Served, query: str) -> None:
    assert 422 == filled.call("GET", f"{PATH}?{query}").status


@pytest.mark.parametrize("query", ["agent_id=%FF", "agent_id=%ED%A0%80", "cursor=%C0%80"])
def test_a_query_that_is_not_utf_8_gets_400(filled: Served, query: str) -> None:
    assert 400 == filled.call("GET", f"{PATH}?{query}").status


@pytest.mark.parametrize("query", ["", "&", "&&&"])
def test_an_empty_query_is_none(filled: Served, query: str) -> None:
    assert 30 == len(filled.call("GET", f"{PATH}?{query}").json["items"])


def refused_cursor(api: Served, **query: object) -> bool:
    """Say whether a page is refused for its cursor alone."""
    reply = api.call("GET", f"{PATH}?{urlencode(query)}")
    return (422, ["/cursor"]) == (reply.status, reply.pointers)


@pytest.mark.parametrize("name", FILTERS)
def test_a_cursor_goes_on_only_under_the_filters_that_it_was_given_under(filled: Served, name: str) -> None:
    one = {name: FILTERS[name][0]}
    plain, filtered = get(filled, limit=1)["next"], get(filled, limit=1, **one)["next"]
    assert refused_cursor(filled, cursor=plain, **one)
    assert refused_cursor(filled, cursor=filtered)
    for other in FILTERS.keys() - {name}:
        assert refused_cursor(filled, cursor=filtered, **one, **{other: FILTERS[other][0]})


def test_a_cursor_goes_on_with_another_limit_and_another_way_to_write_a_filter(filled: Served) -> None:
    first = get(filled, limit=1, source_ip="2001:db8::2", since="2026-01-01T00:00:00Z")
    again = get(filled, limit=2, source_ip="[2001:DB8:0::2]", since="2026-01-01T01:00:00+01:00", cursor=first["next"])
    assert 2 == len(again["items"])


@pytest.mark.parametrize("cursor", ["1-00000000", "zzzzzzzzzzzz-ffffffff"])
def test_a_cursor_that_was_made_up_is_found_out(filled: Served, cursor: str) -> None:
    assert refused_cursor(filled, cursor=cursor)


def test_a_cursor_of_another_place_is_found_out(filled: Served) -> None:
    place, _, digest = get(filled, limit=1)["next"].partition("-")
    assert refused_cursor(filled, cursor=f"{place}0-{digest}")
    changed = ("0" if digest[0] != "0" else "1") + digest[1:]
    assert refused_cursor(filled, cursor=f"{place}-{changed}")


@pytest.mark.parametrize("identifier", ["r999", "R001", "r001%20", "%27%20OR%201=1--", "*"])
def test_an_unknown_record_gets_404(filled: Served, identifier: str) -> None:
    assert 404 == filled.call("GET", f"{PATH}/{identifier}").status


def test_history_keeps_less_of_a_body_than_the_caller_got(tmp_path: Path) -> None:
    with served(tmp_path, history_body_bytes="4") as api:
        api.agent(answer=answers(body=b"\xc3\xa4" * 5))
        reply = api.call("GET", "/api/execute").json
        kept = api.call("GET", f"{PATH}/{reply['id']}").json
        body = {"encoding": "utf-8", "data": "\u00e4\u00e4", "size": 10, "truncated": True}
        assert body == kept["response"].pop("body")
        reply["response"].pop("body")
        assert reply == kept


def test_history_survives_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as first:
        append(first, *RECORDS[:5])
        page = get(first, limit=2)
    with served(tmp_path) as second:
        assert page == get(second, limit=2)
        assert ["r002", "r001", "r000"] == ids(get(second, cursor=page["next"]))


def test_a_page_of_large_records_is_whole(api: Served) -> None:
    big = one_of_many(0)
    rows = [one_of_many(number).to_row(65536) for number in range(40)]
    content = json.loads(big.to_json_bytes())
    content["response"] = {
        **json.loads(one_of_many(3).to_json_bytes())["response"],
        "body": {"encoding": "utf-8", "data": "x" * 200_000, "size": 200_000, "truncated": False},
    }
    for row in rows:
        text = json.dumps(content | {"id": row.id}).encode()
        changed = row._replace(record=text)
        api.run(ask(api.running.services.history, AppendRecords((changed,))))
    assert [f"r{number:03}" for number in reversed(range(40))] == ids(get(api))
