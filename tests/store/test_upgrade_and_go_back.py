"""The steps of upgrade-and-go-back.md, walked from the store of an older release."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from monitor.store import Store, StoreTooNew, migrate
from monitor.store.engine import parse
from monitor.store.schema import VERSIONS
from tests.cli.commands import run_beside
from tests.steps import DOCS, Step, steps
from tests.store.postgres_server import Server
from tests.store.releases import restore_postgresql, sqlite_store
from tests.store.store_rows import rows_of

PAGE = "upgrade-and-go-back.md"
OF_OLDER = ("initial.py", "result_set_version.py")
"""The migrations that the release had whose store has the number 2."""


async def older(url: str, folder: Path) -> None:
    """Open a store as that release did: with the migrations that it had."""
    scripts = folder / "older"
    if not scripts.exists():
        shutil.copytree(migrate._SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        for script in (scripts / "versions").iterdir():
            if script.name not in OF_OLDER:
                script.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "_SCRIPTS", scripts)
        patch.setattr(migrate, "VERSIONS", VERSIONS[: len(OF_OLDER)])
        await asyncio.to_thread(migrate.migrate, parse(url), "monitor.db")


def refused_by_older(version: str) -> str:
    """What it says to a store of a newer version."""
    return (
        f"store monitor.db was written by a newer version of Impulse Monitor (schema {version}, while this version's "
        "is 0002); run that version or a newer one, or restore a copy from before the upgrade"
    )


class Walk:
    """Does what the steps say, in a folder where the store's file is, or on a server.

    Args:
        url: Of the store.
        folder: Where commands run.
        server: Of PostgreSQL, where the store is there.
    """

    def __init__(self, url: str, folder: Path, server: Server | None = None) -> None:
        self._url, self._folder, self._server = url, folder, server
        self._config = folder / "monitor.yaml"
        self._config.write_text(yaml.safe_dump({"store": url, "projects": [{"id": 1, "api_key": "ei_key"}]}))
        self.answers: list[Result] = []

    async def take(self, step: Step, *, by_older: bool = False) -> None:
        """Take one step; what it starts opens the store as the newer release does, or as the older one."""
        for command in step.commands:
            program, *arguments = shlex.split(command)
            if program == "systemctl":
                await self._serve(arguments[0], by_older=by_older)
            elif program == "impulse-monitor":
                self.answers.append(await run_beside(*arguments, IMPULSE_MONITOR_CONFIG=str(self._config)))
            elif self._server is not None:
                where = ("-h", str(self._server.folder), "-U", "postgres")
                await asyncio.to_thread(self._server.call, program, *where, *arguments)
            else:
                await asyncio.to_thread(subprocess.run, ["bash", "-c", command], cwd=self._folder, check=True)

    async def _serve(self, action: str, *, by_older: bool) -> None:
        if action == "stop":
            return
        if by_older:
            await older(self._url, self._folder)
        else:
            async with Store(self._url):
                pass


async def there_and_back(walk: Walk, taken: list[Step], url: str, folder: Path) -> None:
    """Walk, and see that the newer release has the alerts, that the older one refuses its store in the page's words and
    leaves it alone, and that the store of before is the older release's again.
    """
    copy, upgrade, look, back, start = taken
    await older(url, folder)
    before = await rows_of(url)
    await walk.take(copy)
    await walk.take(upgrade)
    await walk.take(look)
    after = await rows_of(url)
    with pytest.raises(StoreTooNew) as refused:
        await walk.take(start, by_older=True)
    assert refused_by_older(migrate.newest_version()) == str(refused.value)
    assert before != after == await rows_of(url)
    assert ([0], True) == ([each.exit_code for each in walk.answers], "firing" in walk.answers[0].stdout)

    await walk.take(back)
    await walk.take(start, by_older=True)
    assert before == await rows_of(url)


async def test_with_sqlite(tmp_path: Path, program: Callable[[str], str]) -> None:
    """The way there and back with a file: copied by SQLite's own program, moved away and put in its place."""
    program("sqlite3")
    folder = tmp_path / "store"
    folder.mkdir()
    Path(sqlite_store(2, folder).removeprefix("sqlite:///")).rename(folder / "monitor.db")
    url = f"sqlite:///{folder}/monitor.db"

    await there_and_back(Walk(url, folder), steps(PAGE, "With SQLite"), url, tmp_path)
    assert (folder / "newer" / "monitor.db").exists()


async def test_with_postgresql(server: Server, postgresql: str, tmp_path: Path) -> None:
    """The same with `pg_dump` and `pg_restore`."""
    await restore_postgresql(2, postgresql)
    taken = steps(PAGE, "With PostgreSQL", {"before.dump": f"{server.folder}/before.dump"})

    await there_and_back(Walk(postgresql, tmp_path, server), taken, postgresql, tmp_path)


def test_the_words_are_in_the_docs() -> None:
    """The page says what the older release says."""
    page = (DOCS / PAGE).read_text(encoding="utf-8")

    assert refused_by_older(migrate.newest_version()).removeprefix("store monitor.db ") in page
