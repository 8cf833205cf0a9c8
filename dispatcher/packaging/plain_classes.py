"""Writes dataclasses as plain classes, since mypyc makes quick native classes of those alone. Runs at build time only.

What a class says stays: its members in their order, `__init__`, `==`, `hash`, `repr`, patterns, and what `dataclasses`
finds out about it. What goes is `frozen`, which mypy holds already, and `__slots__`, which a native class has anyway.
What would surprise: no line moves, so that a traceback of the compiled form names the line of the source. What is
written goes where the class has lines to spare: decorators, its docstring, and the blank lines behind it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from dispatcher.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_FUTURE = "from __future__ import annotations"
_HEAD = (
    f"{_FUTURE}; from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any, ClassVar as _ClassVar; "
    "from dispatcher.members import NOTHING as _NOTHING, declared as _declared, field as _field"
)
_OPEN_HEAD = "if _TYPE_CHECKING: from mypy_extensions import mypyc_attr as _mypyc_attr"
_OPEN = "@_mypyc_attr(allow_interpreted_subclasses=True)"
_MAKERS = frozenset({"dataclass", "quickly_made"})
_KNOWN = frozenset({"frozen", "slots", "eq", "kw_only"})
_KNOWN_OF_FIELD = frozenset({"default", "default_factory", "init", "repr", "compare", "metadata"})
_NO_MEMBERS = frozenset({"InitVar", "KW_ONLY"})


class NotPlainError(DispatcherError):
    """A class cannot be written as a plain one; the text says which and why."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a dataclass, as source; `said` is what stands behind `=`, if anything does."""

    name: str
    type: str
    said: str | None = None
    default: str | None = None
    factory: str | None = None
    in_init: bool = True
    is_compared: bool = True
    is_shown: bool = True


def plain(source: str, open_names: Collection[str] = ()) -> str:
    """Return a module's source without dataclasses; classes of `open_names` may have interpreted subclasses.

    Raises:
        NotPlainError: a class says what is not known here.
    """
    lines = source.split("\n")
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    for node in classes:
        _drop_slots(node, lines)
        if any(_name(each) in _MAKERS for each in node.decorator_list):
            _rewrite(node, lines)
        if node.name in open_names:
            _put(lines, _start(node) - 1, _OPEN, node.name)
    place = lines.index(_FUTURE)
    lines[place] = _HEAD
    if not {node.name for node in classes}.isdisjoint(open_names):
        _put(lines, place + 2, _OPEN_HEAD, "the imports")
    return "\n".join(lines)


def _put(lines: list[str], number: int, text: str, what: str) -> None:
    """Put a line where none is; numbers begin at 1."""
    if lines[number - 1].strip():
        raise NotPlainError(f"{what}: line {number} is not blank")
    lines[number - 1] = text


def _start(node: ast.ClassDef) -> int:
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _clear(lines: list[str], start: int, end: int) -> Iterator[int]:
    """Empty the lines from `start` to `end`, both included, and yield their numbers."""
    for number in range(start, end + 1):
        lines[number - 1] = ""
        yield number


def _drop_slots(node: ast.ClassDef, lines: list[str]) -> None:
    for each in node.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__slots__":
            list(_clear(lines, each.lineno, each.end_lineno or each.lineno))
            lines[each.lineno - 1] = f"{' ' * each.col_offset}pass"


def _rewrite(node: ast.ClassDef, lines: list[str]) -> None:
    start = _start(node)
    spare = set(_clear(lines, start, node.body[0].lineno - 1)) - {start}
    bases = ", ".join(map(ast.unparse, node.bases))
    lines[start - 1] = f"class {node.name}({bases}):" if bases else f"class {node.name}:"
    for each in node.body:
        if _is_member(each) or _is_text(each):
            spare |= set(_clear(lines, each.lineno, each.end_lineno or each.lineno))
    behind = (node.end_lineno or start) + 1
    while behind <= len(lines) and not lines[behind - 1].strip():
        spare.add(behind)
        behind += 1
    written = _written(node)
    if behind > len(lines):  # at the end of the module no line moves
        spare |= set(range(len(lines) + 1, len(lines) + len(written) + 1))
        lines += [""] * len(written)
    if len(spare) < len(written):
        raise NotPlainError(f"{node.name}: {len(spare)} lines to spare for {len(written)}")
    for number, text in zip(sorted(spare), written, strict=False):
        lines[number - 1] = f"    {text}"


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_member(node: ast.stmt) -> TypeGuard[ast.AnnAssign]:
    return isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation)


def _written(node: ast.ClassDef) -> list[str]:
    """Write the lines of a class that stand for its dataclass: what it declares first, then its methods."""
    options = _options(node)
    members = [_member(node, each) for each in node.body if _is_member(each)]
    has = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    lines = [_declarations(node.name, members, options)]
    if members:  # without any, `object`'s own takes what this would
        lines.append(_init(members, options, calls_post="__post_init__" in has))
    if options.get("eq", True) and "__eq__" not in has:
        lines.append(_eq(node.name, members))
        if options.get("frozen") and "__hash__" not in has:
            lines.append(_hash(members))
    if "__repr__" not in has:
        lines.append(_repr(node.name, members))
    return lines


def _options(node: ast.ClassDef) -> dict[str, bool]:
    found = {}
    for each in node.decorator_list:
        if _name(each) not in _MAKERS:
            raise NotPlainError(f"{node.name}: @{ast.unparse(each)} is not known")
        for keyword in each.keywords if isinstance(each, ast.Call) else ():
            found[str(keyword.arg)] = bool(ast.literal_eval(keyword.value))
    if unknown := found.keys() - _KNOWN:
        raise NotPlainError(f"{node.name}: @dataclass({', '.join(sorted(unknown))}) is not known")
    return found


def _name(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(called).rsplit(".", 1)[-1]


def _member(node: ast.ClassDef, declared: ast.AnnAssign) -> _Member:
    name, type_, value = ast.unparse(declared.target), ast.unparse(declared.annotation), declared.value
    if type_.partition("[")[0].rpartition(".")[2] in _NO_MEMBERS:
        raise NotPlainError(f"{node.name}: {name}: {type_} is not known")
    if value is None:
        return _Member(name, type_)
    said = ast.unparse(value)
    if not isinstance(value, ast.Call) or _name(value)[:1].isupper() or _name(value) in {"frozenset", "tuple"}:
        return _Member(name, type_, said, default=said)
    given = {str(each.arg): each.value for each in value.keywords}
    if "default" not in given and _name(value) == "optional":
        given["default"] = ast.Constant(None)
    if name in {"default", "default_factory"}:
        raise NotPlainError(f"{node.name}: a member may not be called {name}")
    if _name(value) == "field":  # mypy says that it returns its default, and mypyc would see to that
        if unknown := given.keys() - _KNOWN_OF_FIELD:
            raise NotPlainError(f"{node.name}: {name}: field({', '.join(sorted(unknown))}) is not known")
        said = ast.unparse(ast.Call(ast.Name("_field"), value.args, value.keywords))
    return _Member(
        name,
        type_,
        said,
        default=ast.unparse(given["default"]) if "default" in given else None,
        factory=ast.unparse(given["default_factory"]) if "default_factory" in given else None,
        in_init=_is_so(given, "init"),
        is_compared=_is_so(given, "compare"),
        is_shown=_is_so(given, "repr"),
    )


def _is_so(given: Mapping[str, ast.expr], name: str) -> bool:
    return bool(ast.literal_eval(given[name])) if name in given else True


def _declarations(name: str, members: Sequence[_Member], options: Mapping[str, bool]) -> str:
    placed = () if options.get("kw_only") else members
    shown = "".join(f"{each.name!r}, " for each in placed if each.in_init)
    fields = "".join(f", ({each.name!r}, {each.said or '_NOTHING'})" for each in members)
    return "; ".join(
        (
            *(f"{each.name}: {each.type}" for each in members),
            f"__match_args__: _ClassVar[tuple[str, ...]] = ({shown})",
            f"__dataclass_fields__: _ClassVar[dict[str, _Any]] = _declared({name!r}{fields})",
        )
    )


def _init(members: Sequence[_Member], options: Mapping[str, bool], *, calls_post: bool) -> str:
    parameters, body = ["self"], []
    if options.get("kw_only"):
        parameters.append("*")
    for each in members:
        value = each.name
        if each.factory is not None:
            made = f"({each.factory})()"
            value = f"{made} if {each.name} is None else {each.name}" if each.in_init else made
        elif not each.in_init:
            if each.default is None:
                continue  # `__post_init__` gives it
            value = each.default
        if each.in_init:
            parameters.append(_parameter(each))
        body.append(f"self.{each.name} = {value}")
    if calls_post:
        body.append("self.__post_init__()")
    return f"def __init__({', '.join(parameters)}) -> None: {'; '.join(body)}"


def _parameter(member: _Member) -> str:
    if member.factory is not None:
        return f"{member.name}: {member.type} | None = None"
    default = "" if member.default is None else f" = {member.default}"
    return f"{member.name}: {member.type}{default}"


def _eq(name: str, members: Sequence[_Member]) -> str:
    same = "".join(f" and self.{each.name} == other.{each.name}" for each in members if each.is_compared)
    alike = f"isinstance(other, {name}) and type(other) is type(self){same}"
    return f"def __eq__(self, other: object) -> bool: return {alike}"


def _hash(members: Sequence[_Member]) -> str:
    compared = "".join(f"self.{each.name}, " for each in members if each.is_compared)
    return f"def __hash__(self) -> int: return hash(({compared}))"


def _repr(name: str, members: Sequence[_Member]) -> str:
    shown = ", ".join(f"{each.name}={{self.{each.name}!r}}" for each in members if each.is_shown)
    return f"def __repr__(self) -> str: return f{f'{name}({shown})'!r}"
