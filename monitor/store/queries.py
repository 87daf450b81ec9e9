"""`Queries`: everything that can be asked, of the store as it is or from inside a transaction."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import Row, Select, func, select

from monitor.compare.comparison import Comparison
from monitor.compare.drift import DriftState
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.results import ResultSet
from monitor.store import documents, schema
from monitor.store.errors import StoreCorrupt, StoreError, StoreTooNew
from monitor.store.records import Baseline, Message, Run, State, Versions

log = structlog.get_logger()

DRIFT = "drift"
"""The kind of states that hold memories of drift."""

_run = schema.run.c
_RUNS = (
    select(schema.run, *(schema.figures.c[name] for name in ("evaluation", "comparison")), schema.result_set.c.version)
    .select_from(schema.run.outerjoin(schema.figures).outerjoin(schema.result_set))
    .order_by(_run.id.desc())
)
_BASELINES = select(schema.baseline)
_STATES = select(schema.state)
_MESSAGES = select(schema.message)
_OK = str(PullState.OK)


class Queries(ABC):
    """What both the store and a transaction answer. Every method may raise `StoreError`.

    A run whose figures cannot be read comes without them, and says why: it hides no other run.
    """

    @abstractmethod
    async def _fetch(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """The rows of a query."""

    @abstractmethod
    async def _decode(self, data: bytes) -> ResultSet:
        """A stored result set, unpacked in a worker thread."""

    async def target_ids(self) -> list[str]:
        """The targets that have runs, sorted."""
        return [row.target_id for row in await self._fetch(select(_run.target_id).distinct().order_by(_run.target_id))]

    async def run(self, run_id: int) -> Run | None:
        """A run by its number."""
        return await self._first_run(_RUNS.where(_run.id == run_id))

    async def selection(self, run_id: int) -> str | None:
        """The selection of a run, whatever became of its figures; None where the run is not there."""
        rows = await self._fetch(select(_run.selection).where(_run.id == run_id))
        return rows[0].selection if rows else None

    async def last_selection(self, target_id: str) -> str | None:
        """The selection of the target's newest good run; None where it has none."""
        newest = (
            select(_run.selection)
            .where(_run.target_id == target_id, _run.state == _OK)
            .order_by(_run.id.desc())
            .limit(1)
        )
        rows = await self._fetch(newest)
        return rows[0].selection if rows else None

    async def last_good(self, target_id: str) -> Run | None:
        """The target's newest good run, by order of arrival: a clock that was set back confuses nothing."""
        return await self._first_run(_good(target_id))

    async def previous(self, target_id: str, fingerprint: str, selection: str) -> Run | None:
        """The target's newest good run of a selection with a result set other than the one of this fingerprint."""
        return await self._first_run(_good(target_id, selection).where(_run.fingerprint != fingerprint))

    async def newest_before(self, target_id: str, at: float, selection: str) -> Run | None:
        """The target's newest good run of a selection that finished at `at` (Unix seconds) or before."""
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
        """The target's runs that finished in [since, until) (Unix seconds), oldest first; with a
        limit only the newest.
        """
        statement = _RUNS.where(_run.target_id == target_id, _run.finished >= since, _run.finished < until).limit(limit)
        return await asyncio.to_thread(_runs, (await self._fetch(statement))[::-1])

    async def results(self, run_id: int) -> ResultSet | None:
        """A run's result set; None where the run has none, or is no longer there.

        Raises:
            StoreCorrupt: The bytes in the store are damaged.
            StoreTooNew: A newer version wrote them.
        """
        statement = select(schema.result_set.c.data).join(schema.run).where(_run.id == run_id)
        rows = await self._fetch(statement)
        return await self._decode(rows[0].data) if rows else None

    async def baseline(self, target_id: str, mode: str) -> Baseline | None:
        """The target's baseline of a mode."""
        return next(iter(await self.baselines(target_id, mode)), None)

    async def baselines(self, target_id: str | None = None, mode: str | None = None) -> list[Baseline]:
        """Baselines, of all targets or modes unless told, by target, then mode."""
        wanted = {"target_id": target_id, "mode": mode}
        statement = _BASELINES.filter_by(**_given(wanted)).order_by(schema.baseline.c.target_id, schema.baseline.c.mode)
        return [Baseline(**row._mapping) for row in await self._fetch(statement)]

    async def state(self, kind: str, target_id: str, key: str) -> State | None:
        """One state."""
        rows = await self._fetch(_STATES.filter_by(kind=kind, target_id=target_id, key=key))
        return State(**rows[0]._mapping) if rows else None

    async def states(self, kind: str, target_id: str | None = None) -> list[State]:
        """The states of a kind, of all targets unless told, by key, then target."""
        wanted = _given({"kind": kind, "target_id": target_id})
        statement = _STATES.filter_by(**wanted).order_by(schema.state.c.key, schema.state.c.target_id)
        return [State(**row._mapping) for row in await self._fetch(statement)]

    async def drift_states(self, target_id: str) -> dict[int, DriftState]:
        """What the target's drift remembers, by block.

        A memory that is damaged, or of a newer version, is left out and logged: its evidence begins anew, instead of
        every pull failing on it.
        """
        return await asyncio.to_thread(_memories, target_id, await self.states(DRIFT, target_id))

    async def messages(self, receiver: str, limit: int | None = None) -> list[Message]:
        """What a receiver has not got yet, oldest first; with a limit only the oldest."""
        statement = _MESSAGES.filter_by(receiver=receiver).order_by(schema.message.c.id).limit(limit)
        return [Message(**row._mapping) for row in await self._fetch(statement)]

    async def message_counts(self) -> dict[str, int]:
        """How many messages wait, by receiver; a receiver without any is absent."""
        receiver = schema.message.c.receiver
        return {
            row.receiver: row.number
            for row in await self._fetch(select(receiver, func.count().label("number")).group_by(receiver))
        }

    async def _first_run(self, statement: Select[Any]) -> Run | None:
        rows = await self._fetch(statement.limit(1))
        return (await asyncio.to_thread(_runs, rows))[0] if rows else None


def _good(target_id: str, selection: str | None = None) -> Select[Any]:
    good = _RUNS.where(_run.target_id == target_id, _run.state == _OK)
    return good if selection is None else good.where(_run.selection == selection)


def _given(wanted: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a row of `figures` says, as far as it can be read."""

    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    versions: Versions = field(default_factory=Versions)
    unreadable: StoreError | None = None


def _runs(rows: Sequence[Row[Any]]) -> list[Run]:
    figures: dict[int | None, _Figures] = {None: _Figures()}
    runs = []
    for row in rows:
        if row.figures_id not in figures:
            figures[row.figures_id] = _figures(row)
        found = figures[row.figures_id]
        runs.append(
            Run(
                target_id=row.target_id,
                started=row.started,
                finished=row.finished,
                state=PullState(row.state),
                fingerprint=row.fingerprint,
                changed=row.changed,
                last_change=row.last_change,
                trained=row.trained,
                impulse_stale=row.impulse_stale,
                evaluation=found.evaluation,
                comparison=found.comparison,
                selection=row.selection,
                error=row.error,
                id=row.id,
                versions=found.versions if row.version is None else replace(found.versions, results=row.version),
                unreadable=found.unreadable,
            )
        )
    return runs


def _figures(row: Row[Any]) -> _Figures:
    """The documents of a run; one that cannot be read costs neither the other nor those of other runs."""
    documented: dict[str, Any] = {}
    versions: dict[str, int] = {}
    unreadable: StoreError | None = None
    for name, load in (("evaluation", documents.load_evaluation), ("comparison", documents.load_comparison)):
        if (text := getattr(row, name)) is None:
            continue
        try:
            versions[name] = documents.figures_version(text)
            documented[name] = load(text)
        except StoreTooNew as error:
            unreadable = unreadable or error
        except ValueError as error:
            told = (
                f"the stored figures of run {row.id} of {row.target_id} are damaged ({error}); the next good pull "
                "makes new ones"
            )
            unreadable = unreadable or StoreCorrupt(told)
    return _Figures(**documented, versions=Versions(**versions), unreadable=unreadable)


def _memories(target_id: str, states: Sequence[State]) -> dict[int, DriftState]:
    memories = {}
    for state in states:
        try:
            memories[int(state.key)] = documents.load_drift_state(state.value)
        except ValueError as error:
            log.warning("store.drift_memory_unreadable", target=target_id, block=state.key, error=str(error))
    return memories
