"""`Target`: what is watched, one (project, impulse, variant, category) at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

TRAINING = "training"
"""The category of the samples that a model was trained on."""

_ID = re.compile(r"([0-9]+)-([0-9]+)-([^-]+)-(.+)")


class TargetKey(NamedTuple):
    """Identity of a target: what stays the same when a project or an impulse is renamed."""

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


@dataclass(frozen=True, slots=True)
class TargetLabel:
    """One label that whatever is about a target carries: its series, alerts, patterns of rules, and links.

    Attributes:
        name: Of the label.
        read: Its value, for a target.
        is_identity: Whether it stays the same when a project or an impulse is renamed; names may also repeat.
    """

    name: str
    read: Callable[[Target], str]
    is_identity: bool = True


TARGET_LABELS = (
    TargetLabel("project", lambda target: target.project, is_identity=False),
    TargetLabel("project_id", lambda target: str(target.key.project_id)),
    TargetLabel("impulse", lambda target: target.impulse, is_identity=False),
    TargetLabel("impulse_id", lambda target: str(target.key.impulse_id)),
    TargetLabel("variant", lambda target: target.key.variant),
    TargetLabel("category", lambda target: target.key.category),
)
"""The table of a target's labels: exposition, alerts, configuration, rule file, dashboards and API follow it."""

LABEL_NAMES = tuple(label.name for label in TARGET_LABELS)
"""Names of a target's labels."""

IDENTITY = tuple(label.name for label in TARGET_LABELS if label.is_identity)
"""Names of those labels that are identity, in the order of `TargetKey`."""

CALLED = "{project} / {impulse} ({variant}, {category})"
"""How people call a target in a sentence, from its labels."""


def target_labels(target: Target) -> dict[str, str]:
    """A target's labels, without the project's own."""
    return {label.name: label.read(target) for label in TARGET_LABELS}


def studio_page(site: str, key: TargetKey) -> str:
    """The address of the page in Studio where a target's results are: model testing of its impulse.

    An address of one sample or of one variant is not documented.

    Args:
        site: Where Studio's pages are, without a slash at the end.
        key: The target's.
    """
    return f"{site}/studio/{key.project_id}/impulse/{key.impulse_id}/validation"
