"""What is remembered of a function, and for how many keys."""

from __future__ import annotations

import pytest

from dispatcher.memo import Memo


class Asked:
    """A function that keeps what it was asked for; it fails for 0."""

    def __init__(self) -> None:
        self.keys: list[int] = []

    def __call__(self, key: int) -> float:
        self.keys.append(key)
        return 1 / key


def test_each_key_is_asked_for_once() -> None:
    asked = Asked()
    memo = Memo(asked, 2)
    assert [0.5, 0.25, 0.5, 0.25] == [memo[key] for key in (2, 4, 2, 4)]
    assert [2, 4] == asked.keys


def test_it_holds_no_more_than_its_bound() -> None:
    asked = Asked()
    memo = Memo(asked, 2)
    for key in (1, 2, 4):
        assert 1 / key == memo[key]
        assert 1 <= len(memo) <= 2
    assert 1.0 == memo[1]
    assert [1, 2, 4, 1] == asked.keys, "the first was forgotten with the second"


def test_an_error_is_raised_each_time() -> None:
    asked = Asked()
    memo = Memo(asked, 2)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            memo[0]
    assert [0, 0] == asked.keys


def test_what_was_forgotten_is_asked_for_again() -> None:
    asked = Asked()
    memo = Memo(asked, 2)
    assert 0.5 == memo[2]
    memo.clear()
    assert 0.5 == memo[2]
    assert [2, 2] == asked.keys
