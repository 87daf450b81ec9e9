"""Notifications: what became of the messages that have left the outbox."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from sqlalchemy import select

from monitor.store import schema
from monitor.store.access import Reading, Writing
from monitor.text import storable

Settled = Literal["delivered", "rejected", "dropped"]
"""How a message can leave the outbox: it has arrived; the receiver refuses it; too many waited, or the receiver is no
longer configured.
"""

_table = schema.notification
_OUTCOMES = get_args(Settled)


@dataclass(frozen=True, slots=True)
class Notification:
    """What became of one message.

    Attributes:
        transition_id: `Transition.id` of what it said.
        receiver: Whom.
        created: Unix seconds when it came into the outbox.
        at: Unix seconds when it left it.
        outcome: How.
        why: The error where it did not arrive; empty where it did.
    """

    transition_id: str
    receiver: str
    created: float
    at: float
    outcome: Settled
    why: str = ""


class NotificationQueries(Reading):
    """What can be asked about notifications."""

    async def notifications(self, transition_ids: Iterable[str]) -> list[Notification]:
        """What became of the messages about these transitions, oldest first."""
        statement = (
            select(_table)
            .where(_table.c.transition_id.in_(list(transition_ids)))
            .order_by(_table.c.created, _table.c.receiver)
        )
        rows = await self._fetch(statement)
        return [Notification(**row._mapping) for row in rows if row.outcome in _OUTCOMES]


class NotificationWrites(Writing):
    """How notifications are written."""

    async def record_notifications(self, notifications: Iterable[Notification]) -> None:
        """Keep what became of messages; of one that was sent again the last outcome."""
        for each in notifications:
            await self._upsert(_table, asdict(each) | {"why": storable(each.why)})
