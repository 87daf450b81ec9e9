"""The first page: what got worse, why and since when; and all targets at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from monitor.store import StoreError
from monitor.store.run_history import ResultFigures
from monitor.views import events
from monitor.views.fleet import Fleet, Row, fleet
from monitor.views.sparklines import RESULTS, Sparkline, sparkline
from monitor.web.api.operation import page
from monitor.web.api.queries import wanted_targets
from monitor.web.api.schemas import TargetsQuery
from monitor.web.pages.templates import Templates
from monitor.web.service import Service

EVENTS_SHOWN = 10
"""Events on the first page; all are on the page of alerts."""


class StatusPage:
    """The page `/`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/", self._show)]

    @page("What got worse, and all targets", 400, query=TargetsQuery)
    async def _show(self, request: web.Request) -> web.Response:
        service = self._service
        wanted = wanted_targets(request)
        now = service.clock()
        context: dict[str, Any] = {
            "now": now,
            "problems": service.problems(),
            "unready": service.unready(),
            "site": service.studio_site(),
        }
        found = await asyncio.to_thread(fleet, service.live, wanted, now)
        try:
            results = await service.store.newest_results([row.target.key.id for row in found.rows], RESULTS)
            open_events = await service.store.open_firings()
        except StoreError:  # one of the problems that the page shows
            results, open_events = {}, {}

        def view() -> dict[str, Any]:
            going_on = events.active(service.live.alerts.values(), open_events)
            of_models = [event for event in going_on if event.is_about_models]
            return {
                **context,
                "fleet": found,
                "events": of_models[:EVENTS_SHOWN],
                "more_events": max(len(of_models) - EVENTS_SHOWN, 0),
                "troubles": [event for event in going_on if not event.is_about_models][:EVENTS_SHOWN],
                "sparks": _sparklines(found, results),
                "watched": service.live.targets.keys(),
                "projects": sorted({target.project for target in service.live.watched.values()}),
            }

        return await self._templates.page("status.html", view)


def _sparklines(found: Fleet, results: Mapping[str, list[ResultFigures]]) -> dict[str, Sparkline]:
    """The lines of the page's targets, by id."""
    lines = {row.target.key.id: _sparkline(row, results.get(row.target.key.id, [])) for row in found.rows}
    return {target_id: line for target_id, line in lines.items() if line is not None}


def _sparkline(row: Row, results: list[ResultFigures]) -> Sparkline | None:
    figure = row.headline
    return None if figure is None else sparkline(results, figure.metric, figure.baseline)
