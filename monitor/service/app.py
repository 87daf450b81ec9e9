"""`App`: start, stop, reload. Wires the rooms together and owns nothing else.

Everything of a reload that can fail happens before any live state is touched. A store that cannot be used keeps nothing
from being pulled and shown: it is opened, and after a failure tried again, beside the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from ssl import SSLContext
from typing import Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.alerts.rules import Subject
from monitor.config import Address, Config, ConfigError, Loaded, fingerprint, load
from monitor.engine.local import Grid, Scheduler
from monitor.engine.sharding import WHOLE, Shard
from monitor.exposition import Renderer, ServiceMetrics, SnapshotCollector
from monitor.live.snapshots import Board, Snapshot
from monitor.live.watchlist import Watchlist
from monitor.notify import Dispatcher, queue_of, receivers_of
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.alerting import watch as watch_clock
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline, Watch, new_client
from monitor.service.store_upkeep import PRUNE, StoreUpkeep
from monitor.store import Store
from monitor.studio.budget import Budget, Hold
from monitor.studio.client import Client
from monitor.studio.model_testing import ModelTesting
from monitor.views.troubles import Rejection, Trouble, troubles
from monitor.web import routes
from monitor.web.connections import Listener
from monitor.web.security import Security
from monitor.web.service import Service

CONFIG_POLL = 5.0
"""Seconds between looks at the configuration's files; by content, since Kubernetes swaps a symlink under the name."""
READY_WITHIN = 30.0
"""Seconds after which the service is ready although a first discovery still tries: its failure must be there to be
scraped.
"""
NEED_RESTART = ("http", "limits", "store")
"""Sections of the configuration that a reload does not take over."""
PULLS_IN_FLIGHT = 16
"""Pulls that read at once: each holds the columns read so far, so this bounds the memory; requests have their own
budget.
"""
PULLS_PER_PROJECT = 4
"""How many of them one project may have."""

log = structlog.get_logger()


class App:
    """The service.

    Args:
        config: Path of the configuration.
        clock: Unix seconds.
        shard: Which of the targets are this process's.
        web_config: Path of the web configuration, in place of the one that the configuration names.

    Attributes:
        address: `host:port` that HTTP is served on, once started.
        health_address: The same of `http.health_listen`; empty where that is not configured.
    """

    def __init__(
        self, config: Path, clock: Callable[[], float] = time.time, shard: Shard = WHOLE, web_config: Path | None = None
    ) -> None:
        self._path, self._clock, self._shard, self._web_config = config, clock, shard, web_config
        self.board = Board()
        self.registry = CollectorRegistry()
        self.metrics = ServiceMetrics(self.registry, (shard.index, shard.total))
        self.scheduler = Scheduler(self.metrics)
        self._refresher = ModelTesting(self.board)
        self.address = self.health_address = ""
        self._reloading = asyncio.Lock()
        self._pulls = Budget(PULLS_IN_FLIGHT, PULLS_PER_PROJECT)
        self._holds: dict[asyncio.Task[object] | None, Hold] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._started = 0.0
        self._applied = False
        self._rejection: Rejection | None = None  # of the configuration, when it was last read
        self._read = ""
        self._loaded: Loaded
        self._client: Client
        self._memory: RunRecorder
        self._pipeline: Pipeline
        self._store: Store
        self._roster: Watchlist
        self._judge: AlertEvaluator
        self._dispatcher: Dispatcher
        self._security: Security

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
        _tell_unreadable(self._loaded)
        self._security = await Security.open(self._web_config or self.config.http.web_config_file, self._clock)
        self._note_certificate()
        self.metrics.reload(True, self._clock())
        self._started = time.monotonic()
        async with AsyncExitStack() as stack:
            workers = ThreadPoolExecutor(1, "evaluate")
            self._on_stop(stack, "workers", lambda: asyncio.to_thread(workers.shutdown, cancel_futures=True))
            self._store = Store(self.config.store.get_secret_value(), clock=self._clock)
            self._on_stop(stack, "store", self._store.close)
            # Each of these calls the others only once all of them are there.
            self._dispatcher = Dispatcher(
                self._store, (), self.metrics, lambda: self._judge.active(), clock=self._clock, shard=self._shard
            )
            self._judge = AlertEvaluator(
                self._store, self.board, lambda: self._roster, lambda: self._dispatcher.wake(), self._clock
            )
            self._memory = memory = RunRecorder(self._store, workers, self._judge)
            self._pipeline = Pipeline(self.board, self.metrics, workers, self._clock, memory)
            self._roster = Watchlist(
                self.scheduler,
                self.board,
                self._pipeline,
                self._store,
                self._targets_changed,
                self._pull,
                lambda: self._client,
                self._clock,
                self._shard,
            )
            caretaker = StoreUpkeep(
                self._store, self.metrics, self._clock, self._store_opened, lambda: memory.unrecorded
            )
            self._client = new_client(self.config, self.metrics, self._shard.total)
            self._on_stop(stack, "studio", lambda: self._client.close())
            await self._serve(stack)
            await caretaker.open()  # before the first pull: what it finds is compared with what was known
            await self._dispatcher.start()
            self._on_stop(stack, "notifications", lambda: self._dispatcher.stop(self.config.shutdown_grace))
            self._tell()
            self.scheduler.start()
            self._on_stop(stack, "scheduler", lambda: self.scheduler.stop(self.config.shutdown_grace))
            self._on_stop(stack, "waiting pulls", self._end_waiting)
            # before the scheduler: what waits for a job pulls, and ends
            self._on_stop(stack, "model testing", self._refresher.stop)
            self.scheduler.add(
                "retention", Grid(PRUNE, 0.0), lambda: caretaker.prune(self.config.retention), delay=PRUNE
            )
            await self._roster.apply(self.config, rediscover=True)
            self._applied = True
            watches = (
                self._watch_files(),
                self._security.watch(self._web_reloaded),
                caretaker.watch(),
                watch_clock(self._judge),
            )
            self._background |= set(map(asyncio.create_task, watches))
            self._on_stop(stack, "background", self._cancel_background)
            self._stack = stack.pop_all()
        log.info(
            "service.started", url=f"{self._security.scheme}://{self.address}/", projects=len(self.config.projects)
        )

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
        service = Service(
            render=renderer.render,
            unready=lambda: self.unready,
            troubles=self._troubles,
            reload=self.reload,
            admin_token=lambda: self.config.http.read_admin_token(),
            board=self.board,
            store=self._store,
            soon=self._roster.soon,
            clock=self._clock,
            external_url=self.config.http.external_url,
            class_limit=self.config.limits.classes,
        )
        app = routes.application(service)
        self._security.protect(app)
        self.address = await self._listen(stack, "http", app, self.config.http.listen, self._security.tls)
        if (listen := self.config.http.health_listen) is not None:
            self.health_address = await self._listen(
                stack, "health", routes.health_application(lambda: self.unready), listen
            )

    async def _listen(
        self, stack: AsyncExitStack, part: str, app: web.Application, listen: Address, tls: SSLContext | None = None
    ) -> str:
        """Serve `app` until the stop; answers HOST:PORT."""
        listener = Listener(app)
        self._on_stop(stack, part, listener.stop)
        return await listener.start(listen.host or None, listen.port, tls)

    async def _cancel_background(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    @property
    def ready(self) -> bool:
        """Whether nothing in `unready` stands in the way."""
        return not self.unready

    @property
    def unready(self) -> str:
        """What keeps the service from being ready, in a sentence; empty where nothing does.

        The store must be usable, and the first round scheduled: each project was asked for its targets once, or has
        been tried for long enough.
        """
        if (problem := self._store.problem) is not None:
            return str(problem)
        asked = self._applied and self._roster.asked
        if not asked and time.monotonic() - self._started <= READY_WITHIN:
            return "the first round of discovery has not ended"
        return ""

    async def reload(self) -> bool:
        """Read the configuration again and take it over; a bad one changes nothing. Answers whether it was good."""
        async with self._reloading:
            web_good = await self._security.reload()
            self._note_certificate()
            try:
                # Taken before the files are read: a change in between shows as one at the next look.
                self._read = await asyncio.to_thread(fingerprint, self._path)
                loaded = await asyncio.to_thread(load, self._path)
                client = (
                    new_client(loaded.config, self.metrics, self._shard.total)
                    if loaded.config.studio != self.config.studio
                    else None
                )
            except (ConfigError, OSError) as error:
                problems = error.problems if isinstance(error, ConfigError) else (error,)
                log.error("config.rejected", problems=[str(problem) for problem in problems])
                self._rejection = Rejection.of(problems, self._clock(), self._rejection)
                self.metrics.reload(False, self._clock())
                return False
            if sections := [
                name for name in NEED_RESTART if getattr(loaded.config, name) != getattr(self.config, name)
            ]:
                log.warning("config.restart_needed", sections=sections)
            if client is not None:
                self._retire(self._client)
                self._client = client
            # what Studio asked for may be about what was wrong with the configuration before
            self._client.forget_waits()
            rediscover, self._loaded = loaded.config.studio != self.config.studio, loaded
            _tell_unreadable(loaded)
            self._tell()
            await self._roster.apply(loaded.config, rediscover=rediscover)
            self._rejection = None
            self.metrics.reload(web_good, self._clock())
            log.info("config.reloaded", projects=len(loaded.config.projects))
            return web_good

    def _web_reloaded(self, good: bool) -> None:
        self._note_certificate()
        self.metrics.reload(good and self._rejection is None, self._clock())

    def _note_certificate(self) -> None:
        certificate = self._security.protection.certificate
        self.metrics.certificate(certificate.expires if certificate else None)

    def _troubles(self) -> tuple[Trouble, ...]:
        certificate = self._security.protection.certificate
        return troubles(
            store=(self._store.problem, self._store.failing_since),
            unrecorded=(self._memory.unrecorded, self._memory.unrecorded_since),
            failing=self._dispatcher.failing,
            certificate=certificate.expires if certificate else None,
            web_config=self._security.rejection,
            config=self._rejection,
            nobody_told=not self.config.notify and bool(self.config.rules()),
            now=self._clock(),
        )

    async def _store_opened(self) -> None:
        """Take up what was known before a restart."""
        await self._judge.recall()
        await self._roster.recall()
        self._dispatcher.wake()

    def _tell(self) -> None:
        """Let the configuration's rules judge, and its receivers be told."""
        receivers = receivers_of(self.config)
        self.metrics.receivers(receiver.name for receiver in receivers)
        self._judge.configure(self.config.rules(), (queue_of(receiver.name, self._shard) for receiver in receivers))
        self._dispatcher.replace(receivers)

    def _targets_changed(self, changed: Iterable[str]) -> None:
        watches, known = self._roster.watches, self.board.thresholds
        fresh = {target_id: self._judge.thresholds(Subject.target(watches[target_id].target)) for target_id in changed}
        self.board.thresholds = {target_id: fresh.get(target_id, known.get(target_id, {})) for target_id in watches}
        self.metrics.targets(len(watches))

    def _retire(self, client: Client) -> None:
        """Close a client that was replaced once the runs that use it have ended."""

        async def close() -> None:
            await self.scheduler.drain()
            await client.close()

        task = asyncio.create_task(close())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _pull(self, watch: Watch) -> Snapshot:
        # a job takes minutes, and must hold up no other pull
        refresh = await self._refresher.before(watch, self._client)
        task, hold = asyncio.current_task(), Hold(self._pulls, str(watch.project.id))
        self._holds[task] = hold
        try:
            async with hold:
                return await self._pipeline.run(watch, self._client, refresh=refresh, hold=hold)
        finally:
            self._holds.pop(task, None)

    async def _end_waiting(self) -> None:
        """End the pulls that only wait, for their turn or because Studio asked for it: nothing is lost with them."""
        self.scheduler.pause()
        for task, hold in list(self._holds.items()):
            if task is not None and not hold.held:
                task.cancel()

    async def _watch_files(self) -> None:
        """Reload when the content of a configuration file changed."""
        while True:
            await asyncio.sleep(CONFIG_POLL)
            try:
                if await asyncio.to_thread(fingerprint, self._path) != self._read:
                    await self.reload()
            except Exception:  # a bug met in one look must not end the looking
                log.exception("config.watch_crashed")


def _tell_unreadable(loaded: Loaded) -> None:
    for problem in loaded.unreadable:
        log.error("config.file_unreadable", problem=str(problem))
