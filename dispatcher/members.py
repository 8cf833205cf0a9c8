"""The members of a class that was a dataclass in its source and is a plain one in its compiled form. Pure.

`dataclasses.fields`, `replace` and `asdict` ask a class for what `declared` makes here; see
`packaging/plain_classes.py`, which writes the calls. Nothing that runs from its source comes here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

NOTHING: Any = dataclasses.MISSING
field: Any = dataclasses.field


def declared(name: str, *members: tuple[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass with these members and their defaults (`NOTHING` for none), by their names."""
    given = [(member, Any, default) for member, default in members if default is not NOTHING]
    wanted = {member: (member, Any) for member, _ in members}
    wanted |= {each[0]: each for each in given}  # type: ignore[misc]  # of three, as `make_dataclass` takes them too
    made = dataclasses.make_dataclass(name, wanted.values(), init=False, repr=False, eq=False)
    found: dict[str, Any] = made.__dataclass_fields__  # type: ignore[attr-defined]  # what marks one
    return found
