"""The fields of a plain class are those that a dataclass with the same members has."""

from __future__ import annotations

import dataclasses
from typing import Any

from dispatcher.members import NOTHING, declared, field


def test_fields_are_those_of_a_dataclass_in_their_order() -> None:
    found = declared("Made", ("needed", NOTHING), ("given", 1), ("shown", field(default="x", metadata={"of": "it"})))
    assert ["needed", "given", "shown"] == list(found) == [each.name for each in found.values()]
    assert [dataclasses.MISSING, 1, "x"] == [each.default for each in found.values()]
    assert {"of": "it"} == found["shown"].metadata


def test_a_class_with_them_is_replaced_and_shown_as_a_dict() -> None:
    class Made:
        __dataclass_fields__ = declared("Made", ("value", NOTHING), ("made", field(default=0, init=False)))

        def __init__(self, value: int) -> None:
            self.value, self.made = value, value * 2

    one: Any = Made(1)
    assert dataclasses.is_dataclass(one)
    assert {"value": 1, "made": 2} == dataclasses.asdict(one)
    assert {"value": 3, "made": 6} == dataclasses.asdict(dataclasses.replace(one, value=3))


def test_a_class_without_members_has_no_fields() -> None:
    assert {} == declared("Empty")
