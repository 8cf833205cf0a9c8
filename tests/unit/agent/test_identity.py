from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dispatcher.agent import identity as identity_module
from dispatcher.agent.identity import Identity, open_identity
from dispatcher.checks import AGENT_KEY
from dispatcher.errors import RefusedError

URL = "http://[2001:db8::1]:8000"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes what a test opened."""
    with ExitStack() as stack:
        yield stack


def be(opened: ExitStack, folder: Path, agent_id: str | None = "gateway-1", url: str = URL) -> Identity:
    identity = open_identity(folder, url, agent_id)
    opened.callback(identity.close)
    return identity


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_agent_makes_a_key_that_only_its_user_can_read(tmp_path: Path, opened: ExitStack) -> None:
    made = be(opened, tmp_path / "state")
    assert ("gateway-1", True) == (made.agent_id, bool(AGENT_KEY.fullmatch(made.key or "")))
    folder = tmp_path / "state" / "agents"
    assert [0o700, 0o700] == [mode(folder.parent), mode(folder)]
    assert [0o600, 0o600] == [mode(path) for path in folder.iterdir()]


def test_an_agent_that_is_started_again_has_its_key(tmp_path: Path, opened: ExitStack) -> None:
    first = be(opened, tmp_path)
    first.close()
    assert first.key == be(opened, tmp_path).key


def test_an_agent_without_an_id_keeps_the_one_that_it_was_given(tmp_path: Path, opened: ExitStack) -> None:
    first = be(opened, tmp_path, None)
    assert None is first.agent_id
    first.take("agent-5f")
    first.close()
    second = be(opened, tmp_path, None)
    assert ("agent-5f", first.key) == (second.agent_id, second.key)


def test_an_agent_that_is_started_without_its_id_is_who_it_was(
    tmp_path: Path, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = be(opened, tmp_path)
    first.close()
    again = be(opened, tmp_path, None)
    assert ("gateway-1", first.key) == (again.agent_id, again.key)
    assert [
        f"agent id gateway-1: as its settings say; its key is kept in {first.path}",
        f"agent id gateway-1: the one that is kept in {first.path}, since none was given",
    ] == caplog.messages


def test_an_id_that_was_made_up_comes_before_one_that_was_given(tmp_path: Path, opened: ExitStack) -> None:
    unnamed = be(opened, tmp_path, None)
    unnamed.take("agent-5f")
    for each in (unnamed, be(opened, tmp_path)):
        each.close()
    assert "agent-5f" == be(opened, tmp_path, None).agent_id
    assert None is be(opened, tmp_path, None).agent_id  # nor does a second one get the other's name


def test_the_id_of_an_agent_that_runs_is_nobody_elses(
    tmp_path: Path, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    running = be(opened, tmp_path)
    other = be(opened, tmp_path, None)
    assert (None, True) == (other.agent_id, other.key != running.key)
    other.take("agent-5f")
    assert [
        "agent id: a new one, since none was given and none is kept for a stopped agent",
        f"agent id agent-5f: made up by the coordinator and kept in {other.path}",
    ] == caplog.messages[1:]


def test_of_several_ids_that_were_given_none_is_taken_without_its_name(
    tmp_path: Path, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "dispatcher")  # whatever a test before this one has left
    for agent_id in ("b", "a"):
        be(opened, tmp_path, agent_id).close()
    be(opened, tmp_path, "elsewhere", "http://other:8000").close()
    assert None is be(opened, tmp_path, None).agent_id
    assert ["agent id: a new one, since none was given and several agents were named here: a, b"] == caplog.messages


def test_a_damaged_identity_of_a_named_agent_is_not_taken_without_its_name(
    tmp_path: Path, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "dispatcher")  # as above
    named = be(opened, tmp_path)
    named.close()
    assert named.path is not None
    named.path.write_text("{}")
    assert None is be(opened, tmp_path, None).agent_id
    assert ("{}", []) == (named.path.read_text(), caplog.messages)


def test_agents_of_one_directory_are_different_agents(tmp_path: Path, opened: ExitStack) -> None:
    unnamed = [be(opened, tmp_path, None) for _ in range(3)]
    named = [be(opened, tmp_path, agent_id) for agent_id in ("a", "b")]
    elsewhere = be(opened, tmp_path, "a", "http://other:8000")
    keys = [each.key for each in (*unnamed, *named, elsewhere)]
    assert 6 == len(set(keys))
    for each in unnamed:
        each.close()
    assert set(keys[:3]) == {be(opened, tmp_path, None).key for _ in range(3)}


def test_a_second_agent_of_the_same_id_on_this_machine_is_refused_by_name(tmp_path: Path, opened: ExitStack) -> None:
    be(opened, tmp_path)
    expected = rf"agent gateway-1 runs on this machine already \(process {os.getpid()}\)"
    with pytest.raises(RefusedError, match=expected):
        open_identity(tmp_path, URL, "gateway-1")


def test_more_unnamed_agents_than_are_kept_apart_work_without_a_key(
    tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(identity_module, "UNNAMED_AT_MOST", 1)
    be(opened, tmp_path, None)
    assert Identity(None) == be(opened, tmp_path, None)
    assert "1 agents without --agent-id keep theirs there already" in caplog.text


def test_an_agent_works_where_nothing_can_be_written_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert Identity("gateway-1") == open_identity(tmp_path / "file", URL, "gateway-1")
    (warning,) = caplog.messages
    assert "cannot keep this agent's id and key in" in warning
    assert "File exists; its id is its own only while it is connected" in warning


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", "{}", '{"agent_id": "a", "key": "short"}', '{"agent_id": "a b", "key": "' + "k" * 40 + '"}'],
)
def test_an_identity_that_is_damaged_is_made_anew_and_told(
    tmp_path: Path, opened: ExitStack, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = be(opened, tmp_path)
    first.close()
    assert first.path is not None
    first.path.write_text(content)
    second = be(opened, tmp_path)
    assert first.key != second.key
    assert second.key == json.loads(first.path.read_text())["key"]
    assert ["cannot be read as an agent's identity; a new one takes its place"] == [
        message.partition(".json ")[2] for message in caplog.messages
    ]


def test_an_id_that_cannot_be_kept_is_taken_all_the_same(
    tmp_path: Path, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    made = be(opened, tmp_path, None)
    assert made.path is not None
    made.path = tmp_path / "gone" / "x.json"
    made.take("agent-5f")
    assert "agent-5f" == made.agent_id
    assert "cannot keep this agent's id" in caplog.text


def test_a_key_is_in_no_text(tmp_path: Path, opened: ExitStack) -> None:
    made = be(opened, tmp_path)
    assert made.key is not None
    assert made.key not in repr(made)
