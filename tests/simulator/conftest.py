"""A served studio with a client that knows only HTTP and JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from monitor.simulator import Project, Studio, serve

Json = dict[str, Any]


@dataclass
class Client:
    """Asks one studio, with each project's own key unless told otherwise."""

    studio: Studio
    url: str
    session: aiohttp.ClientSession

    async def get(self, project: Project, path: str, *, key: str | None = None, **query: Any) -> tuple[int, Json]:
        """Status and decoded body of one call."""
        headers = {"x-api-key": project.api_key if key is None else key}
        params = {name: str(value) for name, value in query.items()}
        async with self.session.get(f"{self.url}/api/{path}", headers=headers, params=params) as response:
            return response.status, await response.json()

    async def page(self, project: Project, **query: Any) -> Json:
        """One good page."""
        status, body = await self.get(project, f"{project.id}/classify/all/result/page", **query)
        assert (status, body["success"]) == (200, True), body
        return body

    async def pull(self, project: Project, limit: int = 50, **query: Any) -> tuple[list[Json], list[Json]]:
        """All results and predictions, page by page until one is empty."""
        results: list[Json] = []
        predictions: list[Json] = []
        while (body := await self.page(project, limit=limit, offset=len(results), **query))["result"]:
            results += body["result"]
            predictions += body["predictions"]
        return results, predictions


@pytest.fixture
async def serving() -> AsyncIterator[Callable[[Studio], Awaitable[Client]]]:
    """Put a studio on an address until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(studio: Studio) -> Client:
            url = await stack.enter_async_context(serve(studio))
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
            return Client(studio, url, session)

        yield start


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Unix time in seconds."""
        return self.now


@pytest.fixture
def by_hand() -> Clock:
    """A clock set by hand."""
    return Clock()
