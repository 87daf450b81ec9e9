"""A Studio on loopback that holds generated sets: it answers pages alone, each time written in another way."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from tests.pages.page_content import Content
from tests.pages.page_replies import Spelling

KEY = "ei_0123456789"


class PageServer:
    """Projects 1, 2, … with one impulse and one variant each, and one of these sets each.

    Args:
        contents: The sets.
        spellings: How each project's pages are written; orders differ from reply to reply all the same.
        largest: The largest `limit` that each project honours; what is above it is cut to it.
    """

    def __init__(self, contents: Sequence[Content], spellings: Sequence[Spelling], largest: Sequence[int]) -> None:
        self.contents, self.spellings, self.largest = contents, spellings, largest
        self._turn = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        """What the monitor asks for; other calls are not found."""
        return [
            web.get("/v1/api/{project}", self.project),
            web.get("/v1/api/{project}/impulses", self.impulses),
            web.get("/v1/api/{project}/model-variants", self.variants),
            web.get("/v1/api/{project}/classify/all/result/page", self.page),
        ]

    async def project(self, request: web.Request) -> web.Response:
        """Its name and what its labels mean."""
        number = int(request.match_info["project"])
        reply = {"success": True, "project": {"id": number, "name": f"project {number}"}}
        if labels := self.contents[number - 1].anomaly_labels:
            reply["anomalyLabelsConfig"] = {"anomalyLabels": labels[0], "noAnomalyLabels": labels[1]}
        return self._json(number, reply)

    async def impulses(self, request: web.Request) -> web.Response:
        """One."""
        return self._json(
            int(request.match_info["project"]), {"success": True, "impulses": [{"id": 1, "name": "impulse"}]}
        )

    async def variants(self, request: web.Request) -> web.Response:
        """One."""
        variant = {"variant": "int8", "isReferenceVariant": True, "isEnabled": True, "isSelected": True}
        return self._json(int(request.match_info["project"]), {"success": True, "modelVariants": [variant]})

    async def page(self, request: web.Request) -> web.Response:
        """Samples by id, from `offset` and `minId` on."""
        number = int(request.match_info["project"])
        content, spelling = self.contents[number - 1], self.spellings[number - 1]
        query = request.query
        ids = [result["sampleId"] for result in content.results]
        lowest, highest = int(query.get("minId", 0)), int(query.get("maxId", 2**63))
        results = [result for result, each in zip(content.results, ids, strict=True) if lowest <= each < highest]
        start, limit = int(query.get("offset", 0)), min(int(query["limit"]), self.largest[number - 1])
        part = results[start : start + limit]
        wanted = {result["sampleId"] for result in part}
        rows = [row for row in content.predictions if spelling.predictions == "every" or row["sampleId"] in wanted]
        turn = replace(spelling, seed=next(self._turn), page=10_000, predictions="every")
        (page,) = turn.pages(part, rows if part else [], total=len(results))
        return web.Response(body=turn.write(page), content_type="application/json")

    def _json(self, number: int, reply: dict[str, object]) -> web.Response:
        return web.Response(body=self.spellings[number - 1].write(reply), content_type="application/json")


@asynccontextmanager
async def served(server: PageServer) -> AsyncIterator[str]:
    """The base URL, for the length of the block."""
    app = web.Application()
    app.add_routes(server.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        await runner.cleanup()
