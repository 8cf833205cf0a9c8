"""Says which names of a module never change, so that mypyc need not look them up. Runs at build time only.

Of what a compiled function uses, mypyc finds functions and classes of compiled modules by itself. A name of its module
costs a look-up in a dict each time, and one of another module (`pycurl.URL`) two, unless it is `Final`: then it is a
variable of C, and a number stands where it is used. House style says constants by their case, so that is what counts.
What would surprise: no line moves, see `plain_classes.py`; and a time, `…_SECONDS`, stays a name that is looked up, so
that the program can be tried with a shorter one.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

MODULES = frozenset({"pycurl", "time"})
"""Modules of others of which functions use a name for each execution. A name that is taken from one is taken once, when
the module is loaded: none of what tests replace there may be taken."""

_FUTURE = "from __future__ import annotations"
_IMPORT = "; from typing import Final as _Final"
_ALTERED = "_SECONDS"
_NO_CONSTANTS = frozenset({"TypeVar", "ParamSpec", "NewType", "TypedDict", "namedtuple", "NamedTuple"})


def final(source: str) -> str:
    """Return a module's source with its constants, and what its functions take from `MODULES`, declared `Final`."""
    tree = ast.parse(source)
    lines = source.split("\n")
    imports = {module: place for module in MODULES if (place := _import(module, tree))}
    taken = [node for function in _functions(tree) for node in _taken(imports, function)]
    changes = [*_declared(tree), *((node, _name(node)) for node in taken)]
    for node, text in sorted(changes, key=lambda change: (change[0].lineno, change[0].col_offset), reverse=True):
        _replace(lines, node, text)
    for module, line in imports.items():
        names = sorted({node.attr for node in taken if ast.unparse(node.value) == module})
        lines[line - 1] += "".join(f"; _{module}_{name}: _Final = {module}.{name}" for name in names)
    place = next(number for number, line in enumerate(lines) if line.startswith(_FUTURE))
    lines[place] += _IMPORT
    return "\n".join(lines)


# A module's own constants


def _declared(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Yield what is to be written otherwise, and how."""
    often = _set_again(tree)
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, type_ = node.targets[0], None
        elif isinstance(node, ast.AnnAssign):
            target, type_ = node.target, node.annotation
        else:
            continue
        if isinstance(target, ast.Name) and target.id not in often and _is_constant(target.id, node.value):
            if type_ is None:
                yield target, f"{target.id}: _Final"
            elif type_.lineno == type_.end_lineno:
                yield type_, f"_Final[{ast.unparse(type_)}]"


def _is_constant(name: str, value: ast.expr | None) -> bool:
    """Say whether it is a constant that `Final` serves: mypyc would make a tuple's literal anew for each use."""
    if value is None or isinstance(value, ast.Tuple) or not (name.isupper() or name.islower()):
        return False
    if name.endswith(_ALTERED):
        return False
    return not (isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in _NO_CONSTANTS)


def _set_again(tree: ast.Module) -> frozenset[str]:
    """Return the names that the module sets more than once, or that a function sets."""
    found = [name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names]
    stored = [node.id for node in _at_top(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return frozenset(found) | {name for name in stored if stored.count(name) > 1}


def _at_top(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is executed when the module is loaded, without the bodies of functions and classes."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _at_top(child)


# What is taken from other modules


def _import(module: str, tree: ast.Module) -> int:
    """Return the line on which a module is imported; 0 where it is not, or where its name is another's too."""
    stored = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    if module in {*stored, *(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))}:
        return 0
    return next((node.lineno for node in tree.body if ast.unparse(node) == f"import {module}"), 0)


def _name(node: ast.Attribute) -> str:
    return f"_{ast.unparse(node.value)}_{node.attr}"


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions of the module and of its classes; those within them are part of them."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (each for each in inner if isinstance(each, ast.FunctionDef))


def _taken(modules: Container[str], node: ast.AST) -> Iterator[ast.Attribute]:
    """Yield what is taken from modules when a function runs, its defaults and annotations left out."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "args", "decorator_list"} and not isinstance(node, ast.Call):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id in modules:
                if isinstance(child.ctx, ast.Load):
                    yield child
            elif isinstance(child, ast.AST):
                yield from _taken(modules, child)


def _replace(lines: list[str], node: ast.expr, text: str) -> None:
    """Put `text` where a node of one line stands; ast counts in bytes."""
    line = lines[node.lineno - 1].encode()
    lines[node.lineno - 1] = (line[: node.col_offset] + text.encode() + line[node.end_col_offset :]).decode()
