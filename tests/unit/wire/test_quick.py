"""Frozen dataclasses that are made quickly: in all else they are what `dataclass` makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest

from dispatcher.wire import messages
from dispatcher.wire.quick import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class Quick:
    a: int
    b: str = "b"
    c: tuple[int, ...] = (1,)
    d: list[int] = field(default_factory=list)


def test_its_members_are_what_is_given_or_their_defaults() -> None:
    assert (1, "b", (1,), []) == dataclasses.astuple(Quick(1))
    assert (1, "x", (2,), []) == dataclasses.astuple(Quick(1, c=(2,), b="x"))
    assert (1, "x", (2,), []) == dataclasses.astuple(Quick(1, "x", (2,)))


@quickly_made
@dataclass(frozen=True, slots=True)
class Hashed:
    a: int


@quickly_made
@dataclass(frozen=True, slots=True)
class Noting:
    a: int
    notes: list[int] = field(default_factory=list, init=False)
    count: int = field(default=0, init=False)


def test_what_is_not_to_be_given_is_made_for_each() -> None:
    with pytest.raises(TypeError):
        Noting(1, [])  # type: ignore[call-arg]  # what is tried
    with pytest.raises(TypeError):
        Noting(1, count=1)  # type: ignore[call-arg]  # as above
    one, other = Noting(1), dataclasses.replace(Noting(1), a=2)
    assert (2, [], 0) == (other.a, other.notes, other.count)
    assert one.notes is not other.notes


def test_each_gets_a_default_of_its_own_where_that_is_made() -> None:
    one, other = Quick(1), Quick(1)
    assert one.d is not other.d
    given: list[int] = []
    assert given is Quick(1, d=given).d


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1,), {"e": 1}), ((1, "b", (), [], 5), {}), ((1,), {"a": 1})])
def test_what_it_does_not_have_is_refused(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Quick(*values, **named)


def test_it_is_compared_hashed_copied_and_replaced_as_before() -> None:
    made = Quick(1)
    assert made == Quick(1)
    assert Quick(2, "b") == dataclasses.replace(made, a=2)
    assert hash(Hashed(1)) == hash(Hashed(1))
    assert made == copy.copy(made) == pickle.loads(pickle.dumps(made))


@pytest.mark.parametrize("cls", [messages.Execute, messages.Result])
def test_the_messages_of_every_execution_take_what_they_declare(cls: type[Any]) -> None:
    parameters = inspect.signature(cls).parameters.values()
    declared = {each.name: each.default for each in dataclasses.fields(cls) if each.init}
    assert list(declared) == [each.name for each in parameters]
    given = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
    assert given == {name: declared[name] for name in given}
    assert "<string>" == cls.__init__.__code__.co_filename
    assert cls.__setattr__ is object.__setattr__
