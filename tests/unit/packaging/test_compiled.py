"""What is compiled: which modules, where that can be done, and that what comes of it runs as its source does."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

from dispatcher.packaging import compiled, pack

ROOT = Path(__file__).parents[3]
LOADED_TOGETHER = (
    "dispatcher.coordinator",
    "dispatcher.agent.main",
    "dispatcher.demo, dispatcher.demo.target",
    "dispatcher.monitor.main, dispatcher.monitor.app, dispatcher.monitor.plain",
    "dispatcher.execute.main",
    # The parts of `self-test`, each of which may be the one that loads.
    "dispatcher.deadlines",
    "dispatcher.wire.codec, dispatcher.wire.messages, dispatcher.wire.native",
    "dispatcher.agent.executor, dispatcher.agent.targets.guard, dispatcher.request",
)
BY_NAME = {path.removesuffix(".py").replace("/", "."): path for path in compiled.MODULES}

TINY = b'''\
"""One dataclass and one class."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Point:
    """A dataclass."""

    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, compare=False)

    def moved(self) -> Point:
        return Point(self.x + 1, self.y)


@dataclass(slots=True)
class Open:
    """A dataclass that may change."""

    value: float = 0.0


class Counter:
    """A class."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0
'''
OPENED = b"from dispatcher.tiny import Counter\n\n\nclass Twice(Counter):\n    pass\n"
USE = """\
import dataclasses
from dispatcher import opened, tiny

one = tiny.Point(1)
assert tiny.Point(1, 2, ["not compared"]) == one != tiny.Point(2)
assert hash(tiny.Point(1)) == hash(one)
assert "Point(x=1, y=2, names=[])" == repr(one)
assert tiny.Point(1, 5) == dataclasses.replace(one, y=5)
assert {"x": 1, "y": 2, "names": []} == dataclasses.asdict(one)
assert ["x", "y", "names"] == [each.name for each in dataclasses.fields(one)]
assert tiny.Point(2) == one.moved()
assert 0 == opened.Twice().count
assert tiny.Open() == tiny.Open(0.0) != tiny.Open(1.0)
assert None is tiny.Open.__hash__
match one:
    case tiny.Point(x, y):
        assert (1, 2) == (x, y)
try:
    tiny.Point("1")
except TypeError:
    print(tiny.__file__)
"""


def test_every_module_is_there_and_named_once_in_order() -> None:
    assert sorted(set(compiled.MODULES)) == list(compiled.MODULES)
    assert [] == [path for path in compiled.MODULES if not (ROOT / path).is_file()]


# A class that a module names for types alone is none of Python's to load, but what mypyc made of the module needs it.
# It knows the classes that come out of the other modules too, so those that they name are looked for as well.


@cache
def named_for_types(name: str) -> frozenset[str]:
    """Return the compiled modules that a module names in any of its imports, most of them for types alone."""
    path = ROOT / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    named = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for each in node.names:
                named |= {node.module, f"{node.module}.{each.name}", declared_in(node.module, each.name)}
    return frozenset(named & BY_NAME.keys())


@cache
def declared_in(module: str, name: str) -> str:
    """Return the module that a package has this name from; the package itself where it says nothing of it."""
    path = ROOT / module.replace(".", "/") / "__init__.py"
    for node in ast.walk(ast.parse(path.read_bytes() if path.is_file() else b"")):
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            return str(node.module)
    return module


@pytest.mark.parametrize("modules", LOADED_TOGETHER)
def test_a_command_loads_what_its_modules_name_for_types_alone(modules: str) -> None:
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    ours = sorted(name for name in done.stdout.split() if name.partition(".")[0] == "dispatcher")
    loaded = BY_NAME.keys() & set(ours)
    assert {} == {name: missing for name in ours if (missing := named_for_types(name) - loaded)}


def test_classes_with_subclasses_that_are_not_compiled_are_found() -> None:
    assert {"LoopActor", "Message"} <= compiled.open_names(pack.read_sources(ROOT, ""))


def test_what_is_missing_to_compile_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as without:
        without.setattr(sys, "platform", "linux")
        without.setenv("PATH", "")
        assert str(compiled.why_not()).startswith("there is no C compiler (")
    with monkeypatch.context() as without:
        without.setattr(sys, "platform", "linux")
        without.setattr(sysconfig, "get_config_var", lambda _: sys.executable)
        without.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
        assert str(compiled.why_not()).startswith("Python's headers are not installed (Debian: python3.")
    with monkeypatch.context() as without:
        without.setattr(sys, "platform", "darwin")
        assert "nobody has tried it on darwin" == compiled.why_not()


def test_the_hash_is_another_for_other_sources_and_another_lock() -> None:
    made = compiled.digest({"dispatcher/one.py": b"1"}, b"lock")
    assert made == compiled.digest({"dispatcher/one.py": b"1", "dispatcher/data.json": b"{}"}, b"lock")
    assert made != compiled.digest({"dispatcher/one.py": b"2"}, b"lock")
    assert made != compiled.digest({"dispatcher/one.py": b"1"}, b"another")


def tiny_sources() -> pack.Files:
    """Return what is packed beside the tiny module: what its plain form needs, and a class that inherits one of its."""
    ours = {name: (ROOT / name).read_bytes() for name in ("dispatcher/__init__.py", "dispatcher/members.py")}
    return ours | {"dispatcher/tiny.py": TINY, "dispatcher/opened.py": OPENED}


def test_a_compiled_module_does_what_its_source_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled, "MODULES", ("dispatcher/tiny.py",))
    folder, here = tmp_path / "compiled", Path(sys.executable)
    if (why_not := compiled.why_not()) is not None:
        assert why_not.startswith(("nobody has tried it", "there is no C compiler", "Python's headers"))
        return
    if importlib.util.find_spec("setuptools") is None:
        with pytest.raises(compiled.CompileError, match="mypyc cannot compile what lies in "):
            compiled.compile_into(folder, tiny_sources(), here, tmp_path)
        assert not folder.exists()
        return
    compiled.compile_into(folder, tiny_sources(), here, tmp_path)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    made = compiled.read(folder)
    assert [f"dispatcher/tiny{suffix}", f"{compiled.LIBRARY}__mypyc{suffix}"] == sorted(made)
    for name, data in (tiny_sources() | made).items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    done = subprocess.run([here, "-c", USE], cwd=tmp_path / "set", capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.strip().endswith(f"/dispatcher/tiny{suffix}")


def test_what_cannot_be_compiled_leaves_nothing_and_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "MODULES", ("dispatcher/tiny.py",))
    broken = tiny_sources() | {"dispatcher/tiny.py": TINY.replace(b"self.count = 0", b"self.count = '0' + 0")}
    with pytest.raises(compiled.CompileError, match="mypyc cannot compile what lies in "):
        compiled.compile_into(tmp_path / "compiled", broken, Path(sys.executable), tmp_path)
    assert not (tmp_path / "compiled").exists()
    assert "" != capfd.readouterr().err
