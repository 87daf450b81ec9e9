"""Metrics of what a target's figures are computed from: the size of the set, its blocks and model, what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from monitor.exposition.metric import MetricType, Shown, Value, Values, block_labels, figure, one
from monitor.figures.evaluation import LEFT_OUT as LEFT_OUT_REASONS


def _block_thresholds(shown: Shown) -> Iterator[Value]:
    for block in shown.evaluation.blocks:
        for key, value in block.thresholds.items():
            yield value, (*block_labels(block), key)


SET = (
    figure(
        "edge_impulse_samples",
        "Samples in the result set; a sample is one recording or image.",
        unit="samples",
        read=lambda shown: one(shown.evaluation.samples),
    ),
    figure(
        "edge_impulse_windows",
        "Windows in the result set; a window is one prediction.",
        unit="windows",
        read=lambda shown: one(shown.evaluation.windows),
    ),
    figure(
        "edge_impulse_unscored_windows",
        "Windows that could not be evaluated; no accuracy counts them.",
        unit="windows",
        read=lambda shown: one(shown.evaluation.unscored),
    ),
    figure(
        "edge_impulse_block_info",
        "1 for each learning block of the impulse.",
        "block_id",
        "block",
        "type",
        type=MetricType.INFO,
        read=lambda shown: [(1, (*block_labels(block), block.type)) for block in shown.evaluation.blocks],
    ),
    figure(
        "edge_impulse_block_threshold",
        "Numeric threshold of a learning block, as set in Studio, such as min_score.",
        "block_id",
        "block",
        "key",
        read=_block_thresholds,
    ),
    figure(
        "edge_impulse_model_trained_timestamp_seconds",
        "Unix time when the model was trained; absent where the API key may not read it.",
        unit="seconds",
        read=lambda shown: one(shown.trained),
    ),
    figure(
        "edge_impulse_impulse_stale",
        "1 if the data set has changed since the impulse's features were generated, else 0; absent where the API key "
        "may not read it.",
        read=lambda shown: one(shown.impulse_stale),
    ),
)


def _left_out(shown: Shown) -> Values:
    left_out = Counter(shown.evaluation.left_out)
    left_out["class_cap"] += shown.cut
    return [(count or None, (reason,)) for reason, count in sorted(left_out.items())]


PARTS = (
    figure(
        "edge_impulse_slice_accuracy_ratio",
        "Accuracy over the samples that share a value of a configured slice.",
        "slice",
        "value",
        unit="ratio",
        read=lambda shown: [(part.accuracy, of) for of, part in shown.evaluation.slices.items()],
    ),
    figure(
        "edge_impulse_slice_windows",
        "Scored windows of the samples that share a value of a configured slice.",
        "slice",
        "value",
        unit="windows",
        read=lambda shown: [(part.windows, of) for of, part in shown.evaluation.slices.items()],
    ),
    figure(
        "edge_impulse_left_out",
        "How many things the figures could not count or the limits cut off, by reason "
        f"({', '.join(LEFT_OUT_REASONS)}); a reason with none is absent.",
        "reason",
        read=_left_out,
    ),
)
