"""Whose id is whose: decided without I/O, so that time is a number."""

from __future__ import annotations

import pytest

from dispatcher.actors.errors import IdInUseError
from dispatcher.actors.messages import AgentOwner
from dispatcher.actors.ownership import Ownership, OwnershipRules

RULES = OwnershipRules(forget_after_seconds=100.0, max_owners=2)


def owning(*kept: AgentOwner, now: float = 0.0) -> Ownership:
    return Ownership(kept, RULES, now)


def is_refused(ownership: Ownership, key_hash: str | None, now: float) -> bool:
    try:
        ownership.check("one", key_hash, now)
    except IdInUseError:
        return True
    return False


def test_an_id_that_nobody_owns_is_anybodys() -> None:
    assert not is_refused(owning(), None, 0.0)
    assert not is_refused(owning(), "k", 0.0)


def test_only_the_owner_passes_while_it_is_connected_however_long() -> None:
    ownership = owning()
    assert AgentOwner("one", "k", None) == ownership.connected("one", "k")
    assert [False, True, True] == [is_refused(ownership, key, 1e9) for key in ("k", "l", None)]


def test_a_lost_owner_is_gone_for_good_after_the_stated_time_and_not_before() -> None:
    ownership = owning(AgentOwner("one", "k", 50.0))
    assert [True, False] == [is_refused(ownership, "l", now) for now in (150.0, 150.1)]
    assert not is_refused(ownership, "k", 1e9)


def test_who_was_connected_when_the_coordinator_ended_is_lost_from_its_next_start_on() -> None:
    ownership = owning(AgentOwner("one", "k", None), now=1000.0)
    assert [True, False] == [is_refused(ownership, "l", now) for now in (1100.0, 1100.1)]


def test_a_clock_that_was_set_back_frees_no_id() -> None:
    assert is_refused(owning(AgentOwner("one", "k", 50.0)), "l", -1e9)


def test_the_refusal_says_what_would_help() -> None:
    with pytest.raises(IdInUseError, match=r"DELETE /api/agents/one.* for 100 s \(by now 7 s\)"):
        owning(AgentOwner("one", "k", 50.0)).check("one", "l", 57.0)


def test_only_what_changed_is_to_be_stored() -> None:
    ownership = owning()
    assert None is ownership.lost("one", 1.0)
    assert AgentOwner("one", "k", None) == ownership.connected("one", "k")
    assert None is ownership.connected("one", "k")
    assert AgentOwner("one", "k", 5.0) == ownership.lost("one", 5.0)
    assert AgentOwner("one", "l", None) == ownership.connected("one", "l")


def test_a_forgotten_id_is_free() -> None:
    ownership = owning(AgentOwner("one", "k", 0.0))
    assert [True, False] == [ownership.forget("one"), ownership.forget("one")]
    assert not is_refused(ownership, "l", 0.0)


def test_of_too_many_the_one_lost_for_longest_goes() -> None:
    ownership = owning(AgentOwner("a", "k", 3.0), AgentOwner("b", "k", 2.0))
    assert None is ownership.surplus()
    ownership.connected("c", "k")
    assert "b" == ownership.surplus()
    for agent_id in ("a", "b"):
        ownership.connected(agent_id, "k")
    assert None is ownership.surplus()


def test_a_key_is_in_no_text() -> None:
    assert "k3y" not in repr(AgentOwner("one", "k3y", None))
