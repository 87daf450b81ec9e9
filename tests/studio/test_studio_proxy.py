"""Which way requests to Studio take, where the environment names an HTTP proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from monitor.errors import Unreachable
from monitor.studio.client import Client
from monitor.studio.project import StudioProject

STUDIO = "http://studio.invalid/v1"


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[tuple[str, str | None]]]:
    """What an HTTP proxy that the environment names was asked for, with the credentials that came along."""
    asked: list[tuple[str, str | None]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append((request.raw_path, request.headers.get("Proxy-Authorization")))
        return web.json_response({"success": True, "impulses": []})

    app = web.Application()
    app.router.add_get("/v1/api/7/impulses", answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "")
        yield asked


async def impulses(counted: Any, **options: Any) -> None:
    """Ask Studio for a project's impulses."""
    async with Client(STUDIO, counted, backoff=0.01, **options) as client:
        await StudioProject(client, 7, "ei_x").impulses()


@pytest.mark.filterwarnings("ignore:.*BasicAuth:DeprecationWarning")
async def test_proxy_of_the_environment(proxy: list[tuple[str, str | None]], counted: Any) -> None:
    """Requests go through the proxy that the environment names, with its credentials."""
    await impulses(counted)

    assert [(f"{STUDIO}/api/7/impulses", aiohttp.BasicAuth("me", "word").encode())] == proxy


async def test_no_proxy(proxy: list[tuple[str, str | None]], counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY excepts a host from it."""
    monkeypatch.setenv("no_proxy", "studio.invalid")

    with pytest.raises(Unreachable):
        await impulses(counted)
    assert not proxy


async def test_configured_proxy_comes_first(proxy: list[tuple[str, str | None]], counted: Any) -> None:
    """A proxy of the configuration is asked in place of the environment's."""
    with pytest.raises(Unreachable):
        await impulses(counted, proxy="http://127.0.0.1:1")
    assert not proxy
