"""The pages of events: all alerts, those that ended included, and who was notified of them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.store import StoreError
from monitor.views.event_pages import events_of, events_page
from monitor.views.events import Event
from monitor.views.service_problems import failing_receivers
from monitor.web.api.event_schemas import EventsQuery
from monitor.web.api.operation import page
from monitor.web.api.queries import wanted_events
from monitor.web.pages.templates import Templates
from monitor.web.service import Service


class AlertPages:
    """The pages `/alerts` and `/alerts/{id}`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        return [web.get("/alerts", self._list), web.get("/alerts/{id}", self._event)]

    @page("Alerts, an event for each cause", 400, query=EventsQuery)
    async def _list(self, request: web.Request) -> web.Response:
        service = self._service
        wanted, since = wanted_events(request, service.clock())
        failing = failing_receivers(service.problems())
        found = await events_page(service.store, service.live.alerts.values(), wanted, since, failing)
        return await self._templates.page("alerts.html", lambda: {**self._context(), "page": found})

    @page("One event, or all of a cause", 404, 503)
    async def _event(self, request: web.Request) -> web.Response:
        service = self._service
        name = request.match_info["id"]
        problem: StoreError | None = None
        found: tuple[Event, ...] = ()
        try:
            failing = failing_receivers(service.problems())
            found = await events_of(service.store, service.live.alerts.values(), name, failing)
        except StoreError as error:
            problem = error

        def view() -> dict[str, Any]:
            return {**self._context(), "name": name, "events": found, "store_problem": problem}

        status = 200 if found else 503 if problem is not None else 404
        return await self._templates.page("event.html", view, status=status)

    def _context(self) -> dict[str, Any]:
        service = self._service
        return {"now": service.clock(), "site": service.studio_site(), "watched": service.live.targets.keys()}
