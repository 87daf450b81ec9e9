"""Result sets: one row per content of a target, as the compressed file that `columns` makes."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select, update

from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store import columns, schema
from monitor.store.access import Reading, Writing

_run = schema.run
_row = schema.result_set


@dataclass(frozen=True, slots=True)
class Packed:
    """A result set ready to be written; `data` is None where the store already has one of this fingerprint."""

    fingerprint: str
    data: bytes | None = field(repr=False)
    results: ResultSet = field(repr=False)


class ResultSetQueries(Reading):
    """What can be asked about result sets."""

    async def results(self, run_id: int) -> ResultSet | None:
        """A run's result set; None where the run has none, or is no longer there.

        Raises:
            StoreCorrupt: The bytes in the store are damaged.
            StoreTooNew: A newer version wrote them.
        """
        rows = await self._fetch(select(_row.c.data).join(_run).where(_run.c.id == run_id))
        return await self._in_worker(columns.decode, rows[0].data) if rows else None

    async def results_with(self, target_id: str, fingerprint: str) -> ResultSet | None:
        """The target's result set of this content; None where the store does not have it.

        Raises:
            StoreCorrupt: The bytes in the store are damaged.
            StoreTooNew: A newer version wrote them.
        """
        wanted = select(_row.c.data).where(_row.c.target_id == target_id, _row.c.fingerprint == fingerprint)
        rows = await self._fetch(wanted)
        return await self._in_worker(columns.decode, rows[0].data) if rows else None


class ResultSetWrites(Writing):
    """How result sets are written: with the runs that found them."""

    async def _add_result_set(self, target_id: str, results: Packed) -> int:
        key = {"target_id": target_id, "fingerprint": results.fingerprint}
        if (known := await self._known(_row, key)) is not None:
            return known
        return await self._add_once(_row, key, {"data": await self._data(results), "version": FINGERPRINT_VERSION})

    async def _replace_results(self, target_id: str, number: int, results: Packed) -> None:
        """Give the runs of a result set another one: in the same row, unless there is one of this content."""
        known = await self._known(_row, {"target_id": target_id, "fingerprint": results.fingerprint})
        if known is None or known == number:
            known = number
            content = {
                "fingerprint": results.fingerprint,
                "data": await self._data(results),
                "version": FINGERPRINT_VERSION,
            }
            await self._execute(update(_row).where(_row.c.id == number).values(content))
        moved = {"result_set_id": known, "fingerprint": results.fingerprint}
        await self._execute(update(_run).where(_run.c.result_set_id == number).values(moved))

    async def _data(self, results: Packed) -> bytes:
        if results.data is not None:
            return results.data
        # It was known when it was packed: retention has deleted it since, or another version had written it.
        return await self._in_worker(columns.encode, results.results)
