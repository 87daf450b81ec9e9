"""Slots that are handed out in turn over the keys that are ready."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from monitor.studio import budget as module
from monitor.studio.budget import Budget, Hold
from tests.clock import Clock
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")


async def served(budget: Budget, keys: list[str], seconds: float = 0.0) -> list[str]:
    """In what order these keys get a slot, each given back a moment later."""
    order: list[str] = []

    async def one(key: str) -> None:
        async with budget.slot(key):
            order.append(key)
            await asyncio.sleep(seconds)

    await asyncio.gather(*map(one, keys))
    return order


async def test_keys_take_turns() -> None:
    """A key that wants much waits behind one that came later and wants little."""
    assert ["a", "b", "a", "b", "a", "a"] == await served(Budget(1, 1), ["a", "a", "a", "a", "b", "b"])


async def test_limits_hold_whatever_comes() -> None:
    """Never more slots than there are, never more of one key than it may have, and everyone is served."""
    budget, rng = Budget(4, 2), random.Random(1)
    held: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def one(key: str) -> None:
        async with budget.slot(key):
            held[key] += 1
            most[key] = max(most[key], held[key])
            most["all"] = max(most["all"], held.total())
            await asyncio.sleep(rng.random() / 500)
            held[key] -= 1
        budget.attempted(key, worked=rng.random() < 0.7)

    await asyncio.gather(*(one(rng.choice("abcdef")) for _ in range(600)))

    assert 4 == most.pop("all")
    assert 2 == max(most.values())
    assert 0 == held.total()


async def test_failing_keys_share_one_slot() -> None:
    """However many keys fail, they have one slot; the others are not held up, and one that works again is out of it."""
    budget = Budget(4, 2)
    failing = [f"bad{number}" for number in range(60)]
    for key in failing:
        budget.attempted(key, worked=False)
    budget.attempted("good", worked=True)
    stuck = [asyncio.create_task(budget.acquire(key)) for key in failing]
    await asyncio.sleep(0)
    assert 1 == sum(task.done() for task in stuck)

    assert ["good"] * 20 == await served(budget, ["good"] * 20)

    budget.attempted("bad7", worked=True)
    await stuck[7]
    for task in stuck:
        task.cancel()


async def test_unknown_keys_leave_a_slot_to_those_that_work() -> None:
    """At a start nothing is known of most keys: those that hang from the first request on do not take everything."""
    budget = Budget(4, 2)
    budget.attempted("good", worked=True)
    stuck = [asyncio.create_task(budget.acquire(f"new{number}")) for number in range(60)]
    await asyncio.sleep(0)

    assert 3 == sum(task.done() for task in stuck)
    assert ["good"] * 20 == await served(budget, ["good"] * 20)
    for task in stuck:
        task.cancel()


async def test_a_closed_key_holds_nothing() -> None:
    """A key that was asked to wait waits outside; its time comes by itself, or by opening all."""
    budget = Budget(1, 1)
    budget.close("late", 30)
    waiting = asyncio.create_task(budget.acquire("late"))
    assert ["other"] * 3 == await served(budget, ["other"] * 3)
    assert not waiting.done()
    budget.release(await waiting)

    budget.close("late", 3600)
    budget.attempted("late", worked=False)
    waiting = asyncio.create_task(budget.acquire("late"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert 3599 < budget.closed_for("late") <= 3600
    budget.open_all()
    await waiting
    assert budget.promising("late")
    budget.stop()


@pytest.mark.parametrize("granted", [False, True])
async def test_whoever_gives_up_leaves_nothing_behind(granted: bool) -> None:
    """A wait that is cancelled keeps no slot, also where it was granted in that very moment."""
    budget = Budget(1, 1)
    slot = await budget.acquire("a")
    waiting = asyncio.create_task(budget.acquire("a"))
    await asyncio.sleep(0)
    if granted:
        budget.release(slot)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not granted:
        budget.release(slot)

    assert ["a", "b"] == await served(budget, ["a", "b"])


async def test_turns_go_by_time(clock: Clock) -> None:
    """Whoever has had slots for seconds waits for those that have had them for less, whatever number they ask for."""
    budget = Budget(1, 1)
    slot = await budget.acquire("slow")
    waiting = {name: asyncio.create_task(budget.acquire(name)) for name in ("slow", "quick")}
    more = [asyncio.create_task(budget.acquire("quick")) for _ in range(5)]
    await asyncio.sleep(0)
    clock.go_on(5)
    budget.release(slot)
    for task in (waiting["quick"], *more):
        budget.release(await task)
        assert (task is more[-1]) == waiting["slow"].done() or not waiting["slow"].done()
    slot = await waiting["slow"]

    both = [asyncio.create_task(budget.acquire(name)) for name in ("slow", "quick")]
    await asyncio.sleep(0)
    clock.go_on(3600)  # what the slow one had before counts no more
    budget.release(slot)
    budget.release(await both[1])
    assert "slow" == (await both[0]).key


async def test_a_silent_attempt_gives_its_slot_up() -> None:
    """When others need slots, attempts that take far longer than those before end; without need, or where that is
    usual, they go on.
    """
    budget = Budget(2, 2)
    asked: list[str] = []
    for key, took in (("hangs", 0.01), ("usual", 1000.0), ("fails", 0.0)):
        budget.attempted(key, worked=key != "fails", seconds=took)
    for key in ("hangs", "usual"):
        budget.may_be_asked_for(await budget.acquire(key), lambda key=key: asked.append(key))
    await asyncio.sleep(60)
    assert [] == asked

    good = asyncio.create_task(budget.acquire("good"))
    await until(lambda: asked)
    await asyncio.sleep(60)
    assert ["hangs"] == asked
    good.cancel()
    budget.stop()


@pytest.mark.parametrize(("failures", "ends"), [(1, True), (3, True), (4, False), (5, True)])
async def test_those_that_fail_take_turns(failures: int, ends: bool) -> None:
    """Of those that share a slot none keeps it for long while others wait, but now and then: what is slow may work."""
    budget = Budget(4, 2)
    budget.attempted("waits", worked=False)
    for _ in range(failures):
        budget.attempted("fails", worked=False)
    asked = asyncio.Event()
    slot = await budget.acquire("fails")
    budget.may_be_asked_for(slot, asked.set)
    waits = asyncio.create_task(budget.acquire("waits"))
    if ends:
        await asked.wait()
    else:
        await asyncio.sleep(60)
        assert not asked.is_set()

    budget.release(slot)
    await waits
    budget.stop()


def _ask(asked: list[str], key: str, given_up: asyncio.Event) -> None:
    asked.append(key)
    given_up.set()


async def fallen_silent(
    budget: Budget, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[asyncio.Task[None]], list[str]]:
    """Attempts of keys that have worked so far which do not end now, once they are late; and who was asked to end."""
    monkeypatch.setattr(module, "LATE", 0.05)
    monkeypatch.setattr(module, "OVERTAKEN", 0.1)
    asked: list[str] = []

    async def one(key: str) -> None:
        async with budget.slot(key) as slot:
            given_up = asyncio.Event()
            budget.may_be_asked_for(slot, lambda: _ask(asked, key, given_up))
            await given_up.wait()
        budget.attempted(key, worked=False)

    for key in keys:
        budget.attempted(key, worked=True, seconds=0.01)
    await asyncio.sleep(0.01)
    tasks = [asyncio.create_task(one(key)) for key in keys]
    await asyncio.sleep(0.3)
    return tasks, asked


async def test_many_that_fall_silent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that all worked and hang now are found out within moments, by those that still answer, which have a slot
    meanwhile.
    """
    budget = Budget(4, 2)
    silent = [f"bad{number}" for number in range(30)]
    tasks, asked = await fallen_silent(budget, silent[:3], monkeypatch)
    budget.attempted("good", worked=True, seconds=0.01)
    more = [asyncio.create_task(budget.acquire(key)) for key in silent[3:]]
    await asyncio.sleep(0)
    assert not any(task.done() for task in more)

    async with asyncio.timeout(120):
        while len(asked) < 3:
            async with budget.slot("good"):
                await asyncio.sleep(0.01)
            budget.attempted("good", worked=True, seconds=0.01)
    for task in (*tasks, *more):
        task.cancel()
    budget.stop()


async def test_where_all_are_slow_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that take far longer than usual go on where those that began later take as long: Studio as a whole has
    become slow.
    """
    budget = Budget(4, 2)
    tasks, asked = await fallen_silent(budget, [f"slow{number}" for number in range(8)], monkeypatch)
    budget.attempted("slow0", worked=True, seconds=0.3)  # the first of them answers: it had begun before the others
    await asyncio.sleep(0.3)

    assert [] == asked
    for task in tasks:
        task.cancel()
    budget.stop()


async def test_a_hold_is_put_down_and_taken_up() -> None:
    """Whoever waits for something else leaves the slot to others, and has one slot at most, whatever its tasks do at
    once.
    """
    budget = Budget(1, 1)
    async with Hold(budget, "slow") as hold:
        hold.pause()
        hold.pause()
        assert ["other"] * 3 == await served(budget, ["other"] * 3)
        await asyncio.gather(hold.resume(), hold.resume())
        blocked = asyncio.create_task(budget.acquire("other"))
        await asyncio.sleep(0)
        assert not blocked.done()
    await blocked
