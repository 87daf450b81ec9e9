"""What a scrape of the service waits while it pulls a large set."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
import yaml

from tests.benchmarks._memory import peak
from tests.benchmarks.cost._address import address
from tests.benchmarks.cost._pull_sides import Asked

EVERY = 0.05
IDLE = 5.0


def scraped(asked: Asked) -> tuple[float, float, int]:
    """The 99th percentile of a `/metrics` request in seconds, while the service pulls and afterwards; and the service's
    peak of resident memory in bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "monitor.yaml"
        log = Path(folder) / "log"
        content = {
            "studio": {"url": asked.url},
            "schedule": {"every": "1h"},
            "http": {"listen": "127.0.0.1:0"},
            "projects": [{"id": asked.project, "api_key": asked.key, "variants": ["int8"]}],
        }
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        command = [sys.executable, "-m", "monitor", "run", "--config", str(config)]
        with log.open("w") as stream, subprocess.Popen(command, stderr=stream) as service:
            try:
                busy, idle = asyncio.run(_measure(address(log)))
                return _p99(busy), _p99(idle), peak(psutil.Process(service.pid))
            finally:
                service.terminate()


async def _measure(address: str) -> tuple[list[float], list[float]]:
    """Seconds of each request, until the pull has ended, and afterwards."""
    busy: list[float] = []
    idle: list[float] = []
    async with aiohttp.ClientSession() as session:
        while not await _scrape(session, address, busy):
            await asyncio.sleep(EVERY)
        ends = time.monotonic() + IDLE
        while time.monotonic() < ends:
            await _scrape(session, address, idle)
            await asyncio.sleep(EVERY)
    return busy, idle


async def _scrape(session: aiohttp.ClientSession, address: str, seconds: list[float]) -> bool:
    """Whether a pull has ended."""
    began = time.perf_counter()
    async with session.get(f"{address}metrics") as response:
        text = await response.text()
    seconds.append(time.perf_counter() - began)
    return any(
        line.startswith("impulse_monitor_pull_duration_seconds_sum") and float(line.split()[-1]) > 0
        for line in text.splitlines()
    )


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]
