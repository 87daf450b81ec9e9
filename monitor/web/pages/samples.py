"""The page of samples that changed sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from monitor.store import StoreError
from monitor.store.changed_samples import ListsReplaced
from monitor.views.samples import SamplesPage, Wanted, samples_page
from monitor.web.api.queries import wanted_samples
from monitor.web.pages.missing import missing
from monitor.web.pages.templates import Templates
from monitor.web.service import Service


class SamplesOfTarget:
    """The page `/targets/{id}/samples`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/targets/{id}/samples", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await missing(service, self._templates, target_id, "../../")
        context: dict[str, Any] = {"now": service.clock(), "target": target.target, "limit": service.class_limit}
        try:
            found, replaced = await listed(service, target_id, wanted_samples(request))
            context |= {"store_problem": None, "samples": found, "replaced": replaced}
        except StoreError as error:
            context["store_problem"] = error
        return await self._templates.page("samples.html", lambda: context)


async def listed(service: Service, target_id: str, wanted: Wanted) -> tuple[SamplesPage, bool]:
    """The page of samples, or the first one where another run has replaced the lists since; and whether it has."""
    try:
        return await samples_page(service.store, target_id, wanted, service.studio_site()), False
    except ListsReplaced:
        first = replace(wanted, after="")
        return await samples_page(service.store, target_id, first, service.studio_site()), True
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None
