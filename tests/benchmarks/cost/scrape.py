"""A scrape of many targets of which few, or all, have other results since the last one, beside the client library's
rendering of the same families.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks._rows import Row
from tests.benchmarks.cost._scraped import SERIES, Costs, cells, name
from tests.benchmarks.cost.section import Section

TARGETS = 1000
INTENDED = {"nothing": 0.060, "5 %": 0.150}
"""CPU seconds of a plain scrape, by what changed; gzip has a price of its own."""
MEMORY = 3.0
"""Times the body."""


def rows(quick: bool) -> Iterator[Row]:
    """Each cell, then memory."""
    repeats = 1 if quick else 5
    runs: dict[str, list[Costs]] = {"monitor": [], "library": []}
    for _ in range(repeats):
        for side, found in runs.items():
            found.append(_run(side))
    for cell in cells():
        change, form, encoding = cell
        ours, peers = ([run[name(*cell)][0] for run in runs[side]] for side in ("monitor", "library"))
        ours_median, peers_median = statistics.median(ours), statistics.median(peers)
        goal = INTENDED.get(change) if encoding == "plain" else None
        yield Row(
            f"{form}, {encoding}: {change} changed",
            (
                f"{1000 * ours_median:.0f}",
                f"{1000 * peers_median:.0f}",
                f"{peers_median / ours_median:.0f} ×",
                f"{runs['monitor'][-1][name(*cell)][1] / 1e6:.1f}",
            ),
            "" if goal is None else f"at most {1000 * goal:.0f} ms",
            None if goal is None else ours_median <= goal,
        )
    peak, size = _run("memory")["peak"]
    yield Row(
        "peak of memory: kept bytes and a body",
        ("", "", f"{peak / size:.1f} × a body", f"{peak / 1e6:.1f}"),
        f"at most {MEMORY:.0f} × a body",
        peak <= MEMORY * size,
    )


def _run(side: str) -> Costs:
    command = [sys.executable, "-m", "tests.benchmarks.cost._scraped", side, str(TARGETS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: Costs = json.loads(done.stdout)
    return found


SECTION = Section(
    f"A scrape of {TARGETS:,} targets with {SERIES} series each, by how many have other results since the last one",
    ("CPU ms", "client library", "ratio", "MB"),
    rows,
)
