"""Discovery: which targets a configured project has right now, by asking Studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from monitor.studio.dates import timestamp
from monitor.studio.project import StudioProject
from monitor.targets import Target, TargetKey
from monitor.text import shown

_USUAL_REFERENCE = "float32"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one discovery found.

    Attributes:
        targets: By impulse, then variant.
        key_expires: Unix time when the key stops working; None where it does not, or Studio does not say.
        anomaly_labels, no_anomaly_labels: Which labels mean an anomaly in this project, and which do not.
        references: The targets whose variant Studio calls the reference of its impulse.
    """

    targets: tuple[Target, ...]
    key_expires: float | None = None
    anomaly_labels: frozenset[str] = frozenset()
    no_anomaly_labels: frozenset[str] = frozenset()
    references: tuple[TargetKey, ...] = ()

    def reference_of(self, key: TargetKey) -> TargetKey | None:
        """The target that another variant of the same impulse is held against: that of the reference variant, `float32`
        where Studio names none that is found; None where there is none, and for that target itself.
        """
        variants = [key._replace(variant=target.key.variant) for target in self.targets if target.key[:2] == key[:2]]
        found = [each for each in variants if each in self.references]
        found += [each for each in variants if each.variant == _USUAL_REFERENCE]
        return found[0] if found and found[0] != key else None


class Selection(Protocol):
    """Which targets of a project are wanted, as an entry of the configuration says it."""

    @property
    def id(self) -> int:
        """The project's number."""

    @property
    def impulses(self) -> Literal["all"] | tuple[int, ...]:
        """The numbers of impulses."""

    @property
    def variants(self) -> Literal["enabled"] | tuple[str, ...]:
        """The model variants; `enabled`: those that Studio has enabled."""

    @property
    def category(self) -> str:
        """The part of the data set."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the project's targets."""


async def discover(studio: StudioProject, project: Selection) -> Discovery:
    """Look up a project's names, impulses and variants.

    Impulses and variants that the configuration names are targets also where Studio does not list them: their pulls
    then say what is wrong.

    Raises:
        StudioError: The impulses, or an impulse's variants where `enabled` ones are wanted, cannot be had.
    """
    names = await studio.impulses()
    wanted = sorted(names) if project.impulses == "all" else project.impulses
    info = await studio.optional_info()
    name = shown((info.project.name if info and info.project else None) or str(project.id))
    targets = []
    references = []
    for impulse in wanted:
        variants, reference = await _variants(studio, project, impulse)
        for variant in variants:
            key = TargetKey(project.id, impulse, variant, project.category)
            targets.append(Target(key, name, names.get(impulse, str(impulse)), project.labels))
            if variant in reference:
                references.append(key)
    key_info = await studio.optional_key_info()
    labels = info.anomaly_labels_config if info else None
    return Discovery(
        tuple(targets),
        timestamp(key_info.expires) if key_info else None,
        frozenset((labels.anomaly_labels if labels else None) or ()),
        frozenset((labels.no_anomaly_labels if labels else None) or ()),
        tuple(references),
    )


async def _variants(studio: StudioProject, project: Selection, impulse: int) -> tuple[Sequence[str], frozenset[str]]:
    """The wanted variants of an impulse, and those that Studio calls its reference.

    Raises:
        StudioError: The enabled ones are wanted, and cannot be had.
    """
    if project.variants == "enabled":
        rows = await studio.variants(impulse)
        names: Sequence[str] = [row.variant for row in rows if row.is_enabled]
    else:
        names = project.variants
        rows = await studio.optional_variants(impulse) if len(names) > 1 else []  # a single one has no reference
    return names, frozenset(row.variant for row in rows if row.is_reference_variant)
