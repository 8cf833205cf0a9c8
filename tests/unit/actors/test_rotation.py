"""Exact round-robin, against a model that is a list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher.actors.rotation import Rotation, Tier

KEYS = st.integers(0, 7)
TIERS = st.sampled_from(Tier)


def filled(*keys: str, tier: Tier = Tier.FIRST) -> Rotation[str]:
    rotation: Rotation[str] = Rotation()
    for key in keys:
        rotation.put(key, tier)
    return rotation


def test_an_empty_rotation_leases_nothing() -> None:
    rotation = filled()
    assert rotation.lease() is None
    assert rotation.next is None
    assert rotation.available == 0


def test_leases_go_round() -> None:
    rotation = filled("a", "b", "c")
    assert ["a", "b", "c", "a", "b"] == [rotation.lease() for _ in range(5)]


def test_what_is_passed_over_keeps_its_turn() -> None:
    rotation = filled("a", "b", "c")
    assert ["c", "a", "b"] == [rotation.lease({"a", "b"}), rotation.lease(), rotation.lease()]
    assert ["c"] == [rotation.lease(("a",))]


def test_a_lease_that_may_take_nothing_that_is_there_changes_nothing() -> None:
    rotation = filled("a", "b")
    assert rotation.lease({"a", "b", "c"}) is None
    assert ["a", "b"] == list(rotation)


def test_next_is_what_the_next_lease_takes_and_does_not_take_it() -> None:
    rotation = filled("a", "b")
    assert rotation.next == rotation.next == rotation.lease() == "a"
    assert rotation.next == "b"


def test_a_new_exit_goes_to_the_back() -> None:
    rotation = filled("a", "b")
    rotation.lease()
    rotation.put("c", Tier.FIRST)
    assert ["b", "a", "c"] == list(rotation)


def test_an_exit_that_leaves_and_comes_back_goes_to_the_back() -> None:
    rotation = filled("a", "b", "c")
    rotation.remove("a")
    rotation.put("a", Tier.FIRST)
    assert ["b", "c", "a"] == list(rotation)


def test_an_exit_that_is_reported_again_keeps_its_place() -> None:
    rotation = filled("a", "b", "c")
    rotation.put("a", Tier.FIRST)
    assert ["a", "b", "c"] == list(rotation)


def test_an_exit_that_could_not_be_used_for_a_while_goes_to_the_back() -> None:
    rotation = filled("a", "b", "c")
    rotation.put("a", Tier.NEVER)
    rotation.put("a", Tier.FIRST)
    assert ["b", "c", "a"] == list(rotation)


def test_the_reserve_is_leased_only_while_there_is_nothing_better() -> None:
    rotation = filled("r", "s", tier=Tier.RESERVE)
    rotation.put("a", Tier.FIRST)
    assert [rotation.lease(), rotation.lease(), rotation.available] == ["a", "a", 1]
    rotation.remove("a")
    assert [rotation.lease(), rotation.lease(), rotation.lease()] == ["r", "s", "r"]
    assert rotation.available == 2


def test_what_must_not_be_leased_is_counted_but_not_available() -> None:
    rotation = filled("a", "b", tier=Tier.NEVER)
    assert rotation.lease() is None
    assert (2, 0) == (len(rotation), rotation.available)


def test_removing_what_is_not_there_changes_nothing() -> None:
    rotation = filled("a")
    rotation.remove("b")
    assert ["a"] == list(rotation)


@given(
    before=st.integers(0, 12),
    leave=st.sets(st.integers(0, 7)),
    join=st.integers(0, 4),
)
def test_exits_that_come_or_go_neither_repeat_nor_skip_the_others(before: int, leave: set[int], join: int) -> None:
    rotation: Rotation[int] = Rotation()
    for key in range(8):
        rotation.put(key, Tier.FIRST)
    for _ in range(before):
        rotation.lease()
    expected = [key for key in rotation if key not in leave]
    for key in leave:
        rotation.remove(key)
    for key in range(100, 100 + join):
        rotation.put(key, Tier.FIRST)
    assert [*expected, *range(100, 100 + join)] == [rotation.lease() for _ in range(len(rotation))]


class AgainstLists(RuleBasedStateMachine):
    """The same changes to a rotation and to three lists."""

    def __init__(self) -> None:
        super().__init__()
        self.rotation: Rotation[int] = Rotation()
        self.model: dict[Tier, list[int]] = {tier: [] for tier in Tier}
        self.leased: list[int] = []
        """The leases since the last change of what is available."""

    def _leasable(self) -> list[int]:
        return self.model[Tier.FIRST] or self.model[Tier.RESERVE]

    @rule(key=KEYS, tier=TIERS)
    def put(self, key: int, tier: Tier) -> None:
        self.rotation.put(key, tier)
        if key not in self.model[tier]:
            self._take_out(key)
            self.model[tier].append(key)
            self.leased = []

    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        self.rotation.remove(key)
        self._take_out(key)
        self.leased = []

    def _take_out(self, key: int) -> None:
        for keys in self.model.values():
            if key in keys:
                keys.remove(key)

    @rule()
    def lease_from_nothing(self) -> None:
        if not self._leasable():
            assert self.rotation.lease() is None

    @precondition(lambda self: self._leasable())
    @rule(count=st.integers(1, 10))
    def lease(self, count: int) -> None:
        for _ in range(count):
            keys = self._leasable()
            expected = keys.pop(0)
            keys.append(expected)
            assert expected == self.rotation.next
            assert expected == self.rotation.lease()
            self.leased.append(expected)

    @rule(keys=st.sets(KEYS))
    def lease_passing_over(self, keys: set[int]) -> None:
        leasable = self._leasable()
        expected = next((key for key in leasable if key not in keys), None)
        assert expected == self.rotation.lease(keys)
        if expected is not None:
            leasable.remove(expected)
            leasable.append(expected)
            self.leased = []

    @invariant()
    def the_order_is_the_models(self) -> None:
        assert [key for tier in Tier for key in self.model[tier]] == list(self.rotation)
        assert len(list(self.rotation)) == len(self.rotation)
        assert len(self._leasable()) == self.rotation.available
        assert next(iter(self._leasable()), None) == self.rotation.next

    @invariant()
    def any_n_consecutive_leases_are_n_different_exits(self) -> None:
        available = self.rotation.available
        for start in range(len(self.leased) - available + 1):
            window = self.leased[start : start + available]
            assert available == len(set(window))


TestAgainstLists = AgainstLists.TestCase
TestAgainstLists.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
