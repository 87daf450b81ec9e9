"""The routes of the service's HTTP endpoint, and the headers that all of its answers carry."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from monitor.views.target_charts import TargetCharts
from monitor.web.api.answers import errors_as_json
from monitor.web.api.changing import Changing
from monitor.web.api.chart_data import ChartData
from monitor.web.api.openapi import OpenApi
from monitor.web.api.operation import PLAIN, operation
from monitor.web.api.reading import Reading
from monitor.web.pages.actions import Actions
from monitor.web.pages.alerts import AlertPages
from monitor.web.pages.config import ConfigPage
from monitor.web.pages.errors import errors_as_pages
from monitor.web.pages.login import LoginPage
from monitor.web.pages.samples import SamplesOfTarget
from monitor.web.pages.static import Static
from monitor.web.pages.status import StatusPage
from monitor.web.pages.target import TargetPage
from monitor.web.pages.templates import Templates
from monitor.web.scraping import Scraping, rendered
from monitor.web.security import Security, takes_bearer
from monitor.web.service import Render, Service
from monitor.web.visitor import visitors

BODY = 64 * 1024
"""Bytes of the largest request body that is read."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def application(service: Service, security: Security) -> web.Application:
    """The endpoint's application, with its users and passwords."""

    @operation("Whether the service is ready", media=(PLAIN,), errors=(503,))
    async def is_ready(_request: web.Request) -> web.Response:
        if reason := service.unready():
            return web.Response(status=503, text=f"Impulse Monitor is not ready: {reason}\n")
        return _ready()

    @operation("Read the configuration again", media=(PLAIN,), errors=(401, 403, 500), changes=True)
    @takes_bearer
    async def post_reload(request: web.Request) -> web.Response:
        await service.authorize(request)
        if await service.reload():
            return web.Response(text="Reloaded.\n")
        return web.Response(status=500, text="The configuration is invalid and was not applied; the log says why.\n")

    static = Static()
    templates = Templates(static.address)
    charts = TargetCharts(service.store)
    app = web.Application(middlewares=[visitors(service), errors_as_json], client_max_size=BODY)
    app.add_routes(
        [
            *Scraping(service, security.scheme).routes(),
            web.get("/-/healthy", _healthy),
            web.get("/-/ready", is_ready),
            web.post("/-/reload", post_reload),
            *static.routes(),
            *StatusPage(service, templates).routes(),
            *AlertPages(service, templates).routes(),
            *TargetPage(service, templates, charts).routes(),
            *SamplesOfTarget(service, templates, charts).routes(),
            *Reading(service, charts).routes(),
            *ChartData(service, charts).routes(),
            *LoginPage(service, templates, security.tls is not None).routes(),
            *ConfigPage(service, templates).routes(),
            *Actions(service).routes(),
            *Changing(service).routes(),
            *OpenApi().routes(),
        ]
    )
    app.cleanup_ctx.append(templates.compiling)
    security.protect(app)
    app.middlewares.insert(0, errors_as_pages(templates))  # of wrong passwords as well
    app.on_response_prepare.append(_set_headers)
    return app


def worker_application(render: Render, unready: Callable[[], str], security: Security) -> web.Application:
    """The application of a process that only takes turns: its own metrics, whether it lives and is ready."""

    async def metrics(request: web.Request) -> web.Response:
        return await rendered(render, request)

    async def is_ready(_request: web.Request) -> web.Response:
        if reason := unready():
            return web.Response(status=503, text=f"Impulse Monitor is not ready: {reason}\n")
        return _ready()

    app = web.Application(client_max_size=BODY)
    app.add_routes([web.get("/metrics", metrics), web.get("/-/healthy", _healthy), web.get("/-/ready", is_ready)])
    security.protect(app)
    app.on_response_prepare.append(_set_headers)
    return app


def health_application(unready: Callable[[], str]) -> web.Application:
    """The application of `http.health_listen`, without authentication: whether the service lives and is ready,
    but not why not.
    """

    async def is_ready(_request: web.Request) -> web.Response:
        return web.Response(status=503, text="Impulse Monitor is not ready.\n") if unready() else _ready()

    app = web.Application(client_max_size=BODY)
    app.add_routes([web.get("/-/healthy", _healthy), web.get("/-/ready", is_ready)])
    app.on_response_prepare.append(_set_headers)
    return app


@operation("Whether the service lives", media=(PLAIN,))
async def _healthy(_request: web.Request) -> web.Response:
    return web.Response(text="Impulse Monitor is healthy.\n")


def _ready() -> web.Response:
    return web.Response(text="Impulse Monitor is ready.\n")


async def _set_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """A page brings a policy of its own; everything else may load nothing."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
