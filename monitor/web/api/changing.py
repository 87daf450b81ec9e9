"""What may be asked for with the admin token: a pull now, and which baseline holds."""

from __future__ import annotations

import structlog
from aiohttp import web

from monitor.pipeline.baselines import pin, unpin
from monitor.pipeline.unit_choices import PINNED
from monitor.views.history import BaselineStatus, baselines_as_json, wanted_run
from monitor.web.api.answers import PREFIX, success
from monitor.web.api.known import unknown
from monitor.web.api.queries import wanted_run_id
from monitor.web.security import takes_bearer
from monitor.web.service import Service

log = structlog.get_logger()


class Changing:
    """The API's answers that change something."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        target = f"{PREFIX}v1/targets/{{id}}"
        return [
            web.post(f"{target}/pull", self._pull),
            web.post(f"{target}/baseline", self._pin),
            web.delete(f"{target}/baseline", self._unpin),
        ]

    @takes_bearer
    async def _pull(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        if not self._service.pull_now(target_id):
            raise web.HTTPConflict(
                text=f"target {target_id} is not pulled before its project's first discovery has ended; try again then"
            )
        log.info("pull.asked", target=target_id)
        return await success(lambda: {"target": target_id}, status=202)

    @takes_bearer
    async def _pin(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        store = self._service.store
        try:
            run = await wanted_run(store, target_id, wanted_run_id(await request.read()))
            await pin(store, run, "pinned through the HTTP API", self._service.clock())
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error.args[0])) from None
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        log.info("baseline.pinned", target=target_id, run=run.id)
        baseline = await store.baseline(target_id, PINNED)
        # Without the last run: what it was compared with is another baseline than this one.
        pinned = baselines_as_json([BaselineStatus(baseline, run, None)]) if baseline else [None]
        return await success(lambda: {"baseline": pinned[0]})

    @takes_bearer
    async def _unpin(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        cleared = await unpin(self._service.store, target_id)
        log.info("baseline.cleared", target=target_id, pinned=cleared)
        return await success(lambda: {"baseline": None, "cleared": cleared})

    async def _changed_target(self, request: web.Request) -> str:
        """The watched target that an authorized request is about."""
        await self._service.authorize(request)
        target_id = request.match_info["id"]
        if target_id not in self._service.live.targets:
            raise unknown(target_id)
        return target_id
