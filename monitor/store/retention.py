"""`Retention`: deletes what is old, a little at a time, so that no pull waits for it.

What to delete is looked for without any lock. Only the deletion itself is a transaction, which checks again what it was
told, and is so small that it takes `TARGET` seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    FromClause,
    Row,
    Select,
    Table,
    Update,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)

from monitor.errors import PullState
from monitor.store import schema
from monitor.store.alert_states import ALERT
from monitor.store.connections import Connections, Link
from monitor.store.errors import StoreRefused
from monitor.store.runs import results_lock
from monitor.store.transaction import lock_key

TARGET = 0.03
"""Seconds that a transaction is to take; a third of what is allowed, for disks that are slow at times."""
FIRST_BATCH = 20
LARGEST_BATCH = 500
"""Rows of one transaction."""
LARGEST_BYTES = 4 * 2**20
"""Bytes of the result sets that one transaction deletes, unless a single one has more: SQLite reads all of their pages,
to put them among the free ones.
"""
LOOKED_FOR = 5_000
"""Rows that are looked for at a time."""

# one text whatever the number: SQLAlchemy takes 70 ms for a statement of hundreds of calls that it has not seen yet
_LOCKED = text("SELECT key FROM unnest(CAST(:keys AS bigint[])) AS key WHERE pg_try_advisory_xact_lock(key)")

log = structlog.get_logger()


class Retention:
    """Deletes what is old.

    Args:
        connections: To the store.

    Attributes:
        longest: Seconds of the longest transaction of the last `prune`, from when it had SQLite's write lock, or from
            its beginning, until it had ended.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._batch = FIRST_BATCH
        self.longest = 0.0

    async def prune(self, before: float) -> int:
        """As `Store.prune`."""
        self.longest = 0.0
        await self._put_moments()
        deleted = 0
        old = _old(before)
        async for rows in self._pages(old):
            deleted += await self._in_batches([row.id for row in rows], delete(schema.run).where(_is_old(before)))
        for table, reference in (
            (schema.result_set, schema.run.c.result_set_id),
            (schema.figures, schema.run.c.figures_id),
        ):
            await self._delete_orphans(table, reference)
        await self._delete_those(schema.firing, _is_over(before))
        await self._delete_those(schema.notification, schema.notification.c.at < before)
        return deleted

    async def _put_moments(self) -> None:
        """Give runs of older programs the moment when they were last seen."""
        run = schema.run.c
        unseen = and_(run.last_seen == schema.NEVER_SEEN, run.finished != schema.NEVER_SEEN)
        change = update(schema.run).where(unseen).values(last_seen=run.finished)
        while rows := await self._fetch(select(run.id).where(unseen).limit(LOOKED_FOR)):
            await self._in_batches([row.id for row in rows], change)

    async def _pages(self, old: Select[Any]) -> AsyncIterator[Sequence[Row[Any]]]:
        """The rows that a query finds, each once, by when they were last seen."""
        run = schema.run.c
        page = old.order_by(run.last_seen, run.id).limit(LOOKED_FOR)
        rows = await self._fetch(page)
        while rows:
            yield rows
            last = rows[-1]
            later = or_(run.last_seen > last.last_seen, and_(run.last_seen == last.last_seen, run.id > last.id))
            rows = await self._fetch(page.where(run.last_seen >= last.last_seen, later))

    async def _delete_orphans(self, table: Table, reference: Column[Any]) -> None:
        """Delete rows that no run refers to any more."""
        orphan = ~exists().where(reference == table.c.id)
        while rows := await self._fetch(select(table.c.id, table.c.target_id).where(orphan).limit(LOOKED_FOR)):
            targets = {row.id: row.target_id for row in rows}
            sizes = await self._sizes(table, list(targets))
            if not await self._in_batches(list(targets), delete(table).where(orphan), targets, sizes):
                return  # all that is left is in use: another time

    async def _delete_those(self, table: Table, condition: ColumnElement[bool]) -> None:
        """Delete the rows that a condition holds for."""
        while rows := await self._fetch(select(*table.primary_key).where(condition).limit(LOOKED_FOR)):
            if not await self._in_batches([tuple(row) for row in rows], delete(table).where(condition)):
                return

    async def _sizes(self, table: Table, ids: Sequence[int]) -> dict[int, int]:
        if "data" not in table.c:
            return {}
        found = {}
        for start in range(0, len(ids), LARGEST_BATCH):
            part = ids[start : start + LARGEST_BATCH]
            rows = await self._fetch(
                select(table.c.id, func.length(table.c.data).label("size")).where(table.c.id.in_(part))
            )
            found.update({row.id: row.size for row in rows})
        return found

    async def _in_batches(
        self,
        ids: Sequence[Any],
        change: Delete | Update,
        targets: Mapping[int, str] | None = None,
        sizes: Mapping[int, int] | None = None,
    ) -> int:
        """Change rows, in transactions of their own; answers how many.

        Args:
            ids: Which rows, by primary key; tuples where it has several columns.
            change: What to do with those of them that it finds.
            targets: By row, whose runs must not refer to it meanwhile; a row whose target is being written is left.
            sizes: Their bytes, where these count.
        """
        changed = start = 0
        while start < len(ids):
            end = self._end(ids, start, sizes or {})
            part = ids[start:end]
            start = end
            began = time.monotonic()
            try:
                done, took = await self._change(change, part, targets or {})
            except StoreRefused as error:  # someone has referred to a row in this very moment
                log.info("retention.refused", error=str(error))
                continue
            changed += done
            self.longest = max(self.longest, took)
            if took > TARGET:
                self._batch = max(1, int(self._batch * TARGET / took))
            elif took < TARGET / 2 and len(part) >= self._batch:
                self._batch = min(LARGEST_BATCH, 2 * self._batch)
            # other programs ask for SQLite's lock now and then: it must be free as long as it is held
            await asyncio.sleep(time.monotonic() - began)
        return changed

    def _end(self, ids: Sequence[Any], start: int, sizes: Mapping[int, int]) -> int:
        """Where the batch that begins at `start` ends."""
        end = start + 1
        most = min(len(ids), start + min(self._batch, LARGEST_BATCH))
        nbytes = sizes.get(ids[start], 0)
        while end < most and nbytes + sizes.get(ids[end], 0) <= LARGEST_BYTES:
            nbytes += sizes.get(ids[end], 0)
            end += 1
        return end

    async def _change(
        self, change: Delete | Update, ids: Sequence[Any], targets: Mapping[int, str]
    ) -> tuple[int, float]:
        """One transaction; answers how many rows it changed, and its seconds."""
        connections = self._connections
        async with connections.connected(writes=True) as link:
            began = time.monotonic()
            if targets and not connections.is_sqlite:
                free = await self._locked(link, {targets[number] for number in ids})
                ids = [number for number in ids if targets[number] in free]
            result = await connections.execute(link, change.where(_key(change.table).in_(ids)))
            await connections.ask(link, link.connection.commit())
            return result.rowcount, time.monotonic() - began

    async def _locked(self, link: Link, targets: Iterable[str]) -> set[str]:
        """Those of the targets whose runs no other transaction is writing now; none does until this one ends."""
        names = {lock_key(results_lock(name)): name for name in targets}
        found = await self._connections.execute(link, _LOCKED, {"keys": sorted(names)})
        return {names[row.key] for row in found}

    async def _fetch(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return await self._connections.fetch(statement)


def _key(table: FromClause) -> ColumnElement[Any]:
    first, *others = table.primary_key
    return tuple_(first, *others) if others else first


def _old(before: float) -> Select[Any]:
    return select(schema.run.c.id, schema.run.c.last_seen).where(_is_old(before))


def _is_old(before: float) -> Any:
    """Whether a run may go: it is neither a baseline, nor its target's last good one, nor was it seen since."""
    run = schema.run.c
    newer = schema.run.alias().c
    ok = str(PullState.OK)
    superseded = exists(select(newer.id).where(newer.target_id == run.target_id, newer.state == ok, newer.id > run.id))
    pinned = exists().where(schema.baseline.c.run_id == run.id)
    return and_(run.last_seen < before, or_(run.state != ok, superseded), ~pinned)


def _is_over(before: float) -> ColumnElement[bool]:
    """Whether a firing ended before a time; one without an end is over where nobody knows its alert any more."""
    firing = schema.firing.c
    state = schema.state.c
    known = exists().where(state.kind == ALERT, state.target_id == firing.target_id, state.key == firing.alertname)
    ended = func.coalesce(firing.ends_at, firing.starts_at) < before
    return and_(ended, or_(firing.ends_at.is_not(None), ~known))
