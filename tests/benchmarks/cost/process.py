"""One process and its fleet: in real time, with a scrape every 15 s, Studio in a process of its own."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml

from tests.benchmarks._rows import Row
from tests.benchmarks.cost._address import address
from tests.benchmarks.cost.section import Section

TARGETS = 1_000
OTHERS = (100, 300, 3_000)
PER_PROJECT = 4
SAMPLES = 100
EVERY = 300.0
SCRAPE = 15.0
MEASURED = 900.0
STARTS_WITHIN = 900.0
MB = 1_000_000


@dataclass
class Seen:
    """What one run of the service came to; seconds, bytes.

    Attributes:
        cpu, lasted: Processor seconds of the service, and seconds of the clock, while it was measured.
        resident: Memory after each scrape.
        scrapes: How long each took.
        lags: By how much each probe of the loop was late, the start left out.
        skipped: Scheduled turns that did not start.
        stopped: From SIGTERM to the end.
    """

    cpu: float = 0.0
    lasted: float = 0.0
    resident: list[int] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    skipped: float = 0.0
    stopped: float = 0.0


@contextmanager
def child(*command: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    process = subprocess.Popen([sys.executable, *command], text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def configuration(studio: dict[str, object], folder: Path) -> Path:
    """A file with every project of the Studio."""
    keys: dict[str, str] = studio["keys"]  # type: ignore[assignment]
    content = {
        "studio": {"url": studio["url"]},
        "schedule": {"every": f"{EVERY:g}s"},
        "http": {"listen": "127.0.0.1:0"},
        "projects": [{"id": int(number), "api_key": key} for number, key in keys.items()],
    }
    path = folder / "monitor.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def scrape(url: str) -> tuple[float, str]:
    """Seconds that it took, and the text."""
    started = time.perf_counter()
    with urllib.request.urlopen(f"{url}metrics", timeout=60) as reply:
        body = reply.read()
    return time.perf_counter() - started, body.decode()


def total(text: str, name: str) -> float:
    """The sum of a metric's series."""
    lines = (line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def run(targets: int, measured: float) -> Seen:
    """Serve `targets` until each was pulled, then measure for so many seconds.

    Raises:
        TimeoutError: The first round of pulls did not end in a quarter of an hour.
    """
    seen = Seen()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        projects = str(targets // PER_PROJECT)
        fleet = stack.enter_context(
            child("-m", "tests.benchmarks.cost._fleet_studio", projects, str(SAMPLES), stdout=subprocess.PIPE)
        )
        assert fleet.stdout is not None
        config = configuration(json.loads(fleet.stdout.readline()), folder)
        log, probes = folder / "log", folder / "probes"
        command = ("-m", "tests.benchmarks.cost._probed_service", str(probes), "run", "--config", str(config))
        service = stack.enter_context(child(*command, stderr=stack.enter_context(log.open("w"))))
        url = address(log)
        deadline = time.monotonic() + STARTS_WITHIN
        while total(scrape(url)[1], "edge_impulse_up") < targets:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{targets} targets were not all pulled within {STARTS_WITHIN:g} s")
            time.sleep(SCRAPE)
        process = psutil.Process(service.pid)
        before = len(probes.read_text(encoding="utf-8").splitlines())
        skipped = total(scrape(url)[1], "impulse_monitor_pulls_skipped_total")
        began, cpu = time.monotonic(), sum(process.cpu_times()[:2])
        while time.monotonic() - began < measured:
            time.sleep(SCRAPE)
            seconds, text = scrape(url)
            seen.scrapes.append(seconds)
            seen.resident.append(process.memory_info().rss)
        seen.lasted = time.monotonic() - began
        seen.cpu = sum(process.cpu_times()[:2]) - cpu
        seen.skipped = total(text, "impulse_monitor_pulls_skipped_total") - skipped
        seen.lags = [float(line) for line in probes.read_text(encoding="utf-8").splitlines()[before:]]
        began = time.monotonic()
        service.send_signal(signal.SIGTERM)
        service.wait(60)
        seen.stopped = time.monotonic() - began
    return seen


def p99(values: list[float]) -> float:
    """The 99th percentile; the largest of fewer than a hundred."""
    return statistics.quantiles(values, n=100)[98] if len(values) >= 100 else max(values)


def cells(seen: Seen) -> list[tuple[str, str, str, bool | None]]:
    """Name, measured, intended, and whether it holds, of each line."""
    core = seen.cpu / seen.lasted
    third = len(seen.resident) // 3
    grew = statistics.fmean(seen.resident[-third:]) - statistics.fmean(seen.resident[:third])
    resident = max(seen.resident)
    return [
        ("measured for", f"{seen.lasted / 60:.2g} min", "", None),
        ("turns skipped", f"{seen.skipped:.0f}", "0", seen.skipped == 0),
        ("of one core", f"{core:.1%}", "≤ 12 %", core <= 0.12),
        ("resident, at most", f"{resident / MB:.0f} MB", "≤ 200 MB", resident <= 200 * MB),
        ("last third over the first", f"{grew / MB:+.1f} MB", "≤ 4 MB", grew <= 4 * MB),
        ("scrape, p99", f"{1000 * p99(seen.scrapes):.0f} ms", "≤ 250 ms", p99(seen.scrapes) <= 0.25),
        ("loop lag, p99", f"{1000 * p99(seen.lags):.1f} ms", "≤ 20 ms", p99(seen.lags) <= 0.02),
        ("SIGTERM to the end", f"{seen.stopped:.2f} s", "≤ 3 s", seen.stopped <= 3),
    ]


def growth(seen: dict[int, Seen]) -> Iterator[Row]:
    """How the process grows with its targets, by a line through what each size took, and where that ends."""
    sizes = sorted(seen)
    if len(sizes) < 2:
        return
    core, idle = np.polyfit(sizes, [seen[size].cpu / seen[size].lasted for size in sizes], 1)
    memory, _ = np.polyfit(sizes, [max(seen[size].resident) for size in sizes], 1)
    late = [size for size in sizes if seen[size].skipped]
    yield Row("1,000 targets more: of one core", [f"{1000 * core:+.1%}"])
    yield Row("1,000 targets more: resident", [f"{1000 * memory / MB:+.0f} MB"])
    yield Row("turns are skipped", [f"from {late[0]:,} targets" if late else f"beyond {sizes[-1]:,} targets"])
    yield Row("one core is full, by the line", [f"at {(1 - idle) / core:,.0f} targets" if core > 0 else "not known"])


def rows(quick: bool) -> Iterator[Row]:
    """The promised fleet first, then how it grows and where that ends; quickly: the small ones, for a minute."""
    known: dict[int, Seen] = {}
    for targets in OTHERS[:2] if quick else (TARGETS, *OTHERS):
        promised = targets == TARGETS
        try:
            seen = run(targets, 60.0 if quick else MEASURED if promised else EVERY)
        except TimeoutError:
            if promised:
                raise
            yield Row(f"{targets:,} targets: first pulls", [f"not all within {STARTS_WITHIN / 60:g} min"])
            continue
        known[targets] = seen
        for name, measured, intended, holds in cells(seen):
            yield Row(
                f"{targets:,} targets: {name}", [measured], intended if promised else "", holds if promised else None
            )
    yield from growth(known)


SECTION = Section(
    f"One process: targets of {SAMPLES} samples in projects of {PER_PROJECT}, every {EVERY / 60:g} min, a scrape every"
    f" {SCRAPE:g} s, in real time, for as long as each size's first row says.",
    ["measured"],
    rows,
)
