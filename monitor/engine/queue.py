"""`Queue`: hands projects out to the workers of a fleet, on pgqueuer.

Of the library only this file knows. It decides who is offered a turn, and offers it again when a worker has fallen
silent; whose the turn is, is a row of ours (`store.fleet`): a queue cannot keep a worker that was stopped from coming
back, and one of pgqueuer that does ends the job of the worker that has taken over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter

from monitor.store.errors import StoreError
from monitor.store.fleet import FleetSession, Offers
from monitor.store.own_connection import OwnConnection

SILENT = timedelta(seconds=10)
"""Without a sign of life for this long, a worker's turns are offered to others. It gives one twice as often."""
LOOK = timedelta(seconds=2)
"""Between two looks for turns of workers that have fallen silent; new turns are announced."""
AT_ONCE = 256
"""Turns that one worker has at most: most of them wait, for Studio or for their place among the pulls."""
_BATCH = 16
_TURN = "turn"
_RECONNECT = 1.0
"""Seconds before a connection that broke is made anew."""
_LOGGED = timedelta(hours=1)
"""For how long the queue's own log of its jobs is kept."""

_SESSION = "SET plan_cache_mode = force_generic_plan; SET synchronous_commit = off"
"""What takes turns is planned once: because of its limit PostgreSQL would plan it each time, which takes longer. Nobody
waits for the disk: a server that fails may forget who was offered a turn, and knows whose it is.
"""

_SETTINGS = DBSettings(prefix="impulse_monitor_", db_schema=None)
_TABLE = _SETTINGS.qualified.queue_table
_MISSING = f"NOT EXISTS (SELECT FROM {_TABLE} WHERE dedupe_key = standing.project AND status IN ('queued', 'picked'))"
OFFERS = Offers(
    offer=(
        f"INSERT INTO {_TABLE} (priority, entrypoint, payload, dedupe_key, status) "
        f"SELECT 0, '{_TURN}', convert_to(project, 'UTF8'), project, 'queued' FROM standing "
        f"WHERE NOT runs AND {_MISSING} ON CONFLICT DO NOTHING"
    ),
    missing=_MISSING,
    # an end is announced to all workers where a row is deleted, and not where it is changed
    withdraw=(
        f"UPDATE {_TABLE} SET status = 'successful' FROM ended "
        f"WHERE dedupe_key = ended.project AND status IN ('queued', 'picked')"
    ),
)
"""The library's own statements would take two more of each turn."""

# it says at `info` of each turn that is another's that it is offered again, which is many times a second
logging.getLogger("pgqueuer").setLevel(logging.WARNING)

log = structlog.get_logger()


class Again(Exception):
    """The turn cannot be taken right now: offer it again in `delay` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        self.delay = delay


class _Connection(AsyncpgDriver):
    """Passes on that turns were offered; that others have ended is announced too, and gives nobody anything to do.

    Attributes:
        news: Whether something was passed on since this was last set to False.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.news = False

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen."""

        def heard(payload: str | bytes | bytearray) -> None:
            if json.loads(payload).get("operation") != "delete":
                self.news = True
                callback(payload)

        await super().add_listener(channel, heard)


class _Queue(Queries):
    """The library's statements, fewer of them where a worker takes turns.

    After each batch the library asks whether there is another one, whether something may be taken now, when something
    may that was deferred, and whether there is anything at all. What is offered is announced; what this worker deferred
    it knows; for what others deferred, and those that fell silent, there is `LOOK`.

    Args:
        connection: asyncpg's.

    Attributes:
        running: How many turns this worker has.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = _Connection(connection)
        super().__init__(
            self._connection,
            QueryBuilderEnvironment(_SETTINGS),
            QueryQueueBuilder(_SETTINGS),
            QuerySchedulerBuilder(_SETTINGS),
        )
        self.running: Callable[[], int] = lambda: 0
        self._emptied = False
        self._deferred: list[float] = []

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Take what there is, as far as there is room; nothing where the last one took the rest."""
        wanted = min(batch_size, AT_ONCE - self.running())
        emptied = self._emptied and not self._connection.news
        self._emptied = False
        if emptied or wanted < 1:
            return []
        self._connection.news = False
        # without a limit: what there is room for is known here, and needs not be counted
        jobs = await super().dequeue(wanted, entrypoints, queue_manager_id, None, heartbeat_timeout)
        self._emptied = 0 < len(jobs) < wanted
        return jobs

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Whether to look again soon: where there was no room."""
        return int(self.running() >= AT_ONCE)

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        """When something comes back that this worker deferred."""
        now = time.monotonic()
        self._deferred = [at for at in self._deferred if at > now]
        return timedelta(seconds=min(self._deferred) - now) if self._deferred else None

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """None beyond these."""
        return 0

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Remove jobs; those that went well were withdrawn by the end of their turns."""
        left = [each for each in job_status if each[1] != "successful"]
        if left:
            await super().log_jobs(left)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """As the library's."""
        await super().retry_job(job, delay, traceback_record)
        self._deferred.append(time.monotonic() + delay.total_seconds())


async def install(session: FleetSession) -> None:
    """Make the queue's tables, or bring those of another release of the library up to date.

    Raises:
        StoreError: That is not possible.
    """
    await session.asked(_installed)


async def _installed(driver: Any) -> None:
    queries = _Queue(driver)
    async with queries.schema_lock():
        if not await queries.schema_is_installed():
            await queries.install()
            return
    await queries.apply_upgrade()


async def prune(session: FleetSession) -> None:
    """Forget the turns that have ended, and what the queue logged of jobs long ago.

    Raises:
        StoreError: That is not possible.
    """
    table = _SETTINGS.qualified.queue_table_log
    await session.asked(lambda driver: driver.execute(f"DELETE FROM {_TABLE} WHERE status = 'successful'"))
    await session.asked(
        lambda driver: driver.execute(f"DELETE FROM {table} WHERE created < now() - $1::interval", _LOGGED)
    )


class Worker:
    """Takes turns as they are offered, on a connection of its own that is made anew when it breaks.

    Args:
        url: Of the store.
        take: Does the turn of a project; raises `Again` where it cannot be taken right now.
    """

    def __init__(self, url: str, take: Callable[[str], Awaitable[None]]) -> None:
        self._url = url
        self._take = take
        self._manager: QueueManager | None = None
        self._broken: asyncio.Future[None] | None = None
        self._turns: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Take turns until `stop`; then those under way are let end, until this is cancelled.

        Where the connection breaks, they go on all the same: that they are this worker's is not the queue's to say.
        """
        while not self._stopping:
            connection = OwnConnection(self._url, "impulse-monitor queue")
            try:
                await connection.open()
                self._broken = broken = asyncio.get_running_loop().create_future()
                connection.driver.add_termination_listener(partial(_break, broken))
                await _installed(connection.driver)  # whoever of the fleet is first
                await connection.driver.execute(_SESSION)
                turns = _Queue(connection.driver)
                manager = QueueManager(turns, channel=_SETTINGS.channel)
                turns.running = partial(len, manager.job_context)
                manager.entrypoint(_TURN, accepts_context=False)(self._dispatched)
                self._manager = manager
                await manager.run(
                    dequeue_timeout=LOOK,
                    batch_size=_BATCH,
                    heartbeat_timeout=SILENT,
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(0),
                )
            except Exception as error:
                log.warning("queue.connection_lost", error=str(connection.explained(error)))
            finally:
                self._manager = None
                if self._broken is not None:
                    _break(self._broken)
                await connection.close()
            if not self._stopping:
                await asyncio.sleep(_RECONNECT)

    def stop(self) -> None:
        """Take no more turns."""
        self._stopping = True
        if self._manager is not None:
            self._manager.shutdown.set()

    async def _dispatched(self, job: Job) -> None:
        turn = asyncio.ensure_future(self._take((job.payload or b"").decode()))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        assert self._broken is not None
        try:
            await asyncio.wait({turn, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                turn.add_done_callback(_retrieved)
                return
            await turn
        except Again as again:
            raise RetryRequested(timedelta(seconds=again.delay)) from None
        except StoreError as error:
            log.warning("turn.not_taken", error=str(error))
            raise RetryRequested(timedelta(seconds=_RECONNECT)) from None


def _break(broken: asyncio.Future[None], *_: object) -> None:
    """Nobody is to wait for a connection any more."""
    if not broken.done():
        broken.set_result(None)


def _retrieved(turn: asyncio.Future[None]) -> None:
    """That of a turn nobody waits for any more is no error that nobody heard of."""
    if not turn.cancelled():
        turn.exception()


__all__ = ["AT_ONCE", "LOOK", "OFFERS", "SILENT", "Again", "Worker", "install", "prune"]
