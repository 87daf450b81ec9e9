"""The page of a target that is not watched, with those whose names are close."""

from __future__ import annotations

from difflib import get_close_matches

from aiohttp import web

from monitor.web.pages.templates import Templates
from monitor.web.service import Service


async def missing(service: Service, templates: Templates, target_id: str, root: str) -> web.Response:
    """The answer; `root` is the way from there to the first page."""

    def view() -> dict[str, object]:
        close = get_close_matches(target_id, list(service.live.targets), n=5, cutoff=0.5)
        return {"target_id": target_id, "close": close, "root": root}

    return await templates.page("missing.html", view, status=404)
