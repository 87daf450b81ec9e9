"""A target's runs over a long time: outlines, cheap by thousands, and the figures of those that are wanted."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select

from monitor.errors import PullState
from monitor.store import schema
from monitor.store.access import Reading
from monitor.store.figures import StoredFigures, read_figures

_run = schema.run.c
_figures = schema.figures.c
_OUTLINE = ("id", "finished", "last_seen", "times", "state", "fingerprint", "trained", "error")
_AT_ONCE = 200  # runs whose documents are in memory as texts


@dataclass(frozen=True, slots=True)
class RunOutline:
    """A run without its figures, and those right after it that said the same.

    Attributes:
        id: Its number; later runs have larger ones.
        finished, last_seen: Unix seconds when the first of them finished, and the last.
        times: How many there were.
        state: How the pulls ended.
        fingerprint: Of the result set; None where the pulls gave none.
        trained: Unix seconds of the model's training; None where unknown.
        error: What the pulls failed with; empty where they did not.
        digest: Of its figures: the same for equal ones; None where it has none.
    """

    id: int
    finished: float
    last_seen: float
    times: int
    state: PullState
    fingerprint: str | None = None
    trained: float | None = None
    error: str = ""
    digest: str | None = None


class RunHistoryQueries(Reading):
    """What can be asked about many runs."""

    async def outlines(self, target_id: str, since: float = -math.inf) -> list[RunOutline]:
        """Outlines of the target's runs that were seen at `since` (Unix seconds) or later, oldest first."""
        seen = or_(_run.last_seen >= since, _run.finished >= since)  # an older program's have no `last_seen`
        statement = (
            select(*(_run[name] for name in _OUTLINE), _figures.digest)
            .select_from(schema.run.outerjoin(schema.figures))
            .where(_run.target_id == target_id, seen)
            .order_by(_run.id)
        )
        return await asyncio.to_thread(_outlines, await self._fetch(statement))

    async def figures_of(self, run_ids: Collection[int]) -> dict[int, StoredFigures]:
        """What runs found out, by their numbers; those that are gone, or have no figures, are left out."""
        wanted = sorted(run_ids)
        found: dict[int, StoredFigures] = {}
        for first in range(0, len(wanted), _AT_ONCE):
            statement = (
                select(_run.id, _run.target_id, _figures.evaluation, _figures.comparison)
                .select_from(schema.run.join(schema.figures))
                .where(_run.id.in_(wanted[first : first + _AT_ONCE]))
            )
            found |= await asyncio.to_thread(_read, await self._fetch(statement))
        return found


def _outlines(rows: Sequence[Row[Any]]) -> list[RunOutline]:
    return [
        RunOutline(
            row.id,
            row.finished,
            max(row.last_seen, row.finished),
            row.times,
            PullState(row.state),
            row.fingerprint,
            row.trained,
            row.error,
            row.digest,
        )
        for row in rows
    ]


def _read(rows: Sequence[Row[Any]]) -> dict[int, StoredFigures]:
    return {row.id: read_figures(row) for row in rows}
