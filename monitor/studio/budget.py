"""`Budget`: slots that are handed out in turn over the keys that are ready, so that no key's trouble is another's.

Each key has its own limit and its own closing time (Retry-After). Whoever waits holds nothing. A key whose last attempt
failed shares a single slot with all others of its kind until one of its attempts succeeds, and keys of which nothing is
known yet leave at least one slot to those that are known to work: a host that answers nothing for a minute costs the
others one slot, whatever number of keys it has.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count


@dataclass(slots=True)
class _Key:
    """One key.

    Attributes:
        waiting: Whoever waits for a slot, in the order they came, each with its number among all.
        held: Slots it has.
        turn: The number of its last turn; 0 before the first.
        closed_until: On the monotonic clock.
        works: How its last attempt ended; None before the first has.
        timer: Looks again when it opens.
    """

    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    held: int = 0
    turn: int = 0
    closed_until: float = 0.0
    works: bool | None = None
    timer: asyncio.TimerHandle | None = None


class Budget:
    """Slots for any number of keys. Of one event loop.

    Args:
        slots: How many there are.
        per_key: How many of them one key may have.
    """

    def __init__(self, slots: int, per_key: int) -> None:
        self.per_key = min(slots, per_key)
        self._slots, self._free = slots, slots
        self._keys: dict[str, _Key] = {}
        self._numbers = count(1)

    def closed_for(self, key: str) -> float:
        """Seconds until a key opens; at most 0 where it is open."""
        return self._key(key).closed_until - time.monotonic()

    def promising(self, key: str) -> bool:
        """Whether a key is open and its last attempt, if there was one, did not fail: it need not wait for long."""
        known = self._key(key)
        return known.works is not False and known.closed_until <= time.monotonic()

    def close(self, key: str, seconds: float) -> None:
        """Let a key have no slot for some time; one that is closed for longer stays so."""
        known = self._key(key)
        known.closed_until = max(known.closed_until, time.monotonic() + seconds)
        self._look_again(known)

    def open_all(self) -> None:
        """Open every key, and believe in each anew."""
        for known in self._keys.values():
            known.closed_until = 0.0
            known.works = known.works or None
        self._grant()

    def attempted(self, key: str, *, worked: bool) -> None:
        """Say how an attempt ended."""
        self._key(key).works = worked
        self._grant()

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """A slot, as soon as it is this key's turn."""
        await self.acquire(key)
        try:
            yield
        finally:
            self.release(key)

    async def acquire(self, key: str) -> None:
        """Take a slot; to be given back by `release`."""
        known = self._key(key)
        future = asyncio.get_running_loop().create_future()
        known.waiting.append((next(self._numbers), future))
        self._look_again(known)
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(key)  # granted in this very moment
            else:
                known.waiting = deque(entry for entry in known.waiting if entry[1] is not future)
            raise

    def release(self, key: str) -> None:
        """Give a slot back."""
        self._key(key).held -= 1
        self._free += 1
        self._grant()

    def stop(self) -> None:
        """Look at the clock no more."""
        for known in self._keys.values():
            if known.timer is not None:
                known.timer.cancel()

    def _key(self, key: str) -> _Key:
        return self._keys.setdefault(key, _Key())

    def _look_again(self, known: _Key) -> None:
        """Look again when a closed key opens, if anyone waits for it."""
        wait = known.closed_until - time.monotonic()
        if known.waiting and wait > 0 and known.timer is None:

            def opened() -> None:
                known.timer = None
                self._look_again(known)
                self._grant()

            known.timer = asyncio.get_running_loop().call_later(wait, opened)

    def _grant(self) -> None:
        while self._free > 0 and (known := self._next()) is not None:
            _, future = known.waiting.popleft()
            if future.cancelled():  # its owner has not run since
                continue
            future.set_result(None)
            known.held += 1
            known.turn = next(self._numbers)
            self._free -= 1

    def _next(self) -> _Key | None:
        """The key whose turn it is: of those that are ready and waited for, the one whose last turn is longest ago; None without any."""
        now = time.monotonic()
        failing = sum(known.held for known in self._keys.values() if known.works is False)
        unproven = failing + sum(known.held for known in self._keys.values() if known.works is None)

        def ready(known: _Key) -> bool:
            if not known.waiting or known.held >= self.per_key or known.closed_until > now or (known.works is False and failing):
                return False
            return bool(known.works) or unproven < max(1, self._slots - 1)

        return min(filter(ready, self._keys.values()), key=lambda known: (known.turn, known.waiting[0][0]), default=None)


class Hold:
    """One key's slot of a budget, put down while its owner waits for something else.

    Use as an asynchronous context manager. Several tasks of the owner may wait at once: the slot is put down by the first, and taken
    up again for whoever goes on.

    Attributes:
        held: Whether it has the slot right now.
    """

    def __init__(self, budget: Budget, key: str) -> None:
        self._budget, self._key = budget, key
        self.held = False
        self._taking = asyncio.Lock()

    async def __aenter__(self) -> Hold:
        await self.resume()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Put the slot down, if it is held."""
        if self.held:
            self.held = False
            self._budget.release(self._key)

    async def resume(self) -> None:
        """Take the slot up again, in turn, if it is not held."""
        async with self._taking:
            if not self.held:
                await self._budget.acquire(self._key)
                self.held = True
