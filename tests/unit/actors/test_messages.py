"""Messages between the coordinator's parts: frozen, so that a thread and the loop may share them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from dispatcher.actors import messages
from dispatcher.actors.messages import ExitState, Message
from dispatcher.wire.messages import AddressState

CLASSES = [
    cls
    for _, cls in inspect.getmembers(messages, inspect.isclass)
    if cls.__module__.startswith(messages.__name__) and dataclasses.is_dataclass(cls)
]


def test_there_are_messages() -> None:
    assert len(CLASSES) > 30


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_it_is_frozen_and_takes_no_other_members(cls: type[Any]) -> None:
    assert cls.__dataclass_params__.frozen
    assert not hasattr(object.__new__(cls), "__dict__")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_member_can_change_in_place(cls: type[Any]) -> None:
    for field in dataclasses.fields(cls):
        assert not str(field.type).startswith(("list", "dict", "set", "bytearray")), f"{cls.__name__}.{field.name}"


def test_every_message_says_what_its_answer_is() -> None:
    for cls in CLASSES:
        if issubclass(cls, Message):
            assert hasattr(cls, "__orig_bases__"), cls.__name__


def test_an_exit_has_every_state_of_an_address_but_excluded_and_may_be_set_aside() -> None:
    assert {str(state) for state in AddressState} - {"excluded"} | {"aside"} == {str(state) for state in ExitState}
