"""A week of scheduled time, with a wall clock that steps and a change to winter time: what grows, and what is pulled
when.

`python -m tests.chaos week [--days 7] [--start 0] [--every 900] [--pace 12]`; exit code 0 where every target was pulled
at each of its times, nothing grew from the first day to the last, and the store's tables have the rows they should. Six
targets of four kinds of model on intervals, and three on crontabs in Europe/Berlin; the models are trained now and
then, and a project is sick now and then. Each day the wall clock steps: forward and back, by seconds and by hours. What
the service looks at every few seconds (the clock, the store, the configuration, alerts that go by the clock) is most of
the work of a week, and is looked at `--pace` times as seldom; 1 leaves it as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import sys
import tempfile
from collections import Counter, deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import yaml
from sqlalchemy.ext.asyncio import create_async_engine

from monitor import logs
from monitor.engine import local
from monitor.live import alert_clock
from monitor.pipeline.run import Ended, Pipeline
from monitor.pipeline.watch import Watch
from monitor.service import reload, store_upkeep
from monitor.service.app import App
from monitor.service.store_upkeep import PRUNE
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Status
from monitor.simulator.project import FLOAT32, INT8, Impulse
from monitor.store import schema
from monitor.store.engine import parse
from tests.chaos import warp
from tests.chaos.fleet import usage

DAY, HOUR = 86_400.0, 3600.0
BERLIN = ZoneInfo("Europe/Berlin")
CRONS = {201: "30 2 * * *", 202: "*/30 * * * *", 203: "0 6 * * mon-fri"}
STEPS = (7.0, -7.0, 2 * HOUR, -2 * HOUR, 40.0, -40.0)
"""Seconds that the wall clock is stepped by; together nothing."""
RETENTION = 2 * DAY
SLACK = PRUNE + max(STEPS)
"""Seconds beyond the retention for which a run may still be there."""


class _Mallinfo2(ctypes.Structure):
    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names)


def allocated() -> float:
    """MB that are in use of what glibc's malloc gave out, which is all but Python's small objects: resident memory also
    holds what is free in between. 0 where there is no such function.
    """
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0.0
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return float(found.uordblks + found.hblkhd) / 1e6


@dataclass
class Report:
    """What was found: problems in words, usage and rows per table by day, and pulls by target."""

    problems: list[str] = field(default_factory=list)
    usage: dict[float, tuple[float, int, int, int, int]] = field(default_factory=dict)
    timers: dict[float, int] = field(default_factory=dict)
    allocated: dict[float, float] = field(default_factory=dict)
    rows: dict[float, dict[str, int]] = field(default_factory=dict)
    pulls: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"pulls: {self.pulls.total()} of {len(self.pulls)} targets"]
        for day, (mb, fds, tasks, threads, objects) in self.usage.items():
            rows = ", ".join(f"{count} {name}" for name, count in self.rows[day].items())
            lines.append(
                f"day {day:g}: {mb:.1f} MB, {self.allocated[day]:.1f} MB by malloc, {fds} descriptors, "
                f"{tasks} tasks, {self.timers[day]} timers, {threads} "
                "threads, "
                f"{objects} objects; {rows}"
            )
        return "\n".join([*lines, f"{len(self.problems)} problems", *self.problems[:40]])


@contextmanager
def noting(clock: warp.Clock, ended: dict[str, list[float]]) -> Any:
    """Take note of when each pull began, in seconds without the steps of the wall clock, which are undone by then."""
    run = Pipeline.run

    async def noted(self: Pipeline, watch: Watch, *args: Any, **named: Any) -> Ended:
        ended.setdefault(watch.target.key.id, []).append(clock.monotonic())
        return await run(self, watch, *args, **named)

    with patch.object(Pipeline, "run", noted):
        yield


@contextmanager
def slower(pace: float) -> Any:
    """Let the service look at what it watches so many times as seldom."""
    with ExitStack() as stack:
        for where, name in (
            (alert_clock, "TICK"),
            (store_upkeep, "CHECK"),
            (reload, "CONFIG_POLL"),
            (local, "LAG_PROBE"),
        ):
            stack.enter_context(patch.object(where, name, pace * getattr(where, name)))
        yield


async def rows(path: Path, before: float) -> dict[str, int]:
    """How many rows each table of the store has; how many pulls the runs count, as one row stands for all that found
    nothing new; and how many runs were last seen before a time.
    """
    run = schema.run.c
    counted = {table.name: sa.select(sa.func.count()).select_from(table) for table in schema.metadata.sorted_tables}
    counted |= {
        "pull": sa.select(sa.func.sum(run.times)),
        "old run": sa.select(sa.func.count()).where(run.last_seen < before),
    }
    engine = create_async_engine(parse(f"sqlite:///{path}"))
    async with engine.connect() as connection:
        found = {name: (await connection.execute(query)).scalar_one() or 0 for name, query in counted.items()}
    await engine.dispose()
    return found


def configuration(folder: Path, studio: Studio, url: str, every: str) -> Path:
    """Write the configuration."""
    entries = []
    for project in studio.projects.values():
        schedule = {"schedule": {"cron": CRONS[project.id], "timezone": "Europe/Berlin"}} if project.id in CRONS else {}
        entries.append({"id": project.id, "api_key": project.api_key, **schedule})
    content = {
        "studio": {"url": url},
        "schedule": {"every": every},
        "http": {"listen": "127.0.0.1:0"},
        "retention": f"{RETENTION:.0f}s",
        "projects": entries,
    }
    path = folder / "monitor.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def cron_times(number: int, since: datetime, until: datetime) -> list[datetime]:
    """When a crontab of `CRONS` fires, by the clock on the wall in Berlin, computed minute by minute."""
    found, moment, seen = [], since.astimezone(UTC).replace(second=0, microsecond=0), set()
    while moment < until:
        wall = moment.astimezone(BERLIN)
        # of an hour that comes twice the first
        if number == 201 and (wall.hour, wall.minute) == (2, 30) and wall.date() not in seen:
            seen.add(wall.date())
            found.append(moment)
        if (number == 202 and wall.minute % 30 == 0) or (
            number == 203 and (wall.hour, wall.minute) == (6, 0) and wall.weekday() < 5
        ):
            found.append(moment)
        moment += timedelta(minutes=1)
    return found


def check_times(
    report: Report,
    began: dict[str, list[float]],
    every: float,
    lasted: float,
    stepped: list[tuple[float, float]],
    origin: float,
) -> None:
    """Every target was pulled once in each interval that the clock did not step in; a crontab's at each of its times
    after `origin`.
    """
    quiet = [0.0, *(moment for span in stepped for moment in span), lasted]
    spans = list(zip(quiet[::2], quiet[1::2], strict=True))
    for target, times in began.items():
        number = int(target.split("-")[0])
        for since, until in spans:
            inside = [time for time in times if since <= time < until]
            if number in CRONS:
                utc = datetime.fromtimestamp(origin, UTC)
                due = cron_times(number, utc + timedelta(seconds=since + 120), utc + timedelta(seconds=until - 120))
                missed = [
                    when for when in due if not any(-1 <= origin + time - when.timestamp() <= 90 for time in inside)
                ]
                if missed:
                    report.problems.append(f"{target} was not pulled at {missed[0]} and {len(missed) - 1} more times")
                if len(inside) > len(due) + 3:
                    report.problems.append(f"{target} was pulled {len(inside)} times for {len(due)}")
            elif until - since > 3 * every:
                expected = (until - since) / every
                if not expected - 2 <= len(inside) <= expected + 2:
                    report.problems.append(f"{target} was pulled {len(inside)} times in {expected:.1f} intervals")


def check_growth(report: Report) -> None:
    """From the second reading on nothing grows."""
    days = list(report.usage)
    if len(days) >= 4:
        middle = len(days) // 2
        names = (("MB", 1.1), ("descriptors", 1.1), ("tasks", 1.1), ("threads", 1.1), ("objects", 1.05))
        readings = {name: [report.usage[day][place] for day in days[1:]] for place, (name, _) in enumerate(names)}
        readings["timers"] = [report.timers[day] for day in days[1:]]
        for name, allowed in (*names, ("timers", 1.1)):
            early, late = max(readings[name][:middle]), max(readings[name][middle:])
            if late > early * allowed + 10:
                report.problems.append(f"{name} grew from {early:.0f} to {late:.0f}")


def check_rows(report: Report, began: dict[str, list[float]], lasted: float) -> None:
    """The store counts each pull that the retention keeps, with its figures, and has no more than is of use."""
    rows, targets = report.rows[max(report.rows)], len(began)

    def pulls(seconds: float) -> int:
        return sum(lasted - seconds <= time for times in began.values() for time in times)

    # baselines, and each target's last good run, are kept however old
    most = pulls(RETENTION + SLACK) + 3 * targets
    bounds = {
        "run": (targets, most),
        "old run": (0, 2 * targets),
        "pull": (pulls(RETENTION - max(STEPS)) - targets, pulls(lasted)),  # each may be in the middle of a pull
        "result_set": (targets, most),
        "figures": (targets, most),
        "baseline": (targets, 2 * targets),
        "state": (targets, 25 * targets),  # of alerts and evidence, and the lists of samples that changed sides
        "message": (0, 0),
        "firing": (0, most),
        "notification": (0, 2 * most),  # of the beginning and of the end, to one receiver
    }
    bounds |= dict.fromkeys(("turn", "due", "process", "change"), (0, 0))  # of a fleet
    if rows.keys() != bounds.keys():
        report.problems.append(f"the tables are {', '.join(rows)}")
    for name, (least, greatest) in bounds.items():
        if not least <= rows.get(name, 0) <= greatest:
            report.problems.append(
                f"the table {name} has {rows.get(name, 0)} rows, {least} to {greatest} were expected"
            )


async def trial(
    clock: warp.Clock, folder: Path, days: float, every: float, start: float = 0.0, pace: float = 1.0
) -> Report:
    """So many days, `start` after scheduled time begins; a reading each half of one, or eight in all where there are
    fewer.
    """
    clock.step(start * DAY)
    began: dict[Any, Any] = {}
    report, stepped = Report(), []
    impulses = (Impulse(1, "one", variants=(INT8, FLOAT32)), Impulse(2, "two"))
    makes = (projects.kmeans, projects.fomo, projects.regression)
    found = [
        projects.classification(sizes={"testing": 30}, impulses=impulses),
        *(make(sizes={"testing": 30}) for make in makes),
    ]
    for project in found:
        # the samples of what is served now: those of former models would be memory of the trial's own
        project.kept_models = sum(len(impulse.variants) for impulse in project.impulses)
    own = len(found)
    found += [projects.classification(number, f"by crontab {number}", sizes={"testing": 20}) for number in CRONS]
    studio = Studio(found, clock=clock.time)
    studio.requests = deque(maxlen=1000)
    with noting(clock, began), slower(pace), (folder / "log").open("w", encoding="utf-8") as stream:
        logs.configure("error", "json", stream)
        async with serve(studio) as url:
            path = configuration(folder, studio, url, f"{every:.0f}s")
            async with App(path, clock=clock.time) as service:
                readings = max(8, round(2 * days))
                part = days * DAY / readings
                for number in range(1, readings + 1):
                    began_part = clock.monotonic()
                    project = found[number % own]
                    project.retrain((-0.6, 0.0)[number % 2])
                    # what is sick from the start on has no targets yet that could be pulled
                    await asyncio.sleep(part / 8)
                    fault = studio.fail(Status(503), project=found[(number + 1) % own].id, times=None)
                    await asyncio.sleep(part / 4)
                    studio.heal(fault)
                    if number % 2 == 0:
                        step = STEPS[(number // 2 - 1) % len(STEPS)]
                        stepped.append((clock.monotonic(), clock.monotonic() + abs(step) + every + 60))
                        clock.step(step)
                        await asyncio.sleep(abs(step) / 2 + 30)
                        clock.step(-step)  # a clock that was wrong, and is right again
                        await asyncio.sleep(abs(step) / 2 + every + 30)
                    await asyncio.sleep(max(0.0, began_part + part - clock.monotonic()))
                    day = clock.monotonic() / DAY
                    report.usage[day] = usage()
                    report.rows[day] = await rows(folder / "impulse-monitor.db", clock.time() - RETENTION - SLACK)
                    report.allocated[day] = allocated()
                    timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
                    report.timers[day] = sum(not each.cancelled() for each in timers)  # up to a hundred stay that are
                    print(
                        f"day {day:.2f}: {report.usage[day]}, {report.allocated[day]:.2f} MB by malloc",
                        file=sys.stderr,
                        flush=True,
                    )
                lasted = clock.monotonic()
                report.pulls = Counter({target: len(times) for target, times in began.items()})
                if report.pulls.keys() != set(service.live.targets):
                    report.problems.append("not all targets were pulled")
    check_times(report, began, every, lasted, stepped, warp.START + start * DAY)
    check_growth(report)
    check_rows(report, began, lasted)
    return report


def main() -> int:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--start", type=float, default=0, help="days after 21 October 2026, 12:00 UTC")
    parser.add_argument("--every", type=float, default=900, help="seconds between two pulls")
    parser.add_argument(
        "--pace", type=float, default=12, help="how many times as seldom as usual the service looks at what it watches"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = warp.run(
            lambda clock: trial(
                clock, Path(folder), arguments.days, arguments.every, start=arguments.start, pace=arguments.pace
            )
        )
    print(report)
    return int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
