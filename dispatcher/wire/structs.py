"""The quick way of `wire/codec.py`: all messages of a frame in one call of C, where msgspec can be loaded. Pure.

Each class of messages whose fields all have a type (`wire/fields.py`) has a Struct here, made of the same declarations.
What would surprise: nothing is refused here. What is not to the letter as this version writes it (an unknown member, a
value past its bound, a lone surrogate) is left to the Python codec, which knows what to do with it; so no part of a
frame is skipped unread either.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from dispatcher.wire import limits
from dispatcher.wire.messages import Message
from dispatcher.wire.native import encode, msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.wire.codec import Invalid

LENGTH_BYTES = 4
"""What the length of a frame's JSON is written in."""


class Referring(Protocol):
    """What was read of a class that `refers`: a Struct, no `Message`, with the members of that class."""

    tag: ClassVar[str]
    refers: ClassVar[bool]

    @property
    def id(self) -> str:
        """As the class has it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """A class of messages: its Struct, what takes the declared members out of a message, and whether it has a body.

    The Struct has the same members in the same order, and last the body: as JSON its size, in `b`. What is read of a
    class that `refers` stays one, which saves making a message that lives as long as it takes to make another of it.
    """

    cls: type[Message]
    struct: Any
    members: Callable[[Message], tuple[Any, ...]]
    has_body: bool


_LAYOUTS: dict[type[Message], Layout | None] = {}


def layout(cls: type[Message]) -> Layout | None:
    """Return how messages of a class are read and written here; None where they are not."""
    if cls not in _LAYOUTS:
        _LAYOUTS[cls] = _laid_out(cls)
    return _LAYOUTS[cls]


def _laid_out(cls: type[Any]) -> Layout | None:
    declared = [field for field in dataclasses.fields(cls) if "check" in field.metadata]
    if msgspec is None or any(field.metadata["typed"] is None for field in declared):
        return None
    members = [_member(field) for field in declared] + ([_size()] if has_body(cls) else [])
    struct = msgspec.defstruct(
        cls.__name__,
        members,
        bases=(msgspec.Struct,),
        namespace={"tag": cls.tag, "refers": cls.refers},
        tag_field="t",
        tag=cls.tag,
        rename={"body": "b"},
        forbid_unknown_fields=True,
        gc=False,
    )
    return Layout(cls, struct, _getter([field.name for field in declared]), has_body(cls))


def has_body(cls: type[Message]) -> bool:
    """Say whether messages of a class may have a body."""
    return any(field.name == "body" for field in dataclasses.fields(cls))  # type: ignore[arg-type]  # a dataclass


def _member(field: dataclasses.Field[Any]) -> tuple[str, Any, Any]:
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = msgspec.field(default_factory=field.default_factory)
    is_needed = default is dataclasses.MISSING
    return field.name, field.metadata["typed"](msgspec.Meta), msgspec.NODEFAULT if is_needed else default


def _size() -> tuple[str, Any, Any]:
    size: Any = Annotated[int, msgspec.Meta(ge=0, le=limits.MAX_FRAME_BYTES)]
    return "body", size | msgspec.UnsetType, msgspec.UNSET


def _getter(names: list[str]) -> Callable[[Message], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


@functools.lru_cache(maxsize=16)
def _reader(accepted: tuple[type[Message], ...]) -> tuple[Callable[[Any], list[Any]], dict[Any, Layout]] | None:
    layouts = {found.struct: found for found in map(layout, accepted) if found is not None}
    # A Struct that is alone in a union is taken without its tag.
    if len(layouts) < 2:
        return None
    items: Any = list[functools.reduce(operator.or_, layouts)]  # type: ignore[misc]  # a type, though made here
    return msgspec.json.Decoder(Annotated[items, msgspec.Meta(max_length=limits.MAX_MESSAGES)]).decode, layouts


def count(head: bytes) -> int | None:
    """Say how many messages the JSON of a frame lists, without making anything of them; None where that fails."""
    try:
        return None if msgspec is None else len(_listed().decode(head))
    except (ValueError, RecursionError):
        return None


@functools.cache
def _listed() -> Any:
    return msgspec.json.Decoder(list[msgspec.Raw])


def write(message: Message) -> bytes | None:
    """Write one message as it stands in a frame, without its body; None where the Python codec has to."""
    found = layout(type(message))
    if found is None or encode is None:
        return None
    members = found.members(message)
    if found.has_body:
        members += (len(message.body) or msgspec.UNSET,)
    try:
        return encode(found.struct(*members))
    except UnicodeEncodeError:
        return None


def read(frame: bytes, start: int, accepted: tuple[type[Message], ...]) -> list[Message | Referring | Invalid] | None:
    """Read a frame whose bodies begin at `start`; None where the Python codec has to say what it holds."""
    # Characters are no more than bytes, so what is shorter cannot have headers of more than their bound in all.
    reader = _reader(accepted) if start <= limits.MAX_HEADER_BYTES else None
    if reader is None:
        return None
    decode, layouts = reader
    astuple = msgspec.structs.astuple
    try:
        items = decode(memoryview(frame)[LENGTH_BYTES:start])
    except (ValueError, RecursionError):
        return None
    found: list[Message | Referring | Invalid] = []
    for item in items:
        how = layouts[type(item)]
        if how.has_body:
            body_at, size = start, item.body
            start += 0 if size is msgspec.UNSET else size
            item.body = frame[body_at:start]
        found.append(item if how.cls.refers else how.cls(*astuple(item)))
    return found if start == len(frame) else None
