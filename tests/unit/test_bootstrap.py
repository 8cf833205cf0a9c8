"""What every start decides before a command runs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dispatcher import bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = str(Path(os.__file__).parent)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Return a small set as a first start leaves it."""
    folder = tmp_path / "set"
    (folder / "package").mkdir(parents=True)
    folder.chmod(0o700)
    for name, content in (("package/a.py", "a = 1\n"), ("b with a space.py", "")):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
        os.utime(folder / name, (bootstrap.FILE_TIME, bootstrap.FILE_TIME))
    (folder / bootstrap.INDEX).write_text("6 package/a.py\n0 b with a space.py\nend\n")
    return folder


@pytest.fixture
def own_path() -> Iterator[None]:
    """Put `sys.path` back after the test."""
    path, prefix = list(sys.path), sys.pycache_prefix
    yield
    sys.path[:], sys.pycache_prefix = path, prefix


@pytest.mark.parametrize(
    "line", ["--version", "-V", "--help", "-h", "help", "agent --help", "agent --agent-id x -h", "--mode agent --help"]
)
def test_asking_for_a_text_is_light(line: str) -> None:
    assert bootstrap.is_light(line.split())


@pytest.mark.parametrize("line", ["", "agent", "--version --verbose", "agent --version", "demo help"])
def test_everything_else_needs_the_packages(line: str) -> None:
    assert not bootstrap.is_light(line.split())


def test_a_checkout_starts_itself_as_a_module() -> None:
    assert [sys.executable, "-m", "dispatcher"] == bootstrap.self_command()


def test_a_target_is_named_as_python_names_native_modules() -> None:
    assert EXTENSION_SUFFIXES[0].startswith(f".{bootstrap.target_tag()}")


@pytest.mark.parametrize(
    ("libc", "expected"), [("glibc 2.28", True), ("glibc 2.40", True), ("glibc 2.17", False), (None, False)]
)
def test_native_packages_need_a_glibc_as_new_as_theirs(
    monkeypatch: pytest.MonkeyPatch, libc: str | None, *, expected: bool
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: libc)
    assert expected == bootstrap.can_load_native("cpython-311-aarch64-linux-gnu")
    assert bootstrap.can_load_native("cpython-311-darwin-arm64")


TARGETS = b"cpython-311-x86_64-linux-gnu cpython-311-x86_64-linux-gnu-aa\npure pure-bb\n"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("cpython-311-x86_64-linux-gnu", ("cpython-311-x86_64-linux-gnu", "cpython-311-x86_64-linux-gnu-aa")),
        ("cpython-312-x86_64-linux-musl", ("pure", "cpython-312-x86_64-linux-musl-bb")),
    ],
)
def test_a_python_without_a_set_of_its_own_uses_the_pure_one(
    monkeypatch: pytest.MonkeyPatch, tag: str, expected: tuple[str, str]
) -> None:
    monkeypatch.setattr(bootstrap, "read_stored", {"targets.txt": TARGETS}.__getitem__)
    monkeypatch.setattr(bootstrap, "target_tag", lambda: tag)
    monkeypatch.setattr(bootstrap, "can_load_native", lambda _: True)
    assert expected == bootstrap.chosen_set()
    monkeypatch.setattr(bootstrap, "can_load_native", lambda _: False)
    assert "pure" == bootstrap.chosen_set()[0]


def test_a_file_without_any_fit_set_says_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "read_stored", lambda _: b"cpython-399-vax cpython-399-vax-aa\n")
    with pytest.raises(bootstrap.NotUsableError, match="was built for cpython-399-vax; this is cpython-3"):
        bootstrap.set_name()


def test_the_places_come_in_the_order_that_is_documented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISPATCHER_CACHE", "XDG_CACHE_HOME", "HOME", "XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    user = os.geteuid()
    assert [
        f"{tmp_path}/DISPATCHER_CACHE",
        f"{tmp_path}/XDG_CACHE_HOME/dispatcher",
        f"{tmp_path}/HOME/.cache/dispatcher",
        f"{tmp_path}/XDG_RUNTIME_DIR/dispatcher",
        f"/var/tmp/dispatcher-{user}",
        f"{tmp_path}/TMPDIR/dispatcher-{user}",
    ] == [path for _, path in bootstrap.places()]


def test_a_relative_or_empty_place_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCHER_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "here")
    origins = [origin for origin, _ in bootstrap.places()]
    assert ["the home directory", "/var/tmp", "TMPDIR"] == origins


def test_links_to_a_place_are_followed_but_none_below_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("DISPATCHER_CACHE", str(tmp_path / "link"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    (tmp_path / "real").mkdir()
    ours = f"dispatcher-{os.geteuid()}"
    (tmp_path / "real" / ours).symlink_to(tmp_path)
    places = dict(bootstrap.places())
    assert str(tmp_path / "real") == places["DISPATCHER_CACHE"]
    assert f"{tmp_path}/real/{ours}" == places["TMPDIR"]


def test_a_relative_cache_is_below_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_CACHE", "here")
    assert ("DISPATCHER_CACHE", str(tmp_path / "here")) in list(bootstrap.places())


def test_a_private_folder_is_fit(tmp_path: Path) -> None:
    assert None is bootstrap.why_unfit(str(tmp_path))


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_unfit(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert "others may write to it" == bootstrap.why_unfit(str(tmp_path))


def test_a_folder_whose_parent_others_may_write_to_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "parent" / "folder").mkdir(parents=True)
    (tmp_path / "parent").chmod(0o777)
    assert f"others may write to {tmp_path}/parent" == bootstrap.why_unfit(f"{tmp_path}/parent/folder")


def test_a_sticky_parent_is_as_good_as_a_private_one(tmp_path: Path) -> None:
    (tmp_path / "parent" / "folder").mkdir(parents=True)
    (tmp_path / "parent").chmod(0o1777)
    assert None is bootstrap.why_unfit(f"{tmp_path}/parent/folder")


def test_a_file_and_a_link_are_unfit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        assert "it is not a folder of this user" == bootstrap.why_unfit(f"{tmp_path}/{name}")


def test_a_whole_set_is_taken(unpacked: Path) -> None:
    assert bootstrap.take(str(unpacked))


def test_a_set_without_an_index_is_not_taken(unpacked: Path) -> None:
    (unpacked / bootstrap.INDEX).unlink()
    assert not bootstrap.take(str(unpacked))


@pytest.mark.parametrize("text", ["", "6 package/a.py\n", "6 package/a.py\nend", "nonsense\nend\n", "x y\nend\n"])
def test_a_damaged_index_takes_no_set(unpacked: Path, text: str) -> None:
    (unpacked / bootstrap.INDEX).write_bytes(text.encode())
    expected = text == "6 package/a.py\nend"  # only the last line break is missing, nothing of the list
    assert expected == bootstrap.take(str(unpacked))


def test_an_index_that_is_not_text_takes_no_set(unpacked: Path) -> None:
    (unpacked / bootstrap.INDEX).write_bytes(b"\xff\xfe")
    assert not bootstrap.take(str(unpacked))


def test_a_set_with_another_size_time_or_mode_is_not_taken(unpacked: Path) -> None:
    victim = unpacked / "package" / "a.py"
    victim.chmod(0o620)
    assert not bootstrap.take(str(unpacked))
    victim.chmod(0o600)
    os.utime(victim, (1, 1))
    assert not bootstrap.take(str(unpacked))
    victim.write_text("a = 10\n")
    os.utime(victim, (bootstrap.FILE_TIME, bootstrap.FILE_TIME))
    assert not bootstrap.take(str(unpacked))


def test_a_set_with_a_pipe_in_it_is_not_taken(unpacked: Path) -> None:
    victim = unpacked / "b with a space.py"
    victim.unlink()
    os.mkfifo(victim, 0o600)
    os.utime(victim, (bootstrap.FILE_TIME, bootstrap.FILE_TIME))
    assert not bootstrap.take(str(unpacked))


def test_a_set_that_is_being_removed_is_not_taken(unpacked: Path) -> None:
    held = subprocess.run(
        ["flock", "--exclusive", "--nonblock", unpacked / bootstrap.INDEX, sys.executable, "-c", PROGRAM, unpacked],
        check=False,
        cwd=Path(bootstrap.__file__).parents[1],
    )
    assert 0 == held.returncode


PROGRAM = "import sys; from dispatcher import bootstrap; sys.exit(bootstrap.take(sys.argv[1]))"


def test_taking_a_set_notes_its_use_once_a_day(unpacked: Path) -> None:
    os.utime(unpacked, (1, 1))
    bootstrap.take(str(unpacked))
    noted = unpacked.stat().st_mtime_ns
    assert noted > 10**18
    bootstrap.take(str(unpacked))
    assert noted == unpacked.stat().st_mtime_ns


@pytest.mark.usefixtures("own_path")
def test_pythonpath_and_user_packages_leave_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "one"), LIBRARY]))
    before = list(sys.path)
    sys.path.insert(0, str(tmp_path / "one"))
    bootstrap.shield_path()
    assert str(tmp_path / "one") not in sys.path
    assert LIBRARY in sys.path
    assert set(sys.path) <= set(before)


@pytest.mark.usefixtures("own_path")
def test_byte_code_is_looked_for_beside_its_source(tmp_path: Path) -> None:
    sys.pycache_prefix = str(tmp_path)
    bootstrap.shield_path()
    assert None is sys.pycache_prefix
