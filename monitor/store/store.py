"""`Store`: opens, writes in transactions, forgets what is old. `Queries` has what can be asked."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Row, Select, TextClause, select, text

from monitor.errors import fitted
from monitor.results import ResultSet
from monitor.store import columns, schema
from monitor.store.access import Parameters, row_id
from monitor.store.aggregates import Queries
from monitor.store.arrivals import Arrivals
from monitor.store.connections import Connections
from monitor.store.errors import StoreError
from monitor.store.migrate import migrate
from monitor.store.opened_file import OpenedFile
from monitor.store.result_sets import Packed
from monitor.store.retention import Retention
from monitor.store.states import State
from monitor.store.transaction import Transaction

T = TypeVar("T")

EXAMINE = 60.0
"""Seconds, at least, between two looks through the whole of a damaged file."""

_PROBE = State("store", "", "probe", b"")


class Store(Queries):
    """What survives a restart.

    Args:
        url: `sqlite:///PATH` or `postgresql://user@host/database`.
        lock_timeout: Seconds that a statement waits for a lock that another program holds.
        timeout: Seconds after which a statement that gives no answer is given up.
        clock: Unix seconds.
        few_connections: Whether one to read and one to write are enough.

    Attributes:
        began: Whether the last `open` found nothing, and began an empty store.
        retention: Deletes for `prune`; knows how long its longest transaction took.
        arrivals: The event that messages were committed, set once the transaction has been left.
    """

    def __init__(
        self,
        url: str,
        *,
        lock_timeout: float = 5.0,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
        few_connections: bool = False,
    ) -> None:
        self._connections = Connections(url, lock_timeout, timeout, self._verify_file, clock, few=few_connections)
        self.retention = Retention(self._connections)
        self.arrivals = Arrivals()
        self._file: OpenedFile | None = None
        self.began = False
        self._examine_at = 0.0  # monotonic

    def __repr__(self) -> str:
        return f"Store({self._connections.where})"

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Bring the schema up to date; may be called again after it failed, or where `opened` no longer holds.

        Raises:
            StoreError: The database cannot be used, or is newer than this version.
        """
        try:
            await self._let_go()
            # a large migration takes what it takes
            await self._connections.attempt(self._in_worker(self._prepare), bounded=False)
        except StoreError as error:
            self._connections.unopened = error
            raise
        except Exception as error:
            unopened = StoreError(
                fitted(f"store {self._connections.where} cannot be opened (", repr(error), "); please report this")
            )
            self._connections.unopened = unopened
            self._connections.fails(unopened)
            raise unopened from error
        self._connections.unopened = None
        await self._probe()

    def _prepare(self) -> None:
        self.began = migrate(self._connections.url, self._connections.where)
        if self._connections.is_sqlite and self._file is None:
            self._file = OpenedFile(Path(str(self._connections.url.database)), self._connections.where)
            self._connections.damaged = None

    async def _let_go(self) -> None:
        """Close a file whose place another one has taken, with all connections to it, once none is in use."""
        if self._file is None:
            return
        try:
            await self._verify()
        except StoreError:
            await self._close_file(self._file)

    async def _close_file(self, file: OpenedFile) -> None:
        async with AsyncExitStack() as turns:
            for turn in (self._connections.writing, *[self._connections.reading] * self._connections.readers):
                await turns.enter_async_context(turn)
            await self._connections.dispose()
            await self._connections.attempt(self._in_worker(file.finish))
            await self._in_worker(file.close)
            self._file = None

    async def _verify(self) -> None:
        """See that the path still leads to the SQLite file that was opened; where not, nothing is asked of the store
        until `open`.
        """
        if self._file is None:
            return
        try:
            await self._connections.attempt(asyncio.to_thread(self._file.verify))
        except StoreError as error:
            self._connections.unopened = error
            raise

    def _verify_file(self) -> None:
        if self._file is not None:
            self._file.verify()

    async def close(self) -> None:
        """Close all connections and end the worker. What is still being asked has some seconds to end."""
        await self._connections.close()
        if self._file is not None:
            with suppress(StoreError, sqlite3.Error):
                await self._in_worker(self._file.finish)
            await self._in_worker(self._file.close)
        await self._connections.end_worker()

    @property
    def problem(self) -> StoreError | None:
        """Why the store cannot be used right now, as far as the last accesses showed; None while it can."""
        return self._connections.damaged or self._connections.problem

    @property
    def failing_since(self) -> float | None:
        """Unix seconds since when it has a `problem`; None where it has none."""
        return self._connections.failing_since

    @property
    def opened(self) -> bool:
        """Whether the store may be asked; after its file was deleted or replaced only once `open` was called again."""
        return self._connections.unopened is None

    @property
    def healthy(self) -> bool:
        """Whether the last access worked; after a failure, whether something could be written since."""
        return self.problem is None

    async def check(self) -> bool:
        """Ask the database, and answer whether the store is healthy: a read while it is, a small write until it is
        again.

        A SQLite file that is no longer there is found out, and a damaged one looked through, every minute or more
        seldom.
        """
        try:
            if self._connections.unopened is None:
                await self._verify()
            if self._connections.damaged is not None and time.monotonic() >= self._examine_at:
                await self._examine()
            if self._connections.problem is None:
                await self._fetch(select(schema.state.c.key).limit(1))
            else:
                await self._probe()
        except StoreError:
            return False
        return self.healthy

    async def _probe(self) -> None:
        """Write something small: SQLite opens a read-only file, and a full disk, without complaint."""
        async with self.transaction() as tx:
            await tx.put_state(_PROBE)
            await tx.delete_state(_PROBE.kind, _PROBE.target_id, _PROBE.key)

    async def _examine(self) -> None:
        """Look through the whole file, whether it is still damaged; that may take a while."""
        began = time.monotonic()
        try:
            async with self._connections.connected() as link:
                found = (await self._connections.execute(link, text("PRAGMA quick_check(1)"))).scalar_one()
            if found == "ok":
                self._connections.damaged = None
                self._connections.works()
        finally:
            now = time.monotonic()
            self._examine_at = now + max(EXAMINE, 10 * (now - began))

    async def pack(self, target_id: str, results: ResultSet, fingerprint: str) -> Packed:
        """Make a result set ready for `Transaction.add_run`, so that compressing it delays no other write.

        Args:
            target_id: Whose.
            results: The columns.
            fingerprint: `results.fingerprint()`; where the store has it, nothing is compressed.
        """
        known = await self._fetch(row_id(schema.result_set, target_id=target_id, fingerprint=fingerprint))
        return Packed(fingerprint, None if known else await self._in_worker(columns.encode, results), results)

    @asynccontextmanager
    async def transaction(self, *locks: str) -> AsyncIterator[Transaction]:
        """One unit of work: all of it is on the disk when the block is left, or none of it, if the block raises.

        A statement that failed or was cancelled inside it undoes all of it, wherever the error was caught.

        Args:
            locks: Names that it will `lock`, in this order: asked for at once they cost one statement.

        Raises:
            StoreError: It could not be begun or committed; nothing of it was written. Only where the answer to the
                commit itself did not come is that not certain.
        """
        async with self._connections.connected(writes=True) as link:
            transaction = Transaction(self._connections, link)
            await transaction.begin(*locks)
            yield transaction
            if transaction.failure is not None:
                # PostgreSQL would answer COMMIT with a silent rollback, SQLite commit the rest
                raise transaction.failure
            await transaction.announce()
            await self._verify()  # what is written to a deleted file is lost
            await self._connections.ask(link, link.connection.commit())
            self._connections.problem = None
            self._connections.works()
        # Last of all: what the caller does after the block, without waiting, is done before anyone wakes.
        self.arrivals.announce(transaction.queues)

    async def prune(self, before: float) -> int:
        """Delete runs that were last seen before a time, result sets and figures that no run has any more, the states
        of deleted runs, alerts that ended before, and what became of messages before.

        Baselines and the last good run of each target stay. Works in transactions of some 30 ms, with pauses between
        them, so that pulls get their turn.

        Args:
            before: Unix seconds.

        Returns:
            How many runs were deleted; one that was counted several times is one.
        """
        return await self.retention.prune(before)

    async def _fetch(self, statement: Select[Any] | TextClause, parameters: Parameters = None) -> Sequence[Row[Any]]:
        return await self._connections.fetch(statement, parameters)

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await self._connections.in_worker(function, *args)
