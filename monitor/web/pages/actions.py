"""What the buttons of the pages do: they come back to their page, which says what happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from monitor.store import StoreError
from monitor.views.report import when
from monitor.web.api.known import unknown
from monitor.web.api.operation import button
from monitor.web.api.queries import run_of_form
from monitor.web.api.schemas import FormToken, PinForm
from monitor.web.changes import Changes
from monitor.web.security import takes_bearer
from monitor.web.service import Service
from monitor.web.visitor import FORM_FIELD, form_of, see

_CONFIG = "../config"


class Actions:
    """The forms of the pages.

    Args:
        service: What they change.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changes = Changes(service, "on its page")

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        return [
            web.post("/targets/{id}/pull", self._pull),
            web.post("/targets/{id}/pin", self._pin),
            web.post("/targets/{id}/unpin", self._unpin),
            web.post("/config/reload", self._reload),
            web.post("/receivers/{name}/test", self._test),
        ]

    @button("Pull a target now", FormToken, 404)
    @takes_bearer
    async def _pull(self, request: web.Request) -> web.StreamResponse:
        target_id = request.match_info["id"]
        page = self._page_of(target_id)

        async def pull() -> str:
            self._changes.pull(target_id)
            return "It is pulled now; its new figures are here in a moment."

        return await self._done(request, page, pull)

    @button("Pin a run of a target as its baseline, by default the last good one", PinForm, 404)
    @takes_bearer
    async def _pin(self, request: web.Request) -> web.StreamResponse:
        target_id = request.match_info["id"]
        page = self._page_of(target_id)

        async def pin() -> str:
            run = await self._changes.pin(target_id, run_of_form(await form_of(request)))
            return f"Run {run.id} of {when(run.finished)} is the baseline; the next pull is compared with it."

        return await self._done(request, page, pin)

    @button("Forget the pinned baseline of a target", FormToken, 404)
    @takes_bearer
    async def _unpin(self, request: web.Request) -> web.StreamResponse:
        target_id = request.match_info["id"]
        page = self._page_of(target_id)

        async def unpin() -> str:
            if await self._changes.unpin(target_id):
                return "The baseline is no longer pinned; the next good run becomes the baseline."
            return "No baseline was pinned."

        return await self._done(request, page, unpin)

    @button("Read the configuration again", FormToken)
    @takes_bearer
    async def _reload(self, request: web.Request) -> web.StreamResponse:
        async def reload() -> str:
            good = await self._service.reload()
            return "Reloaded." if good else "Not reloaded: what is wrong is below."

        return await self._done(request, _CONFIG, reload)

    @button("Send a test message to a receiver", FormToken)
    @takes_bearer
    async def _test(self, request: web.Request) -> web.StreamResponse:
        async def test() -> str:
            return f"Test message to {await self._changes.test(request.match_info['name'])}"

        return await self._done(request, f"../{_CONFIG}#receivers", test)

    def _page_of(self, target_id: str) -> str:
        """The way from a form's address to the page of its target."""
        if target_id not in self._service.live.targets:
            raise unknown(target_id)
        return f"../{quote(target_id, safe='')}"

    async def _done(self, request: web.Request, place: str, work: Callable[[], Awaitable[str]]) -> web.StreamResponse:
        """Do what a form asks for, and lead back to its page with what happened."""
        form = await form_of(request)
        signer = await self._service.authorize(request, form.get(FORM_FIELD, ""))
        try:
            text = await work()
        except (web.HTTPConflict, web.HTTPNotFound, StoreError) as error:
            text = f"Not done: {error if isinstance(error, StoreError) else error.text}"
        return see(place, signer, text, self._service.clock())
