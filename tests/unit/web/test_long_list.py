"""A list of requests with more values than are read at once. What is done with one is in `test_batch_requests.py`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.web import long_list
from dispatcher.web.long_list import MOST_CHARS, MOST_MARKS, LongList
from dispatcher.web.problems import Problem


def read(text: str) -> LongList:
    return asyncio.run(long_list.read(text))


def refused(text: str) -> tuple[int, str, str]:
    """The status, the first pointer and the detail of the answer to a body that cannot be read."""
    with pytest.raises(Problem) as raised:
        list(read(text))
    content = raised.value.content
    return raised.value.status, content.get("errors", [{"pointer": ""}])[0]["pointer"], content["detail"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},:\n \N{EURO SIGN}'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='b"\\[{,'), inner),
    max_leaves=10,
)


@given(
    listed=st.lists(VALUES, min_size=1),
    beside=st.dictionaries(st.text(alphabet='x"\\,'), VALUES, max_size=3),
    after=st.dictionaries(st.text(alphabet="y]"), VALUES, max_size=3),
    indent=st.sampled_from([None, 2]),
    is_ascii=st.booleans(),
)
def test_requests_and_what_is_beside_them_are_what_json_says(
    listed: list[Any], beside: dict[str, Any], after: dict[str, Any], indent: int | None, *, is_ascii: bool
) -> None:
    content = {**beside, "requests": listed, **{name: value for name, value in after.items() if name not in beside}}
    found = read(json.dumps(content, indent=indent, ensure_ascii=is_ascii))
    assert listed == list(found) == list(found)
    assert len(listed) == len(found)
    assert {**content, "requests": []} == found.rest


@pytest.mark.parametrize(
    "text",
    [
        '{"requests": [{}',
        '{"requests": [{}}',
        '{"requests": [{}]',
        '{"requests": [{}] "a": 1}',
        '{"requests": [{},]}',
        '{"requests": [{},,{}]}',
        '{"requests": [{} {}]}',
        '{"requests": [{]]}',
        '{"requests": ["]}',
        '{"requests": ["\\"]}',
        '{"requests": [{}], "requests": [{}]}',
        '{"requests": [{"a": 1, "a": 2}]}',
        '{"requests": [NaN]}',
        '{"a", "requests": [{}]}',
        "{",
        '{"a": 1',
    ],
)
def test_what_is_no_json_is_said_to_be_wherever_it_stands(text: str) -> None:
    assert 400 == refused(text)[0]


def test_which_request_is_no_json_is_said() -> None:
    assert "/requests/2 is not JSON: Expecting value" in refused('{"requests": [{}, {}, {"a": x}]}')[2]


@pytest.mark.parametrize(
    "text", ["[{}, {}]", '{"a": [{}]}', '{"request": [{}]}', '{"requests": {}}', "5", " " * 200 + "{"]
)
def test_without_a_list_all_of_it_is_too_much(text: str) -> None:
    status, pointer, detail = refused(text)
    assert (422, "") == (status, pointer)
    assert "must have fewer than 5000 values" in detail


LARGE = {
    "marks": "[" * MOST_MARKS + "]" * MOST_MARKS,
    "strings": '""' * MOST_MARKS,
    "a string": f'"{"x" * MOST_CHARS}"',
    "backslashes": '"' + "\\\\" * MOST_CHARS + '"',
    "spaces": " " * MOST_CHARS + "1",
}


@pytest.mark.parametrize("name", LARGE)
def test_one_request_and_what_is_beside_the_list_are_bounded(name: str) -> None:
    large = LARGE[name]
    status, pointer, detail = refused(f'{{"requests": [{{}}, {large}, {{}}]}}')
    assert (422, "/requests/1") == (status, pointer)
    assert f"at most {MOST_CHARS} characters, and {MOST_MARKS} quotes, brackets and commas" in detail
    for beside in (f'{{"a": {large}, "requests": [{{}}]}}', f'{{"requests": [{{}}], "a": {large}}}'):
        assert (422, "") == refused(beside)[:2]


def test_a_request_of_1024_headers_is_taken() -> None:
    headers = [["X-Name", "value, with a comma"]] * 1024
    assert [{"headers": headers}] * 3 == list(read(json.dumps({"requests": [{"headers": headers}] * 3})))


def test_more_than_a_million_are_refused_and_a_million_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_list, "MAX_BATCH", 10)
    assert 10 == len(read(json.dumps({"requests": [{}] * 10})))
    assert (422, "/requests") == refused(json.dumps({"requests": [{}] * 11}))[:2]


def test_the_loop_turns_while_a_long_list_is_cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_list, "TURN_SECONDS", 0.0)
    turned = 0

    async def turning() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    async def test() -> int:
        others = asyncio.create_task(turning())
        found = await long_list.read(json.dumps({"requests": [{}] * 1000}))
        others.cancel()
        return len(found)

    assert 1000 == asyncio.run(test())
    assert turned > 500
