"""How a handler describes its verbs."""

from __future__ import annotations

import dataclasses

import pytest

from dispatcher.web.operations import Operation, with_head


def test_an_operation_has_a_body_only_where_it_says_so() -> None:
    plain = Operation("Look", {200: None})
    assert (None, None, (), {}) == (plain.body, plain.query, plain.problems, plain.path_parameters)


def test_an_operation_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Operation("Look", {200: None}).summary = "Leap"  # type: ignore[misc]  # that is the point


def test_head_goes_with_every_get_that_changes_nothing() -> None:
    get, post = Operation("Look", {200: None}), Operation("Leap", {201: None})
    assert ["GET", "POST", "HEAD"] == list(with_head({"GET": get, "POST": post}))
    assert ["GET"] == list(with_head({"GET": dataclasses.replace(get, is_safe=False)}))
    assert ["POST"] == list(with_head({"POST": post}))
    assert not with_head({"GET": get})["HEAD"].has_content
