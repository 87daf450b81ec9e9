"""Samples that changed sides: of each target the lists of its newest comparison with the baseline, as states of the
kind `changed`, and of that with the reference variant, as states of the kind `differing`.

Lists are kept in parts of so many windows, beside an index of the parts: a page of a list reads the parts it needs, not
the list, let alone the result sets.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import structlog
from sqlalchemy import delete

from monitor.compare.changed_windows import ChangedSamples, ChangedWindow
from monitor.errors import MonitorError
from monitor.store import schema
from monitor.store.envelope import JSON, Envelope
from monitor.store.states import State, StateQueries, StateWrites

CHANGED = "changed"
DIFFERING = "differing"
"""The kinds of these states: lists of samples that changed sides, and of those on which two variants differ."""

INDEX = Envelope("impulse-monitor changed samples", 1)
_INDEX_KEY = "index"
_PART = 500  # windows
_LEVEL = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """Some windows of a list that follow each other.

    Attributes:
        windows: How many.
        classes: What they are called by, then and now.
    """

    windows: int
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ChangedIndex:
    """What there is of a target's lists.

    Attributes:
        baseline, current: Fingerprints of the result sets that were compared.
        samples: How many samples changed sides, by kind; lists may name fewer.
        suspect: How many of them have a label that looks wrong, by kind; empty where no version could say.
        parts: The parts of each list.
        against: The reference variant, where `baseline` is its result set and not the target's own baseline.
    """

    baseline: str
    current: str
    samples: Mapping[str, int] = field(default_factory=dict)
    suspect: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    against: str = ""

    @property
    def of(self) -> str:
        """The kind of the states that the lists are in."""
        return DIFFERING if self.against else CHANGED

    def classes(self, kind: str) -> frozenset[str]:
        """The classes that windows of a list are called by."""
        return frozenset().union(*(part.classes for part in self.parts.get(kind, ())))

    def listed(self, kind: str) -> int:
        """How many windows a list has."""
        return sum(part.windows for part in self.parts.get(kind, ()))


class ListsReplaced(MonitorError):
    """The target's lists are others by now than those that were asked for."""


_index = msgspec.json.Decoder(ChangedIndex)
_windows = msgspec.json.Decoder(list[ChangedWindow])


class ChangedSampleQueries(StateQueries):
    """What can be asked about samples that changed sides."""

    async def changed_index(self, target_id: str, of: str = CHANGED) -> ChangedIndex | None:
        """What there is of the target's lists; None where it is not compared, or what is stored cannot be read.

        Args:
            target_id: The target.
            of: `CHANGED` or `DIFFERING`.
        """
        stored = await self.state(of, target_id, _INDEX_KEY)
        if stored is None:
            return None
        try:
            return _index.decode(INDEX.open_bytes(stored.value, JSON, first="content"))
        except ValueError as error:  # a newer version's too
            log.warning("store.changed_samples_unreadable", target=target_id, error=str(error))
            return None

    async def changed_windows(
        self, target_id: str, index: ChangedIndex, kind: str, *, after: int = 0, limit: int = 50, of_class: str = ""
    ) -> tuple[list[ChangedWindow], int | None]:
        """A page of a list.

        Args:
            target_id: The target.
            index: Its `changed_index`.
            kind: Which list.
            after: How many windows of the list to pass over.
            limit: How many to answer at most.
            of_class: Only windows of this label or prediction, then or now; empty: all.

        Returns:
            The windows, and `after` of the next page, None where the list ends.

        Raises:
            ListsReplaced: Another run has replaced the lists since the index was read.
        """
        page = await self._page(target_id, index, kind, after, limit, of_class)
        # Parts are read one by one: only now it is known that they all were of these lists.
        if await self.changed_index(target_id, index.of) != index:
            raise ListsReplaced(f"the lists of target {target_id} have been replaced; start again with the first page")
        return page

    async def _page(
        self, target_id: str, index: ChangedIndex, kind: str, after: int, limit: int, of_class: str
    ) -> tuple[list[ChangedWindow], int | None]:
        found: list[ChangedWindow] = []
        first = 0
        for number, part in enumerate(index.parts.get(kind, ())):
            end = first + part.windows
            if end > after and (not of_class or of_class in part.classes):
                for place, window in enumerate(await self._part(index.of, target_id, kind, number), first):
                    if place < after or (of_class and of_class not in window.called()):
                        continue
                    if len(found) == limit:
                        return found, place
                    found.append(window)
            first = end
        return found, None

    async def _part(self, of: str, target_id: str, kind: str, number: int) -> list[ChangedWindow]:
        stored = await self.state(of, target_id, _part_key(kind, number))
        if stored is None:  # another run has replaced the lists since the index was read
            return []
        try:
            return _windows.decode(zlib.decompress(stored.value))
        except (ValueError, zlib.error) as error:
            log.warning("store.changed_samples_unreadable", target=target_id, error=str(error))
            return []


class ChangedSampleWrites(StateWrites):
    """How samples that changed sides are written."""

    async def put_changed_samples(
        self,
        target_id: str,
        compared: tuple[str, str],
        changed: ChangedSamples,
        against: str = "",
    ) -> None:
        """Make these all lists of the target, beside the baseline or beside the reference variant.

        Args:
            target_id: The target.
            compared: Fingerprints of the baseline, or the reference, and of the current result set.
            changed: Counts and lists.
            against: The reference variant; empty: the lists are of samples that changed sides since the baseline.
        """
        of = DIFFERING if against else CHANGED
        await self.clear_changed_samples(target_id, of)
        index, parts = await asyncio.to_thread(_dumped, compared, changed, against)
        await self.put_state(State(of, target_id, _INDEX_KEY, index))
        for key, value in parts.items():
            await self.put_state(State(of, target_id, key, value))

    async def clear_changed_samples(self, target_id: str, of: str = CHANGED) -> None:
        """Forget the target's lists of `CHANGED` or `DIFFERING`."""
        await self._execute(delete(schema.state).filter_by(kind=of, target_id=target_id))


def _dumped(compared: tuple[str, str], changed: ChangedSamples, against: str) -> tuple[bytes, dict[str, bytes]]:
    parts: dict[str, tuple[Part, ...]] = {}
    values: dict[str, bytes] = {}
    for kind, windows in changed.lists.items():
        split = [windows[first : first + _PART] for first in range(0, len(windows), _PART)]
        parts[kind] = tuple(
            Part(len(part), frozenset(text for each in part for text in each.called())) for part in split
        )
        for number, part in enumerate(split):
            values[_part_key(kind, number)] = zlib.compress(msgspec.json.encode(part), _LEVEL)
    index = ChangedIndex(*compared, changed.counts, changed.suspect, parts, against)
    return INDEX.seal_bytes(msgspec.json.encode(index), JSON), values


def _part_key(kind: str, number: int) -> str:
    return f"{kind}/{number:04}"
