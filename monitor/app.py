"""`App`: start, stop, reload. Wires the rooms together and owns nothing else.

A reload diffs by key: targets that are gone are cancelled, new ones added, all others keep their schedule and figures.
Everything that can fail happens before any live state is touched.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.config import Config, ConfigError, Loaded, ProjectConfig, fingerprint, load
from monitor.discovery import Discovery, discover
from monitor.errors import PullState, StudioError
from monitor.exposition import Renderer, ServiceMetrics, SnapshotCollector
from monitor.pipeline import Pipeline, Watch, new_client, studio_project
from monitor.scheduler import Grid, Scheduler, first_delay, trigger
from monitor.snapshots import Board, ProjectStatus
from monitor.studio.client import Client
from monitor.web import routes

CONFIG_POLL = 5.0
"""Seconds between looks at the configuration's files; by content, since Kubernetes swaps a symlink under the name."""
READY_WITHIN = 30.0
"""Seconds after which the service is ready although a first discovery still tries: its failure must be there to be scraped."""
REDISCOVER = 30.0
"""Seconds before a failed discovery is tried again; doubles up to the project's interval."""
PULLS_IN_FLIGHT = 16
"""Pulls held open at once: each holds the columns read so far, so this bounds the memory; requests have their own budget."""

log = structlog.get_logger()


@dataclass(slots=True)
class Entry:
    """One entry of the configuration's projects, with what its last discovery found."""

    project: ProjectConfig
    state: PullState | None = None
    found: Discovery | None = None
    failures: int = 0

    @property
    def name(self) -> str:
        """Identity over reloads: two entries of one project differ in one of these."""
        project = self.project
        return f"discovery {project.id} {project.category} {project.impulses} {project.variants}"


class App:
    """The service.

    Args:
        config: Path of the configuration.
        clock: Unix seconds.

    Attributes:
        address: `host:port` that HTTP is served on, once started.
    """

    def __init__(self, config: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = config, clock
        self.board = Board()
        self.registry = CollectorRegistry()
        self.metrics = ServiceMetrics(self.registry)
        self.scheduler = Scheduler(self.metrics)
        self.address = ""
        self._entries: dict[str, Entry] = {}
        self._watches: dict[str, Watch] = {}
        self._reloading = asyncio.Lock()
        self._pulls = asyncio.Semaphore(PULLS_IN_FLIGHT)
        self._background: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._started = 0.0
        self._read = ""
        self._loaded: Loaded
        self._client: Client
        self._pipeline: Pipeline

    @property
    def config(self) -> Config:
        """The configuration that is running."""
        return self._loaded.config

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Load the configuration, serve HTTP, begin to pull.

        Raises:
            ConfigError: The configuration is invalid; nothing was started.
            OSError: The address cannot be listened on.
        """
        self._read = await asyncio.to_thread(fingerprint, self._path)
        self._loaded = await asyncio.to_thread(load, self._path)
        self.metrics.reload(True, self._clock())
        self._started = time.monotonic()
        async with AsyncExitStack() as stack:
            workers = ThreadPoolExecutor(1, "evaluate")
            self._on_stop(stack, "workers", lambda: asyncio.to_thread(workers.shutdown, cancel_futures=True))
            self._pipeline = Pipeline(self.board, self.metrics, workers, self._clock)
            self._client = new_client(self.config, self.metrics)
            self._on_stop(stack, "studio", lambda: self._client.close())
            await self._serve(stack)
            self.scheduler.start()
            self._on_stop(stack, "scheduler", lambda: self.scheduler.stop(self.config.shutdown_grace))
            self._apply(self._loaded, rediscover=True)
            watcher = asyncio.create_task(self._watch_files())
            self._background.add(watcher)
            self._on_stop(stack, "background", self._cancel_background)
            self._stack = stack.pop_all()
        log.info("service.started", url=f"http://{self.address}/", projects=len(self.config.projects))

    async def stop(self) -> None:
        """Stop in the reverse order of the start; pulls in flight get `shutdown_grace`."""
        log.info("service.stopping")
        await self._stack.aclose()
        log.info("service.stopped")

    def _on_stop(self, stack: AsyncExitStack, name: str, stop: Callable[[], Awaitable[object]]) -> None:
        async def logged() -> None:
            log.debug("service.cleanup", part=name)
            await stop()

        stack.push_async_callback(logged)

    async def _serve(self, stack: AsyncExitStack) -> None:
        collector = SnapshotCollector(self.board, class_limit=self.config.limits.classes, clock=self._clock)
        self.registry.register(collector)
        renderer = Renderer(self.registry)
        runner = web.AppRunner(
            routes.application(renderer.render, lambda: self.ready, self.reload, lambda: self.config.http.read_admin_token()),
            access_log=None,
            shutdown_timeout=5.0,
        )
        await runner.setup()
        self._on_stop(stack, "http", runner.cleanup)
        site = web.TCPSite(runner, self.config.http.listen.host or None, self.config.http.listen.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _cancel_background(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    @property
    def ready(self) -> bool:
        """Whether the first round was scheduled: each project was asked for its targets once, or has been tried for long enough."""
        tried = all(entry.state is not None for entry in self._entries.values())
        return tried or time.monotonic() - self._started > READY_WITHIN

    async def reload(self) -> bool:
        """Read the configuration again and take it over; a bad one changes nothing. Answers whether it was good."""
        async with self._reloading:
            try:
                # Taken before the files are read: a change in between shows as one at the next look.
                self._read = await asyncio.to_thread(fingerprint, self._path)
                loaded = await asyncio.to_thread(load, self._path)
                client = new_client(loaded.config, self.metrics) if loaded.config.studio != self.config.studio else None
            except (ConfigError, OSError) as error:
                problems = error.problems if isinstance(error, ConfigError) else (error,)
                log.error("config.rejected", problems=[str(problem) for problem in problems])
                self.metrics.reload(False, self._clock())
                return False
            if loaded.config.http != self.config.http or loaded.config.limits != self.config.limits:
                log.warning("config.restart_needed", sections=["http", "limits"])
            if client is not None:
                self._retire(self._client)
                self._client = client
            self._apply(loaded, rediscover=loaded.config.studio != self.config.studio)
            self.metrics.reload(True, self._clock())
            log.info("config.reloaded", projects=len(loaded.config.projects))
            return True

    def _retire(self, client: Client) -> None:
        """Close a client that was replaced once the runs that use it have ended."""

        async def close() -> None:
            await self.scheduler.drain()
            await client.close()

        task = asyncio.create_task(close())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _apply(self, loaded: Loaded, *, rediscover: bool) -> None:
        """Diff the projects by key: add, keep, remove."""
        self._loaded = loaded
        wanted = {entry.name: entry for entry in map(Entry, loaded.config.projects)}
        for name in self._entries.keys() - wanted.keys():
            self.scheduler.remove(name)
        for name, entry in wanted.items():
            known = self._entries.get(name)
            changed = rediscover or known is None or known.project != entry.project
            if known is not None:  # the same object stays: a discovery that is under way will write to it
                known.project = entry.project
                wanted[name] = known
            if changed:
                spread = random.Random(name).random()
                grid = Grid(loaded.config.studio.discover, spread * loaded.config.studio.discover)
                self.scheduler.add(name, grid, partial(self._discover, name), delay=0.0)
        self._entries = wanted
        self._reconcile()

    async def _discover(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is None:
            return
        project, client = entry.project, self._client
        log_fields = {"project_id": project.id}
        before = entry.state
        try:
            entry.found = await discover(await studio_project(client, project), project)
            entry.state, entry.failures = PullState.OK, 0
            log.info("discovery.finished", targets=len(entry.found.targets), **log_fields)
        except StudioError as error:
            entry.state = error.state
            (log.error if before is not error.state else log.info)(
                "discovery.failed", state=str(error.state), error=str(error), **log_fields
            )
        except Exception as error:
            entry.state = PullState.INVALID
            log.exception("discovery.crashed", error=repr(error), **log_fields)
        if entry.state is not PullState.OK:
            self._discover_again(name, entry)
        if entry.project is not project or self._client is not client:
            self.scheduler.soon(name, delay=1.0)  # a reload came in between: what it asked for was skipped as an overlap
        self._reconcile()

    def _discover_again(self, name: str, entry: Entry) -> None:
        """A refused key waits for the project's next turn; anything else is tried sooner, at a growing distance."""
        interval = self.config.schedule_of(entry.project).interval
        entry.failures += 1
        refused = entry.state in (PullState.AUTH, PullState.NOT_FOUND)
        self.scheduler.soon(name, interval if refused else min(interval, REDISCOVER * 2 ** min(entry.failures - 1, 10)))

    def _reconcile(self) -> None:
        """Make watches, jobs and what is shown agree with what the entries' discoveries found; failed ones keep what was known."""
        config = self.config
        wanted: dict[str, Watch] = {}
        for entry in self._entries.values():
            if entry.found is None:
                continue
            for target in entry.found.targets:
                wanted.setdefault(target.key.id, Watch.of(config, entry.project, target, entry.found))
        for target_id in self._watches.keys() - wanted.keys():
            self.scheduler.remove(target_id)
            self.board.forget(target_id)
            self._pipeline.forget(target_id)
        before, self._watches = self._watches, wanted
        for target_id, watch in wanted.items():
            self.board.watch(watch.target, watch.stale_after)
            known = before.get(target_id)
            spread = watch.target.key.spread()
            fires, delay = trigger(watch.schedule, spread), first_delay(watch.schedule, spread)
            if known is None:
                self.scheduler.add(target_id, fires, partial(self._pull, target_id), delay)
            elif known.project != watch.project or known.schedule != watch.schedule:
                self.scheduler.reschedule(target_id, fires, delay)
        self._show_projects()
        self.metrics.targets(len(wanted))

    def _show_projects(self) -> None:
        """One status per project id; of several entries, the one that fails."""
        shown: dict[int, ProjectStatus] = {}
        for entry in self._entries.values():
            status = ProjectStatus(entry.project.id, entry.state, entry.found.key_expires if entry.found else None)
            known = shown.get(entry.project.id)
            if known is None or known.state in (None, PullState.OK):
                shown[entry.project.id] = status
        self.board.projects = shown

    async def _pull(self, target_id: str) -> None:
        async with self._pulls:
            watch = self._watches.get(target_id)
            if watch is None:
                return
            snapshot = await self._pipeline.run(watch, self._client)
        if snapshot.state is PullState.NOT_FOUND:
            for name, entry in self._entries.items():
                if entry.project == watch.project:
                    self.scheduler.soon(name)

    async def _watch_files(self) -> None:
        """Reload when the content of a configuration file changed."""
        while True:
            await asyncio.sleep(CONFIG_POLL)
            try:
                if await asyncio.to_thread(fingerprint, self._path) != self._read:
                    await self.reload()
            except Exception:  # a bug met in one look must not end the looking
                log.exception("config.watch_crashed")
