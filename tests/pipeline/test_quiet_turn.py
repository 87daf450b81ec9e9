"""What a turn costs in which nothing is new: statements and requests, as the database and Studio count them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator import Studio, projects, serve
from monitor.simulator.project import Impulse
from monitor.store import Store
from tests.pipeline.quiet_target import turns_of
from tests.store import statements
from tests.store.conftest import database, postgresql, server  # noqa: F401
from tests.store.postgres_server import Server

STATEMENTS, REQUESTS = 8, 3
PAGE = "result/page"


@pytest.fixture
def studio() -> Studio:
    """A classifier of 100 samples in two variants."""
    return Studio([projects.bulk(samples=100, windows=1, impulses=[Impulse(variants=projects.BOTH)])])


@pytest.fixture
async def address(studio: Studio) -> AsyncIterator[str]:
    """Where it is served."""
    async with serve(studio) as url:
        yield url


async def costs(studio: Studio, address: str, url: str, seen: statements.Statements, **fields: Any) -> list[str]:
    """The statements of a turn after those that found something new; Studio's requests are left in its list."""
    ((number, project),) = studio.projects.items()
    async with Store(url) as store, turns_of(address, number, project.api_key, store, **fields) as turn:
        for _ in range(3):
            await turn()
        studio.requests.clear()
        seen.clear()
        targets = await turn()
        found = seen.seen
        for known in targets:
            last = (await store.runs(known.watch.target.key.id))[-1]
            assert last.times >= 3  # it was recorded
    return found


async def test_a_quiet_turn_on_sqlite(studio: Studio, address: str, tmp_path: Path) -> None:
    """A turn of one target that says nothing new costs at most 8 statements, one transaction and 3 requests."""
    with statements.of_sqlite() as seen:
        found = await costs(studio, address, f"sqlite:///{tmp_path}/x.db", seen, variants=["int8"])

    assert len(found) <= STATEMENTS, found
    assert ["BEGIN IMMEDIATE", "COMMIT"] == [
        each for each in found if each.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK")
    ]
    assert len(studio.requests) <= REQUESTS
    assert [("0", "100")] == [(each.query["offset"], each.query["limit"]) for each in studio.calls(PAGE)]


async def test_a_quiet_turn_on_postgresql(
    studio: Studio,
    address: str,
    server: Server,  # noqa: F811
    postgresql: str,  # noqa: F811
) -> None:
    """The same holds on PostgreSQL, by the server's own log."""
    seen = await statements.of_postgresql(server)
    found = await costs(studio, address, postgresql, seen, variants=["int8"])

    assert 0 < len(found) <= STATEMENTS, found
    assert 2 == sum(each.split()[0].strip(";") in ("BEGIN", "COMMIT", "ROLLBACK") for each in found)
    assert len(studio.requests) <= REQUESTS


async def test_variants_share_what_is_asked_once(studio: Studio, address: str, tmp_path: Path) -> None:
    """Two variants cost one request more than one; each of them stays within 8 statements."""
    with statements.of_sqlite() as seen:
        found = await costs(studio, address, f"sqlite:///{tmp_path}/x.db", seen, variants=["int8", "float32"])

    assert len(found) <= 2 * STATEMENTS, found
    assert {PAGE: 2, "impulses-detailed": 1, "training-metadata": 1} == {
        call: len(studio.calls(call)) for call in {request.call for request in studio.requests}
    }


@pytest.mark.parametrize("mode", ["previous", "rolling"])
async def test_other_baselines(studio: Studio, address: str, tmp_path: Path, mode: str) -> None:
    """Where the baseline is chosen at each run, a quiet turn stays within 12 statements."""
    chosen = {"mode": mode, "age": "7d"} if mode == "rolling" else {"mode": mode}
    with statements.of_sqlite() as seen:
        found = await costs(studio, address, f"sqlite:///{tmp_path}/x.db", seen, variants=["int8"], baseline=chosen)

    assert len(found) <= 12, found
