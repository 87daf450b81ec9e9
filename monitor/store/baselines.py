"""Baselines: the run that a target is compared with, one per mode."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import select

from monitor.store import schema
from monitor.store.access import Reading, Writing, given

_table = schema.baseline


@dataclass(frozen=True, slots=True)
class Baseline:
    """The run that a target is compared with.

    Attributes:
        target_id: Whose.
        mode: `pinned`, `previous`, `rolling`, or another purpose of the caller's; a target has at most one of each.
        run_id: The run.
        since: Unix seconds when it became the baseline.
        why: Who or what made it so, in a sentence.
    """

    target_id: str
    mode: str
    run_id: int
    since: float
    why: str


class BaselineQueries(Reading):
    """What can be asked about baselines."""

    async def baseline(self, target_id: str, mode: str) -> Baseline | None:
        """The target's baseline of a mode."""
        return next(iter(await self.baselines(target_id, mode)), None)

    async def baselines(self, target_id: str | None = None, mode: str | None = None) -> list[Baseline]:
        """Baselines, of all targets and modes by default, by target, then mode."""
        wanted = given({"target_id": target_id, "mode": mode})
        statement = select(_table).filter_by(**wanted).order_by(_table.c.target_id, _table.c.mode)
        return [Baseline(**row._mapping) for row in await self._fetch(statement)]


class BaselineWrites(Writing):
    """How baselines are written."""

    async def set_baseline(self, baseline: Baseline) -> None:
        """Make a run the target's baseline of this mode, in place of the one before.

        Raises:
            StoreRefused: The run is not in the store.
        """
        await self._upsert(_table, asdict(baseline))

    async def clear_baseline(self, target_id: str, mode: str) -> bool:
        """Forget the target's baseline of this mode; answers whether there was one."""
        return await self._remove(_table, target_id=target_id, mode=mode)
