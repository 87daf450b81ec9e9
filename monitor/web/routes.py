"""The routes of the service's HTTP endpoint."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web
from pydantic import SecretStr

from monitor import __version__

Render = Callable[[str, str], Awaitable[tuple[bytes, Mapping[str, str]]]]

_INDEX = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Impulse Monitor</title></head>
<body>
<h1>Impulse Monitor</h1>
<p>Version {__version__}</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="-/healthy">Healthy</a></li>
<li><a href="-/ready">Ready</a></li>
</ul>
</body>
</html>
"""


def application(
    render: Render, ready: Callable[[], bool], reload: Callable[[], Awaitable[bool]], admin_token: Callable[[], SecretStr | None]
) -> web.Application:
    """The endpoint's application.

    Args:
        render: From the headers Accept and Accept-Encoding to a body and its headers.
        ready: Whether the first round was scheduled.
        reload: Reads the configuration again; answers whether it was good.
        admin_token: The token that POST requests must bring, read at each request; None switches them off.
    """

    async def metrics(request: web.Request) -> web.Response:
        body, headers = await render(request.headers.get(hdrs.ACCEPT, ""), request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        return web.Response(body=body, headers=headers)

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="Impulse Monitor is healthy.\n")

    async def is_ready(_request: web.Request) -> web.Response:
        if ready():
            return web.Response(text="Impulse Monitor is ready.\n")
        return web.Response(status=503, text="Impulse Monitor is starting: the first round of discovery has not ended.\n")

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def post_reload(request: web.Request) -> web.Response:
        _authorize(request, admin_token())
        if await reload():
            return web.Response(text="Reloaded.\n")
        return web.Response(status=500, text="The configuration is invalid and was not taken over; the log says why.\n")

    app = web.Application()
    app.add_routes(
        [
            web.get("/", index),
            web.get("/metrics", metrics),
            web.get("/-/healthy", healthy),
            web.get("/-/ready", is_ready),
            web.post("/-/reload", post_reload),
        ]
    )
    return app


def _authorize(request: web.Request, token: SecretStr | None) -> None:
    if token is None:
        raise web.HTTPForbidden(text="This is off: set http.admin_token_file to allow it.\n")
    given = request.headers.get(hdrs.AUTHORIZATION, "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode()):
        raise web.HTTPUnauthorized(
            headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="impulse-monitor"'}, text="Bring the admin token as a bearer.\n"
        )
