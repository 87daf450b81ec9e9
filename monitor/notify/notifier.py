"""`Notifier`: what sends to one receiver, what it may do beside that, and what notifiers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from monitor.alerts.states import Transition
from monitor.notify.errors import Rejected

Clock = Callable[[], float]
"""Unix seconds."""


class Notifier(Protocol):
    """Sends to one receiver."""

    async def send(self, transition: Transition) -> None:
        """Deliver; it has arrived when this returns.

        Raises:
            Retry: The failure may pass.
            Rejected: The receiver refuses this message for good.
        """


@dataclass(frozen=True, slots=True)
class Resent:
    """The result of sending the current alerts again.

    Attributes:
        delivered: How many arrived.
        refused: Those that the receiver refused, each with its error.
    """

    delivered: int
    refused: list[tuple[Transition, Rejected]]


@runtime_checkable
class Resender(Notifier, Protocol):
    """A notifier whose receiver is sent the current alerts again at each resend interval."""

    async def resend(self, alerts: Iterable[Transition]) -> Resent:
        """Deliver again those of the current alerts that concern the receiver.

        Raises:
            Retry: The receiver has not got all of them.
        """


@runtime_checkable
class Merging(Notifier, Protocol):
    """A notifier that can say of several alerts of one event in one message."""

    async def send_together(self, transitions: Sequence[Transition]) -> None:
        """Deliver transitions that have cause and status in common, as one message.

        Raises:
            Retry: The failure may pass.
            Rejected: The receiver refuses this message for good, perhaps for one of the transitions.
        """


@runtime_checkable
class Checkable(Notifier, Protocol):
    """A notifier that can check, without sending, that its configuration cannot be used."""

    async def check(self) -> None:
        """Check the configuration.

        Raises:
            Retry: It cannot be used.
        """


@runtime_checkable
class Probing(Notifier, Protocol):
    """A notifier that can ask its receiver, without notifying it, whether it can be reached."""

    async def probe(self) -> str:
        """What the receiver answers, in words.

        Raises:
            NotifyError: It cannot be reached, or is something else.
        """


_URGENCY = ("critical", "warning")


def worst_first(transitions: Iterable[Transition]) -> list[Transition]:
    """Transitions by severity, the most urgent first; else in their order."""
    rank = {severity: place for place, severity in enumerate(_URGENCY)}
    return sorted(transitions, key=lambda transition: rank.get(transition.severity, len(rank)))


def moment(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC, to the microsecond: two alerts may begin a millisecond apart."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
