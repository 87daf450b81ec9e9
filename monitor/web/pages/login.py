"""Logging in with the admin token, and out."""

from __future__ import annotations

import re
import secrets
from http.cookies import SimpleCookie
from typing import Any

import structlog
from aiohttp import hdrs, web

from monitor.web.api.operation import button, page
from monitor.web.api.schemas import FormToken, LoginForm
from monitor.web.pages.templates import Templates
from monitor.web.service import Service
from monitor.web.sessions import COOKIE, FORM_COOKIE, FORM_LASTS, LASTS, Signer
from monitor.web.tries import MOST, Tries
from monitor.web.visitor import FORM_FIELD, form_of, see, visitor, way_back

_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")

log = structlog.get_logger()


class LoginPage:
    """The pages `/login` and `/logout`.

    Args:
        service: Whose admin token is wanted.
        templates: Of the pages.
        tls: Whether the service speaks TLS itself.
    """

    def __init__(self, service: Service, templates: Templates, tls: bool) -> None:
        self._service = service
        self._templates = templates
        self._tls = tls
        self._tries = Tries(service.clock)

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        return [
            web.get("/login", self._show),
            web.post("/login", self._log_in),
            web.post("/logout", self._log_out),
        ]

    @page("Log in", 500)
    async def _show(self, request: web.Request) -> web.Response:
        try:
            signer = await self._service.signer()
        except web.HTTPForbidden:
            return await self._templates.page("login.html", lambda: {"state": "off"})
        return await self._form(request, signer, request.query.get("next", ""))

    async def _form(
        self, request: web.Request, signer: Signer, wanted: str, problem: str = "", status: int = 200
    ) -> web.Response:
        """The page; a form's token belongs to a cookie, so that no other site can send the form."""
        cookie = request.cookies.get(FORM_COOKIE, "")
        if not _NONCE.fullmatch(cookie):
            cookie = secrets.token_urlsafe(16)
        view: dict[str, Any] = {
            "state": "in" if visitor().session else "out",
            "next": wanted,
            "form_token": signer.form_token(cookie),
            "problem": problem,
            "secure": self._is_secure(request),
        }
        answer = await self._templates.page("login.html", lambda: view, status)
        self._set_cookie(request, answer, FORM_COOKIE, cookie, FORM_LASTS)
        return answer

    @button("Log in", LoginForm, 429)
    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        form = await form_of(request)
        signer = await self._service.signer()
        wanted = form.get("next", "")
        cookie = request.cookies.get(FORM_COOKIE, "")
        if not signer.is_form_token(form.get(FORM_FIELD, ""), cookie):
            text = "This form is too old, or your browser keeps no cookies. Try again."
            return await self._form(request, signer, wanted, text, 403)
        address = request.remote or ""
        # Nothing waits between looking and counting: tries that come at once are counted one by one.
        if wait := self._tries.wait(address):
            answer = await self._form(request, signer, wanted, f"Too many tries: try again in {wait:.0f} s.", 429)
            answer.headers[hdrs.RETRY_AFTER] = str(round(wait) or 1)
            return answer
        if not signer.is_token(form.get("token", "")):
            last = self._tries.was_wrong(address)
            log.warning("login.failed", address=address)
            if last:
                log.warning("login.blocked", address=address, tries=MOST)
            return await self._form(request, signer, wanted, "This is not the admin token.", 401)
        log.info("login.succeeded", address=address)
        redirect = see(way_back(wanted))
        session = signer.new_session(self._service.clock())
        self._set_cookie(request, redirect, COOKIE, session.value, LASTS)
        self._set_cookie(request, redirect, FORM_COOKIE, "", 0)
        return redirect

    @button("Log out", FormToken)
    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        form = await form_of(request)
        signer = await self._service.authorize(request, form.get(FORM_FIELD, ""))
        log.info("login.ended", address=request.remote)
        answer = see("./", signer, "You are logged out.", self._service.clock())
        self._set_cookie(request, answer, COOKIE, "", 0)
        return answer

    def _is_secure(self, request: web.Request) -> bool:
        """Whether the browser speaks TLS: with the service, or with a proxy before it that says so, or is known."""
        forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
        # a client that claims this without a proxy only keeps its own cookie from coming back
        return self._tls or forwarded == "https" or (self._service.external_url or "").startswith("https://")

    def _set_cookie(self, request: web.Request, answer: web.StreamResponse, name: str, value: str, lasts: int) -> None:
        """Set a cookie for the folder of this page, which is the service's, also below a proxy's prefix."""
        cookie = SimpleCookie({name: value})[name]
        cookie["httponly"] = True
        cookie["samesite"] = "Strict"
        cookie["max-age"] = lasts
        cookie["secure"] = self._is_secure(request)
        answer.headers.add(hdrs.SET_COOKIE, cookie.OutputString())
