"""`Worker`: one receiver's queue, from the store to the receiver."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from monitor.alerts.states import Transition, load_transition
from monitor.notify.errors import Rejected, Retry
from monitor.notify.notifier import Checkable, Clock, Notifier, Resender
from monitor.store import Message, Store, StoreError

log = structlog.get_logger()

Outcome = Literal["delivered", "failed", "rejected", "dropped"]
"""`failed` is an attempt that is made again; `rejected` and `dropped` are messages that never arrive."""
Active = Callable[[], Iterable[Transition]]
"""What is firing, and what has resolved lately, as far as the committed states tell."""

BATCH = 20
"""Messages read at once."""


class Observer(Protocol):
    """Who counts notifications."""

    def notification(self, receiver: str, outcome: Outcome) -> None: ...  # noqa: D102
    def queue_length(self, receiver: str, length: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class FailingReceiver:
    """A receiver that does not get its messages.

    Attributes:
        receiver: Its name.
        since: Unix seconds of the first failure in a row.
        why: What the last attempt failed with, one line without secrets.
        waiting: How many messages wait for it, as of the last look.
    """

    receiver: str
    since: float
    why: str
    waiting: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When things are done, and how much is kept. All in seconds, but `most`.

    Attributes:
        first_pause: After the first failure; it doubles with each further one, less up to half as jitter.
        longest_pause: What it grows up to.
        longest_wait: How long a receiver's `Retry-After` is honoured.
        look: Between looks into the queue when the store announces nothing.
        resend: Between two times that the current alerts are sent again.
        most: Messages kept for a receiver; older ones are dropped.
    """

    first_pause: float = 1.0
    longest_pause: float = 60.0
    longest_wait: float = 300.0
    look: float = 15.0
    resend: float = 60.0
    most: int = 1000


class Worker:
    """Delivers one receiver's messages in order, each at least once, for as long as it takes.

    Args:
        name: The receiver's.
        queue: Its queue in the store.
        notifier: Tells the receiver.
        store: Holds the queue.
        observer: Counts.
        active: The current alerts, for a receiver that wants to hear them again.
        pace: When.
        clock: Unix seconds.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        notifier: Notifier,
        store: Store,
        observer: Observer,
        active: Active,
        pace: RetryPolicy,
        clock: Clock,
    ) -> None:
        self._name, self._queue, self._notifier = name, queue, notifier
        self._store, self._observer, self._active, self._pace = store, observer, active, pace
        self._awake, self._stopping = asyncio.Event(), False
        self._time = asyncio.get_running_loop().time
        self._not_before = self._resend_at = self._time()
        self._failures = 0
        self._failing: set[str] = set()
        self._arrived: list[int] = []
        self._refused: set[str] = set()
        self._clock = clock
        self._troubles: dict[str, tuple[float, str]] = {}
        self._waiting = 0
        self._unchecked = isinstance(notifier, Checkable)

    @property
    def failing(self) -> FailingReceiver | None:
        """What keeps the receiver from being told; None while nothing is known to. The store's failures are not the
        receiver's.
        """
        for since, why in self._troubles.values():
            return FailingReceiver(self._name, since, why, self._waiting)
        return None

    def stop(self) -> None:
        """End after the request in flight."""
        self._stopping = True
        self._awake.set()

    async def run(self, after: Collection[asyncio.Task[None]] = ()) -> None:
        """Work until stopped.

        Args:
            after: Other workers on the same queue, which are waited for: two at once would send out of order.
        """
        if after:
            await asyncio.wait(after)
        with self._store.arrivals.heard(self._queue, self._awake):
            await self._work()

    async def _work(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                if self._unchecked:
                    await self._check()
                await self._tidy()
                if self._time() >= self._not_before:
                    await self._deliver()
            except StoreError as error:
                self._ill("store", error)
            except Exception as error:  # of the caller's `active`, or a bug of ours: it must not end the worker
                log.exception("notify.crashed", receiver=self._name)
                self._ill("worker", error)
                self._blame("worker", "an error of the service, which its log has as notify.crashed")
            else:
                self._well("store")
                self._well("worker")
                self._forgive("worker")
            await self._idle()

    async def _idle(self) -> None:
        pause = self._not_before - self._time()
        if pause <= 0:
            pause = self._pace.look
            if isinstance(self._notifier, Resender):
                pause = min(pause, self._resend_at - self._time())
        try:
            async with asyncio.timeout(max(0.0, pause)):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _check(self) -> None:
        """See, before there is a message, whether the receiver can be told at all; again at each look until it can."""
        assert isinstance(self._notifier, Checkable)
        try:
            await self._notifier.check()
        except Retry as error:
            self._note("receiver", error)
            self._blame("receiver", str(error))
            return
        self._unchecked = False
        self._well("receiver")
        self._forgive("receiver")

    async def _tidy(self) -> None:
        """Delete what has arrived, and what is too much; show how many wait."""
        if self._arrived:  # deleting it failed before: it must not be sent again
            await self._delete()
        waiting = (await self._store.message_counts()).get(self._queue, 0)
        if waiting > self._pace.most:
            async with self._store.transaction() as tx:
                dropped = await tx.trim_messages(self._queue, self._pace.most)
            for _ in range(dropped):
                self._observer.notification(self._name, "dropped")
            log.error("notify.dropped", receiver=self._name, messages=dropped, most=self._pace.most)
            waiting -= dropped
        self._waiting = waiting
        self._observer.queue_length(self._name, waiting)

    async def _deliver(self) -> None:
        while not self._stopping:
            # Before looking into the queue: if that is empty then, the receiver has heard everything that led to these
            # alerts, and sending them again tells it nothing out of order.
            alerts = (
                list(self._active())
                if isinstance(self._notifier, Resender) and self._time() >= self._resend_at
                else None
            )
            messages = await self._store.messages(self._queue, BATCH)
            if not messages:
                if alerts is not None:
                    await self._resend(alerts)
                return
            for message in messages:
                if self._stopping or not await self._send(message):
                    return
            await self._tidy()

    async def _send(self, message: Message) -> bool:
        """Whether the message is done with: delivered or rejected."""
        outcome = await self._attempt(message)
        self._observer.notification(self._name, outcome)
        if outcome == "failed":
            return False
        if message.id is not None:
            self._arrived.append(message.id)
        await self._delete()
        return True

    async def _attempt(self, message: Message) -> Outcome:
        about = {"receiver": self._name, "subject": message.subject}
        try:
            transition = load_transition(message.payload)
        except ValueError as error:
            log.error("notify.unreadable", **about, error=str(error))
            return "rejected"
        about |= {"status": transition.status, "notification": transition.id}
        try:
            await self._notifier.send(transition)
        except Retry as error:
            self._ill("receiver", error, error.delay)
            self._blame("receiver", str(error))
            return "failed"
        except Rejected as error:
            log.error("notify.rejected", **about, error=str(error))
            self._well("receiver")
            self._blame("receiver", f"the last message was given up: {error}")
            return "rejected"
        except Exception:  # a bug of ours that this message calls up: it must not hold up the others for ever
            log.exception("notify.crashed", **about)
            self._blame(
                "receiver",
                "the last message was given up: an error of the service, which its log has as notify.crashed",
            )
            return "rejected"
        log.info("notify.delivered", **about)
        self._well("receiver")
        self._forgive("receiver")
        self._unchecked = False
        return "delivered"

    async def _delete(self) -> None:
        async with self._store.transaction() as tx:
            await tx.delivered(*self._arrived)
        self._arrived.clear()

    async def _resend(self, alerts: list[Transition]) -> None:
        assert isinstance(self._notifier, Resender)
        try:
            resent = await self._notifier.resend(alerts)
        except Retry as error:
            self._observer.notification(self._name, "failed")
            self._ill("receiver", error, error.delay)
            self._blame("receiver", str(error))
            return
        self._resend_at = self._time() + self._pace.resend
        if resent.arrived or resent.refused:
            self._well("receiver")
        if resent.arrived:
            self._forgive("receiver")
            self._observer.notification(self._name, "delivered")
        for alert, why in resent.refused:
            self._observer.notification(self._name, "rejected")
            if alert.id not in self._refused:
                log.error(
                    "notify.rejected",
                    receiver=self._name,
                    alert=alert.alertname,
                    target=alert.target_id,
                    error=str(why),
                )
        if resent.refused:
            self._blame("receiver", f"an alert was given up: {resent.refused[-1][1]}")
        self._refused = {alert.id for alert, _ in resent.refused}

    def _ill(self, what: str, error: Exception, delay: float | None = None) -> None:
        """Pause, longer after each failure of a row; log the first."""
        self._failures += 1
        pause = min(
            self._pace.longest_pause, self._pace.first_pause * 2 ** min(self._failures - 1, 30)
        ) * random.uniform(0.5, 1.0)
        self._not_before = self._time() + max(pause, min(delay or 0.0, self._pace.longest_wait))
        self._note(what, error)

    def _note(self, what: str, error: Exception) -> None:
        """Log the first failure of a row."""
        if what not in self._failing:
            log.error("notify.failing", receiver=self._name, what=what, error=str(error))
            self._failing.add(what)

    def _blame(self, what: str, why: str) -> None:
        """Let `failing` say why, and since when, until it is forgiven."""
        since = self._troubles[what][0] if what in self._troubles else self._clock()
        self._troubles[what] = (since, why)

    def _forgive(self, what: str) -> None:
        self._troubles.pop(what, None)

    def _well(self, what: str) -> None:
        if what in self._failing:
            self._failing.discard(what)
            log.info("notify.recovered", receiver=self._name, what=what)
        if not self._failing:
            self._failures = 0
