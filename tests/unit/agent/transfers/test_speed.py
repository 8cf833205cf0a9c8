"""Targets that drip, that do not read and that only think, with the bounds of the speed made short."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from dispatcher.agent.transfers.speed import MIN_SPEED, MIN_SPEED_SECONDS, SpeedWatch
from dispatcher.errors import FailureKind, Party
from dispatcher.options import AGENT
from tests.support.executing import elapsed, executed, execution, executor, run
from tests.support.targets import Dripping, Echo, Hanging, Mute

if TYPE_CHECKING:
    from dispatcher.wire.messages import Result

FAST = {"min_speed": 10_000, "min_speed_seconds": 0.2}
"""Faster than what drips (a byte every 20 ms), slower than what does not."""

SLOW = "the speed fell below the agent's --min-speed in phase"


async def ask(url: str, speed: dict[str, Any] = FAST, **rest: Any) -> Result:
    async with executor(**speed) as made:
        return await executed(made, execution(url, **({"timeout": 20} | rest)))


def assert_too_slow(result: Result, phase: str) -> None:
    assert (FailureKind.TIMEOUT, Party.TARGET) == (result.error_kind, result.error_party)
    assert result.error_detail.startswith(f"{SLOW} {phase}, while ")


@pytest.mark.parametrize("path", ["/fault/drip", "/fault/drip-headers"])
def test_a_target_that_drips_its_answer_ends_long_before_the_timeout(path: str) -> None:
    async def test() -> None:
        async with Echo() as target:
            began = time.monotonic()
            assert_too_slow(await ask(target.url(path)), "receive")
            assert elapsed(began) < 10
            assert "::1" == (await asyncio.wait_for(target.closings.get(), 5))

    run(test())


def test_a_target_that_does_not_take_the_request_ends_in_phase_send() -> None:
    async def test() -> None:
        async with Mute() as target:
            assert_too_slow(await ask(target.url(), method="POST", body=bytes(16_000_000)), "send")

    run(test())


def test_a_target_may_think_as_long_as_the_timeout_lets_it() -> None:
    async def test() -> None:
        async with Hanging() as target:
            result = await ask(target.url(), timeout=1)
            assert result.error_detail.startswith("the time was up in phase wait")

    run(test())


def test_a_target_that_is_fast_enough_is_not_ended() -> None:
    async def test() -> None:
        async with Echo() as target, executor(min_speed=1, min_speed_seconds=0.2) as made:
            slow_but_fast_enough = executed(made, execution(target.url("/fault/drip"), timeout=1.5))
            large = executed(made, execution(target.url("/bytes/5000000"), timeout=20))
            dripped, done = await asyncio.gather(slow_but_fast_enough, large)
            assert dripped.error_detail.startswith("the time was up in phase receive")
            assert (200, 5_000_000) == (done.status, done.body_size)

    run(test())


def test_no_speed_is_too_slow_where_the_limit_is_0() -> None:
    async def test() -> None:
        async with Dripping() as target:
            result = await ask(target.url(), {"min_speed": 0, "min_speed_seconds": 0.1}, timeout=1)
            assert result.error_detail.startswith("the time was up in phase receive")

    run(test())


def test_what_is_too_slow_takes_nothing_else_with_it_and_the_watch_goes_on() -> None:
    async def test() -> None:
        async with Echo() as target, executor(**FAST) as made:
            for _ in range(2):
                slow, quick = await asyncio.gather(
                    executed(made, execution(target.url("/fault/drip"), timeout=20)),
                    executed(made, execution(target.url(), timeout=20)),
                )
                assert_too_slow(slow, "receive")
                assert 200 == quick.status

    run(test())


def test_nothing_is_looked_at_while_nothing_is_under_way() -> None:
    async def test() -> None:
        looks: list[None] = []

        def none() -> list[Any]:
            looks.append(None)
            return []

        watch = SpeedWatch(1, 0.01, none, lambda _: None)
        watch.wake()
        watch.wake()
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, done.set_result, None)
        await done
        assert 2 == len(looks), "one look, and one question whether to look again"
        watch.close()

    run(test())


def test_the_options_have_the_same_defaults() -> None:
    defaults = {option.name: option.default for option in AGENT.options}
    assert (MIN_SPEED, MIN_SPEED_SECONDS) == (defaults["min-speed"], defaults["min-speed-time"])
