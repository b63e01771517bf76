import gc
import logging
import math

import pytest
import trio
import trio.testing

from providers.http import DeadlineWheel
from providers.http.wheel import TICK


class Waiting:
    def __init__(self) -> None:
        self.deadline = math.inf
        self.fires_at = math.inf
        self.fired: list[float] = []

    def on_deadline(self) -> None:
        self.fired.append(trio.current_time())


async def test_a_deadline_fires_after_it_and_at_most_one_tick_late(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    await trio.sleep(0.05)
    items = [(trio.current_time() + delay, Waiting()) for delay in (0.01, 0.1, 1.234, 60.0)]
    for deadline, item in items:
        wheel.arm(item, deadline)
    await trio.sleep(100)
    for deadline, item in items:
        (fired,) = item.fired
        assert deadline <= fired <= deadline + TICK + 1e-6


async def test_a_deadline_moved_later_fires_only_then(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    item = Waiting()
    begin = trio.current_time()
    for step in range(50):
        wheel.arm(item, begin + step + 5)
        await trio.sleep(1)
    assert not item.fired
    assert len(wheel) == 1
    await trio.sleep(10)
    assert item.fired == [pytest.approx(begin + 54, abs=TICK + 0.01)]


async def test_a_deadline_moved_earlier_fires_at_the_earlier_time_only(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    item = Waiting()
    begin = trio.current_time()
    wheel.arm(item, begin + 100)
    await trio.sleep(1)
    wheel.arm(item, begin + 3)
    assert len(wheel) == 1
    await trio.sleep(200)
    assert item.fired == [pytest.approx(begin + 3, abs=TICK + 0.01)]


async def test_disarmed_and_endless_deadlines_never_fire(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    disarmed, endless, extended = Waiting(), Waiting(), Waiting()
    wheel.arm(disarmed, trio.current_time() + 1)
    wheel.disarm(disarmed)
    wheel.arm(endless, math.inf)
    wheel.arm(extended, trio.current_time() + 1)
    wheel.arm(extended, math.inf)
    await trio.sleep(1000)
    assert not disarmed.fired
    assert not endless.fired
    assert not extended.fired
    assert len(wheel) == 0


async def test_what_came_due_while_nobody_swept_fires_when_somebody_does_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wheel = DeadlineWheel()
    early, late = Waiting(), Waiting()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wheel.run)
        await trio.sleep(1)
        wheel.arm(early, trio.current_time() + 1)
        wheel.arm(late, trio.current_time() + 10)
        nursery.cancel_scope.cancel()
    await trio.sleep(5)
    assert not early.fired
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wheel.run)
        await trio.sleep(0.01)
        assert early.fired
        assert not late.fired
        await trio.sleep(6)
        assert late.fired
        nursery.cancel_scope.cancel()


async def test_a_failing_callback_does_not_keep_others_from_firing(
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    fired: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    for number in range(5):
        wheel.call_at(trio.current_time() + 1, lambda number=number: fired.append(number))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        wheel.call_at(trio.current_time() + 1, fail)
    with caplog.at_level(logging.CRITICAL, logger="standby.http"):
        await trio.sleep(2)
    assert sorted(fired) == [0, 1, 2, 3, 4]


async def test_an_item_may_arm_itself_again_when_it_fires(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    times: list[float] = []

    def again() -> None:
        times.append(trio.current_time())
        if len(times) < 3:
            wheel.arm(alarm, trio.current_time() + 2)

    begin = trio.current_time()
    alarm = wheel.call_at(begin + 2, again)
    await trio.sleep(20)
    assert [time - begin for time in times] == [
        pytest.approx(expected, abs=0.35) for expected in (2, 4, 6)
    ]


async def test_only_one_task_may_sweep(autojump_clock: trio.testing.MockClock) -> None:
    wheel = DeadlineWheel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wheel.run)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="another task"):
            await wheel.run()
        nursery.cancel_scope.cancel()


async def test_deadlines_that_were_disarmed_take_no_room_until_their_time(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    wheel = DeadlineWheel()
    nursery.start_soon(wheel.run)
    items = [Waiting() for _ in range(50)]
    before = sum(type(each) is set for each in gc.get_objects())
    for tick in range(1000):
        for item in items:
            wheel.arm(item, trio.current_time() + 60 + tick * TICK)
        for item in items:
            wheel.disarm(item)
    assert sum(type(each) is set for each in gc.get_objects()) - before < 10
    assert len(wheel) == 0
    wheel.arm(items[0], trio.current_time() + 60)
    await trio.sleep(200)
    assert items[0].fired
    assert not items[1].fired
