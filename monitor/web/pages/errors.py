"""Errors as pages with a way back, for browsers; others get a line of text."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from monitor.store import StoreError
from monitor.web.api.answers import PREFIX
from monitor.web.pages.templates import Templates
from monitor.web.visitor import forget_visitor

TITLES = {
    400: "This address cannot be understood",
    401: "Who are you?",
    403: "This is not allowed",
    404: "There is no such page",
    405: "This address takes no such request",
    409: "This is not possible now",
    413: "This is too much",
    429: "Too many tries",
    500: "An error of the service",
    503: "This is not possible at the moment",
}
"""What went wrong, by status, for those who do not know the numbers."""

log = structlog.get_logger()


def errors_as_pages(templates: Templates) -> Middleware:
    """A middleware that makes a page of each error, for those who take pages; the API's errors stay as they are."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        forget_visitor(request)
        if request.path.startswith(PREFIX):
            return await handler(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400 or not _takes_pages(request):
                raise
            kept: dict[str, str] = {name: value for name, value in error.headers.items() if name not in _OF_THE_BODY}
            text = error.text or ""
            return await _page(templates, error.status, "" if text.startswith(f"{error.status}: ") else text, kept)
        except StoreError as error:
            return await _failure(request, templates, 503, f"The store cannot be used: {error}")
        except Exception:
            log.exception("http.crashed", path=request.path)
            return await _failure(request, templates, 500, "The log says more.")

    return middleware


_OF_THE_BODY = (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH)


def _takes_pages(request: web.Request) -> bool:
    return "text/html" in request.headers.get(hdrs.ACCEPT, "")


async def _failure(request: web.Request, templates: Templates, status: int, text: str) -> web.Response:
    headers: dict[str, str] = {hdrs.RETRY_AFTER: "10"} if status == 503 else {}
    if _takes_pages(request):
        return await _page(templates, status, text, headers)
    return web.Response(status=status, text=f"{text}\n", headers=headers)


async def _page(templates: Templates, status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    view = {"status": status, "title": TITLES.get(status, "This did not work"), "text": text.strip()}
    answer = await templates.page("error.html", lambda: view, status)
    answer.headers.extend(headers)
    return answer
