"""The outbox: what each receiver has not got yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from sqlalchemy import delete, func, select, update

from monitor.store import schema
from monitor.store.access import Reading, Writing

_table = schema.message


@dataclass(frozen=True, slots=True)
class Message:
    """A notification on its way out.

    Attributes:
        receiver: Whose queue it stands in.
        subject: The alert's identity: messages of one subject arrive in their order.
        created: Unix seconds.
        payload: What is sent, in the notifier's own form.
        id: Given by the store; later messages of a subject have larger ones.
    """

    receiver: str
    subject: str
    created: float
    payload: bytes = field(repr=False)
    id: int | None = None


class OutboxQueries(Reading):
    """What can be asked about messages that wait."""

    async def messages(self, receiver: str, limit: int | None = None) -> list[Message]:
        """What a receiver has not got yet, oldest first; with a limit only the oldest."""
        statement = select(_table).filter_by(receiver=receiver).order_by(_table.c.id).limit(limit)
        return [Message(**row._mapping) for row in await self._fetch(statement)]

    async def waiting_messages(self, subjects: Iterable[str]) -> list[Message]:
        """What receivers have not got yet about these subjects, oldest first."""
        statement = select(_table).where(_table.c.subject.in_(list(subjects))).order_by(_table.c.id)
        return [Message(**row._mapping) for row in await self._fetch(statement)]

    async def message_counts(self) -> dict[str, int]:
        """How many messages wait, by receiver; a receiver without any is absent."""
        receiver = _table.c.receiver
        statement = select(receiver, func.count().label("number")).group_by(receiver)
        return {row.receiver: row.number for row in await self._fetch(statement)}


class OutboxWrites(Writing):
    """How messages come, and go."""

    queues: set[str]

    async def enqueue(self, message: Message) -> int:
        """Put a message at the end of its receiver's queue; its `id` is not looked at.

        Returns:
            Its number.
        """
        row = asdict(message)
        del row["id"]
        self.queues.add(message.receiver)
        return await self._insert_numbered(_table, row)

    async def delivered(self, *ids: int) -> None:
        """Delete messages that have arrived; numbers that are not there are no error."""
        await self._execute(delete(_table).where(_table.c.id.in_(ids)))

    async def move_messages(self, receiver: str, to: str) -> None:
        """Give the messages of one receiver to another, in their order."""
        self.queues.add(to)
        await self._execute(update(_table).filter_by(receiver=receiver).values(receiver=to))

    async def trim_messages(self, receiver: str, most: int) -> list[Message]:
        """Delete a receiver's oldest messages, so that no more than `most` (at least 0) are left; answers them."""
        message = _table.c
        beyond = select(message.id).where(message.receiver == receiver).order_by(message.id.desc()).offset(most)
        rows = await self._execute(delete(_table).where(message.id.in_(beyond)).returning(*_table.c))
        return [Message(**row._mapping) for row in rows]
