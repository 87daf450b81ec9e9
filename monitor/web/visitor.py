"""`Visitor`: who asked for a page, and from where; every template may ask for it."""

from __future__ import annotations

import asyncio
import re
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import parse_qs

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from monitor.config import ConfigError
from monitor.web.api.answers import PREFIX
from monitor.web.service import Service
from monitor.web.sessions import COOKIE, Session, Signer

FORM_FIELD = "csrf"
"""Field of a form that holds its token."""
MESSAGE = "said"
"""Parameter of an address that holds a message to the page."""
FORM = "application/x-www-form-urlencoded"
_FIELDS = 20

_WITHIN = re.compile(r"(?!.*\.\.)(?!.*//)[A-Za-z0-9._~%-][A-Za-z0-9._~%/-]*")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asked for a page.

    Attributes:
        path: Of the page, relative to the first one; empty for that one.
        session: Of who is logged in; None for all others.
        form_token: What each form must hold; empty where nobody is logged in.
        message: What became of the form that led here; empty where none did.
    """

    path: str = ""
    session: Session | None = None
    form_token: str = ""
    message: str = ""

    @property
    def root(self) -> str:
        """The way from the page to the first one."""
        return "../" * self.path.count("/")


_VISITOR: ContextVar[Visitor | None] = ContextVar("visitor", default=None)


def visitor() -> Visitor:
    """Who asked for the page that is being made; also in the thread that renders it."""
    return _VISITOR.get() or Visitor()


def forget_visitor(request: web.Request) -> None:
    """Begin a request: nothing is known of who asks but the path."""
    _VISITOR.set(Visitor(request.rel_url.raw_path.removeprefix("/")))


def visitors(service: Service) -> Middleware:
    """A middleware that finds out who asks for a page."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(PREFIX):
            return await handler(request)
        _VISITOR.set(await _visitor(service, request))
        return await handler(request)

    return middleware


async def _visitor(service: Service, request: web.Request) -> Visitor:
    path = request.rel_url.raw_path.removeprefix("/")
    cookie = request.cookies.get(COOKIE, "")
    said = request.query.get(MESSAGE, "")
    if not cookie and not said:
        return Visitor(path)
    try:
        token = await asyncio.to_thread(service.admin_token)
    except ConfigError:  # what needs it says so
        token = None
    if token is None:
        return Visitor(path)
    return _of(Signer(token), path, cookie, said, service.clock())


def _of(signer: Signer, path: str, cookie: str, said: str, now: float) -> Visitor:
    session = signer.session(cookie, now)
    message = signer.message(said, now)
    if session is None:
        return Visitor(path, message=message)
    return Visitor(path, session, signer.form_token(cookie), message)


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form; of one that is given several times the last.

    Raises:
        HTTPBadRequest: It is no form.
    """
    if request.content_type != FORM:
        raise web.HTTPBadRequest(text=f"This address takes forms only ({FORM}).\n")
    try:
        fields = parse_qs((await request.read()).decode(), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:  # no UTF-8, or too many
        raise web.HTTPBadRequest(text="The form cannot be read.\n") from None
    return {name: values[-1] for name, values in fields.items()}


def way_back(wanted: str) -> str:
    """Where to go after a login: a path within this service, relative to the first page; that one for all others."""
    return f"./{wanted}" if _WITHIN.fullmatch(wanted) else "./"


def see(place: str, signer: Signer | None = None, text: str = "", now: float = 0.0) -> web.Response:
    """An answer that leads on.

    Args:
        place: A relative address, escaped, perhaps with an anchor.
        signer: Signs the message.
        text: What the page there says first; empty for nothing.
        now: Unix seconds.
    """
    if signer is not None and text:
        before, hash_, anchor = place.partition("#")
        place = f"{before}?{MESSAGE}={signer.new_message(text, now)}{hash_}{anchor}"
    return web.Response(status=303, headers={hdrs.LOCATION: place, hdrs.CACHE_CONTROL: "no-store"})
