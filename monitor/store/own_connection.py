"""`OwnConnection`: a connection to PostgreSQL that outlives transactions: for what PostgreSQL keeps by connection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.store import engine
from monitor.store.errors import explain


class OwnConnection:
    """A connection of its own: apart from those that the store gives out in turn.

    Args:
        url: Of the store.
        name: What it is for, as PostgreSQL lists it.

    Attributes:
        driver: asyncpg's connection, once open.
    """

    def __init__(self, url: str, name: str) -> None:
        parsed = engine.parse(url)
        self.where = engine.describe(parsed)
        named = {} if "application_name" in parsed.query else {"application_name": name}
        self._engine = engine.new_engine(parsed.update_query_dict(named), 5.0, pool=NullPool)
        self._link: AsyncConnection | None = None
        self.driver: Any = None

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreError: The server cannot be reached, or refuses it.
        """
        try:
            self._link = await self._engine.connect()
            self.driver = (await self._link.get_raw_connection()).driver_connection
        except Exception as error:
            raise self.explained(error) from error

    async def close(self) -> None:
        """Close it, without asking a server that may not answer."""
        if self.driver is not None:
            self.driver.terminate()
        if self._link is not None:
            await self._link.invalidate()
            await self._link.close()
        self._link = self.driver = None
        await self._engine.dispose()

    def explained(self, error: Exception) -> Exception:
        """The `StoreError` that a failure of the driver is; what is none stays as it is."""
        return explain(error, self.where) or error
