"""What the lists of samples that changed sides cost: `--samples N --windows M --url sqlite:///PATH|postgresql://...`.

A classifier of five classes is trained again on the same samples. Prints processor seconds, of all threads,

- of the lists of such a change, which is what each changed result set takes once: five times, and of pairing windows
  in it,
- of writing them into a store, and how many bytes that is,
- of a page of 50 from the middle of the longest list, as JSON: the mean of 100, and how long it takes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from monitor.compare.changed_windows import ChangedSamples, changed_samples
from monitor.compare.pairing import pair
from monitor.results import Categorical, ResultSet
from monitor.store import Store
from monitor.store.changed_samples import CHANGED
from monitor.views.samples import Wanted, as_json, samples_page
from tests.benchmarks._sizes import sizes
from tests.benchmarks.upgrade import classifier
from tests.store.store_sets import TARGET

SITE = "https://studio.example.com"
PAGES = 100
ROUNDS = 5


@contextmanager
def timed(what: str, times: int = 1) -> Iterator[None]:
    """Print what the block costs, divided by `times`."""
    processor, clock = time.process_time(), time.perf_counter()
    yield
    processor, clock = (time.process_time() - processor) / times, (time.perf_counter() - clock) / times
    print(f"{what:24}{processor * 1000:9.1f} ms of a processor{clock * 1000:9.1f} ms")


def trained_again(run: ResultSet, seed: int) -> ResultSet:
    """The same samples and labels, with what another model says: right in some 85 % too."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(run.windows, len(run.labels))) + 3.5 * np.eye(len(run.labels))[run.label]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    prediction = values.argmax(axis=1).astype(np.int8)
    correct = (prediction == run.label).astype(np.int8)
    return replace(
        run, prediction=prediction, correct=correct, confidences={3: replace(run.confidences[3], values=values)}
    )


def sets(samples: int, windows: int) -> tuple[ResultSet, ResultSet]:
    """Before and after."""
    names = Categorical.encode([f"clip.{number:08x}.cbor" for number in range(samples)])
    before = replace(classifier(samples, windows, 1), filename=names)
    return before, trained_again(before, 2)


async def serve(url: str, changed: ChangedSamples) -> None:
    """Write the lists, and read pages."""
    async with Store(url) as store:
        with timed("writing them"):
            async with store.transaction() as tx:
                await tx.put_changed_samples(TARGET, ("before", "now"), changed)
        size = sum(len(state.value) for state in await store.states(CHANGED, TARGET))
        kind = max(changed.lists, key=lambda each: len(changed.lists[each]))
        index = await store.changed_index(TARGET)
        assert index is not None
        page = await samples_page(store, TARGET, Wanted(kind, limit=len(changed.lists[kind]) // 2), SITE)
        wanted = Wanted(kind, after=page.next or "")
        with timed("a page of 50", PAGES):
            for _ in range(PAGES):
                body = json.dumps(as_json(await samples_page(store, TARGET, wanted, SITE)))
    print(f"{size / 2**20:.2f} MB for {sum(map(len, changed.lists.values())):,} windows; a page of {len(body):,} bytes")


def measure(url: str, samples: int, windows: int) -> None:
    """List, write, read."""
    before, after = sets(samples, windows)
    changed_samples(*sets(100, 2))  # imports and first calls are no part of it
    for _ in range(ROUNDS):
        with timed("the lists"):
            changed = changed_samples(before, after)
    with timed("of which pairing"):
        pair(before, after)
    print(
        f"{samples:,} samples of {windows} windows: " + ", ".join(f"{n:,} {kind}" for kind, n in changed.counts.items())
    )
    asyncio.run(serve(url, changed))


def main() -> None:
    """Measure."""
    with sizes(__doc__, 50_000) as (url, samples, windows):
        measure(url, samples, windows)


if __name__ == "__main__":
    main()
