"""How a receiver does, who counts what becomes of its messages, and how patiently they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["delivered", "failed", "rejected", "dropped"]
"""`failed` attempts are made again; `rejected` and `dropped` messages never arrive."""


class Observer(Protocol):
    """Counts notifications."""

    def notification(self, receiver: str, outcome: Outcome) -> None: ...  # noqa: D102
    def queue_length(self, receiver: str, length: int) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class FailingReceiver:
    """A receiver whose last attempt failed.

    Attributes:
        receiver: Its name.
        since: Unix seconds of the first failure in a row.
        why: The error of the last attempt, one line without secrets.
        waiting: Messages in its queue, as of the last look.
    """

    receiver: str
    since: float
    why: str
    waiting: int


@dataclass(frozen=True, slots=True)
class ReceiverStatus:
    """How a receiver does.

    Attributes:
        receiver: Its name.
        delivered: Unix seconds when something last arrived; None where nothing has since the start.
        waiting: Messages in its queue, as of the last look.
        failing: Why the last attempt failed; None where it succeeded, or there was none.
    """

    receiver: str
    delivered: float | None
    waiting: int
    failing: FailingReceiver | None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Backoff, intervals and the longest queue. All in seconds, but `queue_limit`.

    Attributes:
        initial_backoff: Pause after the first failure; it doubles with each further one, less up to half as jitter.
        max_backoff: The longest of these pauses.
        max_retry_after: How long a receiver's `Retry-After` is honoured.
        poll_interval: Between looks into the queue when the store announces nothing.
        resend_interval: Between two times that the current alerts are sent again.
        queue_limit: Messages kept for a receiver; older ones are dropped.
        merge_window: Messages about one event come no more often than this, and none waits longer for others to join.
        merge_look: Between two looks whether others may still join.
    """

    initial_backoff: float = 1.0
    max_backoff: float = 60.0
    max_retry_after: float = 300.0
    poll_interval: float = 15.0
    resend_interval: float = 60.0
    queue_limit: int = 1000
    merge_window: float = 60.0
    merge_look: float = 1.0
