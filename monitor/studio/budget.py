"""`Budget`: slots that are assigned in turn to the keys that are ready, so that no key's problem affects another.

Each key has its own limit and its own closing time (Retry-After). A waiter holds nothing. The turn is that of the
key that has had slots for the shortest time recently: one whose every answer takes seconds is served as often as that
leaves room for. A key whose last attempt failed shares a single slot with all others of its kind until one of its
attempts succeeds, and keys of which nothing is known yet leave at least one slot to those that are known to work. An
attempt that takes far longer than its key's last good one gives its slot up when others need it. So a host that answers
nothing for a minute costs the others one slot, whatever number of keys it has, and seconds of the others' time when it
falls silent; and a key that works again does not wait a minute for each one that does not.

Many keys may fall silent at once, and each is known to only by an attempt. When half of the slots are held by attempts
that are late for their keys, what is known from before is in doubt: keys that have not answered since leave a slot to
those that have, and an attempt that others overtook, which began after it and have ended well, gives its slot up within
seconds. Where all have become slow nobody is overtaken, and everything takes its time.
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

KEPT_FOR = 10.0
"""Seconds that an attempt may keep a slot that others need, at least."""
LATE = 1.0
"""Seconds after which an attempt is late, at least."""
OVERTAKEN = 2.0
"""Seconds that a late attempt may keep a slot that others need, at least, once others overtook it
while there is doubt.
"""
_OVERTAKERS = 2
"""By how many it has to be overtaken."""
_DOUBT = 60.0
"""Seconds that doubt lasts after its last cause."""
_TIMES_AS_LONG = 3.0
"""How many times as long as the key's last good attempt it may be."""
_WHOLE_EVERY = 4
"""Of a failing key's attempts every n-th is not asked to end: what has become slow can be seen to work again."""
_HALF = 60.0
"""Seconds after which the time that a key has had slots counts half."""


@dataclass(slots=True, eq=False)
class Slot:
    """One slot, as long as a key has it.

    Attributes:
        key: Whose.
        since: On the monotonic clock.
        yield_: Called once when others need it and its attempt takes too long; None where it is not to be given up.
        tried: Whether it is used for an attempt, from which others know how long one takes.
        overtakers: Attempts that began later and have ended well.
    """

    key: str
    since: float
    yield_: Callable[[], object] | None = None
    tried: bool = False
    overtakers: int = 0


@dataclass(slots=True)
class _Key:
    """One key.

    Attributes:
        waiting: The waiters for a slot, in the order they came, each with its number among all.
        slots: Those it has.
        used: Seconds for which it has had slots, older ones counting less; up to `reckoned`, on the monotonic clock.
        took: Seconds of its last good attempt.
        answered: When that ended, on the monotonic clock.
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
    answered: float = -math.inf
    failures: int = 0
    turn: int = 0
    closed_until: float = 0.0
    works: bool | None = None
    timer: asyncio.TimerHandle | None = None

    def used_by(self, now: float) -> float:
        """Seconds for which it has had slots by now."""
        return self.used * math.pow(0.5, (now - self.reckoned) / _HALF) + sum(now - slot.since for slot in self.slots)

    def late_from(self, slot: Slot, least: float) -> float:
        """When a slot's attempt will have taken too long, `least` seconds being what is granted to every key."""
        return slot.since + max(least, _TIMES_AS_LONG * self.took)

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
        self._slots = slots
        self._free = slots
        self._keys: dict[str, _Key] = {}
        self._numbers = count(1)
        self._pressing: asyncio.TimerHandle | None = None
        self._doubt = (-math.inf, -math.inf)  # since when there is doubt, and its last cause, on the monotonic clock

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
        """Open every key, and try each as one that works."""
        for known in self._keys.values():
            known.closed_until = 0.0
            known.works = known.works or None
        self._grant()

    def attempted(self, key: str, *, worked: bool, seconds: float = 0.0) -> None:
        """Say how an attempt ended, and how long it took."""
        known = self._key(key)
        now = time.monotonic()
        known.works = worked
        known.failures = 0 if worked else known.failures + 1
        if worked:
            known.took = seconds
            known.answered = now
            for slot in self._attempts():
                slot.overtakers += slot.since < now - seconds
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
        slot.tried = True
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
        """Stop looking at the clock."""
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
        self._look_for_doubt(now)
        failing = sum(len(known.slots) for known in self._keys.values() if known.works is False)
        unproven = sum(len(known.slots) for known in self._keys.values() if known.slots and not self._proven(known))

        def ready(known: _Key) -> bool:
            if (
                not known.waiting
                or len(known.slots) >= self.per_key
                or known.closed_until > now
                or (known.works is False and failing)
            ):
                return False
            return self._proven(known) or unproven < max(1, self._slots - 1)

        waiting = [(key, known) for key, known in self._keys.items() if ready(known)]

        def turn(each: tuple[str, _Key]) -> tuple[int, int, int]:
            known = each[1]
            return 0 if known.works is False else int(known.used_by(now)), known.turn, known.waiting[0][0]

        return min(waiting, key=turn, default=None)

    def _attempts(self) -> list[Slot]:
        return [slot for known in self._keys.values() for slot in known.slots if slot.tried]

    def _look_for_doubt(self, now: float) -> None:
        """See whether half of the slots are held by attempts that are late, of keys that are not known to fail."""
        since, last = self._doubt
        late = [slot.since for slot in self._attempts() if self._is_late(slot, now)]
        if late and 2 * len(late) >= self._slots:
            self._doubt = (since if now - last < _DOUBT else min(late), now)

    def _is_late(self, slot: Slot, now: float) -> bool:
        known = self._key(slot.key)
        return known.works is not False and known.late_from(slot, LATE) <= now

    def _proven(self, known: _Key) -> bool:
        """Whether a key is known to work; while there is doubt, since that began."""
        since, last = self._doubt
        return bool(known.works) and (time.monotonic() - last >= _DOUBT or known.answered >= since)

    def _press(self) -> None:
        """Ask the attempts that take too long for their slots, if others need them; look again when
        the next one does.
        """
        if self._pressing is not None:
            self._pressing.cancel()
            self._pressing = None
        now = time.monotonic()
        self._look_for_doubt(now)
        moments: list[float] = []
        for known in list(self._keys.values()):
            needed = bool(known.slots) and self._needed(known, now)
            for slot in [slot for slot in known.slots if slot.yield_ is not None and needed]:
                due = self._due(known, slot, now)
                if due > now:
                    moments += [
                        due,
                        *(moment for least in (LATE, OVERTAKEN) if (moment := known.late_from(slot, least)) > now),
                    ]
                elif (give_up := slot.yield_) is not None:
                    slot.yield_ = None
                    give_up()
        if moments:
            self._pressing = asyncio.get_running_loop().call_later(min(moments) - now, self._press)

    def _due(self, known: _Key, slot: Slot, now: float) -> float:
        """When a slot that others need is to be given up."""
        doubted = now - self._doubt[1] < _DOUBT and slot.overtakers >= _OVERTAKERS and known.works is not False
        return known.late_from(slot, OVERTAKEN if doubted else KEPT_FOR)

    def _needed(self, by: _Key, now: float) -> bool:
        """Whether others wait for what a key has: a slot, or the one of those that fail."""
        waiting = [
            known
            for known in self._keys.values()
            if known is not by and known.waiting and known.closed_until <= now and len(known.slots) < self.per_key
        ]
        # a free slot that nobody has taken is kept for keys that are known to work
        helps = not self._free or not self._proven(by)
        return any(
            (helps and known.works is not False) or (known.works is False and by.works is False) for known in waiting
        )


class Hold:
    """One key's slot of a budget, released while its owner waits for something else.

    Use as an asynchronous context manager. Several tasks of the owner may wait at once: the slot is released by the
    first, and acquired again for the first that goes on.

    """

    def __init__(self, budget: Budget, key: str) -> None:
        self._budget = budget
        self._key = key
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
