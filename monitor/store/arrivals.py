"""`Arrivals`: wakes the workers that send the outbox when messages were committed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Arrivals:
    """Wakes the workers that wait for messages, once some were committed. Messages of another process do not wake
    them: look for these now and then. Of one event loop.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def subscribed(self, queue: str, event: asyncio.Event) -> Iterator[None]:
        """Set the event whenever messages of the queue were committed, until the block is left."""
        self._waiting[queue].add(event)
        try:
            yield
        finally:
            self._waiting[queue].discard(event)
            if not self._waiting[queue]:
                del self._waiting[queue]

    def announce(self, queues: Iterable[str]) -> None:
        """Messages of these queues were committed."""
        for queue in queues:
            for event in self._waiting.get(queue, ()):
                event.set()

    def announce_all(self) -> None:
        """There may be messages in any queue."""
        self.announce(list(self._waiting))
