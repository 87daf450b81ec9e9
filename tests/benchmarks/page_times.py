"""How long each page takes with 1,000 targets of which two have large result sets: `--samples N --windows M --url
sqlite:///PATH|postgresql://...`.

Two sets of a classifier (`windows` per sample) and of a box detector (one image per sample) are recorded as pulls of
them would be. Then each page is asked for twice: as the first one after a start of the service, and again. Prints the
time on the clock, the processor time of all threads, and how long the event loop was held at most. Goal: each under
300 ms on a quiet machine, the first time too.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import aiohttp

from monitor.config import BaselineConfig
from monitor.figures import EvaluationSettings, evaluate
from monitor.pipeline.found import Found
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Policy
from monitor.results import ResultSet
from monitor.store import Store
from monitor.targets import Target
from tests.benchmarks._sizes import sizes
from tests.benchmarks.changed_samples import sets
from tests.benchmarks.cost.evaluation_jobs import detector
from tests.benchmarks.upgrade import held
from tests.factories import snapshot
from tests.live.live_parts import watch_of
from tests.web.fleet_service import fleet_live, model, serving, target

TARGETS = 1_000
CLASSIFIER, DETECTOR = target(1), target(2)
OF_A_TARGET = (
    "targets/{}",
    "targets/{}?kind=fixed&range=all",
    "targets/{}/samples",
    "targets/{}/samples?kind=fixed",
    "api/v1/targets/{}/samples",
    "api/v1/targets/{}/scores",
    "api/v1/targets/{}/confusion",
    "api/v1/targets/{}/history",
)
PAGES = {
    "": "",
    "?sort=change&page=7": "",
    "alerts": "",
    **{page.format(CLASSIFIER.key.id): "classifier" for page in OF_A_TARGET},
    f"targets/{CLASSIFIER.key.id}/samples?label=one&prediction=two": "classifier",
    **{page.format(DETECTOR.key.id): "detector" for page in OF_A_TARGET},
}
"""Each page, and which of the two models it is of."""


async def recorded(recorder: RunRecorder, of: Target, results: tuple[ResultSet, ResultSet]) -> Snapshot:
    """What is known of a target after pulls of these result sets."""
    shown = snapshot(of, stale_after=900.0, last_pull=0.0, last_success=None)
    watch = watch_of(of, policy=Policy(BaselineConfig()))
    cache = TargetCache()
    for place, each in enumerate(results):
        now = time.time() - 60 * (2 - place)
        evaluation = await asyncio.to_thread(evaluate, each, EvaluationSettings(), 1)
        what = Found(each, each.fingerprint(), evaluation, now - 600, None)
        after = replace(shown, last_pull=now, last_success=now, fingerprint=what.fingerprint, evaluation=evaluation)
        shown = (await recorder.record(watch, shown, after, what, now, cache))[0]
    return shown


async def timed(session: aiohttp.ClientSession, address: str, page: str) -> tuple[float, float, float]:
    """Milliseconds of the clock, of the processor, and of the event loop being held."""
    done = asyncio.Event()
    watching = asyncio.create_task(held(done))
    await asyncio.sleep(0.01)
    clock, processor = time.perf_counter(), time.process_time()
    async with session.get(address + page) as answer:
        await answer.read()
        assert 200 == answer.status, (page, answer.status)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    done.set()
    return clock * 1000, processor * 1000, await watching * 1000


async def measure(url: str, samples: int, windows: int) -> None:
    """Record, serve, ask."""
    with ThreadPoolExecutor(2) as workers:
        async with Store(url) as store:
            recorder = RunRecorder(store, workers)
            large = [
                await recorded(recorder, CLASSIFIER, sets(samples, windows)),
                await recorded(recorder, DETECTOR, (detector(samples, 5), detector(samples, 5, moved=0.1))),
            ]
    live = fleet_live(*large, *(model(target(number)) for number in range(3, TARGETS + 1)))
    print(f"{'':66}{'clock':>9}{'CPU':>9}{'held':>9}   again")
    for page in PAGES:
        async with Store(url) as store, serving(live, store) as address, aiohttp.ClientSession() as session:
            await timed(session, address, "login")  # imports
            await asyncio.sleep(2)  # templates are compiled while a service starts
            first = await timed(session, address, page)
            again = await timed(session, address, page)
        print(f"/{page:65}" + "".join(f"{each:6.0f} ms" for each in first) + f"{again[0]:6.0f} ms")


def main() -> None:
    """Measure."""
    with sizes(__doc__, 50_000) as (url, samples, windows):
        asyncio.run(measure(url, samples, windows))


if __name__ == "__main__":
    main()
