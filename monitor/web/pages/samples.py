"""The page of samples that changed sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from monitor.pipeline.snapshot import Snapshot
from monitor.store import StoreError
from monitor.store.changed_samples import ListsReplaced
from monitor.views.cells import Cell, CellPage
from monitor.views.samples import SamplesPage, Wanted, samples_page
from monitor.views.target_charts import TargetCharts
from monitor.web.api.operation import page
from monitor.web.api.queries import wanted_cell, wanted_samples
from monitor.web.api.schemas import SamplesPageQuery
from monitor.web.pages.missing import missing
from monitor.web.pages.templates import Templates
from monitor.web.service import Service


class SamplesOfTarget:
    """The page `/targets/{id}/samples`."""

    def __init__(self, service: Service, templates: Templates, charts: TargetCharts) -> None:
        self._service = service
        self._templates = templates
        self._charts = charts

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/targets/{id}/samples", self._show)]

    @page("Samples of a target that changed sides", 400, 404, query=SamplesPageQuery)
    async def _show(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await missing(service, self._templates, target_id, "../../")
        context: dict[str, Any] = {
            "now": service.clock(),
            "target": target.target,
            "limit": service.class_limit,
            "store_problem": None,
            "cell": None,
            "shapes": None,
        }
        snapshot = target.snapshot
        of_kind = wanted_samples(request)
        wanted = wanted_cell(request)
        try:
            if wanted is not None:
                context["cell"] = await self._cell(target_id, snapshot, wanted)
            else:
                found, replaced = await listed(service, target_id, of_kind)
                evaluation = snapshot.evaluation if snapshot is not None else None
                shapes = await self._charts.frames(target_id, evaluation, found)
                context |= {"samples": found, "replaced": replaced, "shapes": shapes}
        except StoreError as error:
            context["store_problem"] = error
        return await self._templates.page("samples.html", lambda: context)

    async def _cell(self, target_id: str, snapshot: Snapshot | None, wanted: Cell) -> CellPage:
        """The page of a cell, or the first one where the result set has changed since."""
        fingerprint = snapshot.fingerprint if snapshot is not None else None
        site = self._service.studio_site()
        found = None
        try:
            if fingerprint is not None:
                found = await self._charts.cell(target_id, fingerprint, wanted, site)
        except ListsReplaced:
            return await self._cell(target_id, snapshot, replace(wanted, after=""))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None
        return found or CellPage(target_id, wanted, "", 0, (), None, site)


async def listed(service: Service, target_id: str, wanted: Wanted) -> tuple[SamplesPage, bool]:
    """The page of samples, or the first one where another run has replaced the lists since; and whether it has."""
    try:
        return await samples_page(service.store, target_id, wanted, service.studio_site()), False
    except ListsReplaced:
        first = replace(wanted, after="")
        return await samples_page(service.store, target_id, first, service.studio_site()), True
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None
