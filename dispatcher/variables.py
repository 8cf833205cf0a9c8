"""Whether the environment holds a variable that looks like a setting of ours and is none. Before a command starts.

A mistyped option ends the program; a mistyped variable would be a setting that silently does not hold. It is only
warned of, since a variable may be meant for another version, or for what started this one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from dispatcher.option import ENVIRONMENT_PREFIX
from dispatcher.options import COMMANDS, TOKEN_COMMANDS

BESIDE_OPTIONS = tuple(f"{ENVIRONMENT_PREFIX}{name}" for name in ("MODE", "TOKEN", "CACHE", "PYZ"))
"""Variables that are read elsewhere: by the command line, for the token, by the one file and by `build.py`."""


def warnings(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that is none of ours, with the nearest that is. No value is ever in it."""
    options = (option for command in (*COMMANDS.values(), *TOKEN_COMMANDS.values()) for option in command.options)
    known = {option.variable for option in options}.union(BESIDE_OPTIONS)
    unknown = sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in known)
    return [_warning(name, known) for name in unknown]


def _warning(name: str, known: set[str]) -> str:
    # Compared without what they share, or any two would be alike.
    bare = {each.removeprefix(ENVIRONMENT_PREFIX): each for each in known}
    near = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), bare, n=1)
    return f"{name} is no setting, and is not looked at{f'; did you mean {bare[near[0]]}?' if near else ''}"
