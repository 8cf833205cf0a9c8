"""A plain class is made, compared and shown as the dataclass is that it stands for, and no line of a module moves."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dispatcher.packaging import compiled
from dispatcher.packaging.plain_classes import NotPlainError, plain

ROOT = Path(__file__).parents[3]
HEAD = "from __future__ import annotations\n\nimport dataclasses\nfrom dataclasses import dataclass, field\n"
ALL_KINDS = '''\
"""Dataclasses of all kinds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from dispatcher.wire.quick import quickly_made

R = TypeVar("R")


class Base(Generic[R]):
    """What is no dataclass."""

    __slots__ = ()

    def said(self) -> str:
        return "said"


@dataclass(frozen=True, slots=True)
class Frozen(Base[int]):
    """One with every kind of member."""

    tag: ClassVar[str] = "tag"
    needed: int
    """It has a text."""
    given: str = "one 'quoted' {text}"
    listed: list[int] = field(default_factory=list)
    hidden: str = field(default="secret", repr=False)
    apart: int = field(default=0, compare=False)
    later: int = field(init=False, compare=False)
    fixed: bytes = field(default=b"fixed", init=False, repr=False)
    set_of: frozenset[str] = frozenset()
    noted: int = field(default=1, metadata={"note": "kept"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "later", self.needed + 1)


@dataclasses.dataclass
class Open:
    """One that may change, and has no hash."""

    count: int = 0
    names: dict[str, int] = dataclasses.field(default_factory=lambda: {"one": 1})

    def doubled(self) -> int:
        return self.count * 2


@dataclass(frozen=True, kw_only=True)
class Named:
    """One that is made by names alone."""

    first: int
    second: int | None = None


@dataclass(slots=True, eq=False)
class Itself:
    """One that is equal to nothing else."""

    value: int
    other: int = 2


@dataclass(frozen=True, slots=True)
class Empty:
    """One without members."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Quick:
    """One with another maker."""

    value: int
    many: tuple[int, ...] = ()
    listed: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Own:
    """One that has its own of what is written for others."""

    value: int
    other: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.value == other.value

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "own"
'''
SAMPLES: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "Frozen": [((1,), {}), ((1,), {"apart": 5}), ((2, "x"), {"hidden": "h"}), ((1,), {"set_of": frozenset("a")})],
    "Open": [((), {}), ((1,), {}), ((1, {"two": 2}), {})],
    "Named": [((), {"first": 1}), ((), {"first": 1, "second": 2})],
    "Itself": [((1,), {}), ((1,), {})],
    "Empty": [((), {})],
    "Quick": [((1,), {}), ((1, (2,)), {}), ((1,), {"listed": [3]})],
    "Own": [((1,), {}), ((1, 5), {}), ((2,), {})],
}
CHANGES = {"Frozen": {"needed": 9}, "Open": {"count": 9}, "Named": {"second": 9}, "Quick": {"value": 9}}


def run(source: str, name: str) -> dict[str, Any]:
    """Run a module's text under another name; the module stays, since dataclasses look up their own."""
    module = sys.modules[name] = ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture(scope="module")
def forms() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return what the module of all kinds holds, and what its plain form does."""
    yield run(ALL_KINDS, "all_kinds"), run(plain(ALL_KINDS), "all_kinds_plain")
    del sys.modules["all_kinds"], sys.modules["all_kinds_plain"]


def parameters(made: type[Any]) -> list[tuple[str, Any, str]]:
    """Return name, kind and default of what it is made with; one that is made for each object has None."""

    def default(value: Any) -> str:
        return "None" if value is dataclasses.MISSING or "<factory>" == repr(value) else repr(value)

    return [(each.name, each.kind, default(each.default)) for each in inspect.signature(made).parameters.values()]


def declared(made: type[Any]) -> list[tuple[Any, ...]]:
    """Return what `dataclasses` knows of each member, but for its type."""
    return [
        (
            *(each.name, repr(each.default), each.init, each.repr, each.compare, sorted(each.metadata)),
            each.default_factory is dataclasses.MISSING,
        )
        for each in dataclasses.fields(made)
    ]


def traits(made: type[Any]) -> tuple[Any, ...]:
    """Return all that is asked of a class here."""
    own: Any = made.__hash__
    hashes = "none" if own is None else "by identity" if own is object.__hash__ else "by members"
    return parameters(made), declared(made), made.__match_args__, hashes, made.__eq__ is object.__eq__


@pytest.mark.parametrize("name", SAMPLES)
def test_a_plain_class_is_declared_as_its_dataclass(forms: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    wanted, got = (traits(form[name]) for form in forms)
    assert wanted == got


@pytest.mark.parametrize("name", SAMPLES)
def test_objects_of_a_plain_class_are_compared_hashed_and_shown_alike(
    forms: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    ours, plains = (
        [form[name](*copy.deepcopy(given), **copy.deepcopy(named)) for given, named in SAMPLES[name]] for form in forms
    )
    assert [repr(each) for each in ours] == [repr(each) for each in plains]
    assert [[one == other for other in ours] for one in ours] == [[one == other for other in plains] for one in plains]
    assert [each.__class__.__name__ for each in ours] == [each.__class__.__name__ for each in plains]
    assert all(each != "another" for each in plains)
    assert list(map(dataclasses.asdict, ours)) == list(map(dataclasses.asdict, plains))
    if name != "Itself":
        assert [hash_of(each) for each in ours] == [hash_of(each) for each in plains]
    if name in CHANGES:
        changed = [[repr(dataclasses.replace(each, **CHANGES[name])) for each in form] for form in (ours, plains)]
        assert changed[0] == changed[1]
        assert "9" in changed[1][0]


def hash_of(value: object) -> int | str:
    """Return its hash, or that it has none."""
    try:
        return hash(value)
    except TypeError as error:
        return str(error)


def test_a_plain_class_is_matched_and_keeps_what_it_inherits(
    forms: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for form in forms:
        made = form["Frozen"](3)
        assert ("said", "tag", 4) == (made.said(), made.tag, made.later)
        frozen = form["Frozen"]
        match made:
            case frozen(needed, given):
                assert (3, made.given) == (needed, given)
            case _:
                pytest.fail("it does not match")


def test_a_default_that_is_made_is_made_for_each(forms: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for form in forms:
        one, other = form["Open"](), form["Open"]()
        one.names["two"] = 2
        assert {"one": 1} == other.names


def test_a_class_with_subclasses_that_are_not_compiled_says_so() -> None:
    source = f"{HEAD}\n\nclass Opened:\n    value = 1\n\n\nclass Closed:\n    value = 2\n"
    lines = plain(source, {"Opened"}).split("\n")
    place = source.split("\n").index("class Opened:")
    assert "@_mypyc_attr(allow_interpreted_subclasses=True)" == lines[place - 1]
    assert 1 == sum(line.startswith("@_mypyc_attr") for line in lines)
    assert source.count("\n") + 1 == len(lines)


REFUSED = [
    ("@dataclass(order=True)\nclass Made:\n    value: int\n", r"Made: @dataclass\(order\) is not known"),
    ("@dataclass(init=False)\nclass Made:\n    value: int\n", r"Made: @dataclass\(init\) is not known"),
    ("@dataclass(repr=False)\nclass Made:\n    value: int\n", r"Made: @dataclass\(repr\) is not known"),
    ("@dataclass(unsafe_hash=True)\nclass Made:\n    value: int\n", r"@dataclass\(unsafe_hash\) is not known"),
    ("@final\n@dataclass\nclass Made:\n    value: int\n", "Made: @final is not known"),
    ("@dataclass\nclass Made:\n    value: InitVar[int]\n", r"Made: value: InitVar\[int\] is not known"),
    ("@dataclass\nclass Made:\n    _: dataclasses.KW_ONLY\n    value: int\n", "_: dataclasses.KW_ONLY is not known"),
    ("@dataclass\nclass Made:\n    value: int = field(kw_only=True)\n", r"value: field\(kw_only\) is not known"),
    ("@dataclass\nclass Made:\n    value: int = field(hash=False)\n", r"value: field\(hash\) is not known"),
    ("@dataclass\nclass Made:\n    value: int\nclass Next:\n    pass\n", r"Made: 2 lines to spare for 4"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_is_not_known_is_refused(text: str, said: str) -> None:
    with pytest.raises(NotPlainError, match=said):
        plain(f"{HEAD}\n\n{text}")


def test_a_line_that_is_needed_has_to_be_blank() -> None:
    with pytest.raises(NotPlainError, match="Opened: line 6 is not blank"):
        plain(f"{HEAD}\nvalue = 1\nclass Opened:\n    value = 1\n", {"Opened"})


# The modules that are compiled


def read(path: str) -> str:
    """Return the text of a module of ours."""
    return (ROOT / path).read_text(encoding="utf-8")


def name_of(path: str) -> str:
    """Return the name that a module is imported by."""
    return path.removesuffix(".py").replace("/", ".")


def dataclasses_of(module: ModuleType) -> list[type[Any]]:
    """Return those that the module itself declares."""
    found = (each for each in vars(module).values() if isinstance(each, type) and "__dataclass_fields__" in vars(each))
    return [each for each in found if each.__module__ == module.__name__]


def is_rewritten(node: ast.stmt) -> bool:
    """Say whether this is a class that is a dataclass."""
    return isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def is_replaced(node: ast.stmt, *, in_dataclass: bool) -> bool:
    """Say whether a statement of a class is one that goes."""
    if isinstance(node, ast.Assign) and "__slots__" == ast.unparse(node.targets[0]):
        return True
    if isinstance(node, ast.AnnAssign) and in_dataclass:
        return "ClassVar" not in ast.unparse(node.annotation)
    return in_dataclass and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def places(text: str, *, is_source: bool) -> set[tuple[int, str]]:
    """Return the line and the text of every statement that stays, of a class its name alone."""
    tree = ast.parse(text)
    gone: set[ast.stmt] = set()
    if is_source:
        for top in tree.body:
            if isinstance(top, ast.ClassDef):
                gone |= {each for each in top.body if is_replaced(each, in_dataclass=is_rewritten(top))}
            elif isinstance(top, ast.ImportFrom) and top.module == "__future__":
                gone.add(top)
    return {
        (min([node.lineno, *(each.lineno for each in decorators)]), said)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node not in gone
        for decorators in [getattr(node, "decorator_list", [])]
        for said in [f"class {node.name}" if isinstance(node, ast.ClassDef) else ast.unparse(node)]
    }


@pytest.mark.parametrize("path", compiled.MODULES)
def test_no_line_of_a_module_moves(path: str) -> None:
    source = read(path)
    form = plain(source)
    assert set() == places(source, is_source=True) - places(form, is_source=False)
    assert "@dataclass" not in form


@pytest.mark.parametrize("path", compiled.MODULES)
def test_the_dataclasses_of_a_module_are_declared_alike_in_its_plain_form(path: str) -> None:
    module = importlib.import_module(name_of(path))
    name = f"plain_form.{name_of(path)}"
    try:
        form = run(plain(read(path)), name)
        classes = dataclasses_of(module)
        assert {each.__name__: traits(each) for each in classes} == {
            each.__name__: traits(form[each.__name__]) for each in classes
        }
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("path", compiled.MODULES)
def test_no_dataclass_of_a_module_inherits_members(path: str) -> None:
    classes = dataclasses_of(importlib.import_module(name_of(path)))
    inherited = {
        each.__name__: [base.__name__ for base in each.__mro__[1:] if vars(base).get("__dataclass_fields__")]
        for each in classes
    }
    assert {each.__name__: [] for each in classes} == inherited
