"""Opening the store, seeing whether it can be used, and forgetting what is old."""

from __future__ import annotations

from pathlib import Path

import structlog
from structlog.testing import capture_logs

from monitor.service.store_upkeep import StoreUpkeep
from monitor.store import Store
from tests.store.store_sets import TARGET, add, run


class Shown:
    """Whether the store can be used, as it is shown."""

    def __init__(self) -> None:
        self.up: list[bool] = []

    def store(self, up: bool) -> None:
        """It can, or cannot."""
        self.up.append(up)


async def test_a_store_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    """A failure is logged once, however often it is tried; what the store has is taken up after it was opened."""
    path, restored = tmp_path / "x.db", []
    path.write_bytes(b"no database" * 1000)
    shown, store = Shown(), Store(f"sqlite:///{path}")

    async def restore() -> None:
        restored.append(await store.target_ids())

    upkeep = StoreUpkeep(store, shown, lambda: 0.0, [restore])
    structlog.reset_defaults()
    with capture_logs() as logs:
        await upkeep.open()
        await upkeep.open()
        path.unlink()
        await upkeep.open()
    await store.close()

    assert [False, False, True] == shown.up
    assert [[]] == restored
    assert ["store.failed", "store.recovered"] == [entry["event"] for entry in logs]


async def test_old_runs_are_forgotten(tmp_path: Path) -> None:
    """Runs that are older than the retention leave; before the store is open nothing is asked of it."""
    store = Store(f"sqlite:///{tmp_path}/x.db")
    upkeep = StoreUpkeep(store, Shown(), lambda: 1000.0)
    await upkeep.prune(100.0)
    await upkeep.open()
    for finished in (100.0, 800.0, 950.0, 990.0):
        await add(store, run(finished))
    await upkeep.prune(100.0)
    kept = [each.finished for each in await store.runs(TARGET)]
    await store.close()

    assert [950.0, 990.0] == sorted(kept)
