"""`Target`: what is watched, one (project, impulse, variant, category) at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class TargetKey(NamedTuple):
    """Identity of a target: what stays the same when someone renames a project or an impulse."""

    project_id: int
    impulse_id: int
    variant: str
    category: str

    @property
    def id(self) -> str:
        """`<project_id>-<impulse_id>-<variant>-<category>`: the key in paths, logs and the store."""
        return "-".join(map(str, self))

    def spread(self) -> float:
        """A number in [0, 1) that is the same in every process: where this target sits between others."""
        digest = hashlib.sha256(self.id.encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True, slots=True)
class Target:
    """A key with the names people know it by.

    Attributes:
        key: Identity.
        project, impulse: Names as Studio has them; the id as text where Studio gave none.
        labels: The project's own labels from the configuration.
    """

    key: TargetKey
    project: str
    impulse: str
    labels: Mapping[str, str] = field(default_factory=dict)
