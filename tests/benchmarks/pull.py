"""A pull of 50,000 samples (some 370 MB of JSON): memory, what a scrape waits meanwhile, and the ratio to a pull
written the obvious way.

The simulator, the service and the obvious pull each run as a process of their own, on loopback. Prints

- the peak of resident memory of the service and of the obvious pull, in MB and as a ratio,
- how long each took, and the ratio,
- the 99th percentile of a `/metrics` request while the service pulls, beside that of the idle service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import yaml

PAGE = 1000


def obvious(url: str, project: int, key: str) -> None:
    """Sequential pages, `json`, dictionaries; prints its own peak memory in bytes, seconds and accuracy as JSON."""
    samples: list[Any] = []
    started, predictions, total = time.monotonic(), [], None
    while total is None or len(samples) < total:
        query = f"limit={PAGE}&offset={len(samples)}&variant=int8&impulseId=1&category=testing"
        request = urllib.request.Request(
            f"{url}/api/{project}/classify/all/result/page?{query}", headers={"x-api-key": key}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            page = json.loads(response.read())
        samples += page["result"]
        predictions += page["predictions"]
        total = page["totalCount"]
    verdicts = Counter(row.get("predictionCorrect") for row in predictions)
    accuracy = verdicts[True] / (verdicts[True] + verdicts[False])
    print(json.dumps({"peak": _peak(psutil.Process()), "seconds": time.monotonic() - started, "accuracy": accuracy}))


def _peak(process: psutil.Process) -> int:
    """The largest resident memory so far, in bytes: what the kernel keeps where it does, else what is resident now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return int(process.memory_info().rss)
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def _scrapes(session: aiohttp.ClientSession, url: str, ends: asyncio.Event) -> list[float]:
    """Seconds of each request, one every 50 ms, until `ends`."""
    seconds = []
    while not ends.is_set():
        started = time.perf_counter()
        async with session.get(url) as response:
            await response.read()
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(0.05)
    return seconds


async def _measure(address: str, service: psutil.Process) -> dict[str, Any]:
    """Scrape until the pull has ended, then as long again while the service is idle."""
    async with aiohttp.ClientSession() as session:
        url, ends = f"{address}metrics", asyncio.Event()
        scraping = asyncio.create_task(_scrapes(session, url, ends))
        seconds = None
        while seconds is None:
            await asyncio.sleep(0.2)
            async with session.get(url) as response:
                for line in (await response.text()).splitlines():
                    if line.startswith("impulse_monitor_pull_duration_seconds_sum") and float(line.split()[-1]) > 0:
                        seconds = float(line.split()[-1])
                    if line.startswith("edge_impulse_accuracy_ratio{"):
                        accuracy = float(line.split()[-1])
        ends.set()
        busy, peak = await scraping, _peak(service)
        ends = asyncio.Event()
        scraping = asyncio.create_task(_scrapes(session, url, ends))
        await asyncio.sleep(min(seconds, 10.0))
        ends.set()
        return {"seconds": seconds, "peak": peak, "busy": busy, "idle": await scraping, "accuracy": accuracy}


def _p99(seconds: list[float]) -> str:
    return f"{1000 * statistics.quantiles(seconds, n=100)[98]:7.1f} ms of {len(seconds)} requests"


def main() -> None:
    """Run both, print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--obvious", nargs=3, metavar=("URL", "PROJECT", "KEY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.obvious:
        obvious(options.obvious[0], int(options.obvious[1]), options.obvious[2])
        return
    simulator = subprocess.Popen(
        [sys.executable, "-m", "monitor.simulator", "--bulk", str(options.samples)], stdout=subprocess.PIPE, text=True
    )
    service = None
    try:
        assert simulator.stdout is not None
        studio = json.loads(simulator.stdout.readline())
        (project,) = studio["projects"]
        with tempfile.TemporaryDirectory() as folder:
            config, log = Path(folder) / "monitor.yaml", Path(folder) / "log"
            entry = {"id": project["id"], "api_key": project["api_key"], "variants": ["int8"]}
            content = {
                "studio": {"url": studio["url"]},
                "schedule": {"every": "1h"},
                "http": {"listen": "127.0.0.1:0"},
                "projects": [entry],
            }
            config.write_text(yaml.safe_dump(content), encoding="utf-8")
            with log.open("w") as stream:
                service = subprocess.Popen(
                    [sys.executable, "-m", "monitor", "run", "--config", str(config)], stderr=stream
                )
            address = None
            while address is None:
                time.sleep(0.1)
                lines = [json.loads(line) for line in log.read_text().splitlines()]
                address = next((line["url"] for line in lines if line["event"] == "service.started"), None)
            found = asyncio.run(_measure(address, psutil.Process(service.pid)))
            service.terminate()
            service.wait(20)
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.pull",
            "--obvious",
            studio["url"],
            str(project["id"]),
            project["api_key"],
        ]
        other = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout)
    finally:
        for process in (service, simulator):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    assert abs(found["accuracy"] - other["accuracy"]) < 1e-12, "the two pulls disagree"
    print(f"{options.samples} samples, 10 windows each; accuracy {found['accuracy']:.6f} by both")
    for name, unit, scale in (("peak", "MB", 1e6), ("seconds", "s", 1.0)):
        mine, theirs = found[name] / scale, other[name] / scale
        print(f"{name:8} service {mine:8.1f} {unit:2}   obvious {theirs:8.1f} {unit:2}   ratio {mine / theirs:.2f}")
    print(f"/metrics p99 while pulling {_p99(found['busy'])}, idle {_p99(found['idle'])}")


if __name__ == "__main__":
    main()
