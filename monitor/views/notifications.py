"""Which receivers were notified of an alert, when, and what failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.notify.queues import owner_of
from monitor.store import Message, Notification
from monitor.store.state_documents import load_transition

WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class NotificationStatus:
    """What became of one message about an alert.

    Attributes:
        transition_id: The transition that it was about.
        receiver: Whose it was.
        outcome: `delivered`, `rejected`, `dropped`, or `waiting`.
        at: Unix seconds when it arrived or was given up; of one that waits, since when it does.
        why: The error; empty where there is none.
    """

    transition_id: str
    receiver: str
    outcome: str
    at: float
    why: str = ""


def notification_statuses(
    notifications: Iterable[Notification], waiting: Iterable[Message], failing: Mapping[str, str]
) -> dict[str, tuple[NotificationStatus, ...]]:
    """What became of messages, by transition, oldest first.

    Args:
        notifications: Those that have left the outbox.
        waiting: Those that have not.
        failing: Why receivers fail, by name.
    """
    found: dict[str, list[NotificationStatus]] = {}
    for each in notifications:
        entry = NotificationStatus(each.transition_id, each.receiver, each.outcome, each.at, each.why)
        found.setdefault(each.transition_id, []).append(entry)
    for message in waiting:
        receiver, _ = owner_of(message.receiver)
        try:
            transition_id = load_transition(message.payload).id
        except ValueError:  # the worker says so, and gives it up
            continue
        entry = NotificationStatus(transition_id, receiver, WAITING, message.created, failing.get(receiver, ""))
        found.setdefault(transition_id, []).append(entry)
    return {name: tuple(sorted(each, key=lambda one: (one.at, one.receiver))) for name, each in found.items()}
