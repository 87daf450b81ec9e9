"""The stores that released versions wrote; `fixtures/make_store.py` tells how they were made."""

from __future__ import annotations

import gzip
from pathlib import Path

import asyncpg

FIXTURES = Path(__file__).parent / "fixtures"
RELEASES = (1, 2)
"""By number: tables of version 0001, with documents without envelopes; tables of version 0002."""


def sqlite_store(release: int, folder: Path) -> str:
    """A copy of a release's SQLite store in a folder; answers its URL."""
    path = folder / "release.db"
    path.write_bytes(gzip.decompress((FIXTURES / f"store-{release}.sqlite.gz").read_bytes()))
    return f"sqlite:///{path}"


async def restore_postgresql(release: int, url: str) -> None:
    """Fill an empty database with a release's PostgreSQL store."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(gzip.decompress((FIXTURES / f"store-{release}.sql.gz").read_bytes()).decode())
    finally:
        await connection.close()
