"""What may be asked for with the admin token: a pull now, which baseline holds, a test message."""

from __future__ import annotations

from aiohttp import web

from monitor.pipeline.unit_choices import PINNED
from monitor.views.history import BaselineStatus, baselines_as_json
from monitor.web.api import schemas
from monitor.web.api.answers import PREFIX, success
from monitor.web.api.operation import operation
from monitor.web.api.queries import wanted_run_id
from monitor.web.changes import Changes
from monitor.web.security import takes_bearer
from monitor.web.service import Service


class Changing:
    """The API's answers that change something."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changes = Changes(service, "through the HTTP API")

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        target = f"{PREFIX}v1/targets/{{id}}"
        return [
            web.post(f"{target}/pull", self._pull),
            web.post(f"{target}/baseline", self._pin),
            web.delete(f"{target}/baseline", self._unpin),
            web.post(f"{PREFIX}v1/receivers/{{name}}/test", self._test),
        ]

    @operation("Pull a target now", data=schemas.Pulled, status=202, errors=(401, 403, 404, 409, 500), changes=True)
    @takes_bearer
    async def _pull(self, request: web.Request) -> web.Response:
        await self._service.authorize(request)
        target_id = request.match_info["id"]
        self._changes.pull(target_id)
        return await success(lambda: {"target": target_id}, status=202)

    @operation(
        "Pin a run as the baseline of a target",
        data=schemas.Pinned,
        body=schemas.RunNumber,
        errors=(400, 401, 403, 404, 409, 413, 500, 503),
        changes=True,
    )
    @takes_bearer
    async def _pin(self, request: web.Request) -> web.Response:
        await self._service.authorize(request)
        target_id = request.match_info["id"]
        run = await self._changes.pin(target_id, wanted_run_id(await request.read()))
        baseline = await self._service.store.baseline(target_id, PINNED)
        # Without the last run: what it was compared with is another baseline than this one.
        pinned = baselines_as_json([BaselineStatus(baseline, run, None)]) if baseline else [None]
        return await success(lambda: {"baseline": pinned[0]})

    @operation(
        "Forget the pinned baseline of a target",
        data=schemas.Unpinned,
        errors=(401, 403, 404, 500, 503),
        changes=True,
    )
    @takes_bearer
    async def _unpin(self, request: web.Request) -> web.Response:
        await self._service.authorize(request)
        cleared = await self._changes.unpin(request.match_info["id"])
        return await success(lambda: {"baseline": None, "cleared": cleared})

    @operation("Send a test message to a receiver", data=schemas.Tested, errors=(401, 403, 404, 500), changes=True)
    @takes_bearer
    async def _test(self, request: web.Request) -> web.Response:
        await self._service.authorize(request)
        trial = await self._changes.test(request.match_info["name"])
        return await success(
            lambda: {"receiver": trial.receiver, "delivered": trial.delivered, "error": trial.error or None}
        )
