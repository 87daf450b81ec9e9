"""`FleetEngine`: the engine of many processes, which take turns as a queue on PostgreSQL hands them out.

The process that leads plans: it knows when what is due, and offers the project's turn. A worker that takes it does all
that is due of the project by then, so that a key is used by one process at a time. What runs beside turns runs here.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import structlog

from monitor import lease as leases
from monitor.engine import queue
from monitor.engine.base import Run, Task, Turn
from monitor.engine.local import Scheduler
from monitor.engine.times import Times
from monitor.lease import Lease
from monitor.store.errors import StoreError
from monitor.store.fleet import FleetSession

PLAN = 0.5
"""Seconds between two looks at what is due, at most."""
SOONEST = 0.25
"""And at least: what is due meanwhile is offered together."""
CONFIRM = 1.0
"""Seconds between two confirmations of the turns that this process has."""
_EARLY = 0.01
"""Seconds that a clock may be fast."""
_BUSY = 1.0
"""Seconds after which a turn that is another's, or that this process does not know, is offered again."""
_FORGET = 600.0
"""Seconds between two rounds of forgetting what the fleet kept of old turns and processes."""

log = structlog.get_logger()


class Observer(Protocol):
    """Who counts turns."""

    def turn(self, outcome: str) -> None: ...  # noqa: D102
    def turn_waited(self, seconds: float) -> None: ...  # noqa: D102
    def turns_due(self, number: int | None) -> None: ...  # noqa: D102


@dataclass(slots=True)
class _Planned:
    """What a turn of a project does.

    Attributes:
        project: Whose turns.
        times: When.
        run: Awaited at each.
        delay: Seconds from when it was added until it is first due.
        before_others: Whether what else is due waits for it.
    """

    project: str
    times: Times
    run: Run
    delay: float
    before_others: bool


class FleetEngine:
    """Takes the turns of projects that a fleet shares, and plans them while this process leads.

    Args:
        local: Runs what is beside the turns.
        session: The fleet's connection.
        url: Of the store.
        works: Whether this process takes turns.
        observer: Counts them.
        clock: Unix seconds by the server's clock.

    Attributes:
        session: As given.
        busy: The projects that have a turn anywhere, as long as this process leads.
        prepare: Awaited with the project before what is due of it is done: another process may have had its last turn.
    """

    distributed = True

    def __init__(
        self,
        local: Scheduler,
        session: FleetSession,
        url: str,
        *,
        works: bool,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._local = local
        self.session = session
        session.offers = queue.OFFERS
        self._observer = observer
        self._clock = clock
        self._worker = queue.Worker(url, self._take) if works else None
        self._works: asyncio.Task[None] | None = None
        self._confirms: asyncio.Task[None] | None = None
        self._plans: asyncio.Task[None] | None = None
        self._planned: dict[str, _Planned] = {}
        self._names: dict[str, set[str]] = {}
        """Of what is planned, by project."""
        self._held: dict[str, Lease] = {}
        self._sooner: dict[str, dict[str, float]] = {}
        """By project that has a turn here: when things were asked to be due again, in Unix seconds."""
        self._due_at = -math.inf
        """When something is due next, on the monotonic clock, as far as this process knows, which leads."""
        self._stopping = False
        self.busy: frozenset[str] = frozenset()
        self.prepare: Callable[[str], Awaitable[None]] | None = None

    def start(self) -> None:
        """Begin to take turns, where this process does."""
        self._confirms = asyncio.create_task(self._confirm(), name="turn.confirm")
        if self._worker is not None:
            self._works = asyncio.create_task(self._worker.run(), name="turn.work")

    async def stop(self, grace: float) -> None:
        """Take no more turns, and end those under way: in `grace` seconds, or by cancelling what works for them."""
        self._stopping = True
        if self._worker is not None and self._works is not None:
            self._worker.stop()
            _, late = await asyncio.wait({self._works}, timeout=grace)
            for held in list(self._held.values()):
                for task in held.tasks:
                    task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        await _cancelled(self._works, self._confirms, self._plans)

    # -- what runs at its times

    def add(
        self,
        name: str,
        times: Times,
        run: Run,
        delay: float,
        *,
        overlaps: bool = False,
        group: str = "",
        before_others: bool = False,
    ) -> None:
        """As `Engine.add`."""
        self._planned[name] = _Planned(group, times, run, delay, before_others)
        self._names.setdefault(group, set()).add(name)
        self._tell(partial(self.session.plan, [(name, group, delay, delay)]))

    def reschedule(self, name: str, times: Times, delay: float) -> None:
        """As `Engine.reschedule`."""
        self._planned[name].times = times
        self._tell(partial(self.session.plan, [(name, self._planned[name].project, delay, delay)]))

    def run_now(self, name: str, delay: float = 0.0) -> None:
        """As `Engine.run_now`; in a turn, of what it does itself, after its end."""
        planned = self._planned.get(name)
        if planned is None:
            return
        held = leases.current.get()
        if held is not None and held.project == planned.project and planned.project in self._sooner:
            self._sooner[planned.project][name] = self._clock() + delay
        else:
            self._spawn_told(partial(self.session.run_now, name, delay))

    def remove(self, name: str) -> None:
        """As `Engine.remove`."""
        if (planned := self._planned.pop(name, None)) is not None:
            self._names[planned.project].discard(name)
            self._tell(partial(self.session.unplan, [name]))

    def spawn(self, name: str, task: Task) -> asyncio.Task[None]:
        """As `Engine.spawn`; a turn ends with the last of what it began."""
        started = self._local.spawn(name, task)
        held = leases.current.get()
        if held is not None:
            held.tasks.add(started)
            started.add_done_callback(held.tasks.discard)
            if held.lost:
                started.cancel()
        return started

    def skip(self, name: str, reason: str) -> None:
        """As `Engine.skip`."""
        self._local.skip(name, reason)

    async def drain(self, grace: float | None = None) -> int:
        """As `Engine.drain`."""
        return await self._local.drain(grace)

    def forget_waits(self) -> None:
        """Ask Studio again at once, whatever it said about when to come back."""
        for held in self._held.values():
            held.closed_until = 0.0
        self._spawn_told(self.session.open_all)

    def _tell(self, told: Task) -> None:
        """Have the plan follow, where this process leads."""
        if self._plans is not None:
            self._spawn_told(told)

    def _spawn_told(self, told: Task) -> None:
        async def tell() -> None:
            try:
                await told()
            except StoreError as error:  # the leader plans everything anew when there is a connection again
                log.debug("turn.not_planned", error=str(error))

        self._local.spawn("turn.plan", tell)

    # -- leading

    async def lead(self) -> None:
        """Plan the turns from now on.

        Raises:
            StoreError: That is not possible.
        """
        await queue.install(self.session)
        await self.session.keep(self._planned)
        await self.session.plan(self._wanted())
        self._due_at = -math.inf
        self._plans = asyncio.create_task(self._plan(), name="turn.plan")

    async def follow(self) -> None:
        """Plan no more turns."""
        await _cancelled(self._plans)
        self._plans = None
        self.busy = frozenset()
        self._observer.turns_due(None)

    def _wanted(self) -> list[tuple[str, str, float, float]]:
        now = self._clock()
        return [
            (name, planned.project, planned.delay, self._following(planned, now) - now)
            for name, planned in self._planned.items()
        ]

    async def _plan(self) -> None:
        """Offer what is due, until cancelled."""
        forget_at = time.monotonic()
        while True:
            wait = PLAN
            try:
                wait = min(PLAN, max(SOONEST, await self._offer_due()))
                if time.monotonic() >= forget_at:
                    forget_at += _FORGET
                    await self.session.forget()
                    await queue.prune(self.session)
            except StoreError as error:
                log.debug("turn.not_offered", error=str(error))
            except Exception:  # a bug met in one look must not end the looking
                log.exception("turn.plan_crashed")
            await asyncio.sleep(wait)

    async def _offer_due(self) -> float:
        """Offer what is due; answers in how many seconds something else is."""
        now = time.monotonic()
        expected = now >= self._due_at - _EARLY
        found = await self.session.standing(offer=expected)
        if found.missing and not expected:  # asked for meanwhile
            found = await self.session.standing(offer=True)
        self._due_at = now + found.following
        self.busy = found.running
        self._observer.turns_due(len(found.due))
        return found.following

    # -- taking turns

    async def _take(self, project: str) -> None:
        """Do what is due of a project.

        Raises:
            Again: It is another's turn, or this process does not know the project.
            StoreError: The fleet's connection is away.
        """
        known = bool(self._names.get(project))
        if self._stopping or project in self._held or not known:
            self._observer.turn("unknown" if not known else "busy")
            raise queue.Again(_BUSY)
        taken = await self.session.take(project)
        if taken is None:
            self._observer.turn("busy")
            raise queue.Again(_BUSY)
        held = taken.lease
        self._held[project] = held
        self._sooner[project] = {}
        token = leases.current.set(held)
        for late in taken.late.values():
            self._observer.turn_waited(late)
        outcome = "done"
        try:
            if self.prepare is not None:
                await self.prepare(project)
            outcome = await self._do(taken.late)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:
            outcome = "crashed"
            log.exception("run.crashed", job=f"turn of project {project}", error=repr(error))
        finally:
            leases.current.reset(token)
            await self._end(held, taken.late, outcome)

    async def _do(self, late: Mapping[str, float]) -> str:
        """Do what is due by name: first what the rest waits for; answers how that went."""
        due = [(name, self._planned[name]) for name in late if name in self._planned]
        first = [name for name, planned in due if planned.before_others]
        outcomes = [await self._one(name) for name in first]
        others = [self._one(name) for name, planned in due if not planned.before_others]
        outcomes += [await others[0]] if len(others) == 1 else await asyncio.gather(*others)
        held = leases.current.get()
        assert held is not None
        while held.tasks:  # pulls that are not done when the next turn is due
            await asyncio.wait(set(held.tasks))
        return "done" if all(outcomes) else "crashed"

    async def _one(self, name: str) -> bool:
        planned = self._planned.get(name)
        if planned is None:
            return True
        now = self._clock()
        try:
            await planned.run(Turn(name, time.monotonic() + self._following(planned, now) - now))
        except Exception as error:
            log.exception("run.crashed", job=name, error=repr(error))
            return False
        return True

    async def _end(self, held: Lease, late: Mapping[str, float], outcome: str) -> None:
        """Give a turn back. What of it was cancelled is due at once, for whoever is there."""
        now = self._clock()
        sooner = self._sooner.pop(held.project, {})
        following = {
            name: min(self._following(planned, now), sooner.get(name, float("inf")))
            for name in late
            if (planned := self._planned.get(name)) is not None
        }
        del self._held[held.project]
        try:
            kept = not held.lost and await self.session.end(held, {} if outcome == "cancelled" else following)
        except StoreError as error:  # it is offered again once it was silent for long enough
            log.warning("turn.not_ended", project_id=held.project, error=str(error))
        else:
            if not kept:
                outcome = "fenced"
                log.warning("turn.fenced", project_id=held.project, epoch=held.epoch)
        self._observer.turn(outcome)
        for name, at in sooner.items():
            if name not in late:
                self.run_now(name, max(0.0, at - now))

    async def _confirm(self) -> None:
        """Confirm the turns that this process has, until cancelled."""
        while True:
            await asyncio.sleep(CONFIRM)
            try:
                await self.session.confirm(self._held.values())
            except StoreError as error:
                log.debug("turn.not_confirmed", error=str(error))
            except Exception:  # a bug met in one look must not end the looking
                log.exception("turn.confirm_crashed")

    @staticmethod
    def _following(planned: _Planned, now: float) -> float:
        """Unix seconds of when something is next due after `now`."""
        at = datetime.fromtimestamp(now, UTC)
        following = planned.times.get_next_fire_time(at, at)
        return following.timestamp() if following is not None else float("inf")


async def _cancelled(*tasks: asyncio.Task[None] | None) -> None:
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)
