"""`GeneratedProject`: a project whose content is a function of a revision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.simulator.ground import Block, Ground, Sample
from monitor.simulator.kinds import Draw, Kind, Model, Renaming
from monitor.simulator.kinds.base import names_of
from monitor.simulator.lazy import Lazy
from monitor.simulator.project import DAY, Impulse, Project, Remedy, Variant
from monitor.simulator.render import Context, Record, record
from monitor.simulator.scenarios import Revision, Scenario, steady

_CATEGORIES = ("training", "testing", "post-processing", "validation")
_VALIDATION_IDS = 700_000
"""Validation samples are numbered from here on, within a project's million; the others take turns from 0 on."""


class GeneratedProject(Project):
    """A project whose content is a function of a `Revision`, which a scenario gives for each step, and of edits by
    hand.

    Args:
        id, name: As in Studio.
        kind: What its samples and its model are like.
        sizes: Samples per category at the start. Scenarios change the category `testing` only.
        scenario: What changes over time; may be replaced at any time.
        seed: Of every draw; the same seed gives the same project.
        devices, sites, lines: Names for the samples' devices and for their metadata; a few samples have no metadata.
        options: Of `Project`.
    """

    def __init__(
        self,
        id: int,
        name: str,
        kind: Kind,
        *,
        sizes: Mapping[str, int] | None = None,
        scenario: Scenario | None = None,
        seed: int | None = None,
        devices: Sequence[str] = ("press-01", "press-02", "press-03"),
        sites: Sequence[str] = ("lab", "plant-a", "plant-b"),
        lines: Sequence[str] = ("1", "2", "3"),
        **options: Any,
    ) -> None:
        super().__init__(id, name, **options)
        self.kind = kind
        self.sizes = dict({"testing": 200} if sizes is None else sizes)
        self.scenario = scenario or steady()
        self.seed = id if seed is None else seed
        self.devices = tuple(devices)
        self.sites = tuple(sites)
        self.lines = tuple(lines)
        self._edits: dict[str, Any] = {}
        self._more = 0
        self._trainings = 0
        self._back: dict[str, int] = {}  # by category, the step at which a job brought results back
        self._invalid: frozenset[str] = frozenset()
        self._gone: frozenset[int] = frozenset()
        self._renamed: frozenset[int] = frozenset()
        self._featured: tuple[object, ...] = self._samples(Revision())
        self._born: list[float] = []
        self._rendered: OrderedDict[tuple[Any, ...], dict[tuple[int, bool, bool], Record]] = OrderedDict()
        # by number of samples: the n-th of such a series never depends on how many are drawn
        self._fates = lru_cache(8)(self._draw_fates)

    def _draw_fates(self, purpose: int, count: int) -> npt.NDArray[np.float64]:
        return np.random.default_rng([self.seed, purpose]).random(count)

    @property
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The kind's, with the names that its classes have now."""
        if self.kind.anomaly_labels is None:
            return None
        yes, no = (self._all_names(labels) for labels in self.kind.anomaly_labels)
        return yes, no

    def _all_names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        renamings = self.revision().renamings
        return tuple(dict.fromkeys(name for label in labels for name in names_of(label, renamings)))

    # --- edits by hand, each on top of the scenario

    def edit(self, **changes: Any) -> None:
        """Fix fields of the revision from now on, whatever the scenario says: `edit(quality=-1.0, results=True)`."""
        replace(Revision(), **changes)  # an unknown name fails here, not at the next request
        if "results" in changes:
            self._back.clear()
        self._edits |= changes

    def add(self, count: int = 1) -> None:
        """Put new samples into the test set."""
        self._more += count

    def remove(self, *ids: int) -> None:
        """Take samples out of the test set."""
        self._gone |= set(ids)

    def size(self) -> int:
        """How many samples the test set has now."""
        return len(self._numbers("testing", self.revision()))

    def swap(self, count: int, after: int = 0) -> None:
        """Take `count` samples out of the test set, from place `after` on, and put as many new ones in: its size stays.

        Raises:
            ValueError: There are not so many samples.
        """
        numbers = self._numbers("testing", self.revision())
        leaving = numbers[after : after + count]
        if len(leaving) < count:
            raise ValueError(f"there are no {count} samples after the first {after} of {len(numbers)}")
        size = len(numbers)
        self.remove(*[self._id(number, "testing") for number in leaving])
        while self.size() < size:
            self.add(1)

    def rethreshold(self, value: float) -> None:
        """Give the deciding threshold another value, which takes the results of all categories away until a job brings
        them back.
        """
        self.edit(threshold=value)
        self._invalid = frozenset(self.sizes)

    def relabel(self, *ids: int) -> None:
        """Give samples of the test set another label."""
        self._renamed |= set(ids)

    def rename(self, old: str, new: str, share: float = 1.0) -> None:
        """Call a class otherwise in the labels, or a share of its samples; the model learns that name when it is
        trained with it.
        """
        self.edit(renamings=(*self.revision().renamings, Renaming(old, new, share)))

    def retrain(self, quality: float | None = None, *, learn: bool = False) -> None:
        """Train once more, now; with another quality if given; with `learn`, on the labels and the
        class names of now.
        """
        self._trainings += 1
        if learn:
            now = self.revision()
            self.edit(trained_renamings=now.renamings, learned=now.relabelled, learned_ids=now.relabelled_ids)
        self._edits["trained_step"] = self.timeline.step
        if quality is not None:
            self._edits["quality"] = quality

    def tested(self, category: str = "testing", *, features: bool = True) -> None:
        """Results are there again, and stay until the next change of thresholds; features are those of the samples of
        now.
        """
        self._back[category] = self.timeline.step
        self._invalid -= {category}
        if features and category == "testing":
            self._featured = self._samples(self.revision())

    def thresholds_changed(self, category: str) -> Remedy | None:
        """A new summary is enough, but for object detection."""
        if not self._is_invalid(category, self.revision()):
            return None
        impulse = self.impulses[0]
        detects = any(block.last_layer is not None for block in self.blocks(impulse))
        return "should_rerun_full_job" if detects else "can_regenerate_model_summary"

    def _is_invalid(self, category: str, revision: Revision) -> bool:
        if category in self._invalid:
            return True
        return revision.invalidated_step is not None and revision.invalidated_step > self._back.get(category, -1)

    def _has_results(self, category: str, revision: Revision) -> bool:
        there = revision.results or category in self._back
        return there and category in self.sizes and not self._is_invalid(category, revision)

    def revision(self, step: int | None = None) -> Revision:
        """The revision that holds at `step` (now, if None), edits included."""
        found = self.scenario(self.timeline.step if step is None else step)
        return replace(
            found,
            **{
                "added": found.added + self._more,
                "training": found.training + self._trainings,
                "removed_ids": found.removed_ids | self._gone,
                "relabelled_ids": found.relabelled_ids | self._renamed,
                **self._edits,
            },
        )

    # --- what follows from the revision

    def trained(self) -> float:
        """A month before the start, or the time of the step of the last training."""
        return self._trained(self.revision())

    def _trained(self, revision: Revision) -> float:
        return self.timeline.time_of(revision.trained_step) if revision.training else self.timeline.start - 30 * DAY

    def is_stale(self) -> bool:
        """Whether samples came or went since features were generated: at the start, or by the last job."""
        return self._samples(self.revision()) != self._featured

    def _samples(self, revision: Revision) -> tuple[object, ...]:
        return revision.added, revision.removed, revision.removed_ids

    def blocks(self, impulse: Impulse) -> tuple[Block, ...]:
        """The kind's blocks, with the thresholds of now."""
        return self.kind.blocks(self._model(self.revision(), impulse, impulse.variants[0]), impulse.id * 10 + 3)

    def records(self, impulse: Impulse, variant: Variant, category: str) -> Sequence[Record] | None:
        """Rendered one by one as they are asked for, and kept while the model stays the same."""
        revision = self.revision()
        if not self._has_results(category, revision):
            return None
        model = self._model(revision, impulse, variant)
        trained = self._trained(revision)
        numbers = self._numbers(category, revision)
        context = self._context(impulse, model, trained)
        key = (
            impulse.id,
            variant.name,
            category,
            model,
            revision.training,
            trained,
            revision.shift,
            revision.renamings,
            self.api,
        )
        kept = self._rendered.setdefault(key, {})
        self._rendered.move_to_end(key)
        while len(self._rendered) > self.kept_models:
            self._rendered.popitem(last=False)

        def rendered(number: int) -> Record:
            relabelled, learned = self._labelling(number, category, revision)
            found = kept.get((number, relabelled, learned))
            if found is None:
                found = kept[number, relabelled, learned] = record(
                    self._sample(number, category, revision, impulse, model), context
                )
            return (
                replace(found, result=b"", predictions=b"") if self._is_untested(number, category, revision) else found
            )

        return Lazy(numbers, rendered)

    def ground(
        self, impulse_id: int | None = None, variant: str | None = None, category: str = "testing"
    ) -> Ground | None:
        """The result set as plain structures; None where there are no results.

        Raises:
            KeyError: No such impulse or variant.
        """
        impulse = self.impulse(impulse_id)
        found = impulse.variant(variant) if impulse else None
        if impulse is None or found is None:
            raise KeyError((impulse_id, variant))
        revision = self.revision()
        if not self._has_results(category, revision):
            return None
        model = self._model(revision, impulse, found)
        numbers = [n for n in self._numbers(category, revision) if not self._is_untested(n, category, revision)]
        samples = tuple(self._sample(number, category, revision, impulse, model) for number in numbers)
        return Ground(self.kind.blocks(model, impulse.id * 10 + 3), samples, self._trained(revision))

    def _context(self, impulse: Impulse, model: Model, trained: float) -> Context:
        blocks = self.kind.blocks(model, impulse.id * 10 + 3)
        classes = model.classes(tuple(getattr(self.kind, "labels", ())))
        return Context(self.id, self.name, self.owner, self.kind.data_type, self.api, blocks, trained, classes)

    def _model(self, revision: Revision, impulse: Impulse, variant: Variant) -> Model:
        scale = (
            float(np.random.default_rng([self.seed, 5, revision.training]).uniform(0.8, 1.25))
            if revision.training
            else 1.0
        )
        return Model(
            quality=impulse.quality + variant.quality + revision.quality,
            jitter=variant.jitter,
            scale=scale,
            threshold=revision.threshold,
            anomaly_threshold=revision.anomaly_threshold,
            renamings=revision.trained_renamings,
            added_classes=revision.added_classes,
        )

    def _id(self, number: int, category: str) -> int:
        if category == "validation":
            return self.id * 1_000_000 + _VALIDATION_IDS + number
        return self.id * 1_000_000 + 3 * number + _CATEGORIES.index(category)

    def _numbers(self, category: str, revision: Revision) -> Sequence[int]:
        if category != "testing":
            return range(self.sizes[category])
        count = self.sizes[category] + revision.added
        if not (revision.removed or revision.removed_ids):
            return range(count)
        fates = self._fates(1, count)
        return [
            n
            for n in range(count)
            if fates[n] >= revision.removed and self._id(n, category) not in revision.removed_ids
        ]

    def _labelling(self, number: int, category: str, revision: Revision) -> tuple[bool, bool]:
        """Whether a sample has another label, and whether the model was trained with it."""
        if category != "testing" or not (revision.relabelled or revision.relabelled_ids):
            return False, False
        fate = self._fates(2, self.sizes[category] + revision.added)[number]
        sample_id = self._id(number, category)
        relabelled = bool(fate < revision.relabelled) or sample_id in revision.relabelled_ids
        learned = bool(fate < revision.learned) or sample_id in revision.learned_ids
        return relabelled, relabelled and learned

    def _part(self, number: int, category: str) -> float:
        return float(np.random.default_rng([self.seed, 8, _CATEGORIES.index(category), number]).random())

    def _is_untested(self, number: int, category: str, revision: Revision) -> bool:
        if category != "testing" or not (revision.untested or revision.untested_ids):
            return False
        fates = self._fates(7, self.sizes[category] + revision.added)
        return bool(fates[number] < revision.untested) or self._id(number, category) in revision.untested_ids

    def _added(self, number: int, category: str) -> float:
        """First samples came in over the two months before the last one; later ones at the step they were first asked
        for.
        """
        first = self.sizes[category]
        if number < first:
            return self.timeline.start - 90 * DAY + 60 * DAY * number / first
        while len(self._born) <= number - first:
            self._born.append(self.timeline.time_of(self.timeline.step))
        return self._born[number - first]

    def _sample(self, number: int, category: str, revision: Revision, impulse: Impulse, model: Model) -> Sample:
        place = _CATEGORIES.index(category)
        late = category == "testing" and number >= self.sizes[category]
        shift = revision.shift if late else 0.0
        relabelled, learned = self._labelling(number, category, revision)
        draw = Draw(
            data=np.random.default_rng([self.seed, 3, place, number]),
            noise=np.random.default_rng([self.seed, 4, place, number, revision.training, impulse.id]),
            shift=shift,
            relabelled=relabelled,
            learned=learned,
            renamings=revision.renamings,
            part=self._part(number, category) if revision.renamings or revision.trained_renamings else 0.0,
        )
        observed = self.kind.observe(draw, model)
        device, line, site, blank, unsigned = np.random.default_rng([self.seed, 6, place, number]).random(5).tolist()
        metadata = {
            "line": self.lines[int(line * len(self.lines))],
            "site": self.sites[-1] if shift else self.sites[int(site * len(self.sites))],
        }
        return Sample(
            id=self._id(number, category),
            filename=f"{observed.label[:12].replace('/', '-') or 'image'}.{number:06x}",
            category=category,
            label=observed.label,
            added=self._added(number, category),
            device=self.devices[int(device * len(self.devices))],
            metadata={} if blank < 0.03 else metadata,
            windows=observed.windows,
            boxes=observed.boxes,
            size=observed.size,
            label_map=observed.label_map,
            signed=unsigned >= 0.05,
        )
