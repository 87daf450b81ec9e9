"""`Store`: opens, writes in transactions, forgets what is old. `Queries` has what can be asked."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Column, Delete, Executable, Pool, Row, Select, Table, delete, exists, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.compare.drift import DriftState
from monitor.errors import PullState, quoted
from monitor.figures.evaluation import Evaluation
from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store import columns, documents, engine, schema
from monitor.store.arrivals import Arrivals
from monitor.store.errors import StoreCorrupt, StoreError, StoreRefused, StoreUnavailable, explain
from monitor.store.migrate import migrate
from monitor.store.opened_file import OpenedFile
from monitor.store.queries import DRIFT, Queries
from monitor.store.records import Baseline, Message, Packed, Run, State

T = TypeVar("T")

RUNS_PER_BATCH = 500
BLOBS_PER_BATCH = 20
"""What retention deletes in one transaction: a pull that wants to write waits for no more than this."""

EXAMINE = 60.0
"""Seconds, at least, between two looks through the whole of a damaged file."""

_PARTING = 1.0
"""Seconds for a connection to close politely: a server out of reach would never answer."""

_READERS = 10
"""Queries at the same time."""

_RETENTION_LOCK = 0x696D7075_6C736502  # "impulse", 2: shared by those that write, exclusive for retention
_AS_THEY_ARE = (
    "target_id",
    "started",
    "finished",
    "selection",
    "fingerprint",
    "changed",
    "last_change",
    "trained",
    "impulse_stale",
)
_PROBE = State("store", "", "probe", b"")


class _Link:
    """A connection, and the last thing it was asked, which goes on when whoever asked is cancelled.

    Drivers take a cancellation badly: what they clean up after one, a second one interrupts, and the connection is left
    with its lock. So they never see any.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.step: asyncio.Task[Any] | None = None


class Store(Queries):
    """What survives a restart.

    Args:
        url: `sqlite:///PATH` or `postgresql://user@host/database`.
        lock_timeout: Seconds that a statement waits for a lock that another program holds.
        timeout: Seconds after which a statement that gives no answer is given up.
        clock: Unix seconds.

    Attributes:
        began: Whether the last `open` found nothing, and began an empty store.
        failing_since: Unix seconds since when it has a `problem`; None where it has none.
        arrivals: Whoever sends messages hears here that some were committed, once the transaction has been left.
    """

    def __init__(
        self, url: str, *, lock_timeout: float = 5.0, timeout: float = 60.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = engine.parse(url)
        self._where = engine.describe(self._url)
        self._timeout, self._clock = timeout, clock
        try:
            self._engine = engine.new_engine(self._url, lock_timeout, verify=self._verify_file)
        except Exception as error:
            raise StoreError(
                f"store {self._where} cannot be used ({quoted(error)}); correct `store` in the configuration"
            ) from None
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._file: OpenedFile | None = None
        self.began = False
        self.arrivals = Arrivals()
        # SQLite has one writer: a queue is fairer than its polling. Together no more than the pool has connections:
        # nobody waits in there.
        self._writing, self._reading = asyncio.Semaphore(1 if self._sqlite else 5), asyncio.Semaphore(_READERS)
        self._asking: set[asyncio.Task[Any]] = set()
        self._releasing: set[asyncio.Task[Any]] = set()
        self._worker = ThreadPoolExecutor(1, "store")  # for what takes long: the default threads answer scrapes
        self._unopened: StoreError | None = StoreUnavailable(
            f"store {self._where} is not open yet; the log says why if it stays so"
        )
        self._problem: StoreError | None = self._unopened
        self.failing_since: float | None = clock()
        self._damaged: StoreCorrupt | None = None
        self._examine_at = 0.0  # monotonic

    def __repr__(self) -> str:
        return f"Store({self._where})"

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
            await self._attempt(self._in_worker(self._prepare), bounded=False)  # a large migration takes what it takes
        except StoreError as error:
            self._unopened = error
            raise
        except Exception as error:
            self._unopened = StoreError(
                f"store {self._where} cannot be opened ({quoted(repr(error))}); please report this"
            )
            self._fails(self._unopened)
            raise self._unopened from error
        self._unopened = None
        await self._probe()

    def _prepare(self) -> None:
        self.began = migrate(self._url, self._where)
        if self._sqlite and self._file is None:
            self._file = OpenedFile(Path(str(self._url.database)), self._where)
            self._damaged = None

    async def _let_go(self) -> None:
        """Close a file whose place another one has taken, with all connections to it, once nobody uses one."""
        if self._file is None:
            return
        try:
            await self._verify()
        except StoreError:
            await self._close_file(self._file)

    async def _close_file(self, file: OpenedFile) -> None:
        async with AsyncExitStack() as turns:
            for turn in (self._writing, *[self._reading] * _READERS):
                await turns.enter_async_context(turn)
            await self._dispose()
            await self._attempt(self._in_worker(file.finish))
            await self._in_worker(file.close)
            self._file = None

    async def _verify(self) -> None:
        """See that the path still leads to the SQLite file that was opened; where not, nothing is asked of the store
        until `open`.
        """
        if self._file is None:
            return
        try:
            await self._attempt(asyncio.to_thread(self._file.verify))
        except StoreError as error:
            self._unopened = error
            raise

    def _verify_file(self) -> None:
        if self._file is not None:
            self._file.verify()

    async def close(self) -> None:
        """Close all connections and end the worker. What is still being asked has some seconds to end."""
        for late in (self._asking, self._releasing):
            if under_way := self._asking | self._releasing:
                await asyncio.wait(under_way, timeout=_PARTING)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._releasing, return_exceptions=True)
        await self._dispose()
        if self._file is not None:
            with suppress(StoreError, sqlite3.Error):
                await self._in_worker(self._file.finish)
            await self._in_worker(self._file.close)
        await asyncio.to_thread(self._worker.shutdown)

    @property
    def problem(self) -> StoreError | None:
        """Why the store cannot be used right now, as far as the last accesses told; None while it can."""
        return self._damaged or self._problem

    @property
    def opened(self) -> bool:
        """Whether the store may be asked; after its file was deleted or replaced only once `open` was called again."""
        return self._unopened is None

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
            if self._unopened is None:
                await self._verify()
            if self._damaged is not None and time.monotonic() >= self._examine_at:
                await self._examine()
            if self._problem is None:
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
            async with self._connected() as link:
                found = (await self._execute(link, text("PRAGMA quick_check(1)"))).scalar_one()
            if found == "ok":
                self._damaged = None
                self._works()
        finally:
            now = time.monotonic()
            self._examine_at = now + max(EXAMINE, 10 * (now - began))

    async def pack(self, target_id: str, results: ResultSet, fingerprint: str) -> Packed:
        """Make a result set ready for `Transaction.add_run`, so that compressing it holds up nobody.

        Args:
            target_id: Whose.
            results: The columns.
            fingerprint: `results.fingerprint()`; where the store has it, nothing is compressed.
        """
        known = await self._fetch(_row_id(schema.result_set, target_id=target_id, fingerprint=fingerprint))
        return Packed(fingerprint, None if known else await self._in_worker(columns.encode, results), results)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One unit of work: all of it is on the disk when the block is left, or none of it, if the block raises.

        A statement that failed or was cancelled inside it undoes all of it, whoever caught the error.

        Raises:
            StoreError: It could not be begun or committed; nothing of it was written. Only where the answer to the
                commit itself did not come is that not certain.
        """
        async with self._connected(writes=True) as link:
            if not self._sqlite:
                await self._execute(link, text(f"SELECT pg_advisory_xact_lock_shared({_RETENTION_LOCK})"))
            transaction = Transaction(self, link)
            yield transaction
            if transaction.failure is not None:
                # PostgreSQL would answer COMMIT with a silent rollback, SQLite commit the rest
                raise transaction.failure
            await self._verify()  # what is written to a deleted file is lost
            await self._ask(link, link.connection.commit())
            self._problem = None
            self._works()
        # Last of all: what the caller does after the block, without waiting, is done before anyone wakes.
        self.arrivals.announce(transaction.queues)

    async def prune(self, before: float) -> int:
        """Delete runs that finished before a time, result sets and figures that no run has any more, and the states of
        deleted runs.

        Baselines and the last good run of each target stay. Works in small transactions, so that pulls get their turn.

        Args:
            before: Unix seconds.

        Returns:
            How many runs were deleted.
        """
        run, newer = schema.run.c, schema.run.alias().c
        ok = str(PullState.OK)
        superseded = exists(
            select(newer.id).where(newer.target_id == run.target_id, newer.state == ok, newer.id > run.id)
        )
        old = (
            select(run.id)
            .where(
                run.finished < before,
                (run.state != ok) | superseded,
                ~exists().where(schema.baseline.c.run_id == run.id),
            )
            .order_by(run.finished)
        )
        deleted = await self._delete(schema.run, old, RUNS_PER_BATCH)
        await self._delete(schema.result_set, _orphans(schema.result_set, run.result_set_id), BLOBS_PER_BATCH)
        await self._delete(schema.figures, _orphans(schema.figures, run.figures_id), RUNS_PER_BATCH)
        return deleted

    async def _delete(self, table: Table, ids: Select[Any], batch: int) -> int:
        total = 0
        while True:
            async with self._connected(writes=True) as link:
                if not self._sqlite:
                    await self._execute(link, text(f"SELECT pg_advisory_xact_lock({_RETENTION_LOCK})"))
                result = await self._execute(link, delete(table).where(table.c.id.in_(ids.limit(batch))))
                await self._ask(link, link.connection.commit())
            total += result.rowcount
            if result.rowcount < batch:
                return total

    async def _fetch(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        async with self._connected() as link:
            return (await self._execute(link, statement)).all()

    async def _decode(self, data: bytes) -> ResultSet:
        return await self._in_worker(columns.decode, data)

    @asynccontextmanager
    async def _connected(self, *, writes: bool = False) -> AsyncIterator[_Link]:
        """A connection with a transaction begun, which is undone unless it was committed."""
        turn = self._writing if writes else self._reading
        self._refuse_unopened()
        await turn.acquire()
        try:
            self._refuse_unopened()  # it may have been lost while this one waited
        except StoreError:
            turn.release()
            raise
        pool = self._engine.pool
        link = _Link(self._engine.execution_options(**{engine.WRITES: writes}).connect())
        try:
            await self._ask(link, link.connection.start())
            await self._ask(link, link.connection.begin())
            yield link
        finally:
            # However often this task is cancelled meanwhile, nobody gets the turn before the lock is free.
            await asyncio.shield(_kept(self._releasing, self._release(link, turn, pool)))

    def _refuse_unopened(self) -> None:
        if self._unopened is not None:  # its tables may be missing, or of a version that this one must not touch
            raise self._unopened

    async def _release(self, link: _Link, turn: asyncio.Semaphore, pool: Pool) -> None:
        """Undo what is not committed and give the connection back; one of a pool that was replaced
        meanwhile is closed.
        """
        try:
            if link.step is not None:
                await asyncio.gather(link.step, return_exceptions=True)
            if link.connection.sync_connection is not None:
                async with asyncio.timeout(self._timeout):
                    if self._problem is not None or self._engine.pool is not pool:  # nobody would close it there
                        await link.connection.invalidate()
                    await link.connection.close()
        except Exception as error:  # what went wrong before is the news; this connection is not used again
            if explain(error, self._where) is None:
                raise
        finally:
            turn.release()
        if self._problem is not None:
            await self._dispose()  # file handles and connections from before the failure may be of no use after it

    async def _dispose(self) -> None:
        """Close the connections that nobody uses."""
        while True:
            try:
                async with asyncio.timeout(_PARTING):
                    return await self._engine.dispose()
            except TimeoutError:  # one did not answer, and is out of the pool; on to the next
                continue

    async def _execute(self, link: _Link, statement: Executable) -> CursorResult[Any]:
        return await self._ask(link, link.connection.execute(statement))

    async def _ask(self, link: _Link, step: Awaitable[T]) -> T:
        """Let a connection do something to its end, whatever becomes of this task."""
        link.step = asked = _kept(self._asking, self._attempt(step))
        return await asyncio.shield(asked)

    async def _attempt(self, step: Awaitable[T], *, bounded: bool = True) -> T:
        """Await a step of the driver; its failure becomes a `StoreError`, and the store unhealthy."""
        try:
            async with asyncio.timeout(self._timeout if bounded else None):
                return await step
        except StoreError as error:
            self._fails(error)
            raise
        except Exception as error:
            found = explain(error, self._where)
            if found is None:
                raise
            if not isinstance(found, StoreRefused):
                self._fails(found)
            if self._sqlite and isinstance(found, StoreCorrupt):
                self._damaged = found
            raise found from error

    def _fails(self, error: StoreError) -> None:
        if self.failing_since is None:
            self.failing_since = self._clock()
        self._problem = error

    def _works(self) -> None:
        """Note that something went well, after which there may be no problem any more."""
        if self.problem is None:
            self.failing_since = None

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)


class Transaction(Queries):
    """One unit of work on the store; its queries see what it has written so far."""

    def __init__(self, store: Store, link: _Link) -> None:
        self._store, self._link = store, link
        self.failure: StoreError | None = None
        """Why it cannot be committed."""
        self.queues: set[str] = set()
        """Whose messages it brings."""

    async def add_run(self, run: Run, results: Packed | None = None) -> int:
        """Write a run.

        Args:
            run: The run; its `id` is not looked at.
            results: Its result set, as `Store.pack` gave it, where there is one.

        Returns:
            The run's number.

        Raises:
            ValueError: `run.fingerprint` is not that of `results`.
        """
        if run.fingerprint != (results.fingerprint if results else None):
            raise ValueError(
                f"a run with fingerprint {run.fingerprint} and results with {results.fingerprint if results else None}"
            )
        row = {name: getattr(run, name) for name in _AS_THEY_ARE}
        row["state"] = str(run.state)
        # what no database's text can hold
        row["error"] = run.error.replace("\0", "").encode("utf-8", "replace").decode()
        row["result_set_id"] = await self._add_result_set(run.target_id, results) if results else None
        row["figures_id"] = await self._add_figures(run)
        number: int = (await self._execute(schema.run.insert().values(row).returning(schema.run.c.id))).scalar_one()
        return number

    async def bring_up(self, run: Run, results: Packed, evaluation: Evaluation) -> bool:
        """Put what today's formulas say of a run in place of what those of another version said.

        All runs of the same result set share its new columns and fingerprint; the figures become those of this run
        alone, its comparison stays what it was.

        Args:
            run: From the store.
            results: Its result set as today's version reads it.
            evaluation: The figures of that.

        Returns:
            Whether it was done; not where the run is gone, or another program has done it.
        """
        await self.lock(f"results of {run.target_id}")
        stored = schema.run.join(schema.result_set).outerjoin(schema.figures)
        wanted = select(
            schema.run.c.result_set_id,
            schema.result_set.c.version,
            schema.run.c.fingerprint,
            schema.figures.c.comparison,
        )
        rows = await self._fetch(wanted.select_from(stored).where(schema.run.c.id == run.id))
        if not rows or rows[0].fingerprint != run.fingerprint or rows[0].version != run.versions.results:
            return False
        if rows[0].version != FINGERPRINT_VERSION:
            await self._replace_results(run.target_id, rows[0].result_set_id, results)
        texts = await asyncio.to_thread(_texts, replace(run, evaluation=evaluation, comparison=None))
        figures_id = await self._add_texts(run.target_id, texts | {"comparison": rows[0].comparison})
        await self._execute(update(schema.run).where(schema.run.c.id == run.id).values(figures_id=figures_id))
        return True

    async def _replace_results(self, target_id: str, number: int, results: Packed) -> None:
        """Give the runs of a result set another one: in the same row, unless there is one of this content."""
        run, row = schema.run, schema.result_set
        known = await self._known(row, {"target_id": target_id, "fingerprint": results.fingerprint})
        if known is None or known == number:
            known = number
            content = {
                "fingerprint": results.fingerprint,
                "data": await self._data(results),
                "version": FINGERPRINT_VERSION,
            }
            await self._execute(update(row).where(row.c.id == number).values(content))
        moved = {"result_set_id": known, "fingerprint": results.fingerprint}
        await self._execute(update(run).where(run.c.result_set_id == number).values(moved))

    async def lock(self, name: str) -> None:
        """Wait until no other transaction, of this or another process, holds this name; this one does until it ends.

        With SQLite it is the only one anyway.
        """
        if not self._store._sqlite:
            key = int.from_bytes(hashlib.sha256(f"impulse-monitor {name}".encode()).digest()[:8], "big", signed=True)
            await self._execute(select(func.pg_advisory_xact_lock(key)))

    async def set_baseline(self, baseline: Baseline) -> None:
        """Make a run the target's baseline of this mode, in place of the one before.

        Raises:
            StoreRefused: The run is not in the store.
        """
        await self._upsert(schema.baseline, asdict(baseline))

    async def clear_baseline(self, target_id: str, mode: str) -> bool:
        """Forget the target's baseline of this mode; answers whether there was one."""
        return await self._remove(schema.baseline, target_id=target_id, mode=mode)

    async def put_state(self, state: State) -> None:
        """Write a state, in place of the one of the same kind, target and key.

        Raises:
            StoreRefused: The run it is about is not in the store.
        """
        await self._upsert(schema.state, asdict(state))

    async def delete_state(self, kind: str, target_id: str, key: str) -> bool:
        """Delete a state; answers whether there was one."""
        return await self._remove(schema.state, kind=kind, target_id=target_id, key=key)

    async def put_drift_states(self, target_id: str, memories: Mapping[int, DriftState]) -> None:
        """Make these, by block, all that the target's drift remembers."""
        await self._execute(_drift_states(target_id).where(schema.state.c.key.not_in(list(map(str, memories)))))
        await self.replace_drift_states(target_id, memories)

    async def replace_drift_states(self, target_id: str, memories: Mapping[int, DriftState]) -> None:
        """Write these, by block, in place of those of the same blocks; others stay."""
        for key, value in (await asyncio.to_thread(_dumped, memories)).items():
            await self.put_state(State(DRIFT, target_id, key, value))

    async def clear_drift_states(self, target_id: str) -> bool:
        """Let the target's evidence begin anew; answers whether there was any."""
        return (await self._execute(_drift_states(target_id))).rowcount > 0

    async def enqueue(self, message: Message) -> int:
        """Put a message at the end of its receiver's queue; its `id` is not looked at.

        Returns:
            Its number.
        """
        row = asdict(message)
        del row["id"]
        self.queues.add(message.receiver)
        number: int = (
            await self._execute(schema.message.insert().values(row).returning(schema.message.c.id))
        ).scalar_one()
        return number

    async def delivered(self, *ids: int) -> None:
        """Delete messages that have arrived; numbers that are not there are no error."""
        await self._execute(delete(schema.message).where(schema.message.c.id.in_(ids)))

    async def move_messages(self, receiver: str, to: str) -> None:
        """Give the messages of one receiver to another, in their order."""
        self.queues.add(to)
        await self._execute(update(schema.message).filter_by(receiver=receiver).values(receiver=to))

    async def trim_messages(self, receiver: str, most: int) -> int:
        """Delete a receiver's oldest messages, so that no more than `most` (at least 0) are left; answers how many."""
        message = schema.message.c
        beyond = select(message.id).where(message.receiver == receiver).order_by(message.id.desc()).offset(most)
        return (await self._execute(delete(schema.message).where(message.id.in_(beyond)))).rowcount

    async def _add_result_set(self, target_id: str, results: Packed) -> int:
        await self.lock(f"results of {target_id}")  # `bring_up` may be about to give another one this fingerprint
        key = {"target_id": target_id, "fingerprint": results.fingerprint}
        if (known := await self._known(schema.result_set, key)) is not None:
            return known
        return await self._add_once(
            schema.result_set, key, {"data": await self._data(results), "version": FINGERPRINT_VERSION}
        )

    async def _data(self, results: Packed) -> bytes:
        if results.data is not None:
            return results.data
        # It was known when it was packed: retention has deleted it since, or another version had written it.
        return await self._store._in_worker(columns.encode, results.results)

    async def _add_figures(self, run: Run) -> int | None:
        if run.evaluation is None and run.comparison is None:
            return None
        return await self._add_texts(run.target_id, await asyncio.to_thread(_texts, run))

    async def _add_texts(self, target_id: str, texts: dict[str, str | None]) -> int:
        key = {"target_id": target_id, "digest": hashlib.sha256(repr(texts).encode()).hexdigest()}
        known = await self._known(schema.figures, key)
        return known if known is not None else await self._add_once(schema.figures, key, texts)

    async def _known(self, table: Table, key: dict[str, str]) -> int | None:
        rows = await self._fetch(_row_id(table, **key))
        return rows[0].id if rows else None

    async def _add_once(self, table: Table, key: dict[str, str], row: dict[str, Any]) -> int:
        """The number of a row that is added, or that another process has added in the meantime."""
        insert = self._insert(table).values(key | row).on_conflict_do_nothing().returning(table.c.id)
        added: int | None = (await self._execute(insert)).scalar()
        return added if added is not None else (await self._execute(_row_id(table, **key))).scalar_one()

    async def _fetch(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return (await self._execute(statement)).all()

    async def _decode(self, data: bytes) -> ResultSet:
        return await self._store._decode(data)

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._store._sqlite else postgresql.insert(table)

    async def _upsert(self, table: Table, row: dict[str, Any]) -> None:
        keys = {column.name for column in table.primary_key}
        values = {name: value for name, value in row.items() if name not in keys}
        await self._execute(
            self._insert(table).values(row).on_conflict_do_update(index_elements=list(keys), set_=values)
        )

    async def _remove(self, table: Table, **key: str) -> bool:
        return (await self._execute(delete(table).filter_by(**key))).rowcount > 0

    async def _execute(self, statement: Executable) -> CursorResult[Any]:
        if self.failure is not None:
            raise self.failure
        try:
            return await self._store._execute(self._link, statement)
        except StoreError as error:
            self.failure = error
            raise
        except asyncio.CancelledError:
            where = self._store._where
            self.failure = StoreUnavailable(
                f"store {where} was interrupted in a statement; nothing of the transaction was written"
            )
            raise


def _kept(tasks: set[asyncio.Task[Any]], step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that is referred to until it ends: the event loop alone would let it be collected."""
    task = asyncio.create_task(step)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


def _row_id(table: Table, **key: str) -> Select[Any]:
    return select(table.c.id).filter_by(**key)


def _drift_states(target_id: str) -> Delete:
    return delete(schema.state).filter_by(kind=DRIFT, target_id=target_id)


def _orphans(table: Table, reference: Column[Any]) -> Select[Any]:
    return select(table.c.id).where(~exists().where(reference == table.c.id))


def _texts(run: Run) -> dict[str, str | None]:
    """What a run found out, as the JSON columns of `figures`."""
    return {
        "evaluation": None if run.evaluation is None else documents.dump_evaluation(run.evaluation),
        "comparison": None if run.comparison is None else documents.dump_comparison(run.comparison),
    }


def _dumped(memories: Mapping[int, DriftState]) -> dict[str, bytes]:
    """By key of its state; in the order of the blocks, so that two programs wait for each other's rows in one order."""
    return {str(block): documents.dump_drift_state(memory) for block, memory in sorted(memories.items())}
