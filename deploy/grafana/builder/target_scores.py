"""*Target*: anomaly scores and confidences."""

from __future__ import annotations

from grafana_foundation_sdk.builders import timeseries as charts
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from deploy.grafana.builder.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    TEXT,
    YELLOW,
    PanelBuilder,
    bargauge,
    cell,
    change,
    color,
    columns,
    stat,
    table,
    timeseries,
)
from deploy.grafana.builder.queries import query
from deploy.grafana.builder.target_series import P_VALUE, latest, on_page, per, series

BLOCK = "block_id, block"
BLOCKS = per(BLOCK, "edge_impulse_anomaly_score_mean")
"""A series for each anomaly block."""
GATE_STATES = {"0": ("Shut", GREEN), "1": ("Open", ORANGE)}
NO_BLOCK = "This kind of model has no anomaly block"
SCORES = "The scores of now and of the baseline"


def anomaly() -> list[PanelBuilder]:
    """How an anomaly block's scores are, and how they differ from the baseline's."""
    distribution = timeseries(
        "Score distribution",
        "Quantiles and mean of the windows' anomaly scores, and the block's threshold.",
        query("A", per(f"{BLOCK}, q", "edge_impulse_anomaly_score_quantile"), "{{block}} q{{q}}"),
        query("B", BLOCKS, "{{block}} mean"),
        query(
            "C",
            per(f"{BLOCK}, key", "edge_impulse_block_threshold", key="min_anomaly_score"),
            "{{block}} threshold",
        ),
        unit="none",
        width=8,
        height=8,
        held=True,
        no_value=NO_BLOCK,
    ).override_by_regexp("/ threshold$/", [color(RED), _dashes()])
    told_apart = timeseries(
        "Told apart",
        "Against ground truth, where there is one: AUROC with its 95 % interval, precision, recall and F1.",
        query("A", per(BLOCK, "edge_impulse_anomaly_auroc_ratio"), "{{block}} AUROC"),
        query("B", per(BLOCK, "edge_impulse_anomaly_auroc_ratio_lower"), "{{block}} AUROC, lower"),
        query("C", per(BLOCK, "edge_impulse_anomaly_auroc_ratio_upper"), "{{block}} AUROC, upper"),
        query("D", per(BLOCK, "edge_impulse_anomaly_precision_ratio"), "{{block}} precision"),
        query("E", per(BLOCK, "edge_impulse_anomaly_recall_ratio"), "{{block}} recall"),
        query("F", per(BLOCK, "edge_impulse_anomaly_f1_ratio"), "{{block}} F1"),
        unit="percentunit",
        width=8,
        height=8,
        limits=(0, 1),
        held=True,
        no_value="The test set has no samples labelled as anomalies",
    ).override_by_regexp("/, (lower|upper)$/", [change("custom.lineWidth", 1), _dashes()])
    enough = stat(
        "Enough data",
        "Whether there are samples enough (100 in the baseline, 30 now) for a verdict.",
        query("A", f"max({series('edge_impulse_comparison_insufficient')})", instant=True),
        texts={"0": ("Yes", GREEN), "1": ("Not yet", YELLOW)},
        width=6,
        no_value="n/a",
    ).height(7)
    return [
        on_page(distribution, "scores", SCORES),
        on_page(_flagged(), "scores", SCORES),
        on_page(told_apart, "scores", SCORES),
        _distances(),
        on_page(enough, "scores", SCORES),
    ]


def _dashes() -> DynamicConfigValue:
    return change("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})


def _flagged() -> charts.Panel:
    found = timeseries(
        "Flagged as anomalous",
        "Share of the windows above the block's threshold, with its 95 % interval, and what it was in the baseline: of "
        "several blocks the highest. Without an interval there are too few samples for one.",
        query("A", per(BLOCK, "edge_impulse_anomaly_flagged_ratio"), "{{block}}"),
        query("B", per(BLOCK, "edge_impulse_anomaly_flagged_ratio_lower"), "{{block}}, lower"),
        query("C", per(BLOCK, "edge_impulse_anomaly_flagged_ratio_upper"), "{{block}}, upper"),
        query("D", latest("edge_impulse_baseline_value", metric="anomaly_flagged"), "Baseline"),
        unit="percentunit",
        width=8,
        height=8,
        limits=(0, None),
        reaches=0.1,
        held=True,
        no_value="No anomaly block, or none with a threshold",
    )
    return found.override_by_regexp("/, (lower|upper)$/", [change("custom.lineWidth", 1), _dashes()]).override_by_name(
        "Baseline", [color(TEXT), change("custom.lineWidth", 1), _dashes()]
    )


def _distances() -> PanelBuilder:
    by_cause = f"{BLOCK}, cause"
    distances = table(
        "Distances from the baseline's scores",
        "Kolmogorov–Smirnov, PSI, Wasserstein and Jensen–Shannon by cause, and the p-value of one comparison. What "
        "distance is usual depends on the number of samples; the alert goes by the tests, and for new samples by the "
        "evidence. It begins only while the gate is open: while the difference is large enough to matter.",
        *(
            query(letter, per(by_cause, "edge_impulse_anomaly_drift", statistic=statistic), table=True)
            for letter, statistic in zip("ABCD", ("ks", "psi", "wasserstein", "js"), strict=True)
        ),
        query("E", per(by_cause, "edge_impulse_anomaly_drift_pvalue"), table=True),
        query("F", per(by_cause, "edge_impulse_anomaly_drift_gate"), table=True),
        width=18,
        height=7,
        no_value=f"{NO_BLOCK}, or there is no baseline",
    )
    names = {
        "block": "Block",
        "cause": "Cause",
        "Value #A": "KS",
        "Value #B": "PSI",
        "Value #C": "Wasserstein",
        "Value #D": "JS",
        "Value #E": "p",
        "Value #F": "Gate",
        "block_id": None,
    }
    distances = columns(distances, names)
    distances = cell(cell(distances, "Block", width=155), "Cause", width=75)
    for name in ("KS", "PSI", "JS"):
        distances = cell(distances, name, decimals=3)
    steps = [(None, TEXT), (0.1, ORANGE)]
    distances = cell(distances, "Wasserstein", decimals=3, steps=steps, style="color-text")
    distances = cell(distances, "p", decimals=4, steps=P_VALUE, style="color-text")
    distances = cell(distances, "Gate", texts=GATE_STATES, style="color-text")
    return on_page(distances, "scores", SCORES)


def further() -> list[PanelBuilder]:
    """Confidences, errors, and the figures that nobody asks for first."""
    calibration = timeseries(
        "Calibration",
        "How far confidence and accuracy are apart (expected calibration error), and the share of windows below the "
        "confidence threshold.",
        query("A", latest("edge_impulse_calibration_error_ratio"), "Calibration error"),
        query("B", latest("edge_impulse_uncertain_ratio"), "Uncertain"),
        query("C", latest("edge_impulse_calibration_error_null_ratio"), "By chance, 95 % point"),
        query("D", latest("edge_impulse_calibration_error_debiased_ratio"), "Without chance"),
        unit="percentunit",
        width=7,
        limits=(0, None),
        held=True,
        no_value="This kind of model has no confidences of classes",
    )
    losses = timeseries(
        "Losses",
        "Brier score (0 to 2) and log loss of the confidences; for regression the mean absolute error and the "
        "root of the mean squared error, in the label's unit. 0 is perfect.",
        query("A", latest("edge_impulse_brier_score"), "Brier score"),
        query("B", latest("edge_impulse_log_loss"), "Log loss"),
        query("C", latest("edge_impulse_mean_absolute_error"), "Mean absolute error"),
        query("D", f"sqrt({latest('edge_impulse_mean_squared_error')})", "Root mean squared error"),
        unit="none",
        width=7,
        limits=(0, None),
        held=True,
        no_value="This kind of model has neither confidences nor errors",
    )
    averages = bargauge(
        "All averages",
        "F1 by how it is averaged, balanced accuracy, mAP by IoU, FOMO's pooled precision and recall, R²; those "
        "that apply.",
        query("A", per("average", "edge_impulse_f1_ratio"), "F1, {{average}}", instant=True),
        query("B", latest("edge_impulse_balanced_accuracy_ratio"), "Balanced accuracy", instant=True),
        query("C", per("iou", "edge_impulse_map_ratio"), "mAP at {{iou}}", instant=True),
        query("D", latest("edge_impulse_mean_image_map_ratio"), "Studio's mean image mAP", instant=True),
        query("E", latest("edge_impulse_images_passing_ratio"), "Images passing", instant=True),
        query("F", latest("edge_impulse_r2"), "R²", instant=True),
        query("G", latest("edge_impulse_fomo_precision_ratio"), "Precision, pooled", instant=True),
        query("H", latest("edge_impulse_fomo_recall_ratio"), "Recall, pooled", instant=True),
        unit="percentunit",
        width=10,
        height=8,
        steps=[(None, BLUE)],
        no_value="none",
    ).max(1)
    return [
        on_page(calibration, "scores", "The reliability diagram"),
        on_page(losses, "figures", "All figures"),
        on_page(averages, "figures", "All figures"),
    ]
