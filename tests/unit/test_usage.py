"""What users read of the table of options."""

from __future__ import annotations

import re

import pytest
from docopt import docopt

from dispatcher.option import Command, Kind, Option
from dispatcher.options import COMMANDS, MODES, TOKEN_COMMANDS
from dispatcher.usage import markdown_table, overview, usage

ALL = {**COMMANDS, **TOKEN_COMMANDS}
EVERY = [(command, option) for command in ALL.values() for option in command.options]


@pytest.mark.parametrize("command", ALL.values(), ids=lambda command: command.name)
def test_the_usage_text_is_one_that_docopt_reads_with_every_option(command: Command) -> None:
    typed = [part for option in command.options for part in ([option.flag, "x"] if option.metavar else [option.flag])]
    given = docopt(usage(command), [*command.name.split(), *typed], default_help=False)
    for option in command.options:
        expected: object = True if option.kind is Kind.FLAG else ["x"] if option.repeats else "x"
        assert expected == given[option.flag], option.flag


@pytest.mark.parametrize("command", ALL.values(), ids=lambda command: command.name)
def test_an_option_that_was_not_given_has_no_value_of_docopts(command: Command) -> None:
    given = docopt(usage(command), command.name.split(), default_help=False)
    assert [] == [option.flag for option in command.options if given[option.flag]]


@pytest.mark.parametrize(("command", "option"), EVERY, ids=lambda value: getattr(value, "name", value))
def test_every_option_is_explained_with_its_default(command: Command, option: Option) -> None:
    (line,) = [line for line in usage(command).splitlines() if line.split()[:1] == [option.flag]]
    assert option.help in line
    if option.is_required:
        assert "(required)" in line
    elif option.kind is not Kind.FLAG and option.default is not None:
        assert f"(default: {option.default})" in line


def test_every_command_and_exit_status_is_in_the_overview() -> None:
    text = overview()
    for command in COMMANDS.values():
        assert re.search(rf"^  {command.name} ", text, re.MULTILINE)
    for status in ("0 done", "1 failed", "2 usage", "3 coordinator", "4", "5 no exit"):
        assert status in text
    assert {"coordinator", "agent", "monitor"} == set(MODES.values())


def test_no_line_is_wider_than_a_wide_terminal() -> None:
    for text in (overview(), *map(usage, COMMANDS.values())):
        assert 130 > max(map(len, text.splitlines()))


def test_the_table_has_every_option_once_with_the_commands_that_take_it() -> None:
    head, _, *rows = markdown_table().splitlines()
    assert "| option | variable | default | meaning | commands |" == head
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert {5} == {len(row) for row in cells}
    listed = {(row[0].strip("`").split()[0], name) for row in cells for name in row[4].split(", ")}
    assert {(option.flag, command.name) for command, option in EVERY} == listed
    by_option = {row[0]: row for row in cells}
    assert ["`--port PORT`", "`DISPATCHER_PORT`", "`8000`"] == by_option["`--port PORT`"][:3]
    assert "required" == by_option["`--coordinator-url URL`"][2]
    assert "off" == by_option["`--include-ula`"][2]
    assert "coordinator, agent, monitor, demo" == by_option["`--log-level LEVEL`"][4]
