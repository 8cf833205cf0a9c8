"""The fields of a wire message: each is declared once with its bounds, and checked by both sides.

Runs on the event loop of either side for every message. Written for `wire/messages.py`: a field's check takes the
value as JSON gave it and returns the value that the message holds, or raises `WireError` that names what is wrong.
Beside it most fields carry the same as a type with the same bounds, which `wire/structs.py` has checked by C.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from dispatcher.wire import limits

Check = Callable[[Any], Any]
Typed = Callable[[Callable[..., Any]], Any]
"""Makes the type of a field; it is given what bounds are written with, `msgspec.Meta`, which may not be there."""

E = TypeVar("E", bound=StrEnum)

_ABSENT: Any = dataclasses.MISSING


class WireError(Exception):
    """What came over the link is not a valid message; the text says which field and why."""


def declare(check: Check, default: Any = _ABSENT, typed: Typed | None = None) -> Any:
    """Declare a dataclass field that carries its check, and its type where a type can say the same."""
    metadata = {"check": check, "typed": typed}
    if default is _ABSENT:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def text(max_chars: int = limits.MAX_TEXT_CHARS, *, min_chars: int = 0, default: Any = _ABSENT) -> Any:
    """A string of `min_chars` to `max_chars` characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise WireError("is not a string")
        if not min_chars <= len(value) <= max_chars:
            raise WireError(f"has {len(value)} characters, not {min_chars} to {max_chars}")
        return value

    return declare(check, default, lambda meta: Annotated[str, meta(min_length=min_chars, max_length=max_chars)])


def _address(value: Any) -> str:
    try:
        if isinstance(value, str) and "%" not in value:
            return _canonical(value)
    except ValueError:
        pass
    raise WireError("is not an IP address")


@functools.lru_cache(maxsize=limits.MAX_ADDRESSES)
def _canonical(written: str) -> str:
    """Write an address in its one form. Remembered, because results name the same ones again and again.

    The C library does it in a seventh of the time, and thousands come in one turn of the loop; only of addresses that
    hold an IPv4 one does it write another form.
    """
    if ":" in written and "." not in written:
        canonical = _by_the_c_library(written)
        if "." not in canonical:
            return canonical
    return str(ipaddress.ip_address(written))


def _by_the_c_library(written: str) -> str:
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, written))
    except OSError as error:
        raise ValueError(written) from error


def address(*, default: Any = _ABSENT) -> Any:
    """An IP address without a zone; held in its canonical form, so that no address is two."""
    return declare(_address, default)


def addresses(max_items: int, *, default: Any = _ABSENT) -> Any:
    """A list of IP addresses."""
    return declare(lambda value: tuple(map(_address, to_list(value, max_items))), default)


def integer(low: int, high: int, *, default: Any = _ABSENT) -> Any:
    """A whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if type(value) is not int:
            raise WireError("is not a whole number")
        if not low <= value <= high:
            raise WireError(f"is not a whole number from {low} to {high}")
        return value

    return declare(check, default, lambda meta: Annotated[int, meta(ge=low, le=high)])


def to_number(value: Any, low: float, high: float) -> float:
    """Return `value` as a number from `low` to `high`, or raise `WireError`."""
    if type(value) not in (int, float):
        raise WireError("is not a number")
    # NaN is in no range; and a whole number that no float can hold can still be compared.
    if not low <= value <= high:
        raise WireError(f"is not a number from {low:g} to {high:g}")
    return float(value)


def number(low: float, high: float, *, default: Any = _ABSENT) -> Any:
    """A finite number from `low` to `high`."""
    return declare(
        lambda value: to_number(value, low, high), default, lambda meta: Annotated[float, meta(ge=low, le=high)]
    )


def flag(*, default: Any = _ABSENT) -> Any:
    """True or false."""

    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise WireError("is neither true nor false")
        return value

    return declare(check, default, lambda _: bool)


def choice(options: type[E], *, default: Any = _ABSENT) -> Any:
    """One value of a string enumeration."""
    members = {str(option): option for option in options}

    def check(value: Any) -> E:
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            raise WireError(f"is not one of {', '.join(members)}")
        return member

    return declare(check, default, lambda _: options)


def to_list(value: Any, max_items: int) -> list[Any]:
    """Return `value` as a list of at most `max_items`, or raise `WireError`."""
    if not isinstance(value, list):
        raise WireError("is not a list")
    if len(value) > max_items:
        raise WireError(f"has {len(value)} items, more than {max_items}")
    return value


Pairs = tuple[tuple[str, str], ...]


def headers(*, default: Any = _ABSENT) -> Any:
    """Header lines as (name, value) pairs, bounded in number and in all."""

    def check(value: Any) -> tuple[tuple[str, str], ...]:
        pairs = []
        size = 0
        for pair in to_list(value, limits.MAX_HEADERS):
            if type(pair) is not list or len(pair) != 2:
                raise WireError("has an item that is not a [name, value] pair")
            name, content = pair
            if type(name) is not str or type(content) is not str:
                raise WireError("has a name or a value that is not a string")
            size += len(name) + len(content)
            pairs.append((name, content))
        if size > limits.MAX_HEADER_BYTES:
            raise WireError(f"has {size} bytes, more than {limits.MAX_HEADER_BYTES}")
        return tuple(pairs)

    # No type bounds the sum; `wire/structs.py` reads no JSON that is long enough to break it.
    return declare(check, default, lambda meta: Annotated[Pairs, meta(max_length=limits.MAX_HEADERS)])


def strings(max_items: int, max_chars: int, *, default: Any = _ABSENT) -> Any:
    """A list of strings."""

    def check(value: Any) -> tuple[str, ...]:
        for item in to_list(value, max_items):
            if type(item) is not str or len(item) > max_chars:
                raise WireError(f"has an item that is not a string of at most {max_chars} characters")
        return tuple(value)

    return declare(check, default)


def identifiers(max_items: int, max_chars: int, *, default: Any = _ABSENT) -> Any:
    """A list of ids, held as a set."""

    def check(value: Any) -> frozenset[str]:
        for item in to_list(value, max_items):
            if type(item) is not str or not 1 <= len(item) <= max_chars:
                raise WireError(f"has an item that is not an id of 1 to {max_chars} characters")
        return frozenset(value)

    return declare(check, default)


def records(cls: type[Any], max_items: int, *, default: Any = _ABSENT) -> Any:
    """A list of dataclasses whose own fields are declared here too."""

    def check(value: Any) -> tuple[Any, ...]:
        return tuple(parse(cls, item) for item in to_list(value, max_items))

    return declare(check, default)


def pair_of_integers(*, default: Any = _ABSENT) -> Any:
    """Two small whole numbers, such as a version."""

    def check(value: Any) -> tuple[int, int]:
        items = to_list(value, 2)
        if len(items) != 2 or any(type(item) is not int or not 0 <= item <= 9999 for item in items):
            raise WireError("is not a pair of whole numbers")
        return items[0], items[1]

    return declare(check, default)


def optional(declared: Any) -> Any:
    """The same field, or null (its default)."""
    inner: Check = declared.metadata["check"]
    typed: Typed = declared.metadata["typed"]

    def check(value: Any) -> Any:
        return None if value is None else inner(value)

    return declare(check, None, lambda meta: typed(meta) | None)


def parse(cls: type[Any], value: Any, more: Mapping[str, Any] | None = None) -> Any:
    """Make a `cls` from the object that JSON gave, and from `more` members that did not come with it.

    Unknown members are ignored: a newer peer may send more.

    Raises:
        WireError: a member is missing or outside its bounds; the text names the class and the member.
    """
    if not isinstance(value, dict):
        raise WireError(f"{cls.__name__} is not an object")
    found = dict(more or ())
    for name, check, is_required in _declared(cls):
        if name in value:
            try:
                found[name] = check(value[name])
            except WireError as error:
                raise WireError(f"{cls.__name__}.{name} {error}") from None
        elif is_required:
            raise WireError(f"{cls.__name__}.{name} is missing")
    return cls(**found)


def as_json(message: Any) -> dict[str, Any]:
    """Return the declared members of `message` as JSON can write them."""
    return {name: _plain(getattr(message, name)) for name, _, _ in _declared(type(message))}


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (tuple, frozenset)):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return as_json(value)
    return value


_PLAIN = frozenset((str, int, float, bool, dict, type(None)))
"""What most values are, and is written as it is."""

Declared = tuple[str, Check, bool]
"""A field's name, its check, and whether a message without it is not valid."""

_DECLARED: dict[type[Any], tuple[Declared, ...]] = {}


def _declared(cls: type[Any]) -> tuple[Declared, ...]:
    found = _DECLARED.get(cls)
    if found is None:
        found = tuple(
            (field.name, field.metadata["check"], field.default is _ABSENT and field.default_factory is _ABSENT)
            for field in dataclasses.fields(cls)
            if "check" in field.metadata
        )
        _DECLARED[cls] = found
    return found
