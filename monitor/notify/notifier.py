"""What a notifier is, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from monitor.alerts.states import Transition
from monitor.notify.errors import Rejected

Clock = Callable[[], float]
"""Unix seconds."""


class Notifier(Protocol):
    """Tells one receiver."""

    async def send(self, transition: Transition) -> None:
        """Deliver; it has arrived when this returns.

        Raises:
            Retry: It may pass.
            Rejected: It will not.
        """


@dataclass(frozen=True, slots=True)
class Resent:
    """What came of sending the current alerts again.

    Attributes:
        arrived: How many did.
        refused: Which did not, and how they were refused.
    """

    arrived: int
    refused: list[tuple[Transition, Rejected]]


@runtime_checkable
class Resender(Notifier, Protocol):
    """A notifier whose receiver wants to hear again and again what is firing."""

    async def resend(self, alerts: Iterable[Transition]) -> Resent:
        """Deliver the current alerts again, as far as the receiver is to hear of them.

        Raises:
            Retry: The receiver has not got all of them.
        """


@runtime_checkable
class Checkable(Notifier, Protocol):
    """A notifier that can tell, without sending, that its receiver cannot be told."""

    async def check(self) -> None:
        """See whether what is configured can be used.

        Raises:
            Retry: It cannot.
        """


def moment(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond: two alerts may begin a millisecond apart."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
