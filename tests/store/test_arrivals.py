"""Whoever sends messages hears that some were committed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitor.store import Message, Store


async def test_heard_once_committed(tmp_path: Path) -> None:
    """Only the queue that got messages is heard of, and only once they can be read."""
    mine, other = asyncio.Event(), asyncio.Event()
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        with store.arrivals.subscribed("mine", mine), store.arrivals.subscribed("other", other):
            async with store.transaction() as tx:
                await tx.enqueue(Message("mine", "subject", 1.0, b"{}"))
                early = mine.is_set()
            late, counts = mine.is_set(), await store.message_counts()
            mine.clear()
            async with store.transaction() as tx:
                await tx.move_messages("mine", "other")

        moved = mine.is_set(), other.is_set()
        async with store.transaction() as tx:
            await tx.enqueue(Message("mine", "subject", 1.0, b"{}"))

    assert (False, True, {"mine": 1}) == (early, late, counts)
    assert (False, True) == moved
    assert not mine.is_set()


async def test_not_heard_where_nothing_was_committed(tmp_path: Path) -> None:
    """A transaction that was undone brings no messages."""
    event = asyncio.Event()
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        with store.arrivals.subscribed("mine", event):
            with pytest.raises(ZeroDivisionError):
                await fail(store)
            undone = event.is_set()
            store.arrivals.announce_all()

    assert not undone
    assert event.is_set()


async def fail(store: Store) -> None:
    """Put a message into the outbox, and fail before that is committed."""
    async with store.transaction() as tx:
        await tx.enqueue(Message("mine", "subject", 1.0, b"{}"))
        raise ZeroDivisionError
