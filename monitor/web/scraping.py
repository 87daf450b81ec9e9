"""`/metrics`, whole, by shard or of the process alone, and the list of those for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import cycle
from typing import Annotated, Literal

import msgspec
from aiohttp import hdrs, web
from pydantic import Field
from typing_extensions import TypedDict

from monitor.engine.base import Role
from monitor.engine.sharding import Shard
from monitor.store.fleet import Process
from monitor.web.api.operation import JSON, PLAIN, operation
from monitor.web.service import Render, Service

OPENMETRICS = "application/openmetrics-text"
"""Media type of the metrics for those who ask for it."""
MOST_SHARDS = 1000

Number = Annotated[int, Field(ge=0, le=MOST_SHARDS - 1)]
Count = Annotated[int, Field(ge=1, le=MOST_SHARDS)]


class MetricsQuery(TypedDict, total=False):
    """Which series are wanted."""

    shard: Number
    of: Count
    series: Literal["process"]


class TargetsQuery(TypedDict, total=False):
    """Into how many shards the series of models are divided."""

    of: Count


class ScrapeTarget(TypedDict):
    """What Prometheus scrapes, as `http_sd_configs` takes it."""

    targets: list[str]
    labels: dict[str, str]


class Scraping:
    """The routes.

    Args:
        service: Renders.
        scheme: Of the addresses.
    """

    def __init__(self, service: Service, scheme: str) -> None:
        self._service = service
        self._scheme = scheme

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get("/metrics", self._metrics), web.get("/-/targets", self._targets)]

    @operation("The metrics, for Prometheus", media=(PLAIN, OPENMETRICS), query=MetricsQuery, errors=(400, 404))
    async def _metrics(self, request: web.Request) -> web.Response:
        service = self._service
        shard = _wanted_shard(request)
        if "series" in request.query:
            if request.query.getall("series") != ["process"]:
                raise web.HTTPBadRequest(text="The only series that can be asked for alone are `series=process`.\n")
            return await rendered(service.render_process, request)
        return await rendered(service.render if shard is None else service.render_shard(shard), request)

    @operation(
        "What to scrape, for Prometheus",
        data=list[ScrapeTarget],
        plain=True,
        media=(JSON,),
        query=TargetsQuery,
        errors=(400,),
    )
    async def _targets(self, request: web.Request) -> web.Response:
        total = _number(request, "of", 1, MOST_SHARDS, 1)
        found = scrape_targets(self._service.processes(), total, self._scheme, request.host)
        return web.Response(
            body=msgspec.json.encode(found), content_type=JSON, headers={hdrs.CACHE_CONTROL: "no-store"}
        )


def scrape_targets(processes: Sequence[Process], total: int, scheme: str, here: str) -> list[ScrapeTarget]:
    """What Prometheus scrapes to have every series of the fleet once.

    Args:
        processes: Of the fleet; none where there is no fleet.
        total: Into how many shards the series of models are divided.
        scheme: Of the addresses.
        here: `host:port` of this process, where there is no fleet.
    """
    shown = [each.address for each in processes if Role(each.role).shows] or [here]
    common = {"__scheme__": scheme, "__metrics_path__": "/metrics"}
    shards: list[ScrapeTarget] = [
        {
            "targets": [address],
            "labels": {**common, "__param_shard": str(index), "__param_of": str(total), "shard": str(index)},
        }
        for index, address in zip(range(total), cycle(shown))
    ]
    alone = [(each.address, each.role) for each in processes] or [(here, str(Role.ALL))]
    return shards + [
        {"targets": [address], "labels": {**common, "__param_series": "process", "role": role}}
        for address, role in alone
    ]


async def rendered(render: Render, request: web.Request) -> web.Response:
    """An answer with metrics, sent part by part as fast as the client takes them."""
    body, headers = await render(request.headers.get(hdrs.ACCEPT, ""), request.headers.get(hdrs.ACCEPT_ENCODING, ""))

    async def parts() -> AsyncIterator[bytes]:
        for part in body:
            yield part

    return web.Response(body=parts(), headers={**headers, hdrs.CONTENT_LENGTH: str(body.nbytes)})


def _wanted_shard(request: web.Request) -> Shard | None:
    if "shard" not in request.query and "of" not in request.query:
        return None
    total = _number(request, "of", 1, MOST_SHARDS, 1)
    index = _number(request, "shard", 0, MOST_SHARDS - 1, 0)
    if index >= total:
        raise web.HTTPNotFound(text=f"There is no shard {index} of {total}; the last one is {total - 1}.\n")
    return Shard(index, total)


def _number(request: web.Request, name: str, least: int, most: int, default: int) -> int:
    texts = request.query.getall(name, [])
    if not texts:
        return default
    text = texts[0]
    if (
        len(texts) > 1
        or not (text.isascii() and text.isdecimal())
        or not least <= int(text[:9]) <= most
        or len(text) > 9
    ):
        raise web.HTTPBadRequest(text=f"`{name}` must be a number from {least} to {most}.\n")
    return int(text)
