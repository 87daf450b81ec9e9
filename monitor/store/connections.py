"""`Connections`: who may use the database when, and what becomes of it when a statement fails or its asker leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Executable, Pool, Row
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.errors import fitted
from monitor.store import engine
from monitor.store.access import Parameters
from monitor.store.errors import StoreCorrupt, StoreError, StoreRefused, StoreUnavailable, explain

T = TypeVar("T")

READERS = 10
"""Queries at the same time."""
WRITERS = 5
"""Transactions that write, on PostgreSQL, at the same time."""

PARTING = 1.0
"""Seconds for a connection to close politely: a server out of reach would never answer."""


class Link:
    """A connection, and the last thing it was asked, which goes on when its asker is cancelled.

    Drivers take a cancellation badly: what they clean up after one, a second one interrupts, and the connection is left
    with its lock. So they never see any.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.step: asyncio.Task[Any] | None = None


class Connections:
    """Connections to one database, given out in turn; they know whether it can be used.

    Args:
        url: As the configuration has it.
        lock_timeout: Seconds that a statement waits for a lock that another program holds.
        timeout: Seconds after which a statement that gives no answer is given up.
        verify: Called before each connection to a SQLite file; none is made where it raises.
        clock: Unix seconds.
        few: Whether one connection to read and one to write are enough: PostgreSQL has a hundred for all processes.

    Attributes:
        readers: Queries at the same time.
        url, where: Of the database; for SQLAlchemy, and for people.
        is_sqlite: Whether it is a SQLite file.
    """

    def __init__(
        self,
        url: str,
        lock_timeout: float,
        timeout: float,
        verify: Callable[[], None],
        clock: Callable[[], float],
        *,
        few: bool = False,
    ) -> None:
        self.url = engine.parse(url)
        self.where = engine.describe(self.url)
        self._timeout = timeout
        self._clock = clock
        try:
            self.engine = engine.new_engine(self.url, lock_timeout, verify=verify)
        except Exception as error:
            raise StoreError(
                fitted(f"store {self.where} cannot be used (", error, "); correct `store` in the configuration")
            ) from None
        self._for_reading = self.engine.execution_options(**engine.reading(self.url))
        self._for_writing = self.engine.execution_options(**{engine.WRITES: True})
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # SQLite has one writer: a queue is fairer than its polling. Together no more than the pool has connections:
        # nobody waits in there.
        self.readers = 1 if few else READERS
        self.writing = asyncio.Semaphore(1 if self.is_sqlite or few else WRITERS)
        self.reading = asyncio.Semaphore(self.readers)
        self._asking: set[asyncio.Task[Any]] = set()
        self._releasing: set[asyncio.Task[Any]] = set()
        self._worker = ThreadPoolExecutor(1, "store")  # for what takes long: the default threads answer scrapes
        self.unopened: StoreError | None = StoreUnavailable(
            f"store {self.where} is not open yet; the log says why if it stays so"
        )
        """Why nothing may be asked of it before it is opened, again or for the first time."""
        self.problem: StoreError | None = self.unopened
        """Why the last access failed; None where it worked."""
        self.damaged: StoreCorrupt | None = None
        """What was found damaged of a SQLite file, until it is found whole."""
        self.failing_since: float | None = clock()
        """Unix seconds since when there is something the matter; None where there is nothing."""

    def fails(self, error: StoreError) -> None:
        """Note why an access failed."""
        if self.failing_since is None:
            self.failing_since = self._clock()
        self.problem = error

    def works(self) -> None:
        """Note that something went well, after which there may be no problem any more."""
        if self.problem is None and self.damaged is None:
            self.failing_since = None

    async def close(self) -> None:
        """Close all connections. What is still being asked has some seconds to end."""
        for late in (self._asking, self._releasing):
            if under_way := self._asking | self._releasing:
                await asyncio.wait(under_way, timeout=PARTING)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._releasing, return_exceptions=True)
        await self.dispose()

    async def end_worker(self) -> None:
        """End the thread of `in_worker`."""
        await asyncio.to_thread(self._worker.shutdown)

    @asynccontextmanager
    async def connected(self, *, writes: bool = False, begin: bool = True) -> AsyncIterator[Link]:
        """A connection. One that writes has a transaction begun, which is undone unless it was committed; statements
        of another one are each for themselves. With `begin` off it is not yet made.
        """
        turn = self.writing if writes else self.reading
        self._refuse_unopened()
        await turn.acquire()
        try:
            self._refuse_unopened()  # it may have been lost while this one waited
        except StoreError:
            turn.release()
            raise
        pool = self.engine.pool
        link = Link((self._for_writing if writes else self._for_reading).connect())
        try:
            if begin:
                await self.ask(link, _begun(link.connection) if writes else link.connection.start())
            yield link
        finally:
            # However often this task is cancelled meanwhile, nobody gets the turn before the lock is free.
            await asyncio.shield(_kept(self._releasing, self._release(link, turn, pool)))

    async def fetch(self, statement: Executable, parameters: Parameters = None) -> Sequence[Row[Any]]:
        """The rows of a query, as `connected` and `execute` would give them, with fewer steps."""
        async with self.connected(begin=False) as link:
            return (await self.ask(link, _started(link.connection, statement, parameters))).all()

    def _refuse_unopened(self) -> None:
        if self.unopened is not None:  # its tables may be missing, or of a version that this one must not touch
            raise self.unopened

    async def _release(self, link: Link, turn: asyncio.Semaphore, pool: Pool) -> None:
        """Undo what is not committed and give the connection back; one of a pool that was replaced
        meanwhile is closed.
        """
        try:
            if link.step is not None:
                await asyncio.gather(link.step, return_exceptions=True)
            if link.connection.sync_connection is not None:
                async with asyncio.timeout(self._timeout):
                    if self.problem is not None or self.engine.pool is not pool:  # nobody would close it there
                        await link.connection.invalidate()
                    await link.connection.close()
        except Exception as error:  # what went wrong before is the news; this connection is not used again
            if explain(error, self.where) is None:
                raise
        finally:
            turn.release()
        if self.problem is not None:
            await self.dispose()  # file handles and connections from before the failure may be of no use after it

    async def dispose(self) -> None:
        """Close the unused connections."""
        while True:
            try:
                async with asyncio.timeout(PARTING):
                    return await self.engine.dispose()
            except TimeoutError:  # one did not answer, and is out of the pool; on to the next
                continue

    async def execute(self, link: Link, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        """Let a connection execute a statement."""
        return await self.ask(link, link.connection.execute(statement, parameters))

    async def ask(self, link: Link, step: Awaitable[T]) -> T:
        """Let a connection do something to its end, whatever becomes of this task."""
        link.step = asked = _kept(self._asking, self.attempt(step))
        return await asyncio.shield(asked)

    async def attempt(self, step: Awaitable[T], *, bounded: bool = True) -> T:
        """Await a step of the driver; its failure becomes a `StoreError`, and the store unhealthy."""
        try:
            async with asyncio.timeout(self._timeout if bounded else None):
                return await step
        except StoreError as error:
            self.fails(error)
            raise
        except Exception as error:
            found = explain(error, self.where)
            if found is None:
                raise
            if not isinstance(found, StoreRefused):
                self.fails(found)
            if self.is_sqlite and isinstance(found, StoreCorrupt):
                self.damaged = found
            raise found from error

    async def in_worker(self, function: Callable[..., T], *args: object) -> T:
        """Call a function that takes long, in the one thread that is there for such."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)


async def _started(connection: AsyncConnection, statement: Executable, parameters: Parameters) -> CursorResult[Any]:
    await connection.start()
    return await connection.execute(statement, parameters)


async def _begun(connection: AsyncConnection) -> None:
    await connection.start()
    await connection.begin()


def _kept(tasks: set[asyncio.Task[Any]], step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that is referred to until it ends: the event loop alone would let it be collected."""
    task = asyncio.create_task(step)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
