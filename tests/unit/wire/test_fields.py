"""How fields are declared, checked and written. The bounds of the real messages are in `test_messages.py`."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.wire import fields
from dispatcher.wire.fields import WireError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Part:
    name: str = fields.text(3)


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of each kind."""

    number: float = fields.number(0.0, 10.0)
    whole: int = fields.integer(0, 10, default=0)
    flag: bool = fields.flag(default=False)
    colour: Colour = fields.choice(Colour, default=Colour.RED)  # noqa: RUF009 (the call declares a field)
    parts: tuple[Part, ...] = fields.records(Part, 2, default=())
    names: tuple[str, ...] = fields.strings(2, 3, default=())
    maybe: int | None = fields.optional(fields.integer(0, 1))
    local: int = 7


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def test_a_missing_member_is_named() -> None:
    with pytest.raises(WireError, match=r"^Sample\.number is missing$"):
        fields.parse(Sample, {})


def test_missing_members_have_their_defaults() -> None:
    assert Sample(1.0) == fields.parse(Sample, {"number": 1})


def test_unknown_members_and_undeclared_ones_are_ignored() -> None:
    assert 7 == fields.parse(Sample, {"number": 1, "local": 9, "tomorrow": [{}]}).local


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(WireError, match=r"^Sample is not an object$"):
        fields.parse(Sample, [])


def test_a_member_of_a_record_is_named_with_its_place() -> None:
    with pytest.raises(WireError, match=r"^Sample\.parts Part\.name has 4 characters, not 0 to 3$"):
        fields.parse(Sample, {"number": 1, "parts": [{"name": "long"}]})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("number", True),
        ("number", math.nan),
        ("number", math.inf),
        ("number", -math.inf),
        ("number", 10**400),
        ("number", -(10**400)),
        ("number", "1"),
        ("whole", 1.0),
        ("whole", True),
        ("whole", 10**400),
        ("flag", 1),
        ("flag", "true"),
        ("colour", "green"),
        ("colour", None),
        ("colour", ["red"]),
        ("parts", {}),
        ("parts", [{"name": ""}] * 3),
        ("names", ["a", 1]),
        ("names", ["long"]),
        ("names", "abc"),
    ],
)
def test_a_wrong_value_is_refused_and_the_member_named(member: str, value: object) -> None:
    with pytest.raises(WireError, match=rf"^Sample\.{member} "):
        fields.parse(Sample, {"number": 1} | {member: value})


def test_the_text_of_an_error_does_not_grow_with_the_value() -> None:
    with pytest.raises(WireError) as raised:
        fields.parse(Sample, {"number": 1, "whole": 10**4000})
    assert len(str(raised.value)) < 200


def test_null_is_taken_only_where_it_may_be() -> None:
    assert fields.parse(Sample, {"number": 1, "maybe": None}).maybe is None
    with pytest.raises(WireError):
        fields.parse(Sample, {"number": None})


@given(value=st.dictionaries(st.sampled_from([*Sample.__slots__, "x"]), json_values))
def test_any_object_is_parsed_or_refused(value: dict[str, Any]) -> None:
    try:
        sample = fields.parse(Sample, value)
    except WireError:
        return
    assert sample == fields.parse(Sample, fields.as_json(sample))


def test_only_declared_members_are_written_and_tuples_become_lists() -> None:
    sample = Sample(1.0, parts=(Part("a"),), names=("b",), local=9)
    expected = {
        "number": 1.0,
        "whole": 0,
        "flag": False,
        "colour": "red",
        "parts": [{"name": "a"}],
        "names": ["b"],
        "maybe": None,
    }
    assert expected == fields.as_json(sample)


@dataclass(frozen=True, slots=True)
class Place:
    at: str = fields.address()


_GROUPS = st.sampled_from(["0", "00", "1", "0db8", "FFFF", "ffff", "12345", "g", "", "1.2.3.4", "01.2.3.4"])
WRITTEN = st.one_of(
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded.upper()),
    st.ip_addresses().map(str),
    st.integers(0, 2**33).map(lambda low: f"::{low >> 16:x}:{low & 0xFFFF:x}"),
    st.lists(_GROUPS, max_size=10).map(":".join),
    st.tuples(st.lists(_GROUPS, max_size=6), st.lists(_GROUPS, max_size=6)).map(
        lambda halves: "::".join(map(":".join, halves))
    ),
    st.text("0123456789abcdef:.%\0 ", max_size=45),
)


@given(WRITTEN)
def test_an_address_is_what_pythons_own_reader_makes_of_it(written: str) -> None:
    try:
        expected = None if "%" in written else str(ipaddress.ip_address(written))
    except ValueError:
        expected = None
    try:
        assert expected == fields.parse(Place, {"at": written}).at
    except WireError:
        assert expected is None
