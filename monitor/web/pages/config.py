"""The page of the running configuration."""

from __future__ import annotations

from typing import Any

import yaml
from aiohttp import web

from monitor.views.configuration import configuration_as_json
from monitor.web.api.operation import page
from monitor.web.pages.templates import Templates
from monitor.web.service import Service


class ConfigPage:
    """The page `/config`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/config", self._show)]

    @page("The running configuration")
    async def _show(self, _request: web.Request) -> web.Response:
        now = self._service.clock()
        running = self._service.running()

        def view() -> dict[str, Any]:
            found = configuration_as_json(running)
            return {"now": now, "found": found, "at": running, "text": _as_yaml(found["running"])}

        return await self._templates.page("config.html", view)


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # where libyaml is there, ten times as fast


def _as_yaml(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text
