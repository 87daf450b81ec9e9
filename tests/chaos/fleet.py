"""60 projects with 200 targets, most of them sick in changing ways: wrong figures, late pulls, leaks, secrets.

`python -m tests.chaos fleet [--rounds 1000] [--storm 100] [--only hangs] [--seed 1]`; exit code 0 where nothing was
wrong. A round is a minute of scheduled time, in which every target is to be pulled once. Each round some of the sick
projects get well, as many others fall sick, and some change their results or their model. With `--storm` all sick
projects change at once, every so many rounds; with `--only` all suffer from the same (`sickness.py` and the simulator's
page have the names).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import math
import os
import random
import sys
import tempfile
import threading
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import bcrypt
import psutil
import yaml
from aiohttp import web

from monitor import logs
from monitor.engine.times import Grid
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.pipeline.run import Ended, Pipeline
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.watch import Watch
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.project import FLOAT32, INT8, Impulse, Project
from monitor.studio.client import Client
from tests.chaos import sickness, truth, warp
from tests.chaos.sickness import Sick
from tests.chaos.truth import Truth, differences

EVERY = 60.0
"""Seconds of a round."""
WELL_FOR = 2
"""Rounds for which a project must have been well, before a pull's interval, to count as healthy: a Retry-After lasts as
long as one.
"""
REMEMBERED = 3700.0
"""Seconds after which it does not matter any more from what a project suffered: longer than any pull takes."""
RETENTION = 7200.0
"""Seconds for which runs are kept: the store's size, too, is to settle."""
PIECE = 2**22
"""Bytes of a file that are searched at once."""
SETTLED = 50
"""Rounds after which memory and descriptors are to stay as they are."""
RECOVERY = 20
"""Rounds within which every target is to be pulled again once all are well: a key that hung waits for its turn, and for
its Retry-After.
"""
IN_FLIGHT, PER_KEY = 4, 2
SLICES = ("metadata.site",)
LATENCY = 0.05
"""Seconds each request takes."""


def is_sliced(studio: Studio, project: Project) -> bool:
    """Whether the service is to slice a project's results: every other one, as figures with slices are computed anew at
    each pull.
    """
    return list(studio.projects).index(project.id) % 2 == 1


def fleet(number: int, samples: int) -> list[GeneratedProject]:
    """So many projects, of every kind, with three or four targets in turn."""
    found = []
    for place in range(number):
        build = projects.KINDS[place % len(projects.KINDS)]
        four = place % 3 == 0
        impulses = [
            Impulse(each, f"impulse {each}", variants=(INT8, FLOAT32) if four else (INT8,))
            for each in range(1, 3 if four else 4)
        ]
        name, seed = f"{build.__name__}-{place}", 1000 + place
        size = samples // 2 if build in (projects.box_detector, projects.fomo) else samples  # costly to make
        found.append(build(1000 + place, name, sizes={"testing": size}, impulses=tuple(impulses), seed=seed))
    for project in found:
        project.fresh_media = False  # else the simulator is most of the work
        # else it is most of the memory, too
        project.kept_models = len(project.impulses) * len(project.impulses[0].variants)
    return found


@dataclass
class Pull:
    """One pull as it ended, in Unix seconds."""

    target: str
    project: int
    began: float
    ended: float
    state: PullState


@dataclass
class Report:
    """What was found.

    Attributes:
        problems: In words; empty where all is well.
        pulls: How many ended, by state.
        compared: How many had figures that were compared with the truth.
        healthy, on_time: Intervals of healthy targets, and those with a pull that ended in time.
        steady, steady_on_time: Those of projects that never fall sick.
        recovered: Rounds after which all targets were pulled once all were well.
        most_in_flight, most_per_key: Requests of the client at one time.
        usage: Resident memory (MB), descriptors, tasks, threads and objects after each round that was looked at.
    """

    problems: list[str] = field(default_factory=list)
    pulls: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    healthy: int = 0
    on_time: int = 0
    steady: int = 0
    steady_on_time: int = 0
    recovered: int = 0
    most_in_flight: int = 0
    most_per_key: int = 0
    usage: dict[int, tuple[float, int, int, int, int]] = field(default_factory=dict)

    def line(self, number: int, before: Counter[str]) -> str:
        """A round in a line, and the pulls since another one."""
        mb, fds, tasks, threads, objects = self.usage[number]
        share = self.on_time / self.healthy if self.healthy else math.nan
        return (
            f"round {number}: {mb:.0f} MB, {fds} descriptors, {tasks} tasks, {threads} threads, {objects} objects; "
            f"{share:.2%} of {self.healthy} on time; {self.compared} compared; {len(self.problems)} problems; "
            f"{dict(self.pulls - before)}"
        )

    def __str__(self) -> str:
        share, steady = (
            part / whole if whole else math.nan
            for part, whole in ((self.on_time, self.healthy), (self.steady_on_time, self.steady))
        )
        usage = "; ".join(
            f"round {number}: {mb:.0f} MB, {fds} descriptors, {tasks} tasks, {threads} threads, {objects} objects"
            for number, (mb, fds, tasks, threads, objects) in self.usage.items()
        )
        lines = [
            f"pulls: {dict(sorted(self.pulls.items()))}; {self.compared} compared with the truth",
            f"healthy: {self.on_time} of {self.healthy} on time ({share:.2%}); of those that never fall sick "
            f"{self.steady_on_time} of {self.steady} ({steady:.2%})",
            f"all targets pulled {self.recovered} rounds after all were well",
            f"requests in flight: {self.most_in_flight} at most, {self.most_per_key} for one key",
            usage,
            f"{len(self.problems)} problems",
            *self.problems[:40],
        ]
        return "\n".join(lines)


class Versions:
    """What was true of each target, and until when."""

    def __init__(self, studio: Studio, clock: warp.Clock) -> None:
        self._studio, self._clock = studio, clock
        # all: a pull that waits for its siblings has seen the first, and each of their pages may add another
        self._past: dict[str, list[tuple[float, Truth]]] = defaultdict(list)
        self._now: dict[str, Truth] = {}
        self.pulled: Counter[str] = Counter()
        """Targets that are being pulled: only they may have seen something that is no longer true."""

    def of(self, target: str) -> Truth:
        """What is true now."""
        if target not in self._now:
            number, impulse, variant, category = target.split("-")
            project = self._studio.generated(int(number))
            self._now[target] = truth.truth(
                project, int(impulse), variant, category, SLICES if is_sliced(self._studio, project) else ()
            )
        return self._now[target]

    def changes(self, project: GeneratedProject) -> None:
        """Remember what is true of a project right before it changes."""
        for impulse in project.impulses:
            for variant in impulse.variants:
                target = f"{project.id}-{impulse.id}-{variant.name}-testing"
                if self.pulled[target]:
                    self._past[target].append((self._clock.time(), self.of(target)))
                self._now.pop(target, None)

    def since(self, target: str, moment: float) -> list[Truth]:
        """All that was true at some time since then."""
        return [self.of(target), *(true for until, true in self._past[target] if until >= moment)]

    def pull_ended(self, target: str) -> None:
        """Forget what no pull under way can have seen."""
        self.pulled[target] -= 1
        if not self.pulled[target]:
            self._past.pop(target, None)


class Fleet:
    """The projects, what they suffer from, and what became of every pull."""

    def __init__(self, studio: Studio, clock: warp.Clock, seed: int, share: float, only: tuple[str, ...]) -> None:
        self.studio, self.clock, self.rng, self._only = studio, clock, random.Random(seed), only
        self.projects = [studio.generated(number) for number in studio.projects]
        self.sick: dict[int, Sick] = {}
        self.wanted = round(len(self.projects) * share)
        self.steady = {project.id for project in self.projects[:: max(2, round(2 / (1 - share)))]}
        """Projects that never fall sick."""
        self.report = Report()
        self.versions = Versions(studio, clock)
        self.ends: dict[str, list[float]] = defaultdict(list)
        self.last: dict[str, Pull] = {}
        self._spans: dict[int, list[tuple[float, float, Sick]]] = defaultdict(list)  # of the sicknesses that are over
        self._right: dict[str, tuple[Truth, Evaluation]] = {}
        self._since: dict[int, float] = {}
        self._names = deque[str]()
        for project in self.projects:
            self._watch_changes(project)

    def _watch_changes(self, project: GeneratedProject) -> None:
        """Whatever changes the content of a project, a fault among it, ends a version of its truth."""

        def watched(change: Callable[..., None]) -> Callable[..., None]:
            def changed(*args: Any, **named: Any) -> None:
                self.versions.changes(project)
                change(*args, **named)

            return changed

        for name in ("remove", "add", "retrain"):
            setattr(project, name, watched(getattr(project, name)))

    def fall_sick(self, project: GeneratedProject) -> None:
        """Let a project suffer from the sickness whose turn it is."""
        if not self._names:
            names = self._only or sickness.names(project)
            self._names.extend(self.rng.sample(names, len(names)))
        self.sick[project.id] = sickness.befall(self.studio, project, self._names.popleft())
        self._since[project.id] = self.clock.time()

    def get_well(self, number: int) -> None:
        """Let a project be well."""
        sick = self.sick.pop(number)
        sickness.heal(self.studio, sick)
        self._spans[number].append((self._since.pop(number), self.clock.time(), sick))
        self._cut_back(self.studio.generated(number))

    def _cut_back(self, project: GeneratedProject) -> None:
        """Take out the oldest samples of a test set that has grown: after a thousand rounds it
        would be another trial.
        """
        if (more := project.size() - project.sizes["testing"]) > 0 and (ground := project.ground()) is not None:
            project.remove(*[sample.id for sample in ground.samples[:more]])

    def next_round(self, storm: bool) -> None:
        """Some get well, as many others fall sick, some change their results or their model; in a storm all that are
        sick change.
        """
        leaving = (
            list(self.sick)
            if storm
            else self.rng.sample(sorted(self.sick), min(len(self.sick), max(1, self.wanted // 12)))
        )
        for number in leaving:
            self.get_well(number)
        well = [
            project
            for project in self.projects
            if project.id not in {*self.sick, *self.steady} and (storm or project.id not in leaving)
        ]
        for project in self.rng.sample(well, min(len(well), self.wanted - len(self.sick))):
            self.fall_sick(project)
        for project in self.rng.sample(self.projects, max(1, len(self.projects) // 30)):
            if self.rng.random() < 0.5:
                project.retrain(self.rng.uniform(-1.0, 1.0))
            else:
                project.swap(3, after=self.rng.randrange(8))

    def all_well(self) -> None:
        """The end of all sickness."""
        for number in list(self.sick):
            self.get_well(number)

    def was_sick(self, number: int, since: float, until: float) -> list[Sick]:
        """From what a project suffered at any time in between."""
        found = [sick for began, ended, sick in self._spans[number] if began <= until and ended >= since]
        if number in self.sick and self._since[number] <= until:
            found.append(self.sick[number])
        return found

    def ended(self, pull: Pull, snapshot: Snapshot) -> None:
        """Take note of a pull, and compare its figures."""
        report = self.report
        report.pulls[str(pull.state)] += 1
        self.last[pull.target] = pull
        if pull.state is not PullState.OK:
            return
        self.ends[pull.target].append(pull.ended)
        sick = self.was_sick(pull.project, pull.began, pull.ended)
        project = self.studio.generated(pull.project)
        if snapshot.evaluation is None or not all(sickness.is_judged(project, each) for each in sick):
            return
        report.compared += 1
        if wrong := self._wrong(pull, snapshot, snapshot.evaluation, sick):
            names = ", ".join(each.name for each in sick) or "healthy"
            report.problems.append(f"{pull.target} ({names}): {'; '.join(wrong[:5])}")

    def _wrong(self, pull: Pull, snapshot: Snapshot, evaluation: Evaluation, sick: list[Sick]) -> list[str]:
        """What no version of the truth says of the time that a pull took; figures that were right still are, where
        neither has changed.
        """
        versions, known = self.versions.since(pull.target, pull.began), self._right.get(pull.target)
        if known is not None and any(true is known[0] for true in versions) and evaluation == known[1]:
            return []
        found = truth.shown(snapshot)
        for true in versions:
            if not differences(true, (), found):
                self._right[pull.target] = (true, evaluation)
                return []
        wrong = [differences(true, sick, found) for true in versions]
        return wrong[0] if all(wrong) else []

    def not_pulled(self, targets: set[str], since: float) -> list[str]:
        """The targets without a good pull that ended since then."""
        return sorted(target for target in targets if not self.ends[target] or self.ends[target][-1] < since)

    def judge_time(self, fires: dict[str, list[float]], until: float) -> None:
        """Count the intervals of healthy targets, and those in which a pull ended; what no later interval depends on is
        forgotten.
        """
        for target, times in fires.items():
            number = int(target.split("-")[0])
            ends = deque(self.ends[target])
            for fire in times:
                if fire + EVERY > until or self.was_sick(number, fire - WELL_FOR * EVERY, fire + EVERY):
                    continue
                while ends and ends[0] < fire:
                    ends.popleft()
                in_time = bool(ends) and ends[0] <= fire + EVERY
                self.report.healthy += 1
                self.report.on_time += in_time
                self.report.steady += number in self.steady
                self.report.steady_on_time += in_time and number in self.steady
            self.ends[target] = [end for end in self.ends[target] if end >= until - 2 * EVERY]
        for number, spans in self._spans.items():
            self._spans[number] = [span for span in spans if span[1] >= until - REMEMBERED]


@contextmanager
def watched(of: Fleet) -> Iterator[None]:
    """Take note of every pull, and count the client's requests in flight: the server does not see that a client has
    hung up.
    """
    flying: Counter[str] = Counter()
    attempt, run = Client._attempt, Pipeline.run

    async def counted(self: Client, request: Any, *args: Any) -> Any:
        key = request.caller.key
        flying[key] += 1
        of.report.most_in_flight = max(of.report.most_in_flight, flying.total())
        of.report.most_per_key = max(of.report.most_per_key, flying[key])
        try:
            return await attempt(self, request, *args)
        finally:
            flying[key] -= 1

    async def noted(self: Pipeline, watch: Watch, *args: Any, **named: Any) -> Ended:
        began, target = of.clock.time(), watch.target.key.id
        of.versions.pulled[target] += 1
        try:
            ended = await run(self, watch, *args, **named)
            of.ended(Pull(target, watch.project.id, began, of.clock.time(), ended.snapshot.state), ended.snapshot)
        finally:
            of.versions.pull_ended(target)
        return ended

    with patch.object(Client, "_attempt", counted), patch.object(Pipeline, "run", noted):
        yield


class Outputs:
    """Everything the service says, and the secrets that must not be in it.

    Attributes:
        secrets: Each with what it is.
        told: Bodies and headers that receivers got, but for the credentials that are meant for them.
    """

    def __init__(self, folder: Path, studio: Studio) -> None:
        self.folder = folder
        self.password = "pw-of-the-reader"
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()
        self.secrets = {
            "admin token": "token-of-the-admin-5f2e",
            "proxy password": "pw-of-the-proxy-77aa",
            "webhook secret": "hmac-of-the-webhook-91bc",
            "webhook path": "path-of-the-webhook-33de",
            "apprise password": "pw-of-apprise-0d1f",
            "basic auth hash": hashed,
            "basic auth password": self.password,
            **{f"key of {project.id}": project.api_key for project in studio.projects.values()},
        }
        self.told = bytearray()
        self.log = folder / "log"

    def configuration(self, studio: Studio, url: str, receiver: str) -> Path:
        """Write the configuration, its secrets inline and in files by turns."""
        folder, secrets = self.folder, self.secrets
        for name in ("admin token", "webhook secret"):
            (folder / name).write_text(secrets[name], encoding="utf-8")
        (folder / "web.yml").write_text(
            yaml.safe_dump({"basic_auth_users": {"reader": secrets["basic auth hash"]}}), encoding="utf-8"
        )
        entries = []
        for place, project in enumerate(studio.projects.values()):
            entry: dict[str, Any] = {"id": project.id}
            if is_sliced(studio, project):
                entry["slices"] = list(SLICES)
            if place % 2:
                (folder / f"key-{project.id}").write_text(f"{project.api_key}\n", encoding="utf-8")
                entry["api_key_file"] = f"key-{project.id}"
            else:
                entry["api_key"] = project.api_key
            entries.append(entry)
        host = receiver.removeprefix("http://")
        content = {
            "studio": {
                "url": url,
                "proxy": url.replace("http://", f"http://proxy:{secrets['proxy password']}@").removesuffix("/v1"),
                "requests_in_flight": IN_FLIGHT,
                "requests_in_flight_per_key": PER_KEY,
            },
            "schedule": {"every": f"{EVERY:.0f}s"},
            "retention": f"{RETENTION:.0f}s",
            "http": {"listen": "127.0.0.1:0", "web_config_file": "web.yml", "admin_token_file": "admin token"},
            "projects": entries,
            "notify": [
                {"webhook": {"url": f"{receiver}/{secrets['webhook path']}", "secret_file": "webhook secret"}},
                {"apprise": {"url": f"json://apprise:{secrets['apprise password']}@{host}/apprise"}},
            ],
        }
        path = folder / "monitor.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    async def take(self, request: web.Request) -> web.Response:
        """Be a receiver."""
        self.told += (
            await request.read()
            + repr([pair for pair in request.headers.items() if pair[0] != "Authorization"]).encode()
        )
        return web.Response()

    async def leaks(self, app: App, target: str) -> list[str]:
        """Which secrets are in what the service shows, logs, keeps or tells, and where."""
        said: dict[str, bytes] = {"what receivers were told": bytes(self.told)}
        paths = ("/", "/metrics", "/-/ready", f"/targets/{target}", "/nowhere")
        api = ("targets", "alerts", f"targets/{target}", f"targets/{target}/runs")
        authorization = {"Authorization": "Basic " + base64.b64encode(f"reader:{self.password}".encode()).decode()}
        async with aiohttp.ClientSession(headers=authorization) as session:
            for path in (*paths, *(f"/api/v1/{each}" for each in api)):
                async with session.get(f"http://{app.address}{path}") as response:
                    said[path] = await response.read()
                    if response.status in (401, 403):
                        raise AssertionError(f"{path}: {response.status}")
        self.told.clear()
        found = [f"{name} is in {where}" for where, text in said.items() for name in self._in(text)]
        for where, file in {
            "the log": self.log,
            **{f"the store ({file.name})": file for file in self.folder.glob("*.db*")},
        }.items():
            found += [f"{name} is in {where}" for name in await asyncio.to_thread(self._in_file, file)]
        return found

    def _in(self, text: bytes) -> set[str]:
        """Which secrets are in a text."""
        return {
            name
            for name, secret in self.secrets.items()
            if secret.encode() in text or base64.b64encode(secret.encode()) in text
        }

    def _in_file(self, file: Path) -> set[str]:
        """Which secrets are in a file: piece by piece, else the memory that is measured would be
        that of this search.
        """
        found, end = set(), b""
        with file.open("rb") as stream:
            while piece := stream.read(PIECE):
                found |= self._in(end + piece)
                end = piece[-1000:]
        return found


@asynccontextmanager
async def service(of: Fleet, folder: Path) -> AsyncIterator[tuple[App, Outputs]]:
    """The service that watches the fleet, with everything it says on record at debug level."""
    outputs = Outputs(folder, of.studio)
    async with AsyncExitStack() as stack:
        stream = stack.enter_context(outputs.log.open("a", encoding="utf-8"))
        logs.configure("debug", "json", stream)
        receivers = web.Application()
        receivers.router.add_post("/{path:.*}", outputs.take)
        runner = web.AppRunner(receivers, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = await stack.enter_async_context(serve(of.studio))
        path = outputs.configuration(of.studio, url, f"http://127.0.0.1:{runner.addresses[0][1]}")
        app = await stack.enter_async_context(App(path, clock=of.clock.time))
        yield app, outputs


def usage() -> tuple[float, int, int, int, int]:
    """Resident memory in MB, descriptors, tasks, threads and objects right now."""
    gc.collect()
    process = psutil.Process()
    return (
        process.memory_info().rss / 1e6,
        process.num_fds(),
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(gc.get_objects()),
    )


def fires(app: App, since: float, until: float) -> dict[str, list[float]]:
    """When each target was to be pulled, by its own grid."""
    found = {}
    for target, live in app.live.targets.items():
        entry = app.live.entry_of(live)
        assert entry is not None
        grid = Grid(entry.schedule.interval, entry.spread * entry.schedule.interval)
        first = math.ceil((since - grid.offset) / grid.every)
        found[target] = [
            number * grid.every + grid.offset for number in range(first, int((until - grid.offset) // grid.every))
        ]
    return found


async def check_schedule(of: Fleet, app: App) -> None:
    """Every target has a next time within its interval, and was tried of late: an hour is the longest that Studio may
    ask to wait.
    """
    now = of.clock.time()
    jobs = {job.id: job.next_run_time for job in app.scheduler._scheduler.get_jobs()}
    for target, live in app.live.targets.items():
        entry = app.live.entry_of(live)
        assert entry is not None
        if (due := jobs.get(entry.turn)) is None or due.timestamp() - now > EVERY + 1:
            of.report.problems.append(f"{target} is not scheduled: {due}")
        if target in of.last and now - of.last[target].ended > 3700:
            of.report.problems.append(f"{target} was not tried for {now - of.last[target].ended:.0f} s")


def check_flat(report: Report) -> None:
    """Memory and descriptors did not grow once everything had settled."""
    settled = {number: usage for number, usage in report.usage.items() if number >= SETTLED}
    if len(settled) < 4:
        return
    readings = list(settled.values())
    half = len(readings) // 2
    for place, (name, allowed) in enumerate(
        (("MB", 1.1), ("descriptors", 1.2), ("tasks", 1.2), ("threads", 1.2), ("objects", 1.1))
    ):
        early, late = (max(each[place] for each in part) for part in (readings[:half], readings[half:]))
        if late > early * allowed + 10:
            report.problems.append(f"{name} grew from {early:.0f} to {late:.0f}")


async def trial(
    clock: warp.Clock,
    folder: Path,
    rounds: int,
    *,
    number: int = 60,
    samples: int = 24,
    share: float = 0.6,
    storm: int = 0,
    only: tuple[str, ...] = (),
    seed: int = 1,
) -> Report:
    """The whole of it; `rounds` after the first one, in which all are well, and two more at the end, in which all are
    well again.
    """
    studio = Studio(fleet(number, samples), clock=clock.time, latency=LATENCY)
    studio.requests = deque(maxlen=1000)
    of = Fleet(studio, clock, seed, share, only)
    look = max(1, min(10, rounds // 4))
    with watched(of):
        async with service(of, folder) as (app, outputs):
            await asyncio.sleep(3 * EVERY)
            judged, targets, told, counted = clock.time(), set(app.live.targets), 0, Counter[str]()
            for each in range(1, rounds + 1):
                of.next_round(storm=bool(storm) and each % storm == 0)
                await asyncio.sleep(EVERY)
                await check_schedule(of, app)
                if each % look == 0:
                    of.report.usage[each] = usage()
                    of.report.problems += await outputs.leaks(app, of.rng.choice(sorted(targets)))
                    await asyncio.to_thread(os.truncate, outputs.log, 0)  # what was searched
                    of.judge_time(fires(app, judged, clock.time()), clock.time())
                    judged = clock.time() - EVERY
                    print(
                        "\n".join([of.report.line(each, counted), *of.report.problems[told:]]),
                        file=sys.stderr,
                        flush=True,
                    )
                    told, counted = len(of.report.problems), of.report.pulls.copy()
            of.judge_time(fires(app, judged, clock.time()), clock.time())
            of.all_well()
            healed = clock.time()
            while (late := of.not_pulled(targets, healed)) and of.report.recovered < RECOVERY:
                await asyncio.sleep(EVERY)
                of.report.recovered += 1
            of.report.problems += [
                f"{target} is not pulled although all is well: {of.last.get(target)}" for target in late
            ]
            of.report.problems += [
                f"{state} is no state" for state in of.report.pulls if state not in {str(each) for each in PullState}
            ]
    if of.report.most_in_flight > IN_FLIGHT or of.report.most_per_key > PER_KEY:
        of.report.problems.append("more requests in flight than allowed")
    shares = [(of.report.steady_on_time, of.report.steady)]
    if not only:  # with every other project silent, one that is well again waits for its turn among those that are not
        shares.append((of.report.on_time, of.report.healthy))
    if any(part < 0.95 * whole for part, whole in shares):
        of.report.problems.append("healthy projects are pulled late")
    check_flat(of.report)
    return of.report


def main() -> int:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="minutes of scheduled time")
    parser.add_argument("--projects", type=int, default=60)
    parser.add_argument("--storm", type=int, default=0, help="every so many rounds all sick projects change at once")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a sickness; may be given several times"
    )
    parser.add_argument(
        "--threads", action="store_true", help="leave to threads what the service does in threads: takes twice as long"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        report = warp.run(
            lambda clock: trial(
                clock,
                Path(folder),
                arguments.rounds,
                number=arguments.projects,
                storm=arguments.storm,
                only=tuple(arguments.only),
                seed=arguments.seed,
            ),
            threads=arguments.threads,
        )
        print(report)
        return int(bool(report.problems))
    return 2


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    sys.exit(main())
