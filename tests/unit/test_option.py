"""One option: the forms of its name."""

from __future__ import annotations

from dispatcher.option import Option


def test_variables_are_made_of_names() -> None:
    option = Option("history-max-age", "S", "x")
    assert ("--history-max-age", "DISPATCHER_HISTORY_MAX_AGE", "history_max_age") == (
        option.flag,
        option.variable,
        option.key,
    )
