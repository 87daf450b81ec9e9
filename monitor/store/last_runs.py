"""How the newest runs of many targets ended, without their figures: for those who follow the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from monitor.errors import PullState
from monitor.store.access import Reading

_AT_ONCE = 500
# one look into the index for each, however long the histories are
_LAST = text(
    """
    SELECT wanted.id AS target_id, last.id, last.times, last.state, last.error, last.last_seen,
      good.id AS good_id, good.last_seen AS good_seen, good.fingerprint, good.figures_id
    FROM unnest(CAST(:target_ids AS text[])) AS wanted (id)
    CROSS JOIN LATERAL (
      SELECT id, times, state, error, last_seen FROM run WHERE run.target_id = wanted.id ORDER BY id DESC LIMIT 1
    ) AS last
    LEFT JOIN LATERAL (
      SELECT id, last_seen, fingerprint, figures_id FROM run
      WHERE run.target_id = wanted.id AND state = 'ok' ORDER BY id DESC LIMIT 1
    ) AS good ON true
    """
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """A target's newest run, and its newest good one.

    Attributes:
        id, times: The number of the newest run, and how many it counts: both together grow with each pull.
        state, error: How it ended.
        last_seen: Unix seconds when the last of those that it counts finished.
        good_id: The number of the newest good run; None where there is none.
        good_seen: As `last_seen`, of that.
        fingerprint: Of its result set.
        figures_id: The row that has its figures: another one once they were replaced.
    """

    id: int
    times: int
    state: PullState
    error: str
    last_seen: float
    good_id: int | None
    good_seen: float | None
    fingerprint: str | None
    figures_id: int | None

    @property
    def figures(self) -> object:
        """Equal as long as the figures are the same."""
        return self.good_id, self.figures_id, self.fingerprint


class LastRunQueries(Reading):
    """What can be asked about newest runs, of PostgreSQL."""

    async def last_runs(self, target_ids: Collection[str]) -> dict[str, LastRun]:
        """The newest run of each of some targets; those without any are not in the answer."""
        wanted = sorted(target_ids)
        found: dict[str, LastRun] = {}
        for first in range(0, len(wanted), _AT_ONCE):
            for row in await self._fetch(_LAST, {"target_ids": wanted[first : first + _AT_ONCE]}):
                values = dict(row._mapping)
                target_id = values.pop("target_id")
                found[target_id] = LastRun(**values | {"state": PullState(values["state"])})
        return found
