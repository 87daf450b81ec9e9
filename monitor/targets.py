"""`Target`: what is watched, one (project, impulse, variant, category) at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_ID = re.compile(r"([0-9]+)-([0-9]+)-([^-]+)-(.+)")


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

    @classmethod
    def parse(cls, text: str) -> TargetKey:
        """The key of an `id`.

        Raises:
            ValueError: The text is no such id.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not the id of a target; write PROJECT-IMPULSE-VARIANT-CATEGORY, such as "
                "12345-1-int8-testing"
            )
        return cls(int(match[1]), int(match[2]), match[3], match[4])


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
