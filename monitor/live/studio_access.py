"""`StudioAccess`: the client for Studio as it is now, and those that a reload replaced."""

from __future__ import annotations

import asyncio

from monitor.engine.base import Engine
from monitor.studio.client import Client


class StudioAccess:
    """Owns the clients.

    Args:
        client: The first one.
        engine: Knows when what still uses an old one has ended.
    """

    def __init__(self, client: Client, engine: Engine) -> None:
        self.client = client
        self._engine = engine
        self._retiring: set[asyncio.Task[None]] = set()

    def replace(self, client: Client) -> None:
        """Use another client from now on; the old one is closed once the pulls that use it have ended."""
        task = asyncio.create_task(self._retire(self.client))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self.client = client

    async def close(self) -> None:
        """Close all of them; requests still running fail."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.client.close()

    async def _retire(self, client: Client) -> None:
        try:
            await self._engine.drain()
        finally:
            await client.close()
