"""`BlockNotes`: what the entries of a learning block say about it, put together once all of them are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from monitor.results import Block, BlockKind
from monitor.studio import wire
from monitor.text import shown

T = TypeVar("T")

Listed = tuple[tuple[str, float | str], ...]
"""Thresholds by key, sorted: numbers and texts."""


class BlockNotes:
    """Of one learning block. Every sample repeats what it says, and every member may be missing from any of them.

    Attributes:
        type: Its type; the first that was named.
        centroids: Whether it sent FOMO's centroids.
        debug_info: Whether any image came with debug information.
    """

    def __init__(self) -> None:
        self.type = ""
        self.centroids = self.debug_info = False
        self._names: Counter[str] = Counter()
        self._last_layers: set[str] = set()
        self._thresholds: Counter[Listed] = Counter()
        self._ratings: Counter[float] = Counter()

    def add(self, entries: Sequence[wire.Classification], thresholds: Iterable[tuple[Listed, int]]) -> None:
        """Note entries, at least one, whose learning blocks say the same.

        Args:
            entries: Theirs.
            thresholds: What they list, and how often.
        """
        learn = entries[0].learn_block
        if learn is not None:
            self.type = self.type or learn.type or ""
            if name := learn.name or learn.title:
                self._names[name] += len(entries)
        self._last_layers.update(filter(None, {entry.object_detection_last_layer for entry in entries}))
        for listed, count in thresholds:
            if listed:
                self._thresholds[listed] += count
        ratings = [entry.minimum_confidence_rating for entry in entries]
        first = ratings[0]
        if ratings.count(first) < len(ratings):
            self._ratings.update(rating for rating in ratings if rating is not None)
        elif first is not None:
            self._ratings[first] += len(ratings)

    @property
    def is_box_detector(self) -> bool:
        """Whether it is known by now to be a detector whose debug information is not FOMO's."""
        return bool(self._last_layers) and "fomo" not in self._last_layers

    @property
    def kind(self) -> BlockKind:
        """By all that was noted so far."""
        return wire.kind_of(self.type, self._last_layers, centroids=self.centroids)

    def block(self, number: int) -> Block:
        """The block. Where entries differ, what most of them say counts, whatever their order."""
        listed: dict[str, float | str] = {}
        for thresholds in _most_common(self._thresholds):
            listed = {**dict(thresholds), **listed}
        if not listed and self._ratings:  # servers that know no `thresholds` yet
            listed = {"minimum_confidence_rating": _most_common(self._ratings)[0]}
        numbers = {key: value for key, value in listed.items() if not isinstance(value, str)}
        texts = {key: value for key, value in listed.items() if isinstance(value, str)}
        name = shown(_most_common(self._names)[0]) if self._names else ""
        return Block(number, self.type, self.kind, name, numbers, texts)


def _most_common(counted: Counter[T]) -> list[T]:
    return sorted(counted, key=lambda each: (-counted[each], repr(each)))
