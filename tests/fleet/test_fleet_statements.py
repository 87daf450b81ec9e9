"""What sharing turns asks of PostgreSQL: the statements of a turn, and those of a fleet that has nothing to do."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from monitor.engine import fleet, queue
from monitor.engine.base import Turn
from monitor.engine.fleet import FleetEngine
from monitor.engine.local import Scheduler
from monitor.engine.times import Grid
from tests.benchmarks.cost.fleet import Turns
from tests.fleet.conftest import Joined
from tests.store import statements
from tests.store.postgres_server import Server
from tests.waiting import until

PROJECTS, ROUNDS, EVERY = 8, 4, 0.25
KINDS = {
    "look": "WITH standing",
    "dequeue": "WITH -- No entrypoint",
    "take": "WITH free",
    "end": "WITH ended",
    "confirm": "UPDATE turn SET confirmed",
    "listening": "SELECT pg_notify",
}
IDLE = {"look", "dequeue", "listening"}


class Looks(Turns):
    """Counts also how often the process that leads looks at what is due."""

    looks = 0

    def turns_due(self, number: int | None) -> None:
        """Count one."""
        self.looks += number is not None


def counted(seen: statements.Statements) -> Counter[str]:
    """How many there are of each kind; what is of none stands as it is."""
    found = [" ".join(each.split()) for each in seen.seen]
    return Counter(next((kind for kind, head in KINDS.items() if each.startswith(head)), each) for each in found)


def rests(seen: statements.Statements) -> bool:
    """Whether nothing but looking was done since this was asked last."""
    found = counted(seen)
    seen.clear()
    return bool(found) and found.keys() <= IDLE


async def nothing(_turn: Turn) -> None:
    """What a turn does here."""


async def test_few_statements(joined: Joined, postgresql: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that are due together are looked for, handed out, taken and ended by few statements for all of them; where
    nothing is due, there is one for each look, and no more than three of them a second.
    """
    assert 1 / fleet.PLAN + 1 / queue.LOOK.total_seconds() <= 3
    monkeypatch.setattr(fleet, "PLAN", 0.05)
    observer = Looks()
    engine = FleetEngine(
        Scheduler(observer), await joined("only"), postgresql, works=True, observer=observer, clock=time.time
    )
    for number in range(PROJECTS):
        engine.add(f"turn {number}", Grid(EVERY, 0.0), nothing, 0.0, group=str(number))
    await engine.lead()
    engine.start()
    try:
        await until(lambda: observer.done >= PROJECTS)
        seen = await statements.of_postgresql(server)
        await until(lambda: counted(seen)["look"])  # the server logs them from some moment on
        seen.clear()
        observer.done = observer.looks = 0
        await until(lambda: observer.done >= ROUNDS * PROJECTS)
        busy = counted(seen)
        assert busy.keys() <= KINDS.keys(), busy
        assert 0 < busy["look"] <= 2 * observer.looks + 2, busy
        assert ROUNDS <= busy["take"] <= ROUNDS * PROJECTS / 2, busy
        assert ROUNDS <= busy["end"] <= ROUNDS * PROJECTS / 2, busy
        assert busy["dequeue"] <= 2 * busy["take"] + 2, busy  # what comes meanwhile is looked for at once

        for number in range(PROJECTS):
            engine.remove(f"turn {number}")
        await until(lambda: rests(seen))
        observer.looks = 0
        seen.clear()
        await until(lambda: observer.looks >= 8)
        idle = counted(seen)
        assert idle.keys() <= IDLE, idle
        assert idle["look"] <= observer.looks + 1
        assert idle["dequeue"] <= 2, idle
    finally:
        await engine.follow()
        await engine.stop(1.0)
