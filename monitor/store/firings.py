"""Firings: each time that an alert fired, kept for the retention, so that no event is forgotten.

Firings of one cause are one event. An event that alerts of other targets share is named like its cause; one of a single
target's own also after its start, for the next one of the same target is another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update

from monitor.alerts.causes import LABEL, OWN, is_shared
from monitor.alerts.rules import Subject
from monitor.alerts.states import Transition
from monitor.store import schema
from monitor.store.access import Reading, Writing
from monitor.store.state_documents import dump_transition, load_transition
from monitor.text import Search, searchable

_table = schema.firing
_firing = schema.firing.c

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that an alert fired.

    Attributes:
        event: The event that it is of.
        cause_id: What it is due to.
        fired: What receivers were notified of at its start.
        ended: The same of its end; None while it fires.
    """

    event: str
    cause_id: str
    fired: Transition
    ended: Transition | None = None


@dataclass(frozen=True, slots=True)
class FiringTime:
    """From when to when (Unix seconds) an alert of a target fired; `ends_at` is None while it does."""

    alertname: str
    starts_at: float
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted: those with a firing that all of it holds for.

    Attributes:
        search: In the names that a firing can be found by.
        severities: Any of these; empty: all.
        since: Unix seconds: those that fired then or later.
    """

    search: Search = field(default_factory=Search)
    severities: tuple[str, ...] = ()
    since: float | None = None

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        """What a row of a firing must be like."""
        for word in self.search.words:
            yield _firing.names.contains(word, autoescape=True)
        for lines in self.search.lines:
            yield or_(*(_firing.names.contains(f"\n{line}\n", autoescape=True) for line in lines))
        if self.severities:
            yield _firing.severity.in_(self.severities)
        if self.since is not None:
            yield or_(_firing.ends_at.is_(None), _firing.ends_at >= self.since)


def names_of(target_id: str, labels: Iterable[tuple[str, str]]) -> str:
    """What a firing, or an alert that is pending, can be found by."""
    return searchable([("target", target_id), *labels])


def event_of(cause_id: str, target_id: str, starts_at: float) -> str:
    """The name of the event that begins with a firing."""
    return cause_id if is_shared(cause_id) else f"{cause_id or own_cause(target_id)}-{int(starts_at)}"


def own_cause(target_id: str) -> str:
    """The cause of a firing by a release that knew no causes."""
    return OWN.id(Subject(target_id, {}))


class FiringQueries(Reading):
    """What can be asked about firings."""

    async def past_events(
        self, wanted: EventFilter, limit: int, offset: int = 0, without: Collection[str] = ()
    ) -> tuple[list[str], int]:
        """The events all of whose firings have ended, the newest first.

        Args:
            wanted: Which.
            limit: How many at most.
            offset: How many to pass over.
            without: Events that are not wanted.

        Returns:
            Their names, and how many there are in all.
        """
        found = select(_firing.event).where(*wanted.conditions())
        began = func.max(_firing.starts_at).label("began")
        past = (
            select(_firing.event, began)
            .where(_firing.event.in_(found), _firing.event.not_in(without))
            .group_by(_firing.event)
            .having(func.count() == func.count(_firing.ends_at))
        )
        total = (await self._fetch(select(func.count().label("number")).select_from(past.subquery())))[0].number
        if not total or limit <= 0 or offset >= total:
            return [], total
        rows = await self._fetch(past.order_by(began.desc(), _firing.event).limit(limit).offset(offset))
        return [row.event for row in rows], total

    async def firings(self, events: Iterable[str]) -> list[Firing]:
        """The firings of events, the newest first."""
        return await self._firings(_firing.event.in_(list(events)))

    async def firings_of_cause(self, name: str) -> list[Firing]:
        """The firings of a cause, or of one event, the newest first."""
        return await self._firings(or_(_firing.cause_id == name, _firing.event == name))

    async def firing_times(self, target_id: str, since: float, limit: int) -> list[FiringTime]:
        """When the alerts of a target fired at `since` (Unix seconds) or later: the newest `limit`, oldest first."""
        statement = (
            select(_firing.alertname, _firing.starts_at, _firing.ends_at)
            .where(_firing.target_id == target_id, or_(_firing.ends_at.is_(None), _firing.ends_at >= since))
            .order_by(_firing.starts_at.desc(), _firing.alertname.desc())
            .limit(limit)
        )
        return [FiringTime(*row) for row in reversed(await self._fetch(statement))]

    async def open_firings(self) -> dict[tuple[str, str], str]:
        """The events of the firings that have not ended, by alert and target."""
        rows = await self._fetch(
            select(_firing.alertname, _firing.target_id, _firing.event).where(_firing.ends_at.is_(None))
        )
        return {(row.alertname, row.target_id): row.event for row in rows}

    async def _firings(self, condition: ColumnElement[bool]) -> list[Firing]:
        statement: Select[Any] = select(_table).where(condition).order_by(_firing.starts_at.desc(), _firing.alertname)
        return await asyncio.to_thread(_read, await self._fetch(statement))


class FiringWrites(Writing):
    """How firings are written: with the transition of their alert."""

    async def record_transition(self, transition: Transition) -> None:
        """Keep that an alert has begun to fire, or that it has resolved."""
        content = dump_transition(transition)
        key = _key(transition)
        if transition.status == "resolved":
            ending = {"ends_at": transition.ends_at, "ended": content}
            where = and_(*(_firing[name] == value for name, value in key.items()))
            if (await self._execute(update(_table).where(where).values(ending))).rowcount:
                return
            await self._upsert(_table, await self._row(transition, content) | ending)  # fired before there was a table
            return
        await self._upsert(_table, await self._row(transition, content))

    async def _row(self, transition: Transition, content: bytes) -> dict[str, Any]:
        cause_id = transition.labels.get(LABEL) or own_cause(transition.target_id)
        return _key(transition) | {
            "ends_at": None,
            "event": await self._event(cause_id, transition),
            "cause_id": cause_id,
            "severity": transition.severity,
            "names": names_of(transition.target_id, transition.labels.items()),
            "fired": content,
            "ended": None,
        }

    async def _event(self, cause_id: str, transition: Transition) -> str:
        """The event: of a target's own cause the one that has not ended."""
        if not is_shared(cause_id):
            going_on = select(_firing.event).where(_firing.cause_id == cause_id, _firing.ends_at.is_(None)).limit(1)
            if rows := await self._fetch(going_on):
                event: str = rows[0].event
                return event
        return event_of(cause_id, transition.target_id, transition.starts_at)


def _key(transition: Transition) -> dict[str, Any]:
    return {
        "alertname": transition.alertname,
        "target_id": transition.target_id,
        "starts_at": transition.starts_at,
    }


def _read(rows: Sequence[Row[Any]]) -> list[Firing]:
    found = []
    for row in rows:
        try:
            ended = None if row.ended is None else load_transition(row.ended)
            found.append(Firing(row.event, row.cause_id, load_transition(row.fired), ended))
        except ValueError as error:  # a newer version's too
            log.warning("alert.firing_unreadable", alert=row.alertname, target=row.target_id, error=str(error))
    return found
