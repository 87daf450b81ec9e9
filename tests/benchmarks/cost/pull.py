"""A pull of an unchanged set beside the least that it could take and beside other ways, each in a process of its own.

The simulator serves what it rendered before, in a process of its own, so that only the clients are measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from tests.benchmarks._rows import Row
from tests.benchmarks.cost import _pull_service
from tests.benchmarks.cost._pull_sides import Asked
from tests.benchmarks.cost.section import Section

SETS = ((20_000, 1), (10_000, 10))
"""Samples, and windows of each."""
INTENDED = {("floor", 1): 1.35, ("floor", 10): 1.8}
"""What the monitor takes at most, as a multiple of the peer."""
FASTER = {("vendor", 1): 18.0, ("vendor", 10): 10.0, ("dictionaries", 1): 4.0, ("dictionaries", 10): 2.5}
"""What the peer takes at least, as a multiple of the monitor."""
NAMES = {
    "floor": "fetch and decode alone (aiohttp, msgspec)",
    "vendor": "the vendor's client",
    "dictionaries": "requests, json, dictionaries",
}
VENDORS_PAGE = 300
ALTERNATIONS = 5
LAG = 0.020
SCRAPED = 50_000
MB = 1_000_000


@contextmanager
def studio(samples: int, windows: int, *options: str) -> Iterator[Asked]:
    """A Studio with one project of so many samples."""
    command = [sys.executable, "-m", "monitor.simulator", "--bulk", str(samples), "--windows", str(windows), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            served = json.loads(process.stdout.readline())
            (project,) = served["projects"]
            yield Asked(served["url"], project["id"], project["api_key"], samples)
        finally:
            process.kill()


def run(side: str, asked: Asked) -> dict[str, Any]:
    """One pull by one side.

    Raises:
        AssertionError: It did not find all samples.
    """
    command = [sys.executable, "-m", "tests.benchmarks.cost._pull_sides", side, json.dumps(asdict(asked))]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert found["samples"] == asked.samples, f"{side} found {found['samples']} samples"
    return found


def known(asked: Asked) -> Asked:
    """With the fingerprint of the set, and the size of the monitor's pages."""
    first = run("monitor", asked)
    second = run("monitor", replace(asked, known=first["fingerprint"]))
    return replace(asked, known=first["fingerprint"], size=-(-asked.samples // second["requests"]))


def compared(side: str, asked: Asked, times: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The monitor and a peer, one after the other, so many times."""
    mine = []
    theirs = []
    for _ in range(times):
        mine.append(run("monitor", asked))
        theirs.append(run(side, replace(asked, size=VENDORS_PAGE) if side == "vendor" else asked))
        if "accuracy" in theirs[-1]:
            assert abs(mine[-1]["accuracy"] - theirs[-1]["accuracy"]) < 1e-12, f"{side} found another accuracy"
    return mine, theirs


def median(found: list[dict[str, Any]], name: str) -> float:
    """Of several runs."""
    return statistics.median(each[name] for each in found)


def cost_row(what: str, side: str, windows: int, seconds: float, peers: float) -> Row:
    """Processor time beside a peer's."""
    measured = [f"{seconds:.2f} s", f"{peers:.2f} s"]
    if (at_most := INTENDED.get((side, windows))) is not None:
        ratio = seconds / peers
        return Row(f"{what}: {NAMES[side]}", [*measured, f"{ratio:.2f} ×"], f"at most {at_most:g} ×", ratio <= at_most)
    at_least = FASTER[side, windows]
    ratio = peers / seconds
    return Row(
        f"{what}: {NAMES[side]}", [*measured, f"1 / {ratio:.1f}"], f"at most 1 / {at_least:g}", ratio >= at_least
    )


def of_one_set(samples: int, windows: int, times: int) -> Iterator[Row]:
    """All that is measured of one set."""
    what = f"{samples:,} samples × {windows}"
    with studio(samples, windows, "--plain") as asked:
        asked = known(asked)
        for side in NAMES:
            mine, theirs = compared(side, asked, min(times, 2) if side == "vendor" else times)
            yield cost_row(what, side, windows, median(mine, "cpu"), median(theirs, "cpu"))
            if side == "dictionaries":
                peaks = median(mine, "peak"), median(theirs, "peak")
                cells = [f"{peak / MB:.0f} MB" for peak in peaks]
                ratio = peaks[0] / peaks[1]
                yield Row(
                    f"{what}: peak memory, beside the last", [*cells, f"{ratio:.2f} ×"], "at most 0.5 ×", ratio <= 0.5
                )
        late = statistics.median(run("lag", asked)["lag"] for _ in range(times))
        yield Row(f"{what}: loop lag, p99", [f"{1000 * late:.1f} ms", "", ""], "below 20 ms", late < LAG)
    with studio(samples, windows) as asked:
        mine, theirs = compared("floor", known(asked), times)
        seconds = median(mine, "cpu")
        peers = median(theirs, "cpu")
        yield Row(f"{what}, gzip: {NAMES['floor']}", [f"{seconds:.2f} s", f"{peers:.2f} s", f"{seconds / peers:.2f} ×"])


def rows(quick: bool) -> Iterator[Row]:
    """All rows."""
    for samples, windows in SETS:
        yield from of_one_set(samples // 10 if quick else samples, windows, 1 if quick else ALTERNATIONS)
    scraped = SCRAPED // 10 if quick else SCRAPED
    with studio(scraped, 10) as asked:
        busy, idle, peak = _pull_service.scraped(asked)
    measured = [f"{1000 * busy:.0f} ms", f"{1000 * idle:.0f} ms", ""]
    yield Row(f"{scraped:,} × 10: a scrape meanwhile, p99, idle", measured)
    yield Row(f"{scraped:,} × 10: peak of the service", [f"{peak / MB:.0f} MB", "", ""])


SECTION = Section(
    "Processor time of a pull of an unchanged set: requests, decoding, columns, fingerprint.",
    ("monitor", "peer", "ratio"),
    rows,
)
