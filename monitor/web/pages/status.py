"""The first page: what got worse, and all targets at a glance."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.views import status as views
from monitor.web.pages.templates import Templates
from monitor.web.service import Service


class StatusPage:
    """The page `/`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/", self._show)]

    async def _show(self, _request: web.Request) -> web.Response:
        service = self._service
        context: dict[str, Any] = {"now": service.clock(), "problems": service.problems(), "unready": service.unready()}

        def view() -> dict[str, Any]:
            return {**context, "overview": views.overview(service.live, context["now"])}

        return await self._templates.page("status.html", view)
