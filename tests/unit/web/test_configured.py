"""The configured request on the event loop: what an override leaves of it, and what an agent is sent."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.actors.messages import StoredRequest
from dispatcher.request import RequestSpec
from dispatcher.web.configured import SCHEMA, Configured, to_spec
from dispatcher.wire.messages import HttpVersion


def configured(**fields: Any) -> Configured:
    return Configured(StoredRequest(1, SCHEMA.load({"url": "http://t/", **fields})))


def test_nothing_is_configured_at_first() -> None:
    empty = Configured(None)
    assert (None, None) == (empty.stored, empty.spec)
    assert {"url": "http://x/"} == empty.merged({"url": "http://x/"})


def test_what_is_stored_becomes_a_request() -> None:
    expected = RequestSpec(
        url="http://t/",
        method="PUT",
        headers=(("A", "b"),),
        body="\u00e4".encode(),
        timeout=2.0,
        http_version=HttpVersion.HTTP_2,
    )
    fields = {"method": "put", "headers": {"A": "b"}, "body": "\u00e4", "timeout": 2, "http_version": "2"}
    assert expected == configured(**fields).spec


def test_what_an_older_version_stored_has_no_retries() -> None:
    older = SCHEMA.load({"url": "http://t/"})
    del older["retries"]
    kept = Configured(StoredRequest(1, older))
    assert (0, 3) == (kept.spec and kept.spec.retries, to_spec(SCHEMA.load(kept.merged({"retries": 3}))).retries)


@pytest.mark.parametrize(
    ("base", "overrides", "body"),
    [
        ({"body": "a"}, {}, b"a"),
        ({"body": "a"}, {"body": "b"}, b"b"),
        ({"body": "a"}, {"body_base64": "AA=="}, b"\x00"),
        ({"body_base64": "AA=="}, {"body": "b"}, b"b"),
        ({"body": "a"}, {"body": None}, None),
        ({"body_base64": "AA=="}, {"body_base64": None}, None),
        ({}, {"body": ""}, b""),
        ({}, {}, None),
    ],
)
def test_an_override_of_the_body_replaces_it_in_either_form(
    base: dict[str, str], overrides: dict[str, str | None], body: bytes | None
) -> None:
    assert body == to_spec(SCHEMA.load(configured(**base).merged(overrides))).body


def test_an_override_changes_nothing_that_is_stored() -> None:
    kept = configured(headers={"A": "b"})
    before = dict(kept.stored.request) if kept.stored else {}
    kept.merged({"headers": [], "body": "x"})["headers"].append(["C", "d"])
    assert before == (kept.stored and kept.stored.request)


def test_an_older_request_that_took_longer_to_read_replaces_no_newer_one() -> None:
    known = configured()
    older = StoredRequest(2, SCHEMA.load({"url": "http://older/"}))
    newer = StoredRequest(3, SCHEMA.load({"url": "http://newer/"}))

    known.replace(newer, to_spec(newer.request))
    known.replace(older, to_spec(older.request))

    assert known.stored is newer
    assert to_spec(newer.request) == known.spec
