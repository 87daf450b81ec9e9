"""A PostgreSQL server, and members of a fleet on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from monitor.store import Store
from monitor.store.fleet import FleetSession
from tests.store.conftest import database, postgresql, server

__all__ = ["database", "postgresql", "server"]

Joined = Callable[[str], Awaitable[FleetSession]]


@pytest.fixture
async def store(postgresql: str) -> AsyncIterator[Store]:
    """The store that they share, empty."""
    async with Store(postgresql) as store:
        yield store


@pytest.fixture
async def joined(store: Store, postgresql: str) -> AsyncIterator[Joined]:
    """Connects a member of the fleet, by its name."""
    async with AsyncExitStack() as stack:

        async def join(name: str) -> FleetSession:
            session = FleetSession(postgresql, name)
            await session.open()
            stack.push_async_callback(session.close)
            return session

        yield join
