"""Runs over a long time: outlines, cheap by thousands, the figures of those that are wanted, and the headline figures
of many targets' newest result sets.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select, text

from monitor.errors import PullState
from monitor.store import schema
from monitor.store.access import Reading
from monitor.store.figures import Bounded, StoredFigures, read_figures, read_headlines

_run = schema.run.c
_figures = schema.figures.c
_OUTLINE = ("id", "finished", "last_seen", "times", "state", "fingerprint", "trained", "error")
_AT_ONCE = 200  # runs whose documents are in memory as texts
_NEWEST_RESULTS = """
SELECT * FROM (
  SELECT run.target_id, run.id, run.finished, run.fingerprint, figures.headlines
  FROM run JOIN figures ON figures.id = run.figures_id
  WHERE run.target_id = :{name} AND run.state = :state AND (run.changed OR run.last_change IS NULL)
  ORDER BY run.id DESC
  LIMIT :most
) AS {name}
"""
"""A target's part of a query: as text, since SQLAlchemy takes some 40 ms of the event loop to put fifty of its own
together. The first result set was no change, and has no `last_change`.
"""
_TARGETS_AT_ONCE = 200  # SQLite takes 500 parts of a query


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


@dataclass(frozen=True, slots=True)
class ResultFigures:
    """The headline figures of one result set of a target.

    Attributes:
        run_id: The run that found it.
        at: Unix seconds when it was first seen.
        figures: By name, with the bounds of their intervals; none where a release before wrote them, and they were not
            filled in yet.
    """

    run_id: int
    at: float
    figures: Mapping[str, Bounded]


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

    async def newest_results(self, target_ids: Sequence[str], limit: int) -> dict[str, list[ResultFigures]]:
        """The headline figures of several targets' newest distinct result sets, oldest first: in one query for up to
        200 targets.

        Args:
            target_ids: Which targets; those without a good run are not in the answer.
            limit: How many result sets of each.
        """
        rows: list[Row[Any]] = []
        for first in range(0, len(target_ids), _TARGETS_AT_ONCE):
            some = target_ids[first : first + _TARGETS_AT_ONCE]
            wanted = {f"target_{number}": target_id for number, target_id in enumerate(some)}
            statement = text(" UNION ALL ".join(_NEWEST_RESULTS.format(name=name) for name in wanted))
            rows += await self._fetch(statement.bindparams(state=str(PullState.OK), most=limit, **wanted))
        return await asyncio.to_thread(_results_by_target, rows)


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


def _results_by_target(rows: Sequence[Row[Any]]) -> dict[str, list[ResultFigures]]:
    found: dict[str, list[ResultFigures]] = {}
    last: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.id):
        results = found.setdefault(row.target_id, [])
        if last.get(row.target_id) == row.fingerprint:  # the first one, seen again; what was compared may differ
            results.pop()
        last[row.target_id] = row.fingerprint
        results.append(ResultFigures(row.id, row.finished, read_headlines(row.headlines)))
    return found
