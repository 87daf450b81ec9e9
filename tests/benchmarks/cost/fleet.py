"""What sharing turns through PostgreSQL costs, and what one, two and three workers pull beside the local engine.

Turns of the queue do nothing here: what they take is the queue's, in the process that plans, offers and takes them and
in the server. The processes that pull are asked for more than they can, with Studio, PostgreSQL and all of them on one
machine: it is the machine's cores that bound them, so the processor time of a pull says more than how many there were.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from monitor.engine.base import Turn
from monitor.engine.fleet import FleetEngine
from monitor.engine.local import Scheduler
from monitor.engine.times import Grid
from monitor.store import Store
from monitor.store.fleet import FleetSession
from tests.benchmarks._rows import Row
from tests.benchmarks.cost import _stores
from tests.benchmarks.cost._address import address
from tests.benchmarks.cost.process import STARTS_WITHIN, child, p99, scrape, total
from tests.benchmarks.cost.section import Section
from tests.store.postgres_server import DATABASE, Server

PROJECTS, PER_PROJECT, SAMPLES = 100, 4, 100
RATES = (10, 100)
"""Turns a second that are due."""
WORKERS = (1, 2, 3)
SETTLES = 4.0
"""Seconds after which turns come as they are planned."""
MOST_PER_TURN = 0.002
"""Seconds of the processor that the queue may take for a turn."""


@dataclass
class Turns:
    """Counts turns, as the engine's observer.

    Attributes:
        done: How many ended.
        waits: Seconds from when each was due until it was taken.
    """

    done: int = 0
    waits: list[float] = field(default_factory=list)

    def turn(self, outcome: str) -> None:
        """Count one."""
        self.done += outcome == "done"

    def turn_waited(self, seconds: float) -> None:
        """Note how long one waited."""
        self.waits.append(seconds)

    def turns_due(self, number: int | None) -> None: ...
    def heartbeat(self, now: float) -> None: ...
    def loop_lag(self, seconds: float) -> None: ...
    def skipped(self, reason: str) -> None: ...


def server_cpu(server: Server) -> float:
    """Seconds of the processor that the server's processes have taken."""
    pid = int((server.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    postmaster = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (postmaster, *postmaster.children()))


async def queue_turns(server: Server, projects: int, every: float, seconds: float) -> tuple[Turns, float, float]:
    """Take turns that do nothing, of so many projects each every so many seconds: those of so many seconds, and the
    processor time of this process and of the server meanwhile.
    """
    counted = Turns()
    local = Scheduler(counted)
    url = server.url(DATABASE)
    async with Store(url, few_connections=True):
        session = FleetSession(url, "benchmark")
        await session.open()
        engine = FleetEngine(local, session, url, works=True, observer=counted, clock=time.time)
        try:
            for number in range(projects):
                times = Grid(every, every * number / projects)
                engine.add(f"turn {number}", times, _nothing, every * (number + 1) / projects, group=str(number))
            await engine.lead()
            engine.start()
            await asyncio.sleep(SETTLES)
            counted.done = 0
            counted.waits.clear()
            own, others = time.process_time(), server_cpu(server)
            await asyncio.sleep(seconds)
            return counted, time.process_time() - own, server_cpu(server) - others
        finally:
            await engine.follow()
            await engine.stop(1.0)
            await session.close()


async def _nothing(_turn: Turn) -> None:
    """What a turn of the queue does here."""


def queue_rows(quick: bool) -> Iterator[Row]:
    """What a turn takes, without what a process and a server take that have none."""
    seconds = 10.0 if quick else 60.0
    with _stores.postgresql() as server:
        _, *idle = asyncio.run(queue_turns(server, 1, 3600.0, seconds))
        for rate in RATES:
            counted, own, others = asyncio.run(queue_turns(server, rate, 1.0, seconds))
            each = (own + others - sum(idle)) / max(1, counted.done)
            name = f"{rate} turns a second"
            parts = [f"{1000 * part / max(1, counted.done):.2f} ms" for part in (own - idle[0], others - idle[1])]
            cell = f"{1000 * each:.2f} ms: {parts[0]} + {parts[1]}"
            yield Row(f"{name}: of the queue, worker + server", [cell], "≤ 2 ms", each <= MOST_PER_TURN)
            yield Row(f"{name}: put → start, p50", [f"{1000 * statistics.median(counted.waits):.0f} ms"])
            yield Row(f"{name}: put → start, p99", [f"{1000 * p99(counted.waits):.0f} ms"])


@dataclass(frozen=True)
class Pulled:
    """Pulls a second, and seconds of the processor that one took: of the processes, and of the server."""

    rate: float
    own: float
    server: float


def pulled(workers: int, seconds: float) -> Pulled:
    """What so many workers pull that have more to pull than they can; none: the local engine, with SQLite."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = ("-m", "tests.benchmarks.cost._fleet_studio", str(PROJECTS), str(SAMPLES))
        studio = stack.enter_context(child(*command, stdout=subprocess.PIPE))
        assert studio.stdout is not None
        said = json.loads(studio.stdout.readline())
        server = stack.enter_context(_stores.postgresql()) if workers else None
        store = server.url(DATABASE) if server is not None else f"sqlite:///{folder}/store.db"
        content = {
            "studio": {"url": said["url"]},
            "schedule": {"every": "1s"},
            "store": store,
            "http": {"listen": "127.0.0.1:0"},
            "projects": [{"id": int(number), "api_key": key} for number, key in said["keys"].items()],
        }
        (folder / "monitor.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        processes, urls = [], []
        for number in range(max(1, workers)):
            log = folder / f"log-{number}"
            role = ("--role", "worker") if workers else ()
            run = ("-m", "monitor", "run", "--config", str(folder / "monitor.yaml"), "--log.format", "json", *role)
            service = stack.enter_context(child(*run, stderr=stack.enter_context(log.open("w"))))
            urls.append(address(log))
            processes.append(psutil.Process(service.pid))

        def count() -> float:
            return sum(total(scrape(url)[1], "impulse_monitor_pulls_total") for url in urls)

        ends = time.monotonic() + STARTS_WITHIN
        while count() < 2 * PROJECTS * PER_PROJECT:
            if time.monotonic() > ends:
                raise TimeoutError("the targets were not all pulled")
            time.sleep(1.0)

        def spent() -> tuple[float, float]:
            own = sum(sum(each.cpu_times()[:2]) for each in processes)
            return own, server_cpu(server) if server is not None else 0.0

        began, before, (own, others) = time.monotonic(), count(), spent()
        time.sleep(seconds)
        pulls, (own_after, others_after) = count() - before, spent()
        lasted = time.monotonic() - began
        return Pulled(pulls / lasted, (own_after - own) / pulls, (others_after - others) / pulls)


def rows(quick: bool) -> Iterator[Row]:
    """The queue alone, then all that pulls."""
    yield from queue_rows(quick)
    for workers in (0, *WORKERS):
        found = pulled(workers, 15.0 if quick else 120.0)
        name = f"{workers} workers with PostgreSQL" if workers else "the local engine with SQLite"
        yield Row(f"{name}: pulls a second", [f"{found.rate:.0f}"])
        yield Row(f"{name}: processes + server, a pull", [f"{1000 * found.own:.1f} + {1000 * found.server:.1f} ms"])


SECTION = Section(
    f"Turns shared through PostgreSQL: what the queue takes of the processor, and quiet pulls of {SAMPLES} samples in "
    f"projects of {PER_PROJECT}, Studio, PostgreSQL and all workers on the same cores.",
    ["measured"],
    rows,
)
