"""`Kept`: the newest values by key, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The newest values by key, as many as together weigh no more than `most`.

    Attributes:
        weight: Of all values that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.weight = 0

    def get(self, key: Hashable) -> T | None:
        """The value; None where it is not, or no longer, kept."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T, weight: int = 1) -> None:
        """Keep a value in place of the one before, and forget those that were not asked for longest; one that weighs
        more than all may is not kept.
        """
        self.forget(key)
        if weight > self._most:
            return
        self._values[key] = value, weight
        self.weight += weight
        while self.weight > self._most:
            self.forget(next(iter(self._values)))

    def forget(self, key: Hashable) -> None:
        """Let a value go."""
        if key in self._values:
            self.weight -= self._values.pop(key)[1]
