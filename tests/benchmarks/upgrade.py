"""What it takes to bring up a stored target that another version wrote: `--samples N --windows M --url
sqlite:///PATH|postgresql://...`.

A store is filled with two result sets of a target, as the first release would have left them. It is opened, and the
first pull after the upgrade finds the second set unchanged. Prints the size of a stored set, and

- how long opening took, migrations included,
- how long the last good run and the pinned baseline took to be brought up, and how long the event loop was held
  meanwhile at most,
- how long the same takes at the next pull.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.config import BaselineConfig
from monitor.figures import EvaluationSettings, evaluate
from monitor.pipeline.found import Found
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Policy
from monitor.results import Block, BlockKind, Categorical, Confidences, ResultSet
from monitor.store import Store
from monitor.store.engine import parse
from monitor.store.schema import VERSION_TABLE
from monitor.targets import Target, TargetKey
from tests.benchmarks._sizes import sizes
from tests.factories import result_set, snapshot
from tests.live.live_parts import watch_of
from tests.store.store_sets import TARGET

LABELS = ("five", "four", "one", "three", "two")


def classifier(samples: int, windows: int, seed: int) -> ResultSet:
    """Five classes, right in some 85 %."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 5, samples).repeat(windows).astype(np.int8)
    logits = rng.normal(size=(samples * windows, 5)) + 3.5 * np.eye(5)[label]
    confidences = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    prediction = confidences.argmax(axis=1).astype(np.int8)
    return result_set(
        blocks=(Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6}),),
        labels=LABELS,
        sample_id=np.arange(samples) + 1000,
        added=np.full(samples, np.datetime64("2026-01-02", "ms")),
        device=Categorical.encode(["one"] * samples),
        sample=np.arange(samples, dtype=np.int32).repeat(windows),
        start_ms=np.tile(np.arange(windows) * 500, samples),
        end_ms=np.tile(np.arange(windows) * 500 + 1000, samples),
        label=label,
        prediction=prediction,
        correct=(label == prediction).astype(np.int8),
        confidences={3: Confidences(LABELS, confidences)},
    )


def found(results: ResultSet) -> Found:
    """What a pull finds."""
    fingerprint = results.fingerprint()
    return Found(results, fingerprint, evaluate(results, EvaluationSettings(), 1), None, None)


async def as_before(url: str) -> None:
    """Make what is in a store look as the first release left it: no version, no envelopes."""
    engine = create_async_engine(parse(url))
    async with engine.begin() as connection:
        rows = (await connection.execute(text("SELECT id, evaluation, comparison FROM figures"))).all()
        for number, *documents in rows:
            values = dict(zip("ec", (document and _content(document) for document in documents), strict=True)) | {
                "id": number
            }
            await connection.execute(text("UPDATE figures SET evaluation = :e, comparison = :c WHERE id = :id"), values)
        await connection.execute(text("UPDATE result_set SET fingerprint = 'of another formula ' || id"))
        await connection.execute(text("UPDATE run SET fingerprint = 'of another formula ' || result_set_id"))
        await connection.execute(text("ALTER TABLE result_set DROP COLUMN version"))
        for index in ("ix_run_target_id_id", "ix_run_last_seen"):
            await connection.execute(text(f"DROP INDEX {index}"))
        for column in ("last_seen", "times"):
            await connection.execute(text(f"ALTER TABLE run DROP COLUMN {column}"))
        await connection.execute(text("CREATE INDEX ix_run_target_id_finished ON run (target_id, finished)"))
        await connection.execute(text("CREATE INDEX ix_run_finished ON run (finished)"))
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    await engine.dispose()


def _content(document: str) -> str:
    return document[document.index('"content":') + len('"content":') : -1]


async def held(done: asyncio.Event) -> float:
    """The longest that the event loop was held until `done`, in seconds."""
    longest = 0.0
    while not done.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    return longest


async def measure(url: str, samples: int, windows: int) -> None:
    """Fill, age, open, recompute."""
    first, second = (found(classifier(samples, windows, seed)) for seed in (1, 2))
    policy, target = Policy(BaselineConfig()), Target(TargetKey.parse(TARGET), "p", "i")
    watch, cache = watch_of(target, policy=policy), TargetCache()
    shown = snapshot(target, stale_after=60.0, last_pull=0.0, last_success=None)
    with ThreadPoolExecutor(1) as workers:

        async def pull(recorder: RunRecorder, before: Snapshot, what: Found, now: float) -> Snapshot:
            before, _ = await recorder.recomputer.last_good(policy, before, what, cache)
            after = replace(
                before, last_pull=now, last_success=now, fingerprint=what.fingerprint, evaluation=what.evaluation
            )
            return (await recorder.record(watch, before, after, what, now, cache))[0]

        async with Store(url) as store:
            recorder = RunRecorder(store, workers)
            for now, what in enumerate((first, second)):
                shown = await pull(recorder, shown, what, float(now))
            size = len((await store.pack("another", second.results, second.fingerprint)).data or b"")
        await as_before(url)
        print(f"{samples} samples of {windows} windows, a stored result set of {size / 2**20:.2f} MB")
        began = time.perf_counter()
        async with Store(url) as store:
            print(f"opened in {time.perf_counter() - began:.2f} s")
            recorder = RunRecorder(store, workers)
            cache = TargetCache()
            restored = await recorder.restore(target, 60.0, cache)
            assert restored is not None
            for title in ("first pull after the upgrade", "the next one"):
                done = asyncio.Event()
                watching = asyncio.create_task(held(done))
                began = time.perf_counter()
                before, _ = await recorder.recomputer.last_good(policy, restored, second, cache)
                unchanged = before.fingerprint == second.fingerprint
                pinned = await store.baseline(TARGET, "pinned")
                assert pinned is not None
                run = await store.run(pinned.run_id)
                assert run is not None
                await recorder.recomputer.run(policy, run, second, [])
                seconds = time.perf_counter() - began
                done.set()
                print(
                    f"{title}: {seconds:.2f} s, the event loop held for at most {await watching * 1000:.0f} ms, "
                    f"unchanged: {unchanged}"
                )
                restored = before


def main() -> None:
    """Measure."""
    with sizes(__doc__, 5000) as (url, samples, windows):
        asyncio.run(measure(url, samples, windows))


if __name__ == "__main__":
    main()
