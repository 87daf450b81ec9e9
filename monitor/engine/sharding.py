"""`Shard`: which targets belong to this process where several share them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from monitor.targets import TargetKey

PROJECT = "project-"
"""Before the number of a project that alerts are about."""
_STEP = 2862933555777941757
_WORD = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `total` shards. Each target belongs to exactly one; one more shard moves only the targets that it takes.

    Attributes:
        index: From 0.
        total: At least 1; the same in every shard.

    Raises:
        ValueError: There is no such shard.
    """

    index: int = 0
    total: int = 1

    def __post_init__(self) -> None:
        if self.total < 1:
            raise ValueError(f"there cannot be {self.total} shards; the total must be at least 1")
        if not 0 <= self.index < self.total:
            last = self.total - 1
            raise ValueError(
                f"there is no shard {self.index} of {self.total}; the index must be "
                f"{f'from 0 to {last}' if last else '0'}"
            )

    def owns(self, key: TargetKey) -> bool:
        """Whether the target belongs to this shard."""
        return jump(stable_hash(key), self.total) == self.index

    def owns_subject(self, subject_id: str) -> bool:
        """Whether what an alert is about belongs to this shard: a target, or a project as a whole; what is neither is
        the first one's.
        """
        if (number := project_of(subject_id)) is not None:
            return self.owns(project_key(number))
        try:
            return self.owns(TargetKey.parse(subject_id))
        except ValueError:
            return self.index == 0


WHOLE = Shard()
"""The one shard of a service that shares its targets with no other."""


def project_key(number: int) -> TargetKey:
    """What says which shard speaks for a project as a whole."""
    return TargetKey(number, 0, "", "")


def project_of(subject_id: str) -> int | None:
    """The project that alerts with this subject are about; None where they are about a target."""
    number = subject_id.removeprefix(PROJECT)
    return int(number) if number != subject_id and number.isdecimal() else None


def stable_hash(key: TargetKey) -> int:
    """64 bits of a target's id, the same in every process and version."""
    digest = hashlib.sha256(key.id.encode()).digest()
    # these eight bytes decided from the beginning who owns what; others would move every user's targets
    return int.from_bytes(digest[8:16], "big")


def jump(key: int, buckets: int) -> int:
    """Jump consistent hash (Lamping and Veach, 2014): a bucket from 0 to `buckets` - 1 for 64 bits of `key`."""
    bucket = -1
    following = 0
    while following < buckets:
        bucket = following
        key = (key * _STEP + 1) & _WORD
        following = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket
