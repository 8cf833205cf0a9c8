"""The coordinator gives out its own file."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from dispatcher import bootstrap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.api import Served

CONTENT = os.urandom(1_000_003)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the coordinator run from a file of some pieces."""
    path = tmp_path / "coordinator.pyz"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(bootstrap, "ARCHIVE", str(path))
    return path


@pytest.mark.usefixtures("archive")
def test_the_file_comes_whole_with_its_length_and_its_hash(shared: Served) -> None:
    reply = shared.call("GET", "/dispatcher.pyz")
    assert 200 == reply.status
    assert CONTENT == reply.body
    digest = hashlib.sha256(CONTENT)
    assert str(len(CONTENT)) == reply.headers["content-length"]
    assert f'"{digest.hexdigest()}"' == reply.headers["etag"]
    assert f"sha-256=:{b64encode(digest.digest()).decode()}:" == reply.headers["repr-digest"]
    assert 'attachment; filename="dispatcher.pyz"' == reply.headers["content-disposition"]


@pytest.mark.usefixtures("archive")
def test_who_has_the_file_gets_it_not_again(shared: Served) -> None:
    tag = shared.call("GET", "/dispatcher.pyz").headers["etag"]
    reply = shared.call("GET", "/dispatcher.pyz", headers={"If-None-Match": tag})
    assert (304, b"", tag) == (reply.status, reply.body, reply.headers["etag"])
    assert 200 == shared.call("GET", "/dispatcher.pyz", headers={"If-None-Match": '"another"'}).status


def test_a_replaced_file_has_another_tag(shared: Served, archive: Path) -> None:
    before = shared.call("GET", "/dispatcher.pyz").headers["etag"]
    new = archive.with_name("new")
    new.write_bytes(CONTENT[::-1])
    new.replace(archive)
    after = shared.call("GET", "/dispatcher.pyz")
    assert before != after.headers["etag"]
    assert CONTENT[::-1] == after.body


def test_a_checkout_has_no_file_to_give(shared: Served) -> None:
    reply = shared.call("GET", "/dispatcher.pyz")
    assert (404, "Not Found") == (reply.status, reply.json["title"])
    assert "runs from a checkout" in reply.json["detail"]


def test_a_file_that_is_gone_is_a_problem_and_no_fault(shared: Served, archive: Path) -> None:
    archive.unlink()
    reply = shared.call("GET", "/dispatcher.pyz")
    assert 404 == reply.status
    assert "the coordinator's file is gone: No such file or directory" == reply.json["detail"]
