"""Runs: how each pull of a target ended, what it found, and for how long pulls said the same.

A run that says nothing new is no row of its own: the target's last row counts it (`Run.times`) and moves its
`last_seen` on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, or_, select, update

from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.results import FINGERPRINT_VERSION
from monitor.store import schema
from monitor.store.access import Reading
from monitor.store.baselines import Baseline
from monitor.store.errors import StoreError
from monitor.store.figures import (
    FiguresWrites,
    StoredFigures,
    Versions,
    figures_texts,
    read_figures,
)
from monitor.store.result_sets import Packed, ResultSetWrites
from monitor.text import storable

_run = schema.run.c
_OK = str(PullState.OK)
_RUNS = (
    select(schema.run, *(schema.figures.c[name] for name in ("evaluation", "comparison")), schema.result_set.c.version)
    .select_from(schema.run.outerjoin(schema.figures).outerjoin(schema.result_set))
    .order_by(_run.id.desc())
)
_BASELINE_RUNS = (
    select(
        schema.run,
        schema.result_set.c.version,
        *(schema.baseline.c[name] for name in ("mode", "since", "why")),
    )
    .select_from(schema.baseline.join(schema.run).outerjoin(schema.result_set))
    .where(schema.baseline.c.target_id == bindparam("of_target"))
    .order_by(schema.baseline.c.mode)
)
_CONTENT = ("selection", "fingerprint", "last_change", "trained", "impulse_stale")
"""Columns that are written as they are, and in which a run that says nothing new equals the one before; beside them
`state`, `error`, `result_set_id` and `figures_id`.
"""

_FOUND = ("state", "error", "result_set_id", "figures_id")
_COUNTING = (
    update(schema.run)
    .where(
        _run.id == select(func.max(_run.id)).where(_run.target_id == bindparam("of_target")).scalar_subquery(),
        *(
            _run[name].is_not_distinct_from(bindparam(f"is_{name}", type_=_run[name].type))
            for name in _CONTENT + _FOUND
        ),
        _run.finished <= bindparam("at"),
        _run.last_seen <= bindparam("at"),
    )
    .values(last_seen=bindparam("at"), times=_run.times + 1)
    .returning(_run.id)
)
"""Counts a target's last run once more, where it says the same and the clock was not set back."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one target, and those right after it that said the same.

    Attributes:
        target_id: `TargetKey.id`.
        started, finished: Unix seconds; of the first.
        state: How the pull ended. A *good* run is one with `ok`.
        fingerprint: Of its result set; None where the pull gave none.
        changed: Whether the result set differed from that of the good run before.
        last_change: Unix seconds when that last happened; None where it never did.
        trained: Unix seconds of the model's training; None where unknown.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
        evaluation: The figures; None where the pull gave none.
        comparison: With its baseline; None where there was none.
        selection: Which samples its filters took, in a short text; empty for all. Runs of different ones are not to be
            compared.
        error: What the pull failed with, in a sentence; empty where it did not.
        id: Given by the store; later runs have larger ones.
        versions: Given by the store; it writes what the formulas of today made.
        unreadable: Why figures or comparison are None although the store has them; None where it could read them.
        last_seen: Given by the store: Unix seconds when the last of them finished, `finished` where it is alone.
        times: Given by the store: how many there were, itself included.
    """

    target_id: str
    started: float
    finished: float
    state: PullState
    fingerprint: str | None = None
    changed: bool = False
    last_change: float | None = None
    trained: float | None = None
    impulse_stale: bool | None = None
    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    selection: str = ""
    error: str = ""
    id: int | None = None
    versions: Versions = field(default_factory=Versions)
    unreadable: StoreError | None = field(default=None, compare=False)
    last_seen: float = -math.inf
    times: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "last_seen", max(self.last_seen, self.finished))


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """A target's baseline and the run that it is, whose figures are not read.

    Attributes:
        baseline: The baseline.
        run: Its run, without evaluation and comparison.
        figures_id: The row that has these; another one once they were replaced.
    """

    baseline: Baseline
    run: Run
    figures_id: int | None

    @property
    def version(self) -> object:
        """Equal for the same run with the same result set and figures, whoever pinned it and when."""
        run = self.run
        return run.id, run.fingerprint, run.versions.results, run.trained, self.figures_id


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as it was written, with the rows that it has: the next one is held against it without being written out.

    Attributes:
        run: What was written.
        id: The number of the run that has it.
        result_set_id, figures_id: What it found; None where it found nothing.
    """

    run: Run
    id: int
    result_set_id: int | None
    figures_id: int | None

    def equals(self, run: Run) -> bool:
        """Whether a run says what this one does. Figures are told apart by identity: False is the careful answer."""
        before = self.run
        if run.changed or run.evaluation is not before.evaluation or run.comparison is not before.comparison:
            return False
        return all(getattr(run, name) == getattr(before, name) for name in ("target_id", "state", "error", *_CONTENT))


class RunQueries(Reading):
    """What can be asked about runs.

    A run whose figures cannot be read comes without them, and says why: it hides no other run.
    """

    async def target_ids(self) -> list[str]:
        """The targets that have runs, sorted."""
        return [row.target_id for row in await self._fetch(select(_run.target_id).distinct().order_by(_run.target_id))]

    async def run(self, run_id: int) -> Run | None:
        """A run by its number."""
        return await self._first_run(_RUNS.where(_run.id == run_id))

    async def baseline_runs(self, target_id: str) -> list[BaselineRun]:
        """The target's baselines with their runs, by mode; in one statement, and without reading any figures."""
        rows = await self._fetch(_BASELINE_RUNS, {"of_target": target_id})
        return [_as_baseline_run(row) for row in rows]

    async def selection(self, run_id: int) -> str | None:
        """The selection of a run, whatever became of its figures; None where the run is not there."""
        rows = await self._fetch(select(_run.selection).where(_run.id == run_id))
        return rows[0].selection if rows else None

    async def last_selection(self, target_id: str) -> str | None:
        """The selection of the target's newest good run; None where it has none."""
        good = select(_run.selection).where(_run.target_id == target_id, _run.state == _OK)
        rows = await self._fetch(good.order_by(_run.id.desc()).limit(1))
        return rows[0].selection if rows else None

    async def last_good(self, target_id: str) -> Run | None:
        """The target's newest good run, by order of arrival: a clock that was set back confuses nothing."""
        return await self._first_run(_good(target_id))

    async def previous(self, target_id: str, fingerprint: str, selection: str) -> Run | None:
        """The target's newest good run of a selection with a result set other than the one of this fingerprint."""
        return await self._first_run(_good(target_id, selection).where(_run.fingerprint != fingerprint))

    async def with_results(self, target_id: str, fingerprint: str) -> Run | None:
        """The target's newest good run with the result set of this fingerprint."""
        return await self._first_run(_good(target_id).where(_run.fingerprint == fingerprint))

    async def newest_before(self, target_id: str, at: float, selection: str) -> Run | None:
        """The good run of a selection that was the target's newest at `at` (Unix seconds).

        It began to be seen then or before; it may have been seen since.
        """
        by_time = (
            _good(target_id, selection)
            .where(_run.finished <= at)
            .order_by(None)
            .order_by(_run.finished.desc(), _run.id.desc())
        )
        return await self._first_run(by_time)

    async def runs(
        self, target_id: str, since: float = -math.inf, until: float = math.inf, limit: int | None = None
    ) -> list[Run]:
        """The target's runs that were seen in [since, until) (Unix seconds), oldest first; with a limit only the
        newest.
        """
        seen = or_(_run.last_seen >= since, _run.finished >= since)  # an older program's have no `last_seen`
        statement = _RUNS.where(_run.target_id == target_id, seen, _run.finished < until).limit(limit)
        return await asyncio.to_thread(_runs, (await self._fetch(statement))[::-1])

    async def _first_run(self, statement: Select[Any]) -> Run | None:
        rows = await self._fetch(statement.limit(1))
        return (await asyncio.to_thread(_runs, rows))[0] if rows else None


class RunWrites(ResultSetWrites, FiguresWrites):
    """How runs are written."""

    async def add_run(self, run: Run, results: Packed | None = None) -> int:
        """As `record_run`; answers the number of the run that has it."""
        return (await self.record_run(run, results)).id

    async def record_run(self, run: Run, results: Packed | None = None, before: Recorded | None = None) -> Recorded:
        """Write a run; one that says nothing new is counted by the target's last one.

        It says something new where its result set has changed, where anything of it but its times differs from the
        last one, or where the clock was set back since.

        Args:
            run: The run; its `id`, `last_seen` and `times` are not looked at.
            results: Its result set, as `Store.pack` gave it, where there is one.
            before: What was written of the target last, as far as is known. A run that equals it is counted in a single
                statement, if that is still what the store has.

        Raises:
            ValueError: `run.fingerprint` is not that of `results`.
        """
        if run.fingerprint != (results.fingerprint if results else None):
            raise ValueError(
                f"a run with fingerprint {run.fingerprint} and results with {results.fingerprint if results else None}"
            )
        self.subjects.add(run.target_id)
        await self.lock(results_lock(run.target_id))
        content = {name: getattr(run, name) for name in _CONTENT}
        content["state"] = str(run.state)
        content["error"] = storable(run.error)
        if before is not None and before.equals(run):
            found = {"result_set_id": before.result_set_id, "figures_id": before.figures_id}
            if (counted := await self._counted(run, content | found)) is not None:
                return Recorded(run, counted, **found)
        found = {
            "result_set_id": await self._add_result_set(run.target_id, results) if results else None,
            "figures_id": await self._add_figures(run.target_id, run.evaluation, run.comparison),
        }
        content |= found
        if not run.changed and (counted := await self._counted(run, content)) is not None:
            return Recorded(run, counted, **found)
        moments = {"started": run.started, "finished": run.finished, "last_seen": run.finished}
        beside = {"target_id": run.target_id, "changed": run.changed, "times": 1}
        number = await self._insert_numbered(schema.run, content | moments | beside)
        return Recorded(run, number, **found)

    async def _counted(self, run: Run, content: Mapping[str, Any]) -> int | None:
        """The number of the target's last run, which counts this one as well; None where it says something else."""
        values = {f"is_{name}": value for name, value in content.items()}
        values |= {"of_target": run.target_id, "at": run.finished}
        number: int | None = (await self._execute(_COUNTING, values)).scalar()
        return number

    async def replace_figures(self, run: Run, results: Packed, evaluation: Evaluation) -> bool:
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
        self.subjects.add(run.target_id)
        await self.lock(results_lock(run.target_id))
        stored = schema.run.join(schema.result_set).outerjoin(schema.figures)
        wanted = select(
            schema.run.c.result_set_id,
            schema.result_set.c.version,
            schema.run.c.fingerprint,
            schema.figures.c.comparison,
        )
        rows = await self._fetch(wanted.select_from(stored).where(_run.id == run.id))
        if not rows or rows[0].fingerprint != run.fingerprint or rows[0].version != run.versions.results:
            return False
        if rows[0].version != FINGERPRINT_VERSION:
            await self._replace_results(run.target_id, rows[0].result_set_id, results)
        texts = await asyncio.to_thread(figures_texts, evaluation, None)
        texts |= {"comparison": rows[0].comparison}
        figures_id = await self._add_texts(run.target_id, texts, evaluation)
        await self._execute(update(schema.run).where(_run.id == run.id).values(figures_id=figures_id))
        return True


def results_lock(target_id: str) -> str:
    """The lock of a target's runs: one program at a time adds some, replaces their figures and fingerprints, or deletes
    what they referred to.
    """
    return f"results of {target_id}"


def _good(target_id: str, selection: str | None = None) -> Select[Any]:
    good = _RUNS.where(_run.target_id == target_id, _run.state == _OK)
    return good if selection is None else good.where(_run.selection == selection)


def _runs(rows: Sequence[Row[Any]]) -> list[Run]:
    figures: dict[int | None, StoredFigures] = {None: StoredFigures()}
    for row in rows:
        if row.figures_id not in figures:
            figures[row.figures_id] = read_figures(row)
    return [_as_run(row, figures[row.figures_id]) for row in rows]


def _as_baseline_run(row: Row[Any]) -> BaselineRun:
    run = _as_run(row, StoredFigures())
    return BaselineRun(Baseline(row.target_id, row.mode, row.id, row.since, row.why), run, row.figures_id)


def _as_run(row: Row[Any], found: StoredFigures) -> Run:
    return Run(
        target_id=row.target_id,
        started=row.started,
        finished=row.finished,
        state=PullState(row.state),
        changed=row.changed,
        evaluation=found.evaluation,
        comparison=found.comparison,
        error=row.error,
        id=row.id,
        versions=found.versions if row.version is None else replace(found.versions, results=row.version),
        unreadable=found.unreadable,
        last_seen=row.last_seen,
        times=row.times,
        **{name: getattr(row, name) for name in _CONTENT},
    )
