"""What may be read: the service, its targets, their runs and samples, the alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import hdrs, web

from monitor.compare.side_kinds import NEWLY_WRONG
from monitor.store.changed_samples import ListsReplaced
from monitor.views import cells, samples
from monitor.views import status as views
from monitor.views.cells import Cell, CellPage
from monitor.views.configuration import ConfigurationDocument, configuration_as_json
from monitor.views.event_pages import as_json, events_of, events_page
from monitor.views.fleet import Fleet, fleet
from monitor.views.history import run_as_json
from monitor.views.samples import SamplesPage, Wanted
from monitor.views.service_problems import failing_receivers
from monitor.views.standing import State
from monitor.views.target_charts import TargetCharts
from monitor.views.wanted import BY_ID
from monitor.web.api import event_schemas, schemas
from monitor.web.api.answers import PREFIX, success
from monitor.web.api.documents import (
    alert_as_json,
    judged_as_json,
    problem_as_json,
    project_as_json,
    target_as_json,
)
from monitor.web.api.known import require_known
from monitor.web.api.operation import CSV, JSON, operation
from monitor.web.api.queries import (
    one_of,
    wanted_cell,
    wanted_events,
    wanted_limit,
    wanted_samples,
    wanted_since,
    wanted_targets,
)
from monitor.web.service import Service

SAVED_AS = "samples.csv"
"""Name under which a browser saves the samples of a target."""


class Reading:
    """The API's answers that change nothing."""

    def __init__(self, service: Service, charts: TargetCharts) -> None:
        self._service = service
        self._charts = charts

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        target = f"{PREFIX}v1/targets/{{id}}"
        return [
            web.get(f"{PREFIX}v1/status", self._status),
            web.get(f"{PREFIX}v1/targets", self._targets),
            web.get(f"{PREFIX}v1/alerts", self._alerts),
            web.get(f"{PREFIX}v1/events", self._events),
            web.get(f"{PREFIX}v1/events/{{id}}", self._event),
            web.get(f"{PREFIX}v1/config", self._config),
            web.get(f"{target}/runs", self._runs),
            web.get(f"{target}/samples", self._samples),
        ]

    @operation("The service itself, and its problems", data=schemas.Status)
    async def _status(self, _request: web.Request) -> web.Response:
        unready = self._service.unready()
        problems = self._service.problems()
        return await success(
            lambda: {
                "ready": not unready,
                "unready": unready or None,
                "problems": [problem_as_json(problem) for problem in problems],
            }
        )

    @operation("Targets, and what is known of them", data=schemas.Targets, query=schemas.TargetsQuery, errors=(400,))
    async def _targets(self, request: web.Request) -> web.Response:
        service = self._service
        paged = wanted_targets(request, limit=None)
        # By id, as long as nobody asks for another order.
        wanted = paged if "sort" in request.query else replace(paged, sort=BY_ID)
        return await success(lambda: self._found_targets(fleet(service.live, wanted, service.clock())))

    @operation("The alerts", data=schemas.Alerts)
    async def _alerts(self, _request: web.Request) -> web.Response:
        service = self._service
        return await success(
            lambda: {"alerts": [alert_as_json(alert) for alert in views.shown_alerts(service.live, service.clock())]},
        )

    @operation("The running configuration, without secrets", data=ConfigurationDocument)
    async def _config(self, _request: web.Request) -> web.Response:
        running = self._service.running()
        return await success(lambda: configuration_as_json(running))

    @operation("Stored runs of a target", data=schemas.Runs, query=schemas.RunsQuery, errors=(400, 404, 503))
    async def _runs(self, request: web.Request) -> web.Response:
        target_id = request.match_info["id"]
        since = wanted_since(request, self._service.clock())
        limit = wanted_limit(request)
        runs = await self._service.store.runs(target_id, since, limit=limit)
        if not runs:
            await require_known(self._service, target_id)
        return await success(lambda: {"runs": [run_as_json(run) for run in reversed(runs)]})

    @operation(
        "Samples of a target that changed sides",
        data=schemas.Samples,
        media=(JSON, CSV),
        query=schemas.SamplesQuery,
        errors=(400, 404, 409, 503),
    )
    async def _samples(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        limit = wanted_limit(request)
        of_kind = wanted_samples(request, limit, NEWLY_WRONG)
        wanted: Wanted | Cell = wanted_cell(request, limit) or of_kind
        style = one_of(request, "format", ("json", "csv"), "json")
        await require_known(service, target_id)
        try:
            if isinstance(wanted, Cell):
                cell = await self._cell(target_id, wanted)
                return await self._answer(wanted, cell, style, lambda: cells.as_json(cell))
            page = await samples.samples_page(service.store, target_id, wanted, service.studio_site())
        except ListsReplaced as error:
            raise web.HTTPConflict(text=str(error)) from None
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None
        shown = service.live.snapshots.get(target_id)
        shapes = None
        if style == "json":
            shapes = await self._charts.frames(target_id, shown.evaluation if shown is not None else None, page)
        return await self._answer(wanted, page, style, lambda: samples.as_json(page, shapes))

    async def _cell(self, target_id: str, wanted: Cell) -> CellPage:
        """A page of a cell of the target's last good result set."""
        shown = self._service.live.snapshots.get(target_id)
        found = None
        if shown is not None and shown.fingerprint is not None:
            site = self._service.studio_site()
            found = await self._charts.cell(target_id, shown.fingerprint, wanted, site)
        if found is None:
            raise web.HTTPNotFound(text=f"the store has no result set of target {target_id}")
        return found

    async def _answer(
        self, wanted: Wanted | Cell, page: SamplesPage | CellPage, style: str, as_json: Callable[[], Any]
    ) -> web.Response:
        """A page of windows as JSON or as CSV, whose next page is behind a link."""
        if style == "json":
            return await success(as_json)
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_DISPOSITION: f'attachment; filename="{SAVED_AS}"'}
        if page.next is not None:
            query = wanted.query(page.next, limit=str(wanted.limit), format="csv")
            headers[hdrs.LINK] = f'<?{query}>; rel="next"'
        text = await asyncio.to_thread(samples.as_csv, page.windows, page.url, page.columns)
        return web.Response(
            body=text.encode("utf-8", "replace"), content_type="text/csv", charset="utf-8", headers=headers
        )

    @operation(
        "Events that fire, are pending, and that are past",
        data=event_schemas.Events,
        query=event_schemas.EventsQuery,
        errors=(400,),
    )
    async def _events(self, request: web.Request) -> web.Response:
        service = self._service
        wanted, since = wanted_events(request, service.clock())
        page = await events_page(
            service.store, service.live.alerts.values(), wanted, since, failing_receivers(service.problems())
        )
        return await success(
            lambda: {
                "events": [as_json(event, service.external_url, service.studio_site()) for event in page.events],
                "total": page.total,
                "page": page.wanted.page,
                "pages": page.pages,
                "store_problem": None if page.problem is None else str(page.problem),
            }
        )

    @operation("One event, or all of a cause", data=event_schemas.FoundEvents, errors=(404, 503))
    async def _event(self, request: web.Request) -> web.Response:
        service = self._service
        name = request.match_info["id"]
        failing = failing_receivers(service.problems())
        found = await events_of(service.store, service.live.alerts.values(), name, failing)
        if not found:
            raise web.HTTPNotFound(text=f"no event {name[:40]} is known; /api/v1/events lists those that are")
        return await success(
            lambda: {"events": [as_json(event, service.external_url, service.studio_site()) for event in found]}
        )

    def _found_targets(self, found: Fleet) -> dict[str, Any]:
        service = self._service
        now = service.clock()
        problem = service.store.problem
        return {
            "targets": [
                target_as_json(row.target, row.snapshot, now, service.external_url) | judged_as_json(row)
                for row in found.rows
            ],
            "total": found.total,
            "page": found.wanted.page,
            "pages": found.pages,
            "tally": {str(state): found.tally.get(state, 0) for state in State},
            "projects": [project_as_json(status) for status in service.live.projects.values()],
            "store_problem": None if problem is None else str(problem),
        }
