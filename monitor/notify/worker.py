"""`Worker`: delivers one receiver's queue of the outbox."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable

import structlog

from monitor.alerts.causes import is_shared
from monitor.alerts.states import Transition
from monitor.notify.errors import Rejected, Retry
from monitor.notify.merging import Bundle, bundles
from monitor.notify.notifier import Checkable, Clock, Merging, Notifier, Resender
from monitor.notify.receiver_status import FailingReceiver, Observer, Outcome, ReceiverStatus, RetryPolicy
from monitor.store import Message, Notification, Store, StoreError
from monitor.store.notifications import Settled
from monitor.store.state_documents import load_transition

log = structlog.get_logger()

Active = Callable[[], Iterable[Transition]]
"""The alerts that fire or have resolved lately, by the committed states."""
MoreExpected = Callable[[Transition], bool]
"""Whether other alerts of the same event may begin, or end, in a moment."""

BATCH = 20
"""Messages read at once."""
LOOKAHEAD = 500
"""Messages read at once where those of one event go out together."""


class Worker:
    """Delivers one receiver's messages in order, each at least once, for as long as it takes.

    Args:
        name: The receiver's.
        queue: Its queue in the store.
        notifier: Sends to the receiver.
        store: Holds the queue.
        observer: Counts notifications and the length of the queue.
        active: The current alerts, for a receiver that is sent them again.
        policy: Backoff, intervals and the longest queue.
        clock: Unix seconds.
        more_expected: Whether an event's message waits for others to join.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        notifier: Notifier,
        store: Store,
        observer: Observer,
        active: Active,
        policy: RetryPolicy,
        clock: Clock,
        more_expected: MoreExpected = lambda transition: False,
    ) -> None:
        self._name = name
        self._queue = queue
        self._notifier = notifier
        self._store = store
        self._observer = observer
        self._active = active
        self._policy = policy
        self._awake = asyncio.Event()
        self._stopping = False
        self._time = asyncio.get_running_loop().time
        self._not_before = self._resend_at = self._time()
        self._failures = 0
        self._failing: set[str] = set()
        self._done: dict[int, Notification | None] = {}
        self._refused: set[str] = set()
        self._clock = clock
        self._more_expected = more_expected
        self._sent_at: dict[tuple[str, str], float] = {}
        self._look_at: float | None = None
        self._problems: dict[str, tuple[float, str]] = {}
        self._waiting = 0
        self._delivered_at: float | None = None
        self._unchecked = isinstance(notifier, Checkable)

    @property
    def failing(self) -> FailingReceiver | None:
        """Why the last attempt failed; None where it succeeded. The store's failures are not the receiver's."""
        for since, why in self._problems.values():
            return FailingReceiver(self._name, since, why, self._waiting)
        return None

    @property
    def status(self) -> ReceiverStatus:
        """How the receiver does."""
        return ReceiverStatus(self._name, self._delivered_at, self._waiting, self.failing)

    def stop(self) -> None:
        """Stop after the request in flight."""
        self._stopping = True
        self._awake.set()

    async def run(self, after: Collection[asyncio.Task[None]] = ()) -> None:
        """Work until stopped.

        Args:
            after: Workers that had the queue before, which must end first: two at once would send out of order.
        """
        if after:
            await asyncio.wait(after)
        with self._store.arrivals.subscribed(self._queue, self._awake):
            await self._work()

    async def _work(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                if self._unchecked:
                    await self._check()
                await self._trim()
                if self._time() >= self._not_before:
                    await self._deliver()
            except StoreError as error:
                self._back_off("store", error)
            except Exception as error:  # in `active`, or a bug of ours: it must not end the worker
                log.exception("notify.crashed", receiver=self._name)
                self._back_off("worker", error)
                self._set_problem("worker", "an error of the service, which its log has as notify.crashed")
            else:
                self._recover("store")
                self._recover("worker")
                self._clear_problem("worker")
            await self._idle()

    async def _idle(self) -> None:
        pause = self._not_before - self._time()
        if pause <= 0:
            pause = self._policy.poll_interval
            if isinstance(self._notifier, Resender):
                pause = min(pause, self._resend_at - self._time())
            if self._look_at is not None:
                pause = min(pause, self._look_at - self._time())
        try:
            async with asyncio.timeout(max(0.0, pause)):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _check(self) -> None:
        """Check the configuration before there is a message; again at each look until it can be used."""
        assert isinstance(self._notifier, Checkable)
        try:
            await self._notifier.check()
        except Retry as error:
            self._log_failure("receiver", error)
            self._set_problem("receiver", str(error))
            return
        self._unchecked = False
        self._recover("receiver")
        self._clear_problem("receiver")

    async def _trim(self) -> None:
        """Delete messages that are done with and those beyond the limit; report the length of the queue."""
        if self._done:  # deleting it failed before: it must not be sent again
            await self._delete()
        waiting = (await self._store.message_counts()).get(self._queue, 0)
        if waiting > self._policy.queue_limit:
            async with self._store.transaction() as tx:
                dropped = await tx.trim_messages(self._queue, self._policy.queue_limit)
                why = f"more than {self._policy.queue_limit} messages waited"
                await tx.record_notifications(dropped_notifications(self._name, dropped, self._clock(), why))
            for _ in dropped:
                self._observer.notification(self._name, "dropped")
            log.error("notify.dropped", receiver=self._name, messages=len(dropped), most=self._policy.queue_limit)
            waiting -= len(dropped)
        self._waiting = waiting
        self._observer.queue_length(self._name, waiting)

    async def _deliver(self) -> None:
        while not self._stopping:
            self._look_at = None
            # Taken before looking into the queue: where that is empty then, every message that led to these alerts was
            # delivered, and sending them again is in order.
            alerts = (
                list(self._active())
                if isinstance(self._notifier, Resender) and self._time() >= self._resend_at
                else None
            )
            merging = isinstance(self._notifier, Merging)
            messages = await self._store.messages(self._queue, LOOKAHEAD if merging else BATCH)
            if not messages:
                if alerts is not None:
                    await self._resend(alerts)
                return
            read = [(message, _read(message)) for message in messages]
            found = bundles(read) if merging else [Bundle([one] if one else [], [message]) for message, one in read]
            if not await self._send_due(found):
                return
            await self._trim()

    async def _send_due(self, found: Iterable[Bundle]) -> bool:
        """Send what is due; answers whether something was, and nothing failed. What waits holds up only what comes
        after it of the same alerts.
        """
        waiting: set[str] = set()
        sent = False
        for bundle in found:
            if not waiting.isdisjoint(bundle.subjects):
                waiting |= bundle.subjects
                continue
            if (due := self._due(bundle)) > self._time():
                waiting |= bundle.subjects
                self._look_at = due if self._look_at is None else min(due, self._look_at)
                continue
            if self._stopping or not await self._send(bundle):
                return False
            sent = True
        return sent

    def _due(self, bundle: Bundle) -> float:
        """When a bundle is to be sent, in seconds of the loop: at once, unless its event's last message is less than a
        window old, or others may join in a moment.
        """
        now = self._time()
        if bundle.event is None or not isinstance(self._notifier, Merging) or bundle.is_full:
            return now
        window = self._policy.merge_window
        due = max(now, self._sent_at.get(bundle.event, -window) + window)
        young = 0 <= self._clock() - bundle.created < window  # a clock that was set back holds nothing up
        if young and is_shared(bundle.event[0]) and any(map(self._more_expected, bundle.transitions)):
            due = max(due, now + self._policy.merge_look)
        return due

    async def _send(self, bundle: Bundle) -> bool:
        """Whether the bundle is done with: delivered or rejected. One that is refused as a whole is sent alert by
        alert, so that one of them does not cost the others.
        """
        outcome = await self._attempt(bundle)
        self._observer.notification(self._name, outcome)
        if outcome == "failed":
            return False
        if outcome == "rejected" and len(bundle.messages) > 1:
            pairs = zip(bundle.transitions, bundle.messages, strict=True)
            for transition, message in pairs:
                if self._stopping or not await self._send(Bundle([transition], [message])):
                    return False
            return True
        self._settle(bundle, outcome)
        self._note(bundle)
        await self._delete()
        return True

    def _settle(self, bundle: Bundle, outcome: Settled) -> None:
        """Remember what became of a bundle's messages until that is in the store, and they are not."""
        why = self._problems["receiver"][1] if outcome == "rejected" and "receiver" in self._problems else ""
        transitions: list[Transition | None] = [*bundle.transitions] or [None]
        for message, transition in zip(bundle.messages, transitions, strict=True):
            if message.id is not None:
                self._done[message.id] = (
                    None
                    if transition is None
                    else Notification(transition.id, self._name, message.created, self._clock(), outcome, why)
                )

    def _note(self, bundle: Bundle) -> None:
        """Remember when an event's message went out, as long as that matters."""
        since = self._time() - self._policy.merge_window
        self._sent_at = {event: at for event, at in self._sent_at.items() if at > since}
        if bundle.event is not None and not bundle.is_full:
            self._sent_at[bundle.event] = self._time()

    async def _attempt(self, bundle: Bundle) -> Outcome:
        if not bundle.transitions:
            self._log_unreadable(bundle.messages[0])
            return "rejected"
        first = bundle.transitions[0]
        about = {
            "receiver": self._name,
            "subject": bundle.messages[0].subject,
            "status": first.status,
            "notification": first.id,
        }
        if len(bundle.messages) > 1:
            about["alerts"] = str(len(bundle.messages))
        try:
            if isinstance(self._notifier, Merging):
                await self._notifier.send_together(bundle.transitions)
            else:
                await self._notifier.send(first)
        except Retry as error:
            self._back_off("receiver", error, error.delay)
            self._set_problem("receiver", str(error))
            return "failed"
        except Rejected as error:
            log.error("notify.rejected", **about, error=str(error))
            self._recover("receiver")
            self._set_problem("receiver", f"the last message was given up: {error}")
            return "rejected"
        except Exception:  # a bug that this message triggers: it must not hold up the others for ever
            log.exception("notify.crashed", **about)
            self._set_problem(
                "receiver",
                "the last message was given up: an error of the service, which its log has as notify.crashed",
            )
            return "rejected"
        log.info("notify.delivered", **about)
        self._delivered_at = self._clock()
        self._recover("receiver")
        self._clear_problem("receiver")
        self._unchecked = False
        return "delivered"

    def _log_unreadable(self, message: Message) -> None:
        try:
            load_transition(message.payload)
        except ValueError as error:
            log.error("notify.unreadable", receiver=self._name, subject=message.subject, error=str(error))

    async def _delete(self) -> None:
        async with self._store.transaction() as tx:
            await tx.delivered(*self._done)
            await tx.record_notifications(each for each in self._done.values() if each is not None)
        self._done.clear()

    async def _resend(self, alerts: list[Transition]) -> None:
        assert isinstance(self._notifier, Resender)
        try:
            resent = await self._notifier.resend(alerts)
        except Retry as error:
            self._observer.notification(self._name, "failed")
            self._back_off("receiver", error, error.delay)
            self._set_problem("receiver", str(error))
            return
        self._resend_at = self._time() + self._policy.resend_interval
        if resent.delivered or resent.refused:
            self._recover("receiver")
        if resent.delivered:
            self._delivered_at = self._clock()
            self._clear_problem("receiver")
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
            self._set_problem("receiver", f"an alert was given up: {resent.refused[-1][1]}")
        self._refused = {alert.id for alert, _ in resent.refused}

    def _back_off(self, what: str, error: Exception, delay: float | None = None) -> None:
        """Pause before the next attempt, longer after each failure in a row; log the first."""
        self._failures += 1
        pause = min(
            self._policy.max_backoff, self._policy.initial_backoff * 2 ** min(self._failures - 1, 30)
        ) * random.uniform(0.5, 1.0)
        self._not_before = self._time() + max(pause, min(delay or 0.0, self._policy.max_retry_after))
        self._log_failure(what, error)

    def _log_failure(self, what: str, error: Exception) -> None:
        """Log the first failure in a row."""
        if what not in self._failing:
            log.error("notify.failing", receiver=self._name, what=what, error=str(error))
            self._failing.add(what)

    def _set_problem(self, what: str, why: str) -> None:
        """Let `failing` say why, and since when, until it is cleared."""
        since = self._problems[what][0] if what in self._problems else self._clock()
        self._problems[what] = (since, why)

    def _clear_problem(self, what: str) -> None:
        self._problems.pop(what, None)

    def _recover(self, what: str) -> None:
        if what in self._failing:
            self._failing.discard(what)
            log.info("notify.recovered", receiver=self._name, what=what)
        if not self._failing:
            self._failures = 0


def dropped_notifications(receiver: str, messages: Iterable[Message], now: float, why: str) -> Iterable[Notification]:
    """What became of messages that were deleted although they had not arrived."""
    for message in messages:
        if (transition := _read(message)) is not None:
            yield Notification(transition.id, receiver, message.created, now, "dropped", why)


def _read(message: Message) -> Transition | None:
    """What a message says; None where it cannot be read."""
    try:
        return load_transition(message.payload)
    except ValueError:
        return None
