"""The table of options."""

from __future__ import annotations

import pytest

from dispatcher.option import Command, Kind, Option
from dispatcher.options import COMMANDS, TOKEN_COMMANDS

ALL = {**COMMANDS, **TOKEN_COMMANDS}
EVERY = [(command, option) for command in ALL.values() for option in command.options]


@pytest.mark.parametrize(("command", "option"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_a_default_is_within_its_own_bounds(command: Command, option: Option) -> None:
    assert command
    if option.low is not None and option.high is not None:
        assert option.low <= option.default <= option.high
    assert (option.kind is Kind.FLAG) == (option.metavar == "")


def test_the_same_name_means_the_same_in_every_command() -> None:
    kinds: dict[str, set[tuple[Kind, bool]]] = {}
    for _, option in EVERY:
        kinds.setdefault(option.name, set()).add((option.kind, option.repeats))
    assert {} == {name: found for name, found in kinds.items() if len(found) > 1}
