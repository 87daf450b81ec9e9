"""*Target*: classes, and what is taken for what."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models.common import TableCellBackgroundDisplayMode, TableColoredBackgroundCellOptions
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, FieldColorModeId

from deploy.grafana.builder.panels import PanelBuilder, cell, columns, history, table, timeseries
from deploy.grafana.builder.queries import query
from deploy.grafana.builder.target_series import PAGE, on_page, per, series

COUNTED = f"{per('class', 'edge_impulse_class_windows')} or {per('class', 'edge_impulse_class_ap_ratio')}"
"""A series for each class."""
F1_OR_AP = f"{per('class', 'edge_impulse_class_f1_ratio')} or {per('class', 'edge_impulse_class_ap_ratio')}"
NO_CLASSES = "No figures of classes: this kind of model has none, or the setting exposition.classes is off"
NO_CONFUSION = "No confusion matrix: this kind of model has none, or the setting exposition.confusion is off"


def panels() -> list[PanelBuilder]:
    """Which classes, and taken for which others."""
    drift = timeseries(
        "Mix of predicted classes against the baseline",
        "Distance of the shares of the predicted classes: PSI and Jensen–Shannon. How large is usual depends on "
        "the number of samples.",
        query("A", per("statistic", "edge_impulse_prediction_drift"), "{{statistic}}"),
        unit="none",
        height=6,
        limits=(0, None),
        held=True,
        no_value="No classes are predicted, or there is no baseline",
    )
    over_time = history(
        "F1 of each class over time",
        "A row per class; average precision for box detectors.",
        query("A", F1_OR_AP, "{{class}}"),
        unit="percentunit",
        width=16,
        height=6,
        no_value=NO_CLASSES,
    )
    return [
        _classes(),
        _confusion(),
        on_page(over_time, "classes", "The classes, now and in the baseline"),
        on_page(drift, "classes", "The classes, now and in the baseline"),
    ]


def _classes() -> PanelBuilder:
    classes = table(
        "Classes, worst first",
        "Precision, recall with its 95 % interval, and F1 of each class; average precision for box detectors. Without "
        "an interval there are too few samples for one.",
        query("A", f"sort({F1_OR_AP})", table=True),
        query("B", per("class", "edge_impulse_class_windows"), table=True),
        query("C", per("class", "edge_impulse_class_precision_ratio"), table=True),
        query("D", per("class", "edge_impulse_class_recall_ratio"), table=True),
        query("E", per("class", "edge_impulse_class_f1_ratio"), table=True),
        query("F", per("class", "edge_impulse_class_ap_ratio"), table=True),
        query("G", per("class", "edge_impulse_class_recall_ratio_lower"), table=True),
        query("H", per("class", "edge_impulse_class_recall_ratio_upper"), table=True),
        width=12,
        height=9,
        no_value=NO_CLASSES,
        pages=True,
    )
    names = {
        "class": "Class",
        "Value #B": "Windows",
        "Value #C": "Precision",
        "Value #D": "Recall",
        "Value #G": "Lower",
        "Value #H": "Upper",
        "Value #E": "F1",
        "Value #F": "AP",
        "Value #A": None,
    }
    classes = columns(classes, names)
    for name in ("Precision", "Recall", "F1", "AP"):
        classes = cell(
            classes,
            name,
            unit="percentunit",
            decimals=1,
            limits=(0, 1),
            scheme="continuous-RdYlGr",
            style="color-background",
            width=80,
        )
    for name in ("Lower", "Upper"):
        classes = cell(classes, name, unit="percentunit", decimals=1, width=70)
    classes = cell(classes, "Class", width=110, links=[("The classes, now and in the baseline", f"{PAGE}#classes")])
    classes = cell(classes, "Windows", decimals=0, width=78)
    return on_page(classes, "classes", "The classes, now and in the baseline")


def _confusion() -> PanelBuilder:
    found = f"sum by (class, predicted) ({series('edge_impulse_confusion_windows')})"
    size = (
        f"sum by (class) ({series('edge_impulse_class_windows')}) "
        f"or sum by (class) ({series('edge_impulse_confusion_windows')})"
    )
    confusion = (
        table(
            "Confusion: how the windows of a class (row) are predicted",
            "Share of the class's windows that were predicted as the column. The diagonal is the recall. "
            "The number of classes is limited by limits.classes; where figures of classes are switched off, shares "
            "are of the predictions that are shown.",
            query("A", f"{found} / on (class) group_left () ({size})", table=True),
            width=12,
            height=9,
            unit="percentunit",
            no_value=NO_CONFUSION,
        )
        .decimals(0)
        .min(0)
        .max(1)
        .min_width(60)
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.CONTINUOUS_BLUES))
        .cell_options(TableColoredBackgroundCellOptions(mode=TableCellBackgroundDisplayMode.BASIC))
        .with_transformation(
            DataTransformerConfig(
                "groupingToMatrix",
                options={"columnField": "predicted", "rowField": "class", "valueField": "Value", "emptyValue": "zero"},
            )
        )
    )
    confusion = cell(confusion, "class\\predicted", style="auto")
    return on_page(confusion, "confusion", "Counts, and the difference to the baseline")
