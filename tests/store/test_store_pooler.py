"""PostgreSQL behind PgBouncer in transaction mode: each transaction may get another connection to the server."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from monitor.store import Message, Store, StoreError, StoreUnavailable
from tests.store.store_sets import TARGET, add, drift_state, result_set, run


def url(pooler: str, database: str, options: str = "") -> str:
    """The URL of a database behind the pooler."""
    return f"postgresql://postgres@/{database}?host={pooler}{options}"


async def work(store: Store, first: int) -> None:
    """Write and read as pulls do, several at a time."""
    for number in range(first, first + 10):
        await add(store, run(number), result_set(seed=number % 3))
        async with store.transaction() as tx:
            await tx.lock("a name")
            await tx.put_drift_states(TARGET, {5: drift_state(seed=number)})
            await tx.enqueue(Message("chat", "A", float(number), b"x"))
        await store.runs(TARGET, limit=3)
        await store.last_good(TARGET)
        await store.drift_states(TARGET)


async def test_without_prepared_statements(server: Any, database: str, pooler: str) -> None:
    """With prepared statements off several stores write, read and forget at once, and nothing is left on the server."""
    there = url(pooler, database, "&prepared_statements=off")
    async with Store(there) as one, Store(there) as other, Store(there) as third:
        await asyncio.gather(
            *(work(store, 100 * number) for number, store in enumerate((one, other, third, one, other)))
        )
        assert await one.check()
        assert len(await other.runs(TARGET)) == 50
        assert await one.message_counts() == {"chat": 50}
        assert await third.prune(150.0) > 0
        connection = await asyncpg.connect(
            host=pooler.partition("&")[0], port=6432, user="postgres", database=database, statement_cache_size=0
        )
        async with connection.transaction():
            locks = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            timeout = await connection.fetchval("SHOW lock_timeout")
        await connection.close()

    assert (locks, timeout) == (0, "0")


async def test_locks_time_out_behind_a_pooler(server: Any, database: str, pooler: str) -> None:
    """The lock timeout holds, although it cannot be set when connecting."""
    async with Store(url(pooler, database, "&prepared_statements=off"), lock_timeout=0.2) as store:
        other = await asyncpg.connect(host=str(server.folder), user="postgres", database=database)
        async with other.transaction():
            await other.execute("LOCK TABLE run")
            with pytest.raises(StoreUnavailable, match="is locked by another session; see pg_locks"):
                await add(store, run(1))
        await other.close()
        assert await store.check()


async def test_error_names_the_option(server: Any, database: str, pooler: str) -> None:
    """Without the option the first thing that goes wrong names it, be it a setting at the start or a prepared
    statement.
    """
    there = url(pooler, database)

    async def until_it_fails() -> None:
        async with Store(there) as one, Store(there) as other:
            for first in range(0, 1000, 10):
                ended = await asyncio.gather(
                    *(work(store, first) for store in (one, other, one, other)), return_exceptions=True
                )
                for error in ended:
                    if error is not None:
                        raise error

    with pytest.raises(
        StoreError,
        match=r"write `\?prepared_statements=off` at the end of `store` in the configuration, and start the service",
    ):
        await until_it_fails()
