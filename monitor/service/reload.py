"""`Reloader`: reads the configuration again on demand or when its files changed, and has every part take it over.

Everything of a reload that can fail happens before any live state is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from ssl import CERT_NONE

import structlog
from pydantic import SecretStr

from monitor.config import Config, ConfigError, Loaded, fingerprint, load
from monitor.engine.base import Engine
from monitor.engine.sharding import Shard
from monitor.exposition import ServiceMetrics
from monitor.live.studio_access import StudioAccess
from monitor.live.watchlist import Watchlist
from monitor.notify import Dispatcher, queue_of
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.project_turn import new_client
from monitor.pipeline.record import RunRecorder
from monitor.store import Store
from monitor.views.configuration import Running, WebConfiguration
from monitor.views.service_problems import FleetProblems, Rejection, ServiceProblem, service_problems
from monitor.web.security import Security

CONFIG_POLL = 5.0
"""Seconds between looks at the configuration's files; by content, since Kubernetes swaps a symlink under the name."""
NEED_RESTART = ("http", "limits", "store")
"""Sections of the configuration that a reload does not apply."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that apply a configuration, or report on the state of the service."""

    security: Security
    metrics: ServiceMetrics
    studio: StudioAccess
    evaluator: AlertEvaluator
    dispatcher: Dispatcher
    watchlist: Watchlist
    store: Store
    recorder: RunRecorder
    engine: Engine


class Reloader:
    """Owns the running configuration.

    Args:
        path: The configuration's file.
        seen: `fingerprint` of its files, taken before they were read: a change in between shows as one at the next
            look.
        loaded: What the service was started with.
        parts: What takes it over.
        clock: Unix seconds.
        shard: Which part of the requests to Studio is this process's.
    """

    def __init__(
        self, path: Path, seen: str, loaded: Loaded, parts: Parts, clock: Callable[[], float], shard: Shard
    ) -> None:
        self._path = path
        self._seen = seen
        self._loaded = loaded
        self._parts = parts
        self._clock = clock
        self._shard = shard
        self._reloading = asyncio.Lock()
        self._started_with = loaded.config
        self._digest = seen
        self._since = clock()
        self._rejection: Rejection | None = None  # of the configuration, when it was last read

    @property
    def config(self) -> Config:
        """The configuration that is running."""
        return self._loaded.config

    def read_admin_token(self) -> SecretStr | None:
        """The admin token as its file has it now; see `HttpConfig.read_admin_token`."""
        return self.config.http.read_admin_token()

    def begin(self) -> None:
        """Let the configuration of the start hold for alerts and notifications."""
        _log_problems(self._loaded, self._shard.total)
        self._note_certificate()
        self._parts.metrics.reload(True, self._clock())
        self._configure_alerts()

    async def reload(self) -> bool:
        """Read the configuration again and take it over; a bad one changes nothing. Answers whether it was good."""
        async with self._reloading:
            web_good = await self._parts.security.reload()
            self._note_certificate()
            try:
                seen = self._seen = await asyncio.to_thread(fingerprint, self._path)
                loaded = await asyncio.to_thread(load, self._path)
                new = loaded.config
                other_studio = new.studio != self.config.studio
                client = new_client(new, self._parts.metrics, self._shard.total) if other_studio else None
            except (ConfigError, OSError) as error:
                self._reject(error)
                return False
            if sections := _differing(new, self.config):
                log.warning("config.restart_needed", sections=sections)
            if client is not None:
                self._parts.studio.replace(client)
            # what Studio asked for may be about what was wrong with the configuration before
            self._parts.studio.client.forget_waits()
            self._parts.engine.forget_waits()
            self._loaded = loaded
            self._digest = seen
            self._since = self._clock()
            _log_problems(self._loaded, self._shard.total)
            self._configure_alerts()
            await self._parts.watchlist.apply(new, rediscover=other_studio)
            self._rejection = None
            self._parts.metrics.reload(web_good, self._clock())
            log.info("config.reloaded", projects=len(new.projects))
            return web_good

    def web_reloaded(self, good: bool) -> None:
        """The web configuration was read again on its own."""
        self._note_certificate()
        self._parts.metrics.reload(good and self._rejection is None, self._clock())

    async def watch_files(self) -> None:
        """Reload when the content of a configuration file changed, until cancelled."""
        while True:
            await asyncio.sleep(CONFIG_POLL)
            try:
                if await asyncio.to_thread(fingerprint, self._path) != self._seen:
                    await self.reload()
            except Exception:  # a bug met in one look must not end the loop
                log.exception("config.watch_crashed")

    def problems(self, fleet: FleetProblems | None = None) -> tuple[ServiceProblem, ...]:
        """Problems of the service itself, the worst first.

        Args:
            fleet: What is the matter with it; None where there is none.
        """
        security = self._parts.security
        store = self._parts.store
        recorder = self._parts.recorder
        certificate = security.protection.certificate
        return service_problems(
            store=(store.problem, store.failing_since),
            unrecorded=(recorder.unrecorded, recorder.unrecorded_since),
            failing=self._parts.dispatcher.failing,
            certificate=certificate.expires if certificate else None,
            web_config=security.rejection,
            config=self._rejection,
            no_receiver=not self.config.notify and bool(self.config.rules()),
            now=self._clock(),
            fleet=fleet,
        )

    def running(self) -> Running:
        """The running configuration, and what became of others."""
        security = self._parts.security
        protection = security.protection
        web = WebConfiguration(
            path=security.path,
            tls=protection.tls is not None,
            client_certificates=protection.tls is not None and protection.tls.verify_mode is not CERT_NONE,
            users=len(protection.users),
            expires=protection.certificate.expires if protection.certificate else None,
            rejection=security.rejection,
        )
        return Running(
            self._loaded,
            self._digest,
            self._since,
            self._rejection,
            _differing(self.config, self._started_with),
            self._parts.dispatcher.receivers,
            web,
        )

    def _reject(self, error: ConfigError | OSError) -> None:
        problems = error.problems if isinstance(error, ConfigError) else (error,)
        log.error("config.rejected", problems=[str(problem) for problem in problems])
        self._rejection = Rejection.of(problems, self._clock(), self._rejection)
        self._parts.metrics.reload(False, self._clock())

    def _configure_alerts(self) -> None:
        """Take over the configuration's rules and receivers."""
        names = [entry.receiver_name for entry in self.config.notify]
        self._parts.metrics.receivers(names)
        queues = (queue_of(name, self._shard) for name in names)
        self._parts.evaluator.configure(self.config.rules(), queues)
        self._parts.dispatcher.replace(self.config.notify)

    def _note_certificate(self) -> None:
        certificate = self._parts.security.protection.certificate
        self._parts.metrics.certificate(certificate.expires if certificate else None)


def _differing(new: Config, old: Config) -> list[str]:
    """The sections that differ, and that a reload does not apply."""
    return [name for name in NEED_RESTART if getattr(new, name) != getattr(old, name)]


def _log_problems(loaded: Loaded, shards: int) -> None:
    for problem in loaded.unreadable:
        log.error("config.file_unreadable", problem=str(problem))
    for problem in loaded.exceeded_budgets(shards):
        log.warning("config.budget_exceeded", problem=str(problem))
