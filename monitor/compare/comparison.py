"""A run held against its baseline: what changed and why, how far scores drifted, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from monitor.compare.change import Change, changes
from monitor.compare.distances import prediction_drift
from monitor.compare.drift import ComparedRun, Drift, DriftState, drift
from monitor.compare.error_evidence import ERRORS, ErrorEvidence, error_evidence
from monitor.compare.pairing import pair
from monitor.compare.power import Power, powers, seen_discordance
from monitor.compare.variants import VariantComparison
from monitor.figures.anomaly import KINDS
from monitor.figures.evaluation import Evaluation
from monitor.figures.groups import AUTO, groups_of
from monitor.figures.headline import headlines
from monitor.figures.units import UnitChoices, Units, anomaly_score
from monitor.results import Block
from monitor.text import brief

DriftStates = Mapping[int, DriftState]
"""By the id of an anomaly block; that of the evidence of errors under `ERRORS`."""


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """What is shown of a baseline.

    Attributes:
        mode: `pinned`, `previous` or `rolling`.
        timestamp: When its run finished, Unix seconds; tells a target's runs apart.
        fingerprint: Of its result set.
        values: Its headline figures by name.
        trained: Unix seconds of its model's training; None where unknown.
    """

    mode: str
    timestamp: float
    fingerprint: str
    values: Mapping[str, float] = field(default_factory=dict)
    trained: float | None = None

    @classmethod
    def of(
        cls, mode: str, timestamp: float, fingerprint: str, evaluation: Evaluation, trained: float | None
    ) -> BaselineFigures:
        """Those of a run."""
        return cls(
            mode,
            timestamp,
            fingerprint,
            {name: figure.value for name, figure in headlines(evaluation).items()},
            trained,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against its baseline.

    Attributes:
        baseline: What it is compared with.
        changes: Each figure that both runs have.
        drifts: One per anomaly block of the current run.
        predictions: Drift of the mix of predicted classes (`psi`, `js`); empty where it does not apply.
        errors: What new samples say about the model's errors; None where nothing is scored.
        notes: Sentences about what happened to the model since the baseline, and what can therefore not be compared.
        broken: Whether it could not be made: that a change is absent then says nothing.
        powers: What the tests of a figure could have seen, for each figure that has a formula for it.
        discordance: On which share of the samples two models of the target were last seen to differ, beside what they
            differ by in all; None before two models were compared.
        changed_samples: How many samples changed sides, by kind; empty where no version could say.
        suspect_labels: How many of them have a label that looks wrong, by kind.
        trained: Unix seconds of the training of the current run's model; None where unknown.
        changed_data: `Sides.data_digest`; empty where the data did not change, or no version could say.
        variants: It beside the run of the reference variant; None where there is none.
    """

    baseline: BaselineFigures
    changes: tuple[Change, ...] = ()
    drifts: tuple[Drift, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    broken: bool = False
    errors: ErrorEvidence | None = None
    powers: tuple[Power, ...] = ()
    discordance: float | None = None
    changed_samples: Mapping[str, int] = field(default_factory=dict)
    suspect_labels: Mapping[str, int] = field(default_factory=dict)
    trained: float | None = None
    changed_data: str = ""
    variants: VariantComparison | None = None

    def power(self, metric: str) -> Power | None:
        """What the test of a figure could have seen; None where there is no formula for it."""
        return next((power for power in self.powers if power.metric == metric), None)

    def change(self, metric: str) -> Change | None:
        """The change of a figure; None where it has none."""
        return next((change for change in self.changes if change.metric == metric), None)


def compare(
    baseline: ComparedRun,
    current: ComparedRun,
    pinned: ComparedRun,
    shown: BaselineFigures,
    states: DriftStates,
    seed: int,
    choices: UnitChoices | None = None,
    group_by: str = AUTO,
    discordance: float | None = None,
) -> tuple[Comparison, dict[int, DriftState]]:
    """Compare two runs of a target. Takes up to some seconds for large sets: call it in a worker thread.

    Args:
        baseline: The run to compare with.
        current: The run of now.
        pinned: The pinned baseline, which may be another run than `baseline`: new samples' scores are compared with it.
        shown: What is shown of the baseline.
        states: The drift states of the comparison before this one, by block.
        seed: Of every re-sampling; 0 to 2**64 - 1.
        choices: Of the unit of each statistic, as the baseline has it; None: the sample.
        group_by: Which samples came together, as `groups_of` takes it.
        discordance: `Comparison.discordance` of the comparison before this one.

    Returns:
        The comparison, and the drift states for the next one.
    """
    if choices:
        known = {id(run): _with_units(run, choices, group_by) for run in (baseline, current, pinned)}
        baseline, current, pinned = (known[id(run)] for run in (baseline, current, pinned))
    drifts = dict[int, Drift]()
    kept = dict[int, DriftState]()
    for block in current.results.blocks:
        if block.kind in KINDS and block.id in current.results.anomaly:
            choice = (choices or {}).get(anomaly_score(block.id))
            state = states.get(block.id)
            drifts[block.id], kept[block.id] = drift(baseline, current, pinned, block, state, seed, group_by, choice)
    pairing = pair(baseline.results, current.results)
    units = None if baseline.units is None or current.units is None else (baseline.units, current.units)
    trained = (baseline.trained, current.trained)
    found = changes(baseline.results, current.results, seed, trained, units, pairing)
    seen = seen_discordance(found, baseline.results, current.results, pairing)
    discordance = discordance if seen is None else seen
    errors, after = error_evidence(current, pinned, states.get(ERRORS), seed, group_by)
    if (state := after or states.get(ERRORS)) is not None:  # a run without a scored window says nothing
        kept[ERRORS] = state
    return Comparison(
        baseline=shown,
        changes=found,
        drifts=tuple(drifts.values()),
        predictions=prediction_drift(baseline.results, current.results),
        notes=tuple(_notes(baseline, current)),
        errors=errors,
        powers=powers(found, current.results, pairing, current.units, discordance),
        discordance=discordance,
        trained=current.trained,
    ), kept


def _with_units(run: ComparedRun, choices: UnitChoices, group_by: str) -> ComparedRun:
    return replace(run, units=Units(run.results.samples, groups_of(run.results, group_by), choices))


def _notes(baseline: ComparedRun, current: ComparedRun) -> list[str]:
    """What happened to the model between the two runs, a sentence each."""
    notes = []
    if None not in (baseline.trained, current.trained) and baseline.trained != current.trained:
        notes.append("the model was trained again since the baseline")
    before = {block.id: block for block in baseline.results.blocks}
    after = {block.id: block for block in current.results.blocks}
    for block in before.values():
        if block.id not in after:
            compared = _in_its_place(block, after) or "what it gave is not compared"
            notes.append(f"block {_name(block)} of the baseline no longer exists: {compared}")
    for block in after.values():
        then = before.get(block.id)
        if then is None:
            compared = _in_its_place(block, before) or "what it gives is not compared"
            notes.append(f"block {_name(block)} is not in the baseline: {compared}")
            continue
        notes += _threshold_notes(then, block)
    return notes


def _threshold_notes(then: Block, block: Block) -> Iterator[str]:
    """The block's thresholds that changed, came or went: numbers, then texts."""
    for before, after in ((then.thresholds, block.thresholds), (then.texts, block.texts)):
        for key in sorted(before.keys() | after.keys()):
            old = before.get(key)
            new = after.get(key)
            if old != new:
                yield f"threshold {brief(key)} of block {_name(block)} was {_threshold(old)} and is {_threshold(new)}"


def _in_its_place(block: Block, others: Mapping[int, Block]) -> str:
    """What is compared although a run lacks the block: figures are of the whole impulse, only anomaly scores are of a
    block.
    """
    same = [other for other in others.values() if other.kind is block.kind and block.kind not in KINDS]
    return f"the figures are compared with those of block {_name(same[0])}" if same else ""


def _name(block: Block) -> str:
    return f"{block.name} ({block.id})" if block.name else str(block.id)


def _threshold(value: float | str | None) -> str:
    if value is None:
        return "not set"
    return brief(value) if isinstance(value, str) else f"{value:g}"
