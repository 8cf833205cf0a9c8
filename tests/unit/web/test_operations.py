"""How a handler describes its verbs."""

from __future__ import annotations

import dataclasses

import pytest

from dispatcher.web.operations import Operation


def test_an_operation_has_a_body_only_where_it_says_so() -> None:
    plain = Operation("Look", {200: None})
    assert (None, None, (), {}) == (plain.body, plain.query, plain.problems, plain.path_parameters)


def test_an_operation_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Operation("Look", {200: None}).summary = "Leap"  # type: ignore[misc]  # that is the point
