"""Empty stores of each kind that is installed here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.store.postgres_server import DATABASE, Server, running


@contextmanager
def sqlite() -> Iterator[str]:
    """The URL of a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/store.db"


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of its own, which has an empty database."""
    with running(lambda name: shutil.which(name) or name) as server:
        server.call("createdb", "-h", str(server.folder), DATABASE)
        yield server


def has_postgresql() -> bool:
    """Whether there is a PostgreSQL server to start."""
    return bool(shutil.which("initdb")) or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
