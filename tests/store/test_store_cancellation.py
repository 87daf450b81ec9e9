"""Tasks that are cancelled while they use the store, and errors that are caught inside a transaction, on both back
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from monitor.store import Baseline, Message, State, Store, StoreRefused, StoreUnavailable
from tests.store.store_sets import TARGET, add, drift_state, run

MEMORY = drift_state(30)


async def remember(store: Store, target_id: str) -> None:
    """Everything that a pull does with the store."""
    async with store.transaction() as tx:
        await tx.add_run(run(1, target_id=target_id))
        await tx.put_drift_states(target_id, {1: MEMORY})
        await tx.enqueue(Message("chat", target_id, 1.0, b""))
    await store.runs(target_id)
    await store.drift_states(target_id)


async def test_cancelled_at_any_moment(url: str) -> None:
    """Tasks cancelled once or several times, wherever they are, leave whole runs or none, no lock, no connection and no
    thread.
    """
    rng = random.Random(1)
    before = set(threading.enumerate())
    async with Store(url, lock_timeout=120) as store:
        for _ in range(25):
            tasks = [asyncio.create_task(remember(store, str(number))) for number in range(6)]
            for _ in range(12):
                await asyncio.sleep(rng.random() * 0.004)
                rng.choice(tasks).cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [end for end in ends if isinstance(end, Exception)] == []
        async with asyncio.timeout(120):
            await asyncio.gather(*(remember(store, str(number)) for number in range(20)))

        targets = await store.target_ids()
        runs = sum([run.times for target in targets for run in await store.runs(target)])
        assert {"chat": runs} == await store.message_counts()
        assert (
            {str(number) for number in range(20)}
            == set(targets)
            == {state.target_id for state in await store.states("drift")}
        )
        assert store.healthy
    left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")]
    assert left == []


async def test_cancelled_while_it_waits_for_a_lock(sqlite: str) -> None:
    """A task that is cancelled twice while another program holds the file keeps its turn until its
    statement has ended.
    """
    async with Store(sqlite, lock_timeout=120) as store:
        other = sqlite3.connect(Path(sqlite.removeprefix("sqlite:///")), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(add(store, run(1)))
        for _ in range(2):
            await asyncio.sleep(0.1)
            waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        following = asyncio.create_task(add(store, run(2)))
        await asyncio.sleep(0.1)
        assert waiting.cancelled()
        assert not following.done()
        other.execute("ROLLBACK")
        other.close()
        await asyncio.wait_for(following, 120)

        assert [found.finished for found in await store.runs(TARGET)] == [2]


@pytest.mark.parametrize("after", [True, False], ids=["goes on", "leaves"])
async def test_caught_inside(store: Store, after: bool) -> None:
    """A transaction in which something was refused is not committed, even if the error was caught: neither back end
    keeps a part.
    """
    transaction = store.transaction()
    tx = await transaction.__aenter__()
    await tx.add_run(run(1))
    with pytest.raises(StoreRefused):
        await tx.set_baseline(Baseline(TARGET, "pinned", 77, 1.0, ""))
    if after:
        with pytest.raises(StoreRefused):
            await tx.put_state(State("alert", TARGET, "A", b""))
    with pytest.raises(StoreRefused, match="run that is not in the store"):
        await transaction.__aexit__(None, None, None)

    assert await store.runs(TARGET) == []
    assert await store.states("alert") == []
    assert store.healthy


async def test_interrupted_inside(store: Store) -> None:
    """A transaction in which a statement was cut off by a timeout is not committed, and the next one works."""
    transaction = store.transaction()
    tx = await transaction.__aenter__()
    await tx.add_run(run(1))
    adding = asyncio.create_task(tx.add_run(run(2)))
    await asyncio.sleep(0)
    adding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await adding
    with pytest.raises(
        StoreUnavailable, match="was interrupted in a statement; nothing of the transaction was written"
    ):
        await transaction.__aexit__(None, None, None)

    await add(store, run(3))
    assert [found.finished for found in await store.runs(TARGET)] == [3]
