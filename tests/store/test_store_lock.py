"""`Transaction.lock`: two processes on one database do not move the same alert at once."""

from __future__ import annotations

import asyncio

from monitor.store import State, Store
from tests.waiting import PATIENCE


async def test_one_at_a_time(url: str) -> None:
    """Of two processes that read a state and write another one, the second reads what the first has written."""

    async def count(store: Store) -> None:
        async with store.transaction() as tx:
            await tx.lock("counter")
            state = await tx.state("test", "", "counter")
            await asyncio.sleep(0.02)
            await tx.put_state(State("test", "", "counter", str(int(state.value) + 1 if state else 1).encode()))

    async with Store(url) as one, Store(url) as other:
        await asyncio.gather(*(count(store) for _ in range(5) for store in (one, other)))
        state = await one.state("test", "", "counter")

    assert state is not None
    assert b"10" == state.value


async def test_other_names_do_not_wait(postgresql: str) -> None:
    """A name holds up nobody who wants another one."""
    async with (
        Store(postgresql) as one,
        Store(postgresql) as other,
        asyncio.timeout(PATIENCE),
        one.transaction() as held,
    ):
        await held.lock("a")
        async with other.transaction() as tx:
            await tx.lock("b")
