"""The one script of the pages, as a file of ours: their policy allows no other."""

from __future__ import annotations

import hashlib
from importlib import resources

from aiohttp import hdrs, web

from monitor.web.api.operation import operation

SCRIPT = "static/monitor.js"
"""Its path, relative to the first page."""

_FOREVER = "public, max-age=31536000, immutable"


class Static:
    """Serves the script.

    Attributes:
        address: Its path with its content's digest: a browser keeps it until another version has another one.
    """

    def __init__(self) -> None:
        self._body = resources.files("monitor.web").joinpath(SCRIPT).read_bytes()
        self._digest = hashlib.sha256(self._body).hexdigest()[:12]
        self.address = f"{SCRIPT}?v={self._digest}"

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get(f"/{SCRIPT}", self._send)]

    @operation("The script of the pages", media=("text/javascript",))
    async def _send(self, request: web.Request) -> web.Response:
        kept = _FOREVER if request.query.get("v") == self._digest else "no-cache"
        return web.Response(
            body=self._body, content_type="text/javascript", charset="utf-8", headers={hdrs.CACHE_CONTROL: kept}
        )
