"""`Dispatcher`: a worker for each receiver, and order among them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import aiohttp
import structlog

from monitor.config.receivers import NotifyConfig
from monitor.engine.sharding import WHOLE, Shard
from monitor.notify.http import TIMEOUT, new_session
from monitor.notify.notifier import Clock
from monitor.notify.queues import owner_of, queue_of
from monitor.notify.receiver_status import FailingReceiver, Observer, ReceiverStatus, RetryPolicy
from monitor.notify.registry import notifier_of
from monitor.notify.trial import Trial, named, send
from monitor.notify.worker import Active, MoreExpected, Worker, dropped_notifications
from monitor.store import Store, StoreError

log = structlog.get_logger()

_SWEEP_INTERVAL = 60.0
"""Seconds between sweeps of the outbox for messages of receivers that are no longer configured."""


@dataclass(frozen=True, slots=True)
class _Job:
    receiver: NotifyConfig
    worker: Worker
    task: asyncio.Task[None]


class Dispatcher:
    """Sends the messages in the store's outbox, one worker for each receiver: none waits for another, nor do the pulls.

    Use it as an asynchronous context, or call `start` and `stop`, as often as wanted. Until it is started it only
    knows its receivers: another process sends.

    Args:
        store: Its outbox has messages by `queue_of` the receivers, with `dump(transition)` as payload.
        receivers: The receivers of the configuration. Names are unique.
        observer: Counts notifications and the length of queues.
        active: The alerts that fire or have resolved lately (older ones do no harm), for Alertmanager. It must not be
            behind the store when that announces messages: a worker that has delivered an end would take the alert for
            firing again.
        more_expected: Whether other alerts of the same event may begin, or end, in a moment.
        policy: Backoff, intervals and the longest queue.
        timeout: Seconds for one HTTP request.
        clock: Unix seconds.
        shard: Which of the processes that may share the store this is.
    """

    def __init__(
        self,
        store: Store,
        receivers: Iterable[NotifyConfig],
        observer: Observer,
        active: Active = tuple,
        more_expected: MoreExpected = lambda transition: False,
        *,
        policy: RetryPolicy | None = None,
        timeout: float = TIMEOUT,
        clock: Clock = time.time,
        shard: Shard = WHOLE,
    ) -> None:
        self._store = store
        self._observer = observer
        self._active = active
        self._more_expected = more_expected
        self._clock = clock
        self._shard = shard
        self._policy = policy or RetryPolicy()
        self._timeout = timeout
        self._receivers = tuple(receivers)
        self._elsewhere: dict[str, ReceiverStatus] = {}
        self._session: aiohttp.ClientSession | None = None
        self._jobs: dict[str, _Job] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._swept = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop(0.0)

    async def start(self) -> None:
        """Start the workers; messages that wait from before are sent at once."""
        self._session = new_session(self._timeout)
        self.replace(self._receivers)
        self._sweeper = asyncio.create_task(self._sweep(), name="notify.sweep")

    async def stop(self, grace: float) -> None:
        """Stop the workers. Requests in flight have `grace` seconds to end; other messages are sent after the next
        start.
        """
        for job in self._jobs.values():
            job.worker.stop()
        tasks = {job.task for job in self._jobs.values()} | self._ending
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        if self._sweeper is not None:
            tasks.add(self._sweeper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._jobs.clear()
        if self._session is not None:
            await self._session.close()
        self._session = None

    @property
    def failing(self) -> tuple[FailingReceiver, ...]:
        """The receivers whose last attempt failed."""
        return tuple(status.failing for status in self.receivers if status.failing is not None)

    def hear(self, receivers: Iterable[ReceiverStatus]) -> None:
        """What the process that sends says of its receivers; it is shown for as long as this one does not send."""
        self._elsewhere = {status.receiver: status for status in receivers}

    @property
    def receivers(self) -> tuple[ReceiverStatus, ...]:
        """How each receiver does, in the order in which they came."""
        if self._session is None:
            names = [receiver.receiver_name for receiver in self._receivers]
            return tuple(self._elsewhere.get(name, ReceiverStatus(name, None, 0, None)) for name in names)
        return tuple(job.worker.status for job in self._jobs.values())

    async def test(self, name: str) -> Trial:
        """Send a test message to one of the receivers, past its queue.

        Raises:
            LookupError: None has this name.
        """
        receiver = named(self._receivers, name)
        if self._session is not None:
            return await send(receiver, self._session, self._clock)
        async with new_session(self._timeout) as session:
            return await send(receiver, session, self._clock)

    def replace(self, receivers: Iterable[NotifyConfig]) -> None:
        """Notify these receivers from now on. One whose configuration is equal keeps its worker; another of the same
        name inherits the queue; the messages of receivers that are gone are deleted.
        """
        self._receivers = tuple(receivers)
        if self._session is None:
            return
        wanted = {receiver.receiver_name: receiver for receiver in self._receivers}
        left = {name: job for name, job in self._jobs.items() if wanted.get(name) != job.receiver}
        for job in left.values():
            job.worker.stop()
            self._ending.add(job.task)
            job.task.add_done_callback(self._ending.discard)
        for name, receiver in wanted.items():
            if name in left or name not in self._jobs:
                notifier = notifier_of(receiver, self._session, self._clock)
                queue = queue_of(name, self._shard)
                worker = Worker(
                    name,
                    queue,
                    notifier,
                    self._store,
                    self._observer,
                    self._active,
                    self._policy,
                    self._clock,
                    self._more_expected,
                )
                task_name = f"notify.{name}"
                before = {task for task in self._ending if task.get_name() == task_name}
                self._jobs[name] = _Job(receiver, worker, asyncio.create_task(worker.run(before), name=task_name))
        for name in left.keys() - wanted.keys():
            del self._jobs[name]
        self._swept.set()

    async def _sweep(self) -> None:
        """Delete the messages of receivers that are no longer configured: at first, after each `replace`, and every so
        often.
        """
        while True:
            self._swept.clear()
            try:
                for queue, waiting in (await self._store.message_counts()).items():
                    receiver, index = owner_of(queue)
                    orphan = index >= self._shard.total and self._shard.index == 0  # of a shard that there no longer is
                    if receiver not in self._jobs and (orphan or index == self._shard.index):
                        await self._forget(receiver, queue, waiting)
                    elif orphan:
                        await self._adopt(receiver, queue)
            except StoreError as error:  # each worker says so as well; the next look comes
                log.debug("notify.sweep_failed", error=str(error))
            try:
                async with asyncio.timeout(_SWEEP_INTERVAL):
                    await self._swept.wait()
            except TimeoutError:
                pass

    async def _forget(self, receiver: str, queue: str, waiting: int) -> None:
        async with self._store.transaction() as tx:
            if receiver in self._jobs:  # a reload brought it back in the meantime
                return
            dropped = await tx.trim_messages(queue, 0)
            why = "the receiver is no longer configured"
            await tx.record_notifications(dropped_notifications(receiver, dropped, self._clock(), why))
        self._observer.queue_length(receiver, 0)
        log.warning("notify.forgotten", receiver=receiver, messages=waiting, why="it is no longer in notify")

    async def _adopt(self, receiver: str, queue: str) -> None:
        async with self._store.transaction() as tx:
            await tx.move_messages(queue, queue_of(receiver, self._shard))
        log.info("notify.adopted", receiver=receiver, queue=queue)
