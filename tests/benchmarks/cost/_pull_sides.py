"""One pull in a process of its own, the monitor's or a peer's: `python -m tests.benchmarks.cost._pull_sides SIDE JSON`.

Prints as JSON the seconds of processor time that the pull took, imports apart, the peak of resident memory in bytes,
and what was found: samples, windows, and the share of windows that Studio calls correct.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import psutil

from monitor.targets import TargetKey
from tests.benchmarks._memory import peak

TICK = 0.002
"""Seconds between two looks at how late the event loop is."""


@dataclass(frozen=True)
class Asked:
    """What a side is to pull.

    Attributes:
        url: Of Studio.
        project: Its only one.
        key: The project's.
        samples: How many it has.
        size: Samples per page, where the side does not choose.
        known: Fingerprint of the result set; None: not known yet.
    """

    url: str
    project: int
    key: str
    samples: int
    size: int = 0
    known: str | None = None

    @property
    def page(self) -> str:
        """Address of the call."""
        return f"{self.url}/api/{self.project}/classify/all/result/page"

    def query(self, offset: int) -> dict[str, str]:
        """Of one page."""
        target = {"variant": "int8", "impulseId": "1", "category": "testing"}
        return {"limit": str(self.size), "offset": str(offset), **target}

    def offsets(self) -> Iterator[int]:
        """Where the pages begin."""
        return iter(range(0, self.samples, self.size))


class _Counted:
    """An observer that counts requests."""

    def __init__(self) -> None:
        self.requests = 0

    def request(self, call: str, code: str, seconds: float) -> None:
        self.requests += 1

    def retry(self, reason: str) -> None: ...
    def received(self, nbytes: int) -> None: ...
    def unknown(self, field: str, count: int = 1) -> None: ...


def monitor(asked: Asked, beside: Callable[[], Awaitable[object]] | None = None) -> dict[str, Any]:
    """The monitor's own: requests, decoding, columns, fingerprint."""
    from monitor.studio.client import Client
    from monitor.studio.project import StudioProject
    from monitor.studio.pull import pull

    counted = _Counted()

    async def run() -> Any:
        async with Client(asked.url, counted) as client:
            watching = asyncio.ensure_future(beside()) if beside else None
            key = TargetKey(asked.project, 1, "int8", "testing")
            results = await pull(StudioProject(client, asked.project, asked.key), key, known=asked.known)
        if watching:
            watching.cancel()
        return results

    began = time.process_time()
    results = asyncio.run(run())
    fingerprint = results.fingerprint()
    seconds = time.process_time() - began
    scored = results.correct[results.correct >= 0]
    found = {"samples": results.samples, "windows": results.windows, "accuracy": float(scored.mean())}
    return {"cpu": seconds, **found, "fingerprint": fingerprint, "requests": counted.requests}


def lag(asked: Asked) -> dict[str, Any]:
    """The monitor's own, and how late the event loop was meanwhile: the 99th percentile, in seconds."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - before - TICK)

    found = monitor(asked, watch)
    return {**found, "lag": statistics.quantiles(late, n=100)[98]}


def floor(asked: Asked) -> dict[str, Any]:
    """Fetch and decode of the same fields alone, three pages under way: aiohttp and msgspec, and nothing is kept."""
    import aiohttp
    import msgspec

    from tests.benchmarks.cost import _pull_fields

    decoder = msgspec.json.Decoder(_pull_fields.Page)
    found = {"samples": 0, "windows": 0}

    async def run() -> None:
        headers = {"x-api-key": asked.key, "Accept-Encoding": "gzip"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def get(offset: int) -> _pull_fields.Page:
                async with session.get(asked.page, params=asked.query(offset)) as response:
                    return decoder.decode(await response.read())

            offsets = asked.offsets()
            ahead: deque[asyncio.Task[_pull_fields.Page]] = deque()
            while True:
                ahead.extend(asyncio.create_task(get(offset)) for offset in islice(offsets, 3 - len(ahead)))
                if not ahead:
                    return
                page = await ahead.popleft()
                found["samples"] += len(page.result or ())
                found["windows"] += len(page.predictions or ())

    began = time.process_time()
    asyncio.run(run())
    return {"cpu": time.process_time() - began, **found}


def dictionaries(asked: Asked) -> dict[str, Any]:
    """The obvious way: `requests`, `json`, and lists of dictionaries."""
    import requests

    began = time.process_time()
    samples: list[Any] = []
    predictions: list[Any] = []
    with requests.Session() as session:
        session.headers["x-api-key"] = asked.key
        for offset in asked.offsets():
            response = session.get(asked.page, params=asked.query(offset), timeout=60)
            page = json.loads(response.content)
            samples += page["result"]
            predictions += page["predictions"]
    verdicts = Counter(row.get("predictionCorrect") for row in predictions)
    seconds = time.process_time() - began
    accuracy = verdicts[True] / (verdicts[True] + verdicts[False])
    return {"cpu": seconds, "samples": len(samples), "windows": len(predictions), "accuracy": accuracy}


def vendor(asked: Asked) -> dict[str, Any]:
    """The vendor's generated client. It refuses every threshold's value: they are cut from the replies before it reads
    them, and that time is not counted.
    """
    import re

    from edgeimpulse_api import ApiClient, ClassifyApi, Configuration

    value = re.compile(rb'("thresholds":\[[^\]]*?),"value":[^,}\]]+')
    cutting = 0.0

    class Client(ApiClient):
        def request(self, *arguments: Any, **options: Any) -> Any:
            nonlocal cutting
            response = super().request(*arguments, **options)
            began = time.process_time()
            text = response.data
            while (cut := value.sub(rb"\1", text)) != text:
                text = cut
            response.data = text
            cutting += time.process_time() - began
            return response

    began = time.process_time()
    api = ClassifyApi(Client(Configuration(host=asked.url), header_name="x-api-key", header_value=asked.key))
    samples: list[Any] = []
    predictions: list[Any] = []
    for offset in asked.offsets():
        page = api.get_classify_job_result_page(
            asked.project, limit=asked.size, offset=offset, variant="int8", impulse_id=1, category="testing"
        )
        samples += page.result
        predictions += page.predictions
    verdicts = Counter(row.prediction_correct for row in predictions)
    seconds = time.process_time() - began - cutting
    accuracy = verdicts[True] / (verdicts[True] + verdicts[False])
    return {"cpu": seconds, "samples": len(samples), "windows": len(predictions), "accuracy": accuracy}


SIDES: dict[str, Callable[[Asked], dict[str, Any]]] = {
    each.__name__: each for each in (monitor, lag, floor, dictionaries, vendor)
}


if __name__ == "__main__":
    result = SIDES[sys.argv[1]](Asked(**json.loads(sys.argv[2])))
    print(json.dumps({**result, "peak": peak(psutil.Process())}))
