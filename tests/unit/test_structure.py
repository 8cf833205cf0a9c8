"""The structure of the product, held by what the sources say: who imports whom, and what stands nowhere."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "dispatcher").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(name: str) -> frozenset[str]:
    """Return the modules of ours that a module names in its imports, wherever they stand in it."""
    found: set[str] = set()
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports by a relative name"
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (within & set(MODULES)) or {node.module or ""}
    return frozenset(found & set(MODULES))


def reached(name: str) -> frozenset[str]:
    """Return all modules of ours that importing a module may load, without itself."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        new = imported(waiting.pop()) - seen
        seen |= new
        waiting += new
    return frozenset(seen - {name})


def inside(package: str) -> list[str]:
    """Return the modules of a package."""
    return [name for name in MODULES if name == package or name.startswith(f"{package}.")]


def under(names: frozenset[str], *packages: str) -> set[str]:
    """Return those of `names` that are in one of `packages`."""
    return {name for name in names if any(name == each or name.startswith(f"{each}.") for each in packages)}


ACTOR_CLASSES = ["pool", "rotation", "agent_connection", "registry", "history", "history_reader", "config", "database"]


@pytest.mark.parametrize("name", inside("dispatcher.wire"))
def test_the_wire_knows_nothing_of_ours_but_errors_and_streams(name: str) -> None:
    known = {"dispatcher.errors", "dispatcher.streams", "dispatcher.afterwards", "dispatcher.memo"}
    assert set() == reached(name) - known - set(inside("dispatcher.wire"))


def test_errors_and_streams_know_nothing_of_ours_but_what_is_due_afterwards() -> None:
    assert frozenset() == reached("dispatcher.errors") | reached("dispatcher.afterwards") | reached("dispatcher.memo")
    assert {"dispatcher.afterwards"} == reached("dispatcher.streams")


@pytest.mark.parametrize("name", ["state", "update", "view"])
def test_the_pure_half_of_the_monitor_reaches_nothing_that_talks(name: str) -> None:
    talking = {f"dispatcher.monitor.{each}" for each in ("app", "feed", "link", "main", "rest", "terminal", "plain")}
    found = reached(f"dispatcher.monitor.{name}")
    assert set() == found & talking
    assert set() == under(found, "dispatcher.actors", "dispatcher.web", "dispatcher.agent", "dispatcher.coordinator")


@pytest.mark.parametrize("name", inside("dispatcher.web"))
def test_the_web_knows_messages_and_references_but_no_actor_class(name: str) -> None:
    assert set() == imported(name) & {f"dispatcher.actors.{each}" for each in ACTOR_CLASSES}
    assert set() == under(imported(name), "dispatcher.agent", "dispatcher.monitor", "dispatcher.demo")


@pytest.mark.parametrize("name", inside("dispatcher.agent"))
def test_an_agent_reaches_neither_actors_nor_web(name: str) -> None:
    assert set() == under(reached(name), "dispatcher.actors", "dispatcher.web", "dispatcher.monitor")


AGENT_LAYERS = ["addresses", "targets", "transfers"]
"""Folders of the agent, each of which knows those before it and no other; what is beside them brings them together."""


@pytest.mark.parametrize(("place", "layer"), list(enumerate(AGENT_LAYERS)))
def test_an_agents_folder_knows_those_before_it_only(place: int, layer: str) -> None:
    known = [*inside("dispatcher.agent.special_ranges"), *(f"dispatcher.agent.{each}" for each in AGENT_LAYERS[:place])]
    for name in inside(f"dispatcher.agent.{layer}"):
        found = under(imported(name), "dispatcher.agent") - set(inside(f"dispatcher.agent.{layer}"))
        assert set() == found - under(frozenset(found), *known), name


@pytest.mark.parametrize("name", inside("dispatcher.actors"))
def test_an_actor_knows_neither_web_nor_agent_nor_monitor(name: str) -> None:
    assert set() == under(reached(name), "dispatcher.web", "dispatcher.agent", "dispatcher.monitor")


@pytest.mark.parametrize("name", ["pool", "rotation", "agent_connection", "registry"])
def test_pool_and_connections_ask_nobody(name: str) -> None:
    asked = [node for node in calls(MODULES[f"dispatcher.actors.{name}"]) if called(node) == "ask"]
    assert [] == asked


def test_the_coordinator_is_put_together_in_one_place_only() -> None:
    users = {name for name in MODULES if "dispatcher.coordinator" in imported(name)}
    assert users <= {"dispatcher.cli", "dispatcher.demo.main", "dispatcher.demo.processes"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_where_it_stands(name: str) -> None:
    assert ast.get_docstring(tree(MODULES[name])), f"{name} has no docstring"


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def knows_actors(name: str) -> bool:
    """Say whether a module may have references to actors: it knows Pykka, or a module of the actors."""
    return "pykka" in MODULES[name].read_text(encoding="utf-8") or bool(under(imported(name), "dispatcher.actors"))


def dotted(node: ast.Call) -> str:
    return ast.unparse(node.func)


def places(path: Path, found: list[ast.Call]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{node.lineno}" for node in found]


CROSSING = {"dispatcher.actors.loop_actor", "dispatcher.actors.loop_future", "dispatcher.actors.thread_actor"}
"""Where Pykka's own `ask`, `get` and inboxes are touched."""


@pytest.mark.parametrize("name", sorted(name for name in set(MODULES) - CROSSING if knows_actors(name)))
def test_nobody_waits_for_an_actor_but_through_ask(name: str) -> None:
    path = MODULES[name]
    assert [] == places(path, [node for node in calls(path) if called(node) == "get" and not node.args])
    methods = [node for node in calls(path) if isinstance(node.func, ast.Attribute)]
    assert [] == places(path, [node for node in methods if called(node) in ("ask", "proxy", "get_all", "stop_all")])


@pytest.mark.parametrize("name", sorted(name for name in set(MODULES) - CROSSING if knows_actors(name)))
def test_nobody_awaits_what_an_actor_was_asked(name: str) -> None:
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Await):
            assert "block=False" not in ast.unparse(node)
            assert not isinstance(node.value, ast.Attribute), "an attribute that is awaited may be a Pykka future"


SLEEPERS = {
    "dispatcher/packaging/unpack.py": "another process unpacks; there is no loop yet, and a file lock tells nobody",
}


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_sleeps_a_thread(path: Path) -> None:
    sleeps = [node for node in calls(path) if dotted(node) in ("time.sleep", "sleep")]
    if str(path.relative_to(ROOT)) not in SLEEPERS:
        assert [] == places(path, sleeps)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_prints_nothing_past_its_streams(path: Path) -> None:
    assert [] == places(path, [node for node in calls(path) if dotted(node) in ("print", "pprint", "breakpoint")])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_statement_numbers_its_placeholders(name: str) -> None:
    """Python 3.12.0 to 3.12.3 warn of ``?1``, as if it were a name; ``?`` and ``:name`` are understood by all."""
    strings = [node.value for node in ast.walk(tree(MODULES[name])) if isinstance(node, ast.Constant)]
    assert [] == [text for text in strings if isinstance(text, str) and re.search(r"[ (=]\?[0-9]", text)]


WORD_OF_C = re.compile(
    "_(alignof|asm|attribute|complex|const|imag|inline|int128|null|real|restrict|signed|thread|typeof|volatile)(__)?"
    "|_(auto_type|extension__|func__|label__)"
)
"""What one more underscore before it, which a compiled member has in its C, makes a keyword."""


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_member_is_a_word_of_c_once_it_is_compiled(name: str) -> None:
    members = {node.attr for node in ast.walk(tree(MODULES[name])) if isinstance(node, ast.Attribute)}
    assert [] == [each for each in sorted(members) if WORD_OF_C.fullmatch(each)]


SUPPRESSION = re.compile(r"#\s*(?:ruff:\s*noqa|noqa|type:\s*ignore|fmt:\s*off|pragma)", re.IGNORECASE)
CODES = r"(?:(?:ruff: )?noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*|type: ignore\[[a-z, -]+\])"
WITH_REASON = re.compile(rf"#\s*{CODES}\s*\S.{{4,}}")


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, ROOT / "build.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_suppression_carries_its_reason_on_its_line(path: Path) -> None:
    with io.StringIO(path.read_text(encoding="utf-8")) as text:
        comments = [token for token in tokenize.generate_tokens(text.readline) if token.type == tokenize.COMMENT]
    bare = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for token in comments
        if SUPPRESSION.match(token.string) and not WITH_REASON.match(token.string)
    ]
    assert [] == bare


MOST_LINES = 350


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_is_small(name: str) -> None:
    assert MOST_LINES >= len(MODULES[name].read_text(encoding="utf-8").splitlines())


ELSEWHERE = {
    "dispatcher.setting_fields": "tests/unit/test_settings.py tries every kind of option",
    "dispatcher.__main__": "tests/unit/test_cli.py runs it",
    "dispatcher.coordinator": "tests/support/coordinator.py runs its parts, tests/integration all of it",
    "dispatcher.execute.main": "a process; tests/integration/test_execute.py runs it",
    "dispatcher.not_accepted": "errors without a line of code; tests/unit/test_executions.py meets them",
    "dispatcher.lifecycle": "signals and stalls are of processes; tests/integration sends them",
    "dispatcher.agent.main": "a process; tests/integration runs it",
    "dispatcher.agent.connector": "tests/integration loses its links",
    "dispatcher.agent.link": "tests/integration/test_links.py",
    "dispatcher.agent.worker": "tests/integration runs it",
    "dispatcher.web.asked": "protocols without a line of code; tests/unit/web/test_connection.py meets them",
    "dispatcher.web.agent_socket": "tests/unit/web/test_execute.py and test_agents.py speak to it over the wire",
    "dispatcher.web.monitor_changes": "tests/unit/web/test_monitor_feed.py",
    "dispatcher.web.server": "tests/integration/test_lifecycle.py ends it under load",
    "dispatcher.web.monitor_socket": "tests/unit/web/test_monitor_feed.py speaks to it",
}
"""Modules whose tests stand elsewhere, and where."""

WHOLE = {
    "dispatcher.actors.messages": "tests/unit/actors/test_messages.py looks at all of them",
    "dispatcher.demo": "tests/integration/test_demo.py runs it as a whole",
    "dispatcher.monitor": "tests/unit/monitor tests screens and updates, tests/integration the terminal",
}
"""Packages that are tested as a whole where a module has no test of its own."""


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.name != "__init__.py"])
def test_a_module_has_its_tests(name: str) -> None:
    if name in ELSEWHERE or any(name.startswith(f"{package}.") for package in WHOLE):
        return
    path = MODULES[name].relative_to(ROOT / "dispatcher")
    expected = ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"
    assert expected.exists(), f"{expected.relative_to(ROOT)} is missing"
