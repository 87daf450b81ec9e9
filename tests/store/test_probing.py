"""Whether a store can be used, found out without changing it, of both back ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.store import Store
from monitor.store.errors import StoreUnavailable
from monitor.store.probing import probe
from tests.store.postgres_server import Server


async def test_an_empty_database_is_made_at_the_start(postgresql: str, server: Server, database: str) -> None:
    """A database without tables can be used, and has none afterwards either; one that has them is named alone, without
    its password.
    """
    empty = await probe(postgresql)
    again = await probe(postgresql)
    async with Store(postgresql):
        pass
    current = await probe(postgresql)

    assert empty == again == f"{current}, whose tables are made or brought up to date at the start"
    assert database in current
    assert "made" not in current


async def test_a_standby_is_read_only(postgresql: str, server: Server, database: str) -> None:
    """A server that takes no writes cannot be used, and another one is to be named."""
    await server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreUnavailable, match=r"is read-only .* name the primary server in `store`"):
            await probe(postgresql)
    finally:
        await server.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")


async def test_a_file_that_cannot_be_created(tmp_path: Path) -> None:
    """A folder that this user cannot write, as one that is not there, is said before the service starts."""
    folder = tmp_path / "none"

    with pytest.raises(StoreUnavailable, match=f"cannot be created; let this user write the folder {folder}"):
        await probe(f"sqlite:///{folder}/x.db")
