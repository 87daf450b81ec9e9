"""Events page by page, as pages and API show them: those that go on from what is live, the past ones from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from monitor.alerts.states import AlertState
from monitor.store import EventFilter, Firing, Queries, StoreError
from monitor.store.firings import names_of
from monitor.views import events
from monitor.views.events import Event, EventAlert
from monitor.views.notifications import NotificationStatus, notification_statuses
from monitor.views.report import moment, plain
from monitor.views.wanted import PAST, WantedEvents, page_of


@dataclass(frozen=True, slots=True)
class EventsPage:
    """A page of events.

    Attributes:
        events: Those that go on, the worst first, then the past ones, the newest first.
        wanted: Which page it is.
        total: How many there are on all pages.
        problem: Why the store could not be asked, so that only what is live is shown; None where it could.
    """

    events: tuple[Event, ...]
    wanted: WantedEvents
    total: int
    problem: StoreError | None = None

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return self.wanted.last_page(self.total)


async def events_page(
    store: Queries,
    alerts: Iterable[AlertState],
    wanted: WantedEvents,
    since: float | None,
    failing: Mapping[str, str],
) -> EventsPage:
    """A page of events.

    Args:
        store: Open.
        alerts: All that are live.
        wanted: Which page.
        since: Unix seconds that `wanted.since` says; None where it says nothing.
        failing: Why receivers fail, by name.
    """
    alerts = tuple(alerts)
    try:
        going_on = await asyncio.to_thread(events.active, alerts, await store.open_firings())
        live = await asyncio.to_thread(_matching, going_on, wanted)
        asked = EventFilter(wanted.search, wanted.severity, since)
        wants_past = not wanted.state or PAST in wanted.state
        without = [each.id for each in going_on]
        past_total = (await store.past_events(asked, 0, without=without))[1] if wants_past else 0
        wanted = wanted.turned(len(live) + past_total)
        shown = list(page_of(live, wanted))
        limit = past_total if wanted.limit is None else wanted.limit - len(shown)
        names: list[str] = []
        if wants_past and limit > 0:
            names, _ = await store.past_events(asked, limit, max(wanted.first - len(live), 0), without)
        stored = await _stored(store, [each.id for each in shown] + names)
        found = [events.joined(each, stored.get(each.id)) for each in shown]
        found += [stored[name] for name in names if name in stored]
        return EventsPage(await _notified(store, found, failing), wanted, len(live) + past_total)
    except StoreError as error:
        live = _matching(events.active(alerts, {}), wanted)
        wanted = wanted.turned(len(live))
        return EventsPage(tuple(page_of(live, wanted)), wanted, len(live), error)


async def events_of(
    store: Queries, alerts: Iterable[AlertState], name: str, failing: Mapping[str, str]
) -> tuple[Event, ...]:
    """The event of a name, or all events of a cause, the newest first; none where nobody knows any.

    Raises:
        StoreError: The store cannot be read.
    """
    going_on = await asyncio.to_thread(events.active, tuple(alerts), await store.open_firings())
    stored = await asyncio.to_thread(events.past, await store.firings_of_cause(name))
    live = [events.joined(each, stored.pop(each.id, None)) for each in going_on if name in (each.id, each.cause_id)]
    return await _notified(store, [*live, *stored.values()], failing)


async def _stored(store: Queries, names: Collection[str]) -> Mapping[str, Event]:
    found: list[Firing] = await store.firings(names) if names else []
    return await asyncio.to_thread(events.past, found)


async def _notified(store: Queries, found: Collection[Event], failing: Mapping[str, str]) -> tuple[Event, ...]:
    """Events with what became of the messages about them."""
    alerts = [alert for event in found for alert in event.alerts]
    ids = [each for alert in alerts for each in (alert.transitions or {}).values()]
    if not ids:
        return tuple(found)
    sent = await store.notifications(ids)
    waiting = await store.waiting_messages({f"{alert.alertname}/{alert.target_id}" for alert in alerts})
    statuses = await asyncio.to_thread(notification_statuses, sent, waiting, failing)

    def complete(event: Event) -> Event:
        alerts = (replace(alert, notifications=_notifications_of(alert, statuses)) for alert in event.alerts)
        return replace(event, alerts=tuple(alerts))

    return tuple(map(complete, found))


def _notifications_of(
    alert: EventAlert, statuses: Mapping[str, tuple[NotificationStatus, ...]]
) -> tuple[NotificationStatus, ...]:
    return tuple(one for name in (alert.transitions or {}).values() for one in statuses.get(name, ()))


def _matching(found: Iterable[Event], wanted: WantedEvents) -> list[Event]:
    """The events that are wanted: as `EventFilter` has it, but that those that go on are of any time."""
    search = wanted.search

    def is_wanted(event: Event) -> bool:
        return (not wanted.state or event.phase in wanted.state) and any(
            (not wanted.severity or alert.severity in wanted.severity)
            and search.matches(names_of(alert.target_id, alert.labels.items()))
            for alert in event.alerts
        )

    return [event for event in found if is_wanted(event)]


def as_json(event: Event, external_url: str | None, site: str) -> dict[str, Any]:
    """An event as JSON values."""
    return {
        "id": event.id,
        "cause_id": event.cause_id,
        "kind": event.kind,
        "state": event.phase,
        "severity": event.severity,
        "began": moment(event.began),
        "ended": moment(event.ended),
        "targets": list(event.target_ids),
        "why": event.why or None,
        "trained": moment(event.trained),
        "samples": [
            {"target": each.target_id, "kind": each.kind, "count": each.count, "suspect_labels": each.suspect}
            for each in event.samples
        ],
        "runbook_url": event.runbook_url or None,
        "studio_url": event.studio_url(site) or None,
        "url": f"{external_url}/alerts/{event.id}" if external_url else None,
        "alerts": [_alert_as_json(alert) for alert in event.alerts],
    }


def _alert_as_json(alert: EventAlert) -> dict[str, Any]:
    statuses = {transition_id: status for status, transition_id in (alert.transitions or {}).items()}
    return {
        "alertname": alert.alertname,
        "target": alert.target_id,
        "state": alert.phase,
        "severity": alert.severity,
        "began": moment(alert.began),
        "ended": moment(alert.ended),
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "details": plain(dict(alert.details)),
        "ending": alert.ending or None,
        "generatorURL": alert.generator_url or None,
        "notifications": [
            {
                "receiver": each.receiver,
                "status": statuses.get(each.transition_id),
                "outcome": each.outcome,
                "at": moment(each.at),
                "why": each.why or None,
            }
            for each in alert.notifications
        ],
    }
