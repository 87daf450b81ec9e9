"""`App`: makes the parts, gives each the parts that it needs, starts and stops them.

Pulls and pages need no store: it is opened, and after a failure tried again, beside the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.alerts.states import Transition
from monitor.config import Address, Config, fingerprint, load
from monitor.engine.base import Engine, Role, Turn
from monitor.engine.local import Scheduler
from monitor.engine.sharding import WHOLE, Shard
from monitor.engine.times import Grid
from monitor.exposition import Renderer, ServiceMetrics, ShardRenderers, SnapshotCollector, Sources
from monitor.live.alert_clock import AlertClock
from monitor.live.live import Live
from monitor.live.studio_access import StudioAccess
from monitor.live.turns import Turns
from monitor.live.watchlist import Watchlist
from monitor.notify import Dispatcher
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.project_turn import new_client
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline
from monitor.service.membership import FleetClock, new_process_id
from monitor.service.readiness import Readiness
from monitor.service.reload import Parts, Reloader
from monitor.service.store_upkeep import PRUNE, StoreUpkeep
from monitor.store import Store, StoreError, shareable
from monitor.studio.model_testing import ModelTesting
from monitor.web import routes
from monitor.web.connections import Listener
from monitor.web.security import Security
from monitor.web.service import Service

if TYPE_CHECKING:
    from monitor.engine.fleet import FleetEngine
    from monitor.service.fleet import Fleet

log = structlog.get_logger()


class App:
    """The service.

    Args:
        config: Path of the configuration.
        clock: Unix seconds.
        shard: Which of the targets are this process's.
        role: What this process does in a fleet; None: everything, and there is a fleet where the store is a PostgreSQL
            that can be talked to without a pooler, and the targets are not sharded.
        web_config: Path of the web configuration, in place of the one that the configuration names.

    Attributes:
        live: What is known right now.
        registry: All metrics, as the client library takes them.
        address: `host:port` that HTTP is served on, once started.
        health_address: The same of `http.health_listen`; empty where that is not configured.
        watchlist: Which targets are watched, once started.
    """

    watchlist: Watchlist
    _reloader: Reloader
    _readiness: Readiness

    def __init__(
        self,
        config: Path,
        clock: Callable[[], float] = time.time,
        shard: Shard = WHOLE,
        web_config: Path | None = None,
        role: Role | None = None,
    ) -> None:
        self._path = config
        self._wanted_role = role
        self._role = role or Role.ALL
        self._fleet: Fleet | None = None
        self._clock = clock = FleetClock(clock)
        self._shard = shard
        self._web_config = web_config
        self.live = Live(clock, shard)
        self._counted = CollectorRegistry()
        self.metrics = ServiceMetrics(self._counted, (shard.index, shard.total), self.live)
        self.registry = CollectorRegistry()
        self.registry.register(self._counted)
        self.scheduler = Scheduler(self.metrics)
        self.address = self.health_address = ""
        self._background: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()

    @property
    def config(self) -> Config:
        """The configuration that is running."""
        return self._reloader.config

    @property
    def unready(self) -> str:
        """What keeps the service from being ready, in a sentence; empty where nothing does."""
        return self._readiness.unready()

    @property
    def ready(self) -> bool:
        """Whether nothing in `unready` stands in the way."""
        return not self.unready

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
        seen = await asyncio.to_thread(fingerprint, self._path)
        loaded = await asyncio.to_thread(load, self._path)
        config = loaded.config
        clock = self._clock
        security = await Security.open(self._web_config or config.http.web_config_file, clock)
        async with AsyncExitStack() as stack:
            workers = ThreadPoolExecutor(1, "evaluate")
            self._on_stop(stack, "workers", partial(asyncio.to_thread, workers.shutdown, cancel_futures=True))
            url = config.store.get_secret_value()
            in_fleet = self._in_fleet(url)
            store = Store(url, clock=clock, few_connections=in_fleet)
            self._on_stop(stack, "store", store.close)
            shared = self._shared_engine(url) if in_fleet else None
            engine: Engine = shared or self.scheduler
            evaluator = AlertEvaluator(clock)
            alert_clock = AlertClock(self.live, evaluator, store)
            recorder = RunRecorder(store, workers, evaluator)
            pipeline = Pipeline(self.metrics, workers, clock, recorder)
            studio = StudioAccess(new_client(config, self.metrics, self._shard.total), engine)
            self._on_stop(stack, "studio", studio.close)
            testing = ModelTesting()
            turns = Turns(self.live, pipeline, studio, testing, engine)
            self.watchlist = Watchlist(engine, self.live, turns, pipeline, evaluator, store, studio, clock, self._shard)
            # what a fleet knows of targets and alerts its processes follow, as their roles want it
            restore = (self.watchlist.restore,) if in_fleet else (alert_clock.restore, self.watchlist.restore)
            upkeep = StoreUpkeep(store, self.metrics, clock, restore, recorder)
            dispatcher = Dispatcher(
                store, (), self.metrics, self.live.active, self._more_expected, clock=clock, shard=self._shard
            )
            parts = Parts(
                security, self.metrics, studio, evaluator, dispatcher, self.watchlist, store, recorder, engine
            )
            self._reloader = Reloader(self._path, seen, loaded, parts, clock, self._shard)
            if shared is not None:
                self._fleet = self._new_fleet(shared, store, recorder, dispatcher, alert_clock)
            self._readiness = Readiness(store, self.watchlist, self._fleet.unready if self._fleet else None)
            await self._serve(stack, config, store, security, dispatcher)
            await upkeep.open()  # before the first pull: what it finds is compared with what was known
            if self._fleet is None:
                await dispatcher.start()
            self._on_stop(stack, "notifications", self._with_grace(dispatcher.stop))
            self._reloader.begin()
            self.scheduler.start()
            self._on_stop(stack, "scheduler", self._with_grace(self.scheduler.stop))
            if self._fleet is not None:
                self._on_stop(stack, "fleet", self._with_grace(self._fleet.stop))
            self._on_stop(stack, "waiting pulls", partial(_end_waiting, self.scheduler, turns))
            # before the scheduler: what waits for a job pulls, and ends
            self._on_stop(stack, "model testing", testing.stop)
            self.scheduler.add("retention", Grid(PRUNE, 0.0), partial(self._prune, upkeep), delay=PRUNE)
            await self.watchlist.apply(config, rediscover=True)
            if self._fleet is not None:
                self._fleet.start()
            watches = (
                self._reloader.watch_files(),
                security.watch(self._reloader.web_reloaded),
                upkeep.watch(),
                alert_clock.run() if self._fleet is None else self._fleet.run(),
            )
            self._background |= set(map(asyncio.create_task, watches))
            self._on_stop(stack, "background", self._cancel_background)
            self._stack = stack.pop_all()
        log.info("service.started", url=f"{security.scheme}://{self.address}/", projects=len(config.projects))

    async def stop(self) -> None:
        """Stop in the reverse order of the start; pulls in flight get `shutdown_grace`."""
        log.info("service.stopping")
        await self._stack.aclose()
        log.info("service.stopped")

    async def reload(self) -> bool:
        """Read the configuration again and take it over; a bad one changes nothing. Answers whether it was good."""
        return await self._reloader.reload()

    def _shared_engine(self, url: str) -> FleetEngine:
        from monitor.engine.fleet import FleetEngine  # with libraries that only a fleet needs
        from monitor.store.fleet import FleetSession

        session = FleetSession(url, new_process_id())
        return FleetEngine(
            self.scheduler, session, url, works=self._role.works, observer=self.metrics, clock=self._clock
        )

    def _new_fleet(
        self,
        engine: FleetEngine,
        store: Store,
        recorder: RunRecorder,
        dispatcher: Dispatcher,
        alert_clock: AlertClock,
    ) -> Fleet:
        from monitor.live.follower import Follower
        from monitor.service.fleet import Fleet, Parts

        session = engine.session
        follower = Follower(self.live, self.watchlist, recorder, store, session)
        session.heard = follower.heard
        self.metrics.in_fleet(lambda: follower.behind)
        return Fleet(
            Parts(engine, session, follower, self.watchlist, self.live, dispatcher, alert_clock),
            self._role,
            self._clock,
            self.metrics,
            lambda: self.address,
            lambda: self.config,
        )

    def _in_fleet(self, url: str) -> bool:
        """Whether this process shares its turns with others.

        Raises:
            StoreError: It is to, but the store is not one that they could share.
        """
        possible = shareable(url)
        if self._wanted_role is not None and not possible:
            raise StoreError(
                f"--role {self._wanted_role} is for a fleet, whose processes need a PostgreSQL that they can talk to "
                "without a pooler: write `store: postgresql://…` without `prepared_statements=off`, or leave --role out"
            )
        return possible and self._shard.total == 1

    def _more_expected(self, transition: Transition) -> bool:
        """Whether a pull that is under way may lead to alerts of the same event."""
        return self.live.more_expected(transition) or (self._fleet is not None and self._fleet.is_busy(transition))

    def _on_stop(self, stack: AsyncExitStack, name: str, stop: Callable[[], Awaitable[object]]) -> None:
        async def logged() -> None:
            log.debug("service.cleanup", part=name)
            await stop()

        stack.push_async_callback(logged)

    def _with_grace(self, stop: Callable[[float], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """A stop that is given `shutdown_grace`, as it is configured by then."""

        async def stopping() -> None:
            await stop(self.config.shutdown_grace)

        return stopping

    async def _serve(
        self, stack: AsyncExitStack, config: Config, store: Store, security: Security, dispatcher: Dispatcher
    ) -> None:
        def sources(shard: Shard) -> Sources:
            return Sources(
                self.live,
                class_limit=config.limits.classes,
                left_out=lambda: self._reloader.config.exposition.left_out,
                clock=self._clock,
                shard=shard,
            )

        alone = Renderer(self._counted)
        if not self._role.shows:
            worker = routes.worker_application(alone.render, self._readiness.unready, security)
            await self._listen_all(stack, config, worker, security)
            return
        whole = sources(WHOLE)
        self.registry.register(SnapshotCollector(whole))
        shards = ShardRenderers(sources)
        service = Service(
            render=Renderer(self._counted, whole).render,
            render_shard=lambda shard: shards.of(shard).render,
            render_process=alone.render,
            processes=lambda: self._fleet.processes if self._fleet is not None else (),
            unready=self._readiness.unready,
            problems=lambda: self._reloader.problems(self._fleet.problems if self._fleet else None),
            reload=self._reloader.reload,
            admin_token=self._reloader.read_admin_token,
            live=self.live,
            store=store,
            pull_now=self.watchlist.pull_now,
            test_receiver=dispatcher.test,
            running=self._reloader.running,
            clock=self._clock,
            studio_site=lambda: self._reloader.config.studio.pages,
            external_url=config.http.external_url,
            class_limit=config.limits.classes,
        )
        await self._listen_all(stack, config, routes.application(service, security), security)

    async def _listen_all(
        self, stack: AsyncExitStack, config: Config, app: web.Application, security: Security
    ) -> None:
        self.address = await self._listen(stack, "http", app, config.http.listen, security.tls)
        if (listen := config.http.health_listen) is not None:
            health = routes.health_application(self._readiness.unready)
            self.health_address = await self._listen(stack, "health", health, listen)

    async def _listen(
        self, stack: AsyncExitStack, part: str, app: web.Application, listen: Address, tls: SSLContext | None = None
    ) -> str:
        """Serve `app` until the stop; answers HOST:PORT."""
        listener = Listener(app)
        self._on_stop(stack, part, listener.stop)
        return await listener.start(listen.host or None, listen.port, tls)

    async def _prune(self, upkeep: StoreUpkeep, _turn: Turn) -> None:
        if self._fleet is None or self._fleet.leads:
            await upkeep.prune(self.config.retention)

    async def _cancel_background(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)


async def _end_waiting(scheduler: Scheduler, turns: Turns) -> None:
    """End the pulls that only wait."""
    scheduler.pause()
    turns.cancel_waiting()
