"""Who leads, who has which turn, and what has changed: what a fleet asks of PostgreSQL."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import astuple

import pytest

from monitor import lease
from monitor.errors import PullState
from monitor.lease import VALID
from monitor.store import Run, Store, StoreFenced
from monitor.store.fleet import FleetSession
from monitor.store.fleet_statements import GONE
from tests.fleet.conftest import Joined
from tests.store.postgres_server import DATABASE, Server
from tests.waiting import until

TARGET = "101-1-int8-testing"


def run(at: float = 1.0) -> Run:
    """A run that failed: it needs no result set."""
    return Run(TARGET, at, at, PullState.UNREACHABLE, error="no")


async def beat(session: FleetSession, role: str = "worker", *, leads: bool = False) -> list[str]:
    """A sign of life; answers who is alive."""
    processes, now = await session.beat(role, "here", "127.0.0.1:1", "0.1.0", "digest", leads=leads)
    assert abs(now - time.time()) < 60
    return [each.id for each in processes if each.alive]


async def back(server: Server, column: str, seconds: float, table: str = "turn") -> None:
    """Let something be `seconds` ago."""
    await server.execute(f"UPDATE {table} SET {column} = {column} - {seconds}", DATABASE)


async def test_a_turn_is_of_one(joined: Joined) -> None:
    """Of those who want a project's turn at once one gets it, with what is due; when it has ended the next one does,
    with a larger epoch, of what is due by then.
    """
    first, second = await joined("first"), await joined("second")
    await first.plan([("turn a", "1", 0.0, 0.0), ("turn b", "1", 0.0, 0.0), ("turn c", "1", 60.0, 60.0)])

    offers = await asyncio.gather(first.take("1"), second.take("1"), first.take("1"))
    taken = [each for each in offers if each is not None]
    assert [{"turn a", "turn b"}] == [set(each.late) for each in taken]
    assert all(0 <= late < 30 for late in taken[0].late.values())
    assert {"1"} == (await second.standing()).running
    ended = await first.end(taken[0].lease, {"turn a": time.time() + 60, "turn b": 0.0})
    again = await second.take("1")

    assert ended
    assert again is not None
    assert again.lease.epoch == taken[0].lease.epoch + 1
    assert {"turn b"} == set(again.late)
    assert await first.take("2") is None


async def test_a_silent_one_loses_its_turn(joined: Joined, server: Server, store: Store) -> None:
    """A turn that was not confirmed for long is another's: whoever had it can neither confirm it, end it nor write."""
    frozen, other = await joined("frozen"), await joined("other")
    await frozen.plan([("turn a", "1", 0.0, 0.0)])
    before = await frozen.take("1")
    assert before is not None
    await frozen.confirm([before.lease])
    assert await other.take("1") is None
    await back(server, "confirmed", VALID + 1)
    after = await other.take("1")
    assert after is not None

    token = lease.current.set(before.lease)
    with pytest.raises(StoreFenced, match="project 1"):
        async with store.transaction() as tx:
            await tx.record_run(run())
    lease.current.reset(token)
    await frozen.confirm([before.lease])

    assert [] == await store.runs(TARGET)
    assert before.lease.lost
    assert not await before.lease.held()
    assert not await frozen.end(before.lease, {"turn a": time.time() + 60})
    assert {"1"} == (await other.standing()).running
    token = lease.current.set(after.lease)
    async with store.transaction() as tx:
        await tx.record_run(run())
    lease.current.reset(token)
    assert 1 == len(await store.runs(TARGET))


async def test_nobody_takes_over_while_it_writes(joined: Joined, server: Server, store: Store) -> None:
    """A transaction that has begun by its epoch ends before another process can have the turn, however long it was
    silent; confirming disturbs it not.
    """
    slow, other = await joined("slow"), await joined("other")
    await slow.plan([("turn a", "1", 0.0, 0.0)])
    taken = await slow.take("1")
    assert taken is not None
    token = lease.current.set(taken.lease)
    async with store.transaction() as tx:
        await slow.confirm([taken.lease])
        await back(server, "confirmed", VALID + 1)
        assert await other.take("1") is None
        await tx.record_run(run())
    lease.current.reset(token)

    assert await other.take("1") is not None
    assert 1 == len(await store.runs(TARGET))


async def test_a_closed_key_is_closed_for_all(joined: Joined) -> None:
    """Until when Studio asked a key to be left alone is known to whoever has its next turn, also where the one before
    never ended; a reload opens it.
    """
    first, second = await joined("first"), await joined("second")
    await first.plan([("turn a", "1", 0.0, 0.0)])
    taken = await first.take("1")
    assert taken is not None
    taken.lease.close(120.0)
    await first.confirm([taken.lease])
    await first.end(taken.lease, {"turn a": 0.0})
    again = await second.take("1")
    assert again is not None

    assert again.lease.closed_for == pytest.approx(120, abs=30)
    await second.end(again.lease, {"turn a": 0.0})
    await first.open_all()
    third = await first.take("1")
    assert third is not None
    assert third.lease.closed_for == 0


async def test_a_lease_in_doubt_waits(joined: Joined) -> None:
    """A process that was stopped for longer than its lease asks nothing before it knows that the turn is still its."""
    session = await joined("only")
    await session.plan([("turn a", "1", 0.0, 0.0)])
    taken = await session.take("1")
    assert taken is not None
    held = taken.lease
    assert await held.held()
    held.confirmed -= VALID + 1

    waiting = asyncio.ensure_future(held.held())
    await asyncio.sleep(0)
    assert not waiting.done()
    await session.confirm([held])
    assert await waiting


async def test_plans(joined: Joined) -> None:
    """What is planned already keeps its time unless the new plan is sooner; what is no longer planned is due no more; a
    turn that runs keeps its row.
    """
    session = await joined("leader")
    await session.plan([("turn a", "1", 60.0, 60.0), ("turn b", "2", 60.0, 60.0)])
    assert 50 < (await session.standing()).following <= 60
    await session.plan([("turn a", "1", 0.0, 3600.0), ("turn b", "2", 0.0, 10.0)])
    found = await session.standing()
    assert {} == found.due
    assert 0 < found.following <= 10
    await session.run_now("turn a", 0.0)
    assert {"1"} == (await session.standing()).due.keys()
    taken = await session.take("1")
    assert taken is not None
    assert ({}, {"1"}) == ((await session.standing()).due, (await session.standing()).running)

    await session.keep([])

    assert ({}, {"1"}, math.inf, False) == astuple(await session.standing())
    assert await session.take("2") is None


async def test_a_project_that_comes_back(joined: Joined) -> None:
    """A project that was removed and comes back has none of the epochs that its turns had: one of before is no
    other's.
    """
    session = await joined("leader")
    await session.plan([("turn a", "1", 0.0, 0.0)])
    before = await session.take("1")
    assert before is not None
    await session.end(before.lease, {"turn a": 0.0})
    await session.keep([])
    await asyncio.sleep(1.1)
    await session.plan([("turn a", "1", 0.0, 0.0)])
    after = await session.take("1")

    assert after is not None
    assert after.lease.epoch > before.lease.epoch


async def test_what_is_asked_for_during_a_turn(joined: Joined) -> None:
    """“Pull now” while the turn runs is done after it, though the turn plans a later time."""
    session = await joined("worker")
    await session.plan([("turn a", "1", 0.0, 0.0), ("turn b", "1", 0.0, 0.0)])
    taken = await session.take("1")
    assert taken is not None
    await session.run_now("turn a", 0.0)

    await session.end(taken.lease, {"turn a": time.time() + 3600, "turn b": time.time() + 3600})

    again = await session.take("1")
    assert again is not None
    assert {"turn a"} == set(again.late)


async def test_one_leads(joined: Joined) -> None:
    """One of several leads, and the next one when it leaves or its connection ends."""
    first, second = await joined("first"), await joined("second")
    assert ["first"] == await beat(first)
    assert ["first", "second"] == await beat(second)
    assert await first.try_to_lead()
    assert not await second.try_to_lead()
    await first.lead_no_more()
    assert await second.try_to_lead()
    await second.close()

    await until(first.try_to_lead)


async def test_a_frozen_leader_is_replaced(joined: Joined, server: Server) -> None:
    """A leader that gave no sign of life for long is cut off, though its connection is there; it finds out itself."""
    frozen, other = await joined("frozen"), await joined("other")
    await beat(frozen, leads=True)
    await beat(other)
    assert await frozen.try_to_lead()
    assert not await other.try_to_lead()
    assert frozen.is_open
    await back(server, "seen", GONE + 1, table="process")
    assert ["other"] == await beat(other)

    await until(other.try_to_lead)

    with pytest.raises(Exception, match="connection"):
        await beat(frozen)
    assert not frozen.is_open


async def test_changes_are_heard_and_none_is_missed(joined: Joined, store: Store) -> None:
    """What a transaction changes is announced with its commit, and found later by those who did not listen: also that
    of a transaction that was begun before others, and ended after them.
    """
    session = await joined("web")
    heard: list[str] = []
    session.heard = heard.append
    other = run()
    async with store.transaction() as early:
        await early.record_run(run(1.0))
        floor = await session.snapshot()
        async with store.transaction() as late:
            await late.record_run(Run("102-1-int8-testing", 2.0, 2.0, PullState.AUTH, error=other.error))
        await until(lambda: ["102-1-int8-testing"] == heard)
        assert ["102-1-int8-testing"] == await session.changed_since(floor)

    await until(lambda: TARGET in heard)
    assert {TARGET, "102-1-int8-testing"} == set(await session.changed_since(floor))
    found = await store.last_runs([TARGET, "102-1-int8-testing", "nothing"])
    assert {TARGET: PullState.UNREACHABLE, "102-1-int8-testing": PullState.AUTH} == {
        name: each.state for name, each in found.items()
    }
