"""Empty stores of each kind that is installed here."""

from __future__ import annotations

import shutil
import subprocess
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
    return _initdb() is not None


def postgresql_version() -> str:
    """As the server says it, such as `PostgreSQL 15.8`; empty where there is none to start."""
    initdb = _initdb()
    if initdb is None:
        return ""
    postgres = initdb.resolve().with_name("postgres")
    said = subprocess.run([str(postgres), "--version"], check=True, capture_output=True, text=True).stdout
    return f"PostgreSQL {said.split()[2]}"  # postgres (PostgreSQL) 15.8 (Debian 15.8-1)


def _initdb() -> Path | None:
    """The one that `running` takes."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = debian[-1] if debian else shutil.which("initdb")
    return None if found is None else Path(found)
