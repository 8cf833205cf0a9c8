"""Which peers understand each other."""

from __future__ import annotations

import pytest

from dispatcher.wire import version


def test_this_side_understands_itself() -> None:
    assert version.is_compatible(version.WIRE)


@pytest.mark.parametrize("revision", [0, 1, 9999])
def test_a_revision_never_breaks(revision: int) -> None:
    assert version.is_compatible((version.ACCEPTED_VERSIONS[0], revision))


@pytest.mark.parametrize("peer", [(0, 0), (2, 0), (9999, 0)])
def test_another_version_breaks(peer: tuple[int, int]) -> None:
    assert not version.is_compatible(peer)


def test_a_mismatch_says_what_both_sides_speak() -> None:
    expected = "the agent speaks wire version 2.7; this coordinator speaks 1.5 and accepts version 1"
    assert expected == version.mismatch((2, 7))


@pytest.mark.parametrize(
    ("peer", "requests", "answers"), [((1, 3), False, False), ((1, 4), True, False), ((1, 5), True, True)]
)
def test_a_peer_knows_what_its_revision_has(peer: tuple[int, int], requests: bool, answers: bool) -> None:
    assert (requests, answers) == (version.can_share_requests(peer), version.can_share_answers(peer))
