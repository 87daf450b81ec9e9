"""Metrics of a target's figures against its baseline: drift of scores and predictions, changes and their causes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter

from monitor.compare.comparison import Comparison
from monitor.compare.drift import Drift
from monitor.compare.variants import Growth, VariantGap
from monitor.exposition.metric import BOUNDS, Metric, Shown, Value, Values, block_labels, bound_of, figure, one

_STATISTICS = ("ks", "psi", "wasserstein", "js")


def _compared(name: str, meaning: str, *labels: str, read: Callable[[Comparison], Values], unit: str = "") -> Metric:
    """A metric that is absent without a baseline."""

    def of_shown(shown: Shown) -> Values:
        return () if shown.comparison is None else read(shown.comparison)

    return figure(name, meaning, *labels, unit=unit, read=of_shown)


def _of_drifts(value: Callable[[Drift], float | None]) -> Callable[[Comparison], Values]:
    return lambda comparison: [(value(drift), block_labels(drift.block)) for drift in comparison.drifts]


def _distances(comparison: Comparison) -> Iterator[Value]:
    for drift in comparison.drifts:
        for cause, distances in drift.distances.items():
            for statistic, value in zip(_STATISTICS, attrgetter(*_STATISTICS)(distances), strict=True):
                yield value, (*block_labels(drift.block), statistic, cause)


def _drift_pvalues(comparison: Comparison) -> Iterator[Value]:
    for drift in comparison.drifts:
        for cause, pvalue in drift.pvalues.items():
            yield pvalue, (*block_labels(drift.block), cause)


def _drift_gates(comparison: Comparison) -> Iterator[Value]:
    for drift in comparison.drifts:
        for cause in ("data", "model"):
            if cause in drift.gates:
                yield drift.gates[cause], (*block_labels(drift.block), cause)


def _causes(comparison: Comparison) -> Iterator[Value]:
    for change in comparison.changes:
        for cause, value in change.causes.items():
            yield value, (change.metric, cause)


def _change_pvalues(comparison: Comparison) -> Iterator[Value]:
    for change in comparison.changes:
        for cause, pvalue in change.pvalues.items():
            yield pvalue, (change.metric, cause)


def _visible_drops(comparison: Comparison) -> Iterator[Value]:
    for power in comparison.powers:
        for cause, drop in power.visible.items():
            yield min(drop, 1.0), (power.metric, cause)


def _changed_samples(comparison: Comparison) -> Iterator[Value]:
    for kind, samples in comparison.changed_samples.items():
        yield samples, (kind,)


def _of_gaps(values: Callable[[VariantGap], float | None]) -> Callable[[Comparison], Values]:
    def read(comparison: Comparison) -> Values:
        variants = comparison.variants
        return [(values(gap), (gap.metric, variants.against)) for gap in variants.gaps] if variants else ()

    return read


def _of_growth(values: Callable[[Growth], float | None]) -> Callable[[Comparison], Values]:
    return _of_gaps(lambda gap: None if gap.growth is None else values(gap.growth))


METRICS = (
    _compared(
        "edge_impulse_anomaly_drift",
        "How far the samples' anomaly scores are from the baseline's: ks, psi, wasserstein or js, in total, on the "
        "same samples under both models (model), and of the new samples that came last, under one model (data); 0 is "
        "no drift.",
        "block_id",
        "block",
        "statistic",
        "cause",
        read=_distances,
    ),
    _compared(
        "edge_impulse_anomaly_drift_pvalue",
        "How likely such scores are if nothing drifted, for one decision; that of the model is taken once per model. "
        "Absent with too few samples.",
        "block_id",
        "block",
        "cause",
        read=_drift_pvalues,
    ),
    _compared(
        "edge_impulse_anomaly_drift_evidence",
        "log10 of the test martingale over the samples that came since the baseline; may be looked at as often as you "
        "like, 2 is the default alarm.",
        "block_id",
        "block",
        read=_of_drifts(lambda drift: drift.evidence),
    ),
    _compared(
        "edge_impulse_anomaly_drift_gate",
        "1 while the difference of the block's scores is large enough to matter, else 0: of the new samples that came "
        "last, beyond what chance gives (data), and of the same samples under both models (model).",
        "block_id",
        "block",
        "cause",
        read=_drift_gates,
    ),
    _compared(
        "edge_impulse_error_evidence",
        "log10 of the test martingale over the errors of the samples that came since the current model's first "
        "results; may be looked at as often as you like, 2 is the default alarm.",
        read=lambda comparison: () if comparison.errors is None else one(comparison.errors.evidence),
    ),
    _compared(
        "edge_impulse_comparison_insufficient",
        "1 while there are too few samples for a verdict on the block's drift, else 0.",
        "block_id",
        "block",
        read=_of_drifts(lambda drift: drift.insufficient),
    ),
    _compared(
        "edge_impulse_change_ratio",
        "Change of the metric since the baseline, in total and by cause: model, labels, thresholds, added and removed "
        "samples, which add up to the total; labels or thresholds are absent where they cannot be separated from the "
        "model, which then holds them.",
        "metric",
        "cause",
        unit="ratio",
        read=_causes,
    ),
    _compared(
        "edge_impulse_change_pvalue",
        "How likely a change at least as large is by the choice of samples alone: in total and of model, added and "
        "removed; absent where not tested.",
        "metric",
        "cause",
        read=_change_pvalues,
    ),
    _compared(
        "edge_impulse_smallest_visible_drop_ratio",
        "The smallest drop of the metric that this set would show in 80 % of cases at p <= 0.01: by another training "
        "(model), or from the samples added since (added); 1 where none would. Smaller drops are missed more "
        "often than one time in five.",
        "metric",
        "cause",
        unit="ratio",
        read=_visible_drops,
    ),
    _compared(
        "edge_impulse_changed_samples",
        "Samples that changed sides since the baseline: newly_wrong, fixed, relabelled, added_wrong and removed_wrong; "
        "and those whose label looks wrong (suspect_label).",
        "kind",
        read=_changed_samples,
    ),
    _compared(
        "edge_impulse_variant_gap_ratio",
        "What this variant loses of the metric against the reference variant (against) on the same samples, in runs of "
        "one turn; negative where it is better. Absent where the two cannot be compared.",
        "metric",
        "against",
        unit="ratio",
        read=_of_gaps(lambda gap: gap.size),
    ),
    *(
        _compared(
            f"edge_impulse_variant_gap_ratio_{word.lower()}",
            f"{word} bound of the 95 % interval of the gap.",
            "metric",
            "against",
            unit="ratio",
            read=_of_gaps(bound_of(bound, lambda gap: gap.interval)),
        )
        for word, bound in BOUNDS
    ),
    _compared(
        "edge_impulse_variant_gap_pvalue",
        "How likely a gap at least as large is by chance, if the two variants are equally good.",
        "metric",
        "against",
        read=_of_gaps(lambda gap: gap.pvalue),
    ),
    _compared(
        "edge_impulse_variant_gap_growth_ratio",
        "By how much the gap has grown since the baseline, on the samples that the runs of now and of then hold under "
        "the same labels; negative where it shrank. Absent where the baselines cannot be compared.",
        "metric",
        "against",
        unit="ratio",
        read=_of_growth(lambda growth: growth.size),
    ),
    _compared(
        "edge_impulse_variant_gap_growth_pvalue",
        "How likely a growth at least as large is by chance, if the gap is as it was; absent while the results are the "
        "baseline's.",
        "metric",
        "against",
        read=_of_growth(lambda growth: growth.pvalue),
    ),
    _compared(
        "edge_impulse_prediction_drift",
        "How far the mix of predicted classes is from the baseline's: psi or js; 0 is no drift.",
        "statistic",
        read=lambda comparison: [(value, (statistic,)) for statistic, value in comparison.predictions.items()],
    ),
    _compared(
        "edge_impulse_baseline_timestamp_seconds",
        "Unix time of the run that the comparison is made with; absent without a baseline.",
        unit="seconds",
        read=lambda comparison: one(comparison.baseline.timestamp),
    ),
    _compared(
        "edge_impulse_baseline_value",
        "The metric's value in the baseline, in the metric's own unit.",
        "metric",
        read=lambda comparison: [(value, (metric,)) for metric, value in comparison.baseline.values.items()],
    ),
)
