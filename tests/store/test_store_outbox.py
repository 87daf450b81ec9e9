"""Messages that receivers have not got yet, on both back ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.store import Message, Store
from tests.store.store_sets import TARGET, run


def message(created: float, receiver: str = "chat", subject: str = "Dropped 7-1") -> Message:
    """A message that differs from the others by its time."""
    return Message(receiver, subject, created, b"\0\xff")


async def enqueue(store: Store, *messages: Message) -> list[int]:
    """Put messages into the store; answers their numbers."""
    async with store.transaction() as tx:
        return [await tx.enqueue(message) for message in messages]


async def test_restart(url: str) -> None:
    """Messages are there after a restart, oldest first, each receiver's apart from the others'."""
    sent = [message(3.5), message(1.5, subject=""), message(2.5, receiver="mail")]
    async with Store(url) as store:
        numbers = await enqueue(store, *sent)

    numbered = [replace(message, id=number) for message, number in zip(sent, numbers, strict=True)]
    async with Store(url) as store:
        assert numbered[:2] == await store.messages("chat")
        assert numbered[2:] == await store.messages("mail", 10)
        assert await store.message_counts() == {"chat": 2, "mail": 1}
        assert await store.messages("other") == []


async def test_limit(store: Store) -> None:
    """With a limit the oldest come."""
    await enqueue(store, *map(message, range(5)))

    assert [found.created for found in await store.messages("chat", 2)] == [0, 1]


async def test_delivered(store: Store) -> None:
    """What was delivered is gone, whether told once or twice; what was not stays in its order."""
    numbers = await enqueue(store, *map(message, range(4)))
    async with store.transaction() as tx:
        await tx.delivered(numbers[0], numbers[2])
        await tx.delivered(numbers[0])
        await tx.delivered()

    assert [found.created for found in await store.messages("chat")] == [1, 3]


async def test_numbers_never_come_twice(store: Store) -> None:
    """The number of a delivered message is given to no other: a late "delivered" deletes nothing new."""
    first = (await enqueue(store, message(1)))[0]
    async with store.transaction() as tx:
        await tx.delivered(first)
    second = (await enqueue(store, message(2)))[0]

    assert second > first


@pytest.mark.parametrize(
    ("most", "deleted", "left"), [(0, 5, []), (2, 3, [3, 4]), (5, 0, [0, 1, 2, 3, 4]), (9, 0, [0, 1, 2, 3, 4])]
)
async def test_trimmed(store: Store, most: int, deleted: int, left: list[float]) -> None:
    """The oldest of one receiver beyond a bound are deleted and answered; another receiver's stay."""
    await enqueue(store, message(0, "mail"), *map(message, range(5)), message(9, "mail"))
    async with store.transaction() as tx:
        gone = await tx.trim_messages("chat", most)

    assert [float(number) for number in range(deleted)] == sorted(found.created for found in gone)

    assert [found.created for found in await store.messages("chat")] == left
    assert [found.created for found in await store.messages("mail")] == [0, 9]


async def test_moved(store: Store) -> None:
    """The messages of one receiver go to another in their order, behind none that came before."""
    await enqueue(store, message(0), message(1, "mail"), message(2))
    async with store.transaction() as tx:
        await tx.move_messages("chat", "mail")

    assert [] == await store.messages("chat")
    assert [0, 1, 2] == [found.created for found in await store.messages("mail")]


async def test_with_the_run_or_not_at_all(store: Store) -> None:
    """A message of a transaction that fails is never seen."""

    async def raising() -> None:
        async with store.transaction() as tx:
            await tx.add_run(run())
            await tx.enqueue(message(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await raising()

    assert await store.messages("chat") == []
    assert await store.runs(TARGET) == []


def test_payload_in_no_log() -> None:
    """A message's repr shows no payload, which may hold what is meant for its receiver only."""
    assert "payload" not in repr(message(1))
