"""What pulls that say nothing new cost on the disk: `--pulls N` per target, `--targets N`.

A SQLite store is filled with a good run of each target, then with runs that say the same. Prints the bytes by which the
file has grown, and the time, per unchanged pull.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from monitor.errors import PullState
from monitor.store import Run, Store
from tests.store.store_sets import COMPARISON, EVALUATION, result_set

EVERY = 900.0
"""Seconds between two pulls."""


def used(path: Path) -> int:
    """Bytes of the pages in use, the log taken over."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    names = ("page_size", "page_count", "freelist_count")
    size, count, free = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    database.close()
    return int(size * (count - free))


async def measure(path: Path, targets: int, pulls: int) -> None:
    """Fill and print."""
    results = result_set()
    fingerprint = results.fingerprint()
    async with Store(f"sqlite:///{path}") as store:

        async def turn(number: int) -> None:
            for each in range(targets):
                target, now = f"{each}-1-int8-testing", number * EVERY
                run = Run(target, now - 5, now, PullState.OK, fingerprint, evaluation=EVALUATION, comparison=COMPARISON)
                packed = await store.pack(target, results, fingerprint)
                async with store.transaction() as tx:
                    await tx.add_run(replace(run, trained=1.0), packed)

        await turn(1)
        before, began = used(path), time.perf_counter()
        for number in range(2, pulls + 2):
            await turn(number)
        seconds, after = time.perf_counter() - began, used(path)
    count = targets * pulls
    print(f"{count} unchanged pulls of {targets} targets: the file grew by {(after - before) / count:.1f} bytes a pull")
    print(f"{seconds / count * 1000:.2f} ms a pull")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--pulls", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "store.db", options.targets, options.pulls))


if __name__ == "__main__":
    main()
