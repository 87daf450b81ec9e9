"""A Studio on loopback and a client of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.studio.client import Client
from monitor.studio.project import StudioProject


class Counted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.retries: Counter[str] = Counter()
        self.bytes = 0
        self.fields: Counter[str] = Counter()

    def request(self, call: str, code: str, seconds: float) -> None:
        self.requests.append((call, code))

    def retry(self, reason: str) -> None:
        self.retries[reason] += 1

    def received(self, nbytes: int) -> None:
        self.bytes += nbytes

    def unknown(self, field: str, count: int = 1) -> None:
        self.fields[field] += count


@pytest.fixture
def studio() -> Studio:
    """A Studio with one project of every kind."""
    return Studio([build() for build in projects.KINDS])


@pytest.fixture
async def url(studio: Studio) -> AsyncIterator[str]:
    """Where it is served."""
    async with serve(studio) as url:
        yield url


@pytest.fixture
def counted() -> Counted:
    """What the client reports."""
    return Counted()


@pytest.fixture
async def client(url: str, counted: Counted) -> AsyncIterator[Client]:
    """A client."""
    async with Client(url, counted, timeout=60.0, backoff=0.01) as client:
        yield client


@pytest.fixture
def project(client: Client, studio: Studio) -> StudioProject:
    """The calls of the classification project."""
    return StudioProject(client, 101, studio.projects[101].api_key)
