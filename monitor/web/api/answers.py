"""The form of every answer of the API, and of its errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from monitor.store import StoreError

PREFIX = "/api/"

ERROR_TYPES = {
    400: "bad_data",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    409: "conflict",
    413: "too_large",
    503: "unavailable",
}
"""The word of an error's answer, by status."""

log = structlog.get_logger()


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error under `/api/` the API's form, also those of paths and methods that there are not."""
    if not request.path.startswith(PREFIX):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text or error.reason
        if error.status in (404, 405) and text == f"{error.status}: {error.reason}":
            text = f"there is no {request.method} {request.path}; docs/api.md has what there is"
        kept = {
            name: value for name, value in error.headers.items() if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH)
        }
        return _failure(error.status, text.strip(), kept)
    except StoreError as error:
        return _failure(503, str(error), {hdrs.RETRY_AFTER: "10"})
    except Exception:
        log.exception("http.crashed", path=request.path)
        return _failure(500, "this is an error of the service; its log says more", {})


def _failure(status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    body = encoded({"status": "error", "errorType": ERROR_TYPES.get(status, "internal"), "error": text})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def success(build: Callable[[], Any], status: int = 200) -> web.Response:
    """An answer whose data is built and written in a thread: a matrix of many classes takes its time."""
    body = await asyncio.to_thread(lambda: encoded({"status": "success", "data": build()}))
    return web.Response(
        status=status, body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"}
    )


def encoded(value: Any) -> bytes:
    """JSON as it is sent."""
    # Escapes everything beyond ASCII: a lone surrogate in a name from Studio could not be encoded otherwise.
    return json.dumps(value, allow_nan=False).encode() + b"\n"
