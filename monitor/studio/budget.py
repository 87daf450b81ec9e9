"""`Budget`: slots that are handed out in turn over the keys that are ready, so that no key's trouble is another's.

Each key has its own limit and its own closing time (Retry-After). Whoever waits holds nothing. The turn is that of the
key that has had slots for the shortest time of late: one whose every answer takes seconds is served as often as that
leaves room for. A key whose last attempt failed shares a single slot with all others of its kind until one of its
attempts succeeds, and keys of which nothing is known yet leave at least one slot to those that are known to work. An
attempt that takes far longer than its key's last good one gives its slot up when others need it. So a host that answers
nothing for a minute costs the others one slot, whatever number of keys it has, and seconds of the others' time when it
falls silent; and a key that works again does not wait a minute for each one that does not.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

PATIENCE = 10.0
"""Seconds that an attempt may keep a slot that others need, at least."""
_TIMES_AS_LONG = 3.0
"""How many times as long as the key's last good attempt it may be."""
_WHOLE_EVERY = 4
"""Of a failing key's attempts every so-manieth is not asked to end: what has become slow can be seen to work again."""
_HALF = 60.0
"""Seconds after which the time that a key has had slots counts half."""


@dataclass(slots=True, eq=False)
class Slot:
    """One slot, as long as a key has it.

    Attributes:
        key: Whose.
        since: On the monotonic clock.
        yield_: Called once when others need it and its attempt takes too long; None where it is not to be given up.
    """

    key: str
    since: float
    yield_: Callable[[], object] | None = None


@dataclass(slots=True)
class _Key:
    """One key.

    Attributes:
        waiting: Whoever waits for a slot, in the order they came, each with its number among all.
        slots: Those it has.
        used: Seconds for which it has had slots, older ones counting less; up to `reckoned`, on the monotonic clock.
        took: Seconds of its last good attempt.
        failures: How many attempts have failed since.
        turn: The number of its last turn; 0 before the first.
        closed_until: On the monotonic clock.
        works: How its last attempt ended; None before the first has.
        timer: Looks again when it opens.
    """

    waiting: deque[tuple[int, asyncio.Future[Slot]]] = field(default_factory=deque)
    slots: list[Slot] = field(default_factory=list)
    used: float = 0.0
    reckoned: float = 0.0
    took: float = 0.0
    failures: int = 0
    turn: int = 0
    closed_until: float = 0.0
    works: bool | None = None
    timer: asyncio.TimerHandle | None = None

    def used_by(self, now: float) -> float:
        """Seconds for which it has had slots by now."""
        return self.used * math.pow(0.5, (now - self.reckoned) / _HALF) + sum(now - slot.since for slot in self.slots)

    def take_back(self, slot: Slot, now: float) -> None:
        """Reckon up a slot that was given back."""
        self.slots.remove(slot)
        self.used = self.used * math.pow(0.5, (now - self.reckoned) / _HALF) + now - slot.since
        self.reckoned = now


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
        self._pressing: asyncio.TimerHandle | None = None

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

    def attempted(self, key: str, *, worked: bool, seconds: float = 0.0) -> None:
        """Say how an attempt ended, and how long it took."""
        known = self._key(key)
        known.works = worked
        known.failures = 0 if worked else known.failures + 1
        if worked:
            known.took = seconds
        self._grant()

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[Slot]:
        """A slot, as soon as it is this key's turn."""
        slot = await self.acquire(key)
        try:
            yield slot
        finally:
            self.release(slot)

    def may_be_asked_for(self, slot: Slot, give_up: Callable[[], object]) -> None:
        """Let `give_up` be called, once at most, when the slot is needed and its attempt takes too long."""
        failures = self._key(slot.key).failures
        slot.yield_ = give_up if not failures or failures % _WHOLE_EVERY else None
        self._press()

    async def acquire(self, key: str) -> Slot:
        """Take a slot; to be given back by `release`."""
        known = self._key(key)
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        known.waiting.append((next(self._numbers), future))
        self._look_again(known)
        self._grant()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())  # granted in this very moment
            else:
                known.waiting = deque(entry for entry in known.waiting if entry[1] is not future)
            raise

    def release(self, slot: Slot) -> None:
        """Give a slot back."""
        self._key(slot.key).take_back(slot, time.monotonic())
        self._free += 1
        self._grant()

    def stop(self) -> None:
        """Look at the clock no more."""
        for timer in (self._pressing, *(known.timer for known in self._keys.values())):
            if timer is not None:
                timer.cancel()

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
        while self._free > 0 and (found := self._next()) is not None:
            key, known = found
            _, future = known.waiting.popleft()
            if future.cancelled():  # its owner has not run since
                continue
            slot = Slot(key, time.monotonic())
            future.set_result(slot)
            known.slots.append(slot)
            known.turn = next(self._numbers)
            self._free -= 1
        self._press()

    def _next(self) -> tuple[str, _Key] | None:
        """The key whose turn it is, of those that are ready and waited for; None without any.

        It is the one that has had slots for the fewest whole seconds, and of equal ones the one whose last turn is
        longest ago. Those that fail go by turn alone: what hung for a minute and is well again would wait behind all
        that fail at once.
        """
        now = time.monotonic()
        failing = sum(len(known.slots) for known in self._keys.values() if known.works is False)
        unproven = failing + sum(len(known.slots) for known in self._keys.values() if known.works is None)

        def ready(known: _Key) -> bool:
            if (
                not known.waiting
                or len(known.slots) >= self.per_key
                or known.closed_until > now
                or (known.works is False and failing)
            ):
                return False
            return bool(known.works) or unproven < max(1, self._slots - 1)

        waiting = [(key, known) for key, known in self._keys.items() if ready(known)]

        def turn(each: tuple[str, _Key]) -> tuple[int, int, int]:
            known = each[1]
            return 0 if known.works is False else int(known.used_by(now)), known.turn, known.waiting[0][0]

        return min(waiting, key=turn, default=None)

    def _press(self) -> None:
        """Ask the attempts that take too long for their slots, if others need them; look again when
        the next one does.
        """
        if self._pressing is not None:
            self._pressing.cancel()
            self._pressing = None
        now = time.monotonic()
        held = [
            (slot.since + max(PATIENCE, _TIMES_AS_LONG * known.took), slot)
            for known in self._keys.values()
            for slot in known.slots
            if slot.yield_ is not None and self._needed(known, now)
        ]
        for due, slot in held:
            if due <= now and (give_up := slot.yield_) is not None:
                slot.yield_ = None
                give_up()
        if later := [due for due, slot in held if slot.yield_ is not None]:
            self._pressing = asyncio.get_running_loop().call_later(min(later) - now, self._press)

    def _needed(self, by: _Key, now: float) -> bool:
        """Whether others wait for what a key has: a slot, or the one of those that fail."""
        waiting = [
            known
            for known in self._keys.values()
            if known is not by and known.waiting and known.closed_until <= now and len(known.slots) < self.per_key
        ]
        full = not self._free
        return any(
            (full and known.works is not False) or (known.works is False and by.works is False) for known in waiting
        )


class Hold:
    """One key's slot of a budget, put down while its owner waits for something else.

    Use as an asynchronous context manager. Several tasks of the owner may wait at once: the slot is put down by the
    first, and taken up again for whoever goes on.

    """

    def __init__(self, budget: Budget, key: str) -> None:
        self._budget, self._key = budget, key
        self._slot: Slot | None = None
        self._taking = asyncio.Lock()

    async def __aenter__(self) -> Hold:
        await self.resume()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pause()

    @property
    def held(self) -> bool:
        """Whether it has the slot right now."""
        return self._slot is not None

    def pause(self) -> None:
        """Put the slot down, if it is held."""
        if (slot := self._slot) is not None:
            self._slot = None
            self._budget.release(slot)

    async def resume(self) -> None:
        """Take the slot up again, in turn, if it is not held."""
        async with self._taking:
            if self._slot is None:
                self._slot = await self._budget.acquire(self._key)
