"""A browser's part of a session: cookies, forms and where they lead to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from monitor.web.sessions import COOKIE
from tests.service_process import TOKEN, Service

PAGES = {"Accept": "text/html,application/xhtml+xml"}


class Answer(NamedTuple):
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]
    path: str

    @property
    def said(self) -> str:
        """The message of the page; empty where it has none."""
        found = re.search(r'role="status">(.*?)</p>', self.text)
        return unescape(found[1]) if found else ""

    @property
    def form_token(self) -> str:
        """The token of its forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        assert found is not None, self.text[-2000:]
        return found[1]


class Client:
    """Keeps cookies as a browser does."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self._service = service
        self._session = session

    @property
    def cookie(self) -> str | None:
        """The session's; None where there is none."""
        return next((each.value for each in self._session.cookie_jar if each.key == COOKIE), None)

    @cookie.setter
    def cookie(self, value: str) -> None:
        self._session.cookie_jar.clear(lambda each: each.key == COOKIE)
        self._session.cookie_jar.update_cookies({COOKIE: value}, URL(f"http://{self._service.app.address}/"))

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """An answer, as a browser would show it; `path` begins with a slash."""
        options.setdefault("headers", PAGES)
        url = f"http://{self._service.app.address}{path}"
        async with self._session.request(method, url, **options) as answer:
            return Answer(answer.status, await answer.text(), answer.headers, answer.url.path_qs)

    async def get(self, path: str, **options: Any) -> Answer:
        """A page."""
        return await self.ask("GET", path, **options)

    async def send(self, path: str, token: str | None = None, **options: Any) -> Answer:
        """Send a form with the token of the page `/`, or with another one."""
        form = {"csrf": (await self.get("/")).form_token if token is None else token}
        return await self.ask("POST", path, data=form | options.pop("data", {}), **options)

    async def log_in(self, token: str = TOKEN, wanted: str = "", **options: Any) -> Answer:
        """Fill in the form of the login."""
        form = {"csrf": (await self.get("/login")).form_token, "token": token, "next": wanted}
        return await self.ask("POST", "/login", data=form, **options)


@asynccontextmanager
async def client(service: Service, **options: Any) -> AsyncIterator[Client]:
    """A browser without cookies."""
    jar = aiohttp.CookieJar(unsafe=True)  # numbers are hosts here
    async with aiohttp.ClientSession(cookie_jar=jar, **options) as session:
        yield Client(service, session)


def allow(service: Service) -> None:
    """Configure the admin token."""
    (service.path.parent / "token").write_text(TOKEN + "\n", encoding="utf-8")
    service.content["http"]["admin_token_file"] = "token"
