"""When things run: grids, offsets, no overlap, draining, clock steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import apscheduler.schedulers.base
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Schedule
from monitor.engine import local as module
from monitor.engine.base import Turn
from monitor.engine.local import Scheduler
from monitor.engine.times import CRON_SPREAD, Grid, first_delay, spread_of, times_of
from tests.clock import START, Clock
from tests.factories import known
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


class Counted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.beats: list[float] = []
        self.lags: list[float] = []

    def skipped(self, reason: str) -> None:
        self.reasons.append(reason)

    def heartbeat(self, now: float) -> None:
        self.beats.append(now)

    def loop_lag(self, seconds: float) -> None:
        self.lags.append(seconds)


@pytest.fixture
async def counted() -> Counted:
    """What the scheduler under test reports."""
    return Counted()


@pytest.fixture
async def running(counted: Counted) -> AsyncIterator[Scheduler]:
    """A started scheduler, in scheduled time."""
    scheduler = Scheduler(counted)
    scheduler.start()
    yield scheduler
    await scheduler.stop(0)


@given(every=st.floats(1, 1e6), share=st.floats(0, 1, exclude_max=True), now=moments)
def test_grid_is_a_function_of_time(every: float, share: float, now: datetime) -> None:
    """The next time lies within one interval, on the grid, whether or not anything ran before."""
    grid = Grid(every, share * every)
    following = grid.get_next_fire_time(None, now)
    ticks = (following.timestamp() - share * every) / every

    assert timedelta(microseconds=-1) <= following - now <= timedelta(seconds=every, microseconds=2)
    assert abs(ticks - round(ticks)) * every < 1e-4
    assert following == grid.get_next_fire_time(now - timedelta(seconds=3 * every), now)


@given(every=st.floats(1, 1e6), share=st.floats(0, 1, exclude_max=True), now=moments)
def test_grid_never_fires_twice(every: float, share: float, now: datetime) -> None:
    """After a firing comes the one an interval later, without drift, also when it is asked at the very moment of the
    firing.
    """
    grid = Grid(every, share * every)
    first = grid.get_next_fire_time(None, now)
    second = grid.get_next_fire_time(first, first)

    assert abs((second - first).total_seconds() - every) < 1e-4


def test_grid_returns_after_an_early_run() -> None:
    """A run between two grid points, as the first one is, does not move the grid."""
    grid = Grid(900, 100)
    early = datetime.fromtimestamp(1_000_000_000, UTC)

    assert (1_000_000_000 // 900 * 900 + 100) % 900 == grid.get_next_fire_time(early, early).timestamp() % 900


def test_cron_is_spread_within_its_minute() -> None:
    """Jobs of one cron expression fire at their own second of the minute it names, in its time zone."""
    schedule = Schedule(cron="30 6 * * *", timezone="Asia/Kolkata")
    now = datetime(2026, 3, 1, tzinfo=UTC)
    on_time, late = (known(times_of(schedule, spread).get_next_fire_time(None, now)) for spread in (0.0, 0.5))

    assert datetime(2026, 3, 1, 1, 0, tzinfo=UTC) == on_time
    assert timedelta(seconds=CRON_SPREAD / 2) == late - on_time
    assert timedelta(days=1) == known(times_of(schedule, 0.5).get_next_fire_time(late, late)) - late


def test_entries_spread_evenly() -> None:
    """Offsets come from the identity of the project's entry: the same in every process, spread over the interval."""
    spreads = sorted(spread_of(f"{number} testing all enabled") for number in range(1000))

    assert 0.34351127595887015 == spread_of("12345-1-int8-testing")
    assert max(after - before for before, after in pairwise(spreads)) < 0.02
    assert 0 <= spreads[0] < spreads[-1] < 1


@pytest.mark.parametrize(("every", "expected"), [("10s", 5.0), ("15m", 15.0), ("7d", 15.0)])
def test_first_run_comes_soon(every: str, expected: float) -> None:
    """The first pull comes within min(interval, 30 s), spread by the key."""
    assert expected == first_delay(Schedule.model_validate({"every": every}), 0.5)


async def test_runs_on_the_grid(running: Scheduler, clock: Clock) -> None:
    """A job runs at once when told so, then at each grid point, to the millisecond."""
    times: list[float] = []

    async def run(_turn: Turn) -> None:
        times.append(clock.time())

    running.add("job", Grid(2, 0.5), run, delay=1.0)
    await until(lambda: len(times) == 4)

    assert START + 1 == pytest.approx(times[0], abs=0.01)
    assert [0.5] * 3 == pytest.approx([moment % 2 for moment in times[1:]], abs=0.01)


async def test_no_overlap(running: Scheduler, counted: Counted) -> None:
    """A run that is longer than the interval keeps the next from starting; each one skipped is counted."""
    at_once, most = 0, 0

    async def run(_turn: Turn) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(4.5)
        at_once -= 1

    running.add("slow", Grid(1, 0.0), run, delay=0.0)
    await until(lambda: counted.reasons.count("overlap") == 8)

    assert 1 == most
    assert {"overlap"} == set(counted.reasons)


async def test_slow_job_delays_nobody(running: Scheduler, clock: Clock) -> None:
    """A job that hangs leaves the others their times."""
    ran: list[float] = []

    async def hang(_turn: Turn) -> None:
        await asyncio.sleep(3600)

    async def quick(_turn: Turn) -> None:
        ran.append(clock.time() % 2)

    running.add("hangs", Grid(2, 0.0), hang, delay=0.0)
    running.add("quick", Grid(2, 0.5), quick, delay=0.5)
    await until(lambda: len(ran) == 5)

    assert [0.5] * 5 == pytest.approx(ran, abs=0.01)


async def test_late_run_is_not_dropped(running: Scheduler, counted: Counted, clock: Clock) -> None:
    """After a stall of the loop the run takes place, once, instead of being dropped as a misfire."""
    ran: list[float] = []

    async def run(_turn: Turn) -> None:
        ran.append(clock.monotonic())

    running.add("job", Grid(3600, 0.0), run, delay=0.2)
    clock.go_on(2.5)  # the stall
    await asyncio.sleep(60)

    assert [2.5] == pytest.approx(ran, abs=0.01)
    assert [] == counted.reasons


async def test_crash_does_not_stop_the_job(running: Scheduler) -> None:
    """A run that raises is logged; the next one takes place."""
    ran = 0

    async def run(_turn: Turn) -> None:
        nonlocal ran
        ran += 1
        raise RuntimeError("broken")

    running.add("broken", Grid(1, 0.0), run, delay=0.0)
    await until(lambda: ran == 3)


async def test_removed_job_finishes_and_never_returns(running: Scheduler) -> None:
    """Removing a job lets its run end, and no other begins."""
    begun, ended = 0, 0

    async def run(_turn: Turn) -> None:
        nonlocal begun, ended
        begun += 1
        await asyncio.sleep(5)
        ended += 1

    running.add("job", Grid(1, 0.0), run, delay=0.0)
    await until(lambda: begun)
    running.remove("job")
    running.remove("job")
    running.run_now("job")
    await asyncio.sleep(60)

    assert (1, 1) == (begun, ended)


async def test_stop_drains(running: Scheduler, clock: Clock) -> None:
    """Stopping waits for the run in flight and begins no other."""
    begun, ended = 0, 0

    async def run(_turn: Turn) -> None:
        nonlocal begun, ended
        begun += 1
        await asyncio.sleep(4)
        ended += 1

    running.add("job", Grid(1, 0.0), run, delay=0.0)
    await until(lambda: begun)
    await running.stop(30)

    assert (1, 1) == (begun, ended)
    assert 4 == pytest.approx(clock.monotonic(), abs=0.1)


async def test_stop_cancels_after_the_grace(running: Scheduler, clock: Clock) -> None:
    """What is not done within the grace period is cancelled."""
    begun, cancelled = asyncio.Event(), False

    async def run(_turn: Turn) -> None:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled = True
            raise

    running.add("job", Grid(3600, 0.0), run, delay=0.0)
    await begun.wait()
    await running.stop(30)

    assert cancelled
    assert 30 == pytest.approx(clock.monotonic(), abs=0.1)


async def test_heartbeat_and_lag(running: Scheduler, counted: Counted, clock: Clock) -> None:
    """The heartbeat comes from a scheduled job; a loop that was held up shows in the lag."""
    await asyncio.sleep(0.1)
    clock.go_on(4)  # the stall
    await until(lambda: counted.lags)

    assert [START, START + module.HEARTBEAT] == pytest.approx(counted.beats, abs=0.01)
    assert 4.1 - module.LAG_PROBE == pytest.approx(max(counted.lags), abs=0.01)


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
async def test_clock_step(running: Scheduler, clock: Clock, step: float) -> None:
    """After the wall clock was stepped jobs are put back onto their grids, instead of stalling for the size of the
    step.
    """
    ran: list[float] = []

    async def run(_turn: Turn) -> None:
        ran.append(clock.monotonic())

    running.add("job", Grid(10.0, 0.0), run, delay=10_000.0)  # where a step back leaves a job's next run
    await asyncio.sleep(1)
    clock.step(step)
    await until(lambda: ran)

    assert ran[0] <= 1 + module.LAG_PROBE + 10


@pytest.mark.real_time  # two days of a clock that is set by hand
@pytest.mark.parametrize(
    "day", [datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 3, 28, 12, tzinfo=UTC)], ids=["autumn", "spring"]
)
async def test_cron_over_a_change_of_the_clock(
    day: datetime, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days around a change, by a clock set by hand: each job runs at each of its times, and the scheduler always
    comes back.
    """
    clock = {"now": day}

    class Clock(datetime):
        """The library's own clock."""

        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls.fromtimestamp(clock["now"].timestamp(), tz)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Clock)
    monkeypatch.setattr(module, "_now", lambda: clock["now"])
    scheduler = Scheduler(counted)
    scheduler.start()
    jobs = {"fixed": "30 2 * * *", "wildcard": "*/20 * * * *", "midnight": "0 0 * * *"}
    ran: dict[str, list[datetime]] = {name: [] for name in jobs}
    triggers = {}
    for name, cron in jobs.items():

        async def run(_turn: Turn, name: str = name) -> None:
            ran[name].append(clock["now"])

        triggers[name] = times_of(Schedule(cron=cron, timezone="Europe/Berlin"), 0.5)
        scheduler.add(name, triggers[name], run, delay=0.0)
    expected: dict[str, list[datetime]] = {name: [day] for name in jobs}
    for name, times in expected.items():
        while (following := known(triggers[name].get_next_fire_time(times[-1], times[-1]))) <= day + timedelta(days=2):
            times.append(following)
    for moment in sorted({moment for times in expected.values() for moment in times}):
        clock["now"] = moment
        scheduler._scheduler.wakeup()
        due = {name: [time for time in times if time <= moment] for name, times in expected.items()}
        await until(lambda due=due: due == ran, every=0.001)
    await scheduler.stop(60)

    assert expected == ran
    assert [len(times) for times in ran.values()] == [3, 145, 3]
    assert [] == counted.reasons


async def test_spawned_work_is_drained(counted: Counted) -> None:
    """Work beside the turns is waited for as they are, and a crash of it ends nothing else."""
    scheduler = Scheduler(counted)
    scheduler.start()
    ended = False

    async def work() -> None:
        nonlocal ended
        await asyncio.sleep(0.2)
        ended = True

    async def crash() -> None:
        raise ZeroDivisionError

    crashed = scheduler.spawn("crash", crash)
    scheduler.spawn("work", work)
    left = await scheduler.drain(0.05)
    await scheduler.stop(5)

    assert (1, True) == (left, ended)
    assert crashed.done()
    assert crashed.exception() is None


async def test_a_turn_knows_when_it_ends(running: Scheduler, counted: Counted, clock: Clock) -> None:
    """A turn ends when the next one is due; one that may overlap then begins although the one before is still there."""
    turns: list[tuple[float, Turn]] = []

    async def run(turn: Turn) -> None:
        turns.append((clock.monotonic(), turn))
        await asyncio.sleep(1.5 if len(turns) == 1 else 0.0)

    running.add("job", Grid(1.0, 0.0), run, delay=0.0, overlaps=True)
    await until(lambda: len(turns) >= 3)
    first, second = turns[:2]

    assert "job" == first[1].name
    assert first[0] <= first[1].ends <= first[0] + 1.01
    assert second[0] == pytest.approx(first[1].ends, abs=0.2)
    assert [] == counted.reasons


async def test_other_times_hold_up_no_turn(running: Scheduler, counted: Counted) -> None:
    """A turn that is given other times again and again fires each time, whatever number of those before goes on."""
    begun: list[Turn] = []
    ended = asyncio.Event()

    async def run(turn: Turn) -> None:
        begun.append(turn)
        await ended.wait()

    running.add("job", Grid(3600.0, 0.0), run, delay=0.0, overlaps=True)
    for number in range(1, 5):
        await until(lambda number=number: len(begun) == number, within=10)
        running.reschedule("job", Grid(3600.0, 0.0), delay=1.0)
    ended.set()

    assert [] == counted.reasons
