"""Kills a writing process at random moments, and counts acknowledged runs that the store has lost.

`python -m tests.benchmarks store_kill [--times 50]`; exit code 0 where every store opened, passed SQLite's integrity
check, had every acknowledged run with its result set, and exactly one message for each run that it had.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from monitor.store import Message, Store
from tests.store.store_sets import EVALUATION, TARGET, result_set, run

OPENING = "opening"
LONGEST = 0.8
"""Seconds from the writer's start to the kill, at most: what precedes the first run, its migrations
too, is part of it.
"""


async def write(url: str) -> None:
    """Write runs, each with a result set of its own, and say each one's number once it is acknowledged; never ends."""
    print(OPENING, flush=True)
    async with Store(url) as store:
        for number in count(time.time_ns()):
            results = result_set(100 + number % 900, seed=number)
            packed = await store.pack(TARGET, results, results.fingerprint())
            async with store.transaction() as tx:
                written = await tx.add_run(
                    replace(run(number), fingerprint=packed.fingerprint, evaluation=EVALUATION), packed
                )
                await tx.enqueue(Message("chat", str(written), number, b""))
            print(written, flush=True)


def killed(url: str, after: float) -> list[int]:
    """Start a writer, kill it some seconds after it began to open the store, and return what it acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.store_kill", "--write", url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout as said:
        assert said.readline().strip() == OPENING
        time.sleep(after)
        assert process.poll() is None, "the writer ended by itself"
        process.kill()
        return [int(line) for line in said.read().splitlines(keepends=True) if line.endswith("\n")]


async def lost(path: Path, acknowledged: list[int]) -> list[str]:
    """What is wrong with the store after a kill; empty where all is well."""
    async with Store(f"sqlite:///{path}") as store:
        kept = {found.id: found for found in await store.runs(TARGET)}
        wrong = [f"run {number} is gone" for number in acknowledged if number not in kept]
        if {str(number) for number in kept} != {message.subject for message in await store.messages("chat")}:
            wrong.append("runs and messages do not match")
        if kept:
            newest = max(number for number in kept if number is not None)
            results = await store.results(newest)
            if results is None or results.fingerprint() != kept[newest].fingerprint:
                wrong.append(f"run {newest} has another result set")
    with sqlite3.connect(path) as connection:
        wrong += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        wrong += [f"dangling reference in {row[0]}" for row in connection.execute("PRAGMA foreign_key_check")]
    connection.close()
    return wrong


def main() -> int:
    """Kill, open, count; as often as told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="how often to kill")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    parser.add_argument("--write", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        asyncio.run(write(arguments.write))
    rng = random.Random(arguments.seed)
    acknowledged: list[int] = []
    problems = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        for kill in range(1, arguments.times + 1):
            after = rng.uniform(0, LONGEST)
            acknowledged += killed(f"sqlite:///{path}", after)
            wrong = asyncio.run(lost(path, acknowledged))
            problems += len(wrong)
            print(
                f"kill {kill:3} after {after:.3f} s: {len(acknowledged)} runs acknowledged so far; "
                f"{'; '.join(wrong) or 'all there'}",
                flush=True,
            )
    print(f"{arguments.times} kills, {len(acknowledged)} acknowledged runs, {problems} problems")
    return int(problems > 0 or not acknowledged)


if __name__ == "__main__":
    sys.exit(main())
