"""*Target*: one impulse and variant in full."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    TableCellBackgroundDisplayMode,
    TableColoredBackgroundCellOptions,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataTransformerConfig, FieldColorModeId

from deploy.grafana.builder import frame
from deploy.grafana.builder.figures import BANDED, GLANCE, decimals, heading, letters, named, shade, unit
from deploy.grafana.builder.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    STATES,
    WHITE,
    YELLOW,
    PanelBuilder,
    band,
    bargauge,
    cell,
    change,
    color,
    colored,
    columns,
    dashed,
    history,
    link,
    stat,
    table,
    thresholds,
    timeseries,
)
from deploy.grafana.builder.queries import DATASOURCE, VARIABLES, query, selector
from monitor.alerts.wording import sentence
from monitor.figures.headline import FIGURES, HeadlineFigure

CHOSEN = {label: f"${variable}" for label, variable in VARIABLES.items()}
series = selector(**CHOSEN)
all_variants = selector(**{label: CHOSEN[label] for label in ("project_id", "impulse_id")})
explained = selector(**CHOSEN, metric="$metric")
"""The figure whose changes are explained."""

PAGE = "${monitor}/targets/" + "-".join(f"${{{variable}}}" for variable in VARIABLES.values())
"""The target's page at the monitor itself."""

CAUSES = {"model": BLUE, "labels": PURPLE, "thresholds": YELLOW, "added": ORANGE, "removed": GREY, "total": WHITE}
"""Colours without a verdict: a change may be for the better."""
DROP = [(None, WHITE), (-1, RED), (-0.03, ORANGE), (-0.01, WHITE), (0.01, GREEN)]
P_VALUE = [(None, WHITE), (0, RED), (0.01, ORANGE), (0.05, GREEN)]
SIDES = {
    "newly_wrong": ("Newly wrong", RED),
    "fixed": ("Fixed", GREEN),
    "relabelled": ("Relabelled", PURPLE),
    "added_wrong": ("Added, wrong", ORANGE),
    "removed_wrong": ("Removed, were wrong", GREY),
    "suspect_label": ("Label looks wrong", YELLOW),
}
"""How samples change sides: the name and colour of each kind."""
GATE = {"0": ("Shut", GREEN), "1": ("Open", ORANGE)}
ALARM = 2
"""The evidence that alarms by default."""


def latest(name: str, **matchers: str) -> str:
    """The one series of the target, whichever instance it comes from."""
    return f"max({series(name, **matchers)})"


def latest_of(row: HeadlineFigure, bound: str = "") -> str:
    """A headline figure, or a bound of its interval; of several blocks the one that counts."""
    found = series(f"{row.series.name}{bound}", **row.series.headline)
    return f"{row.worst or 'max'}({found})"


def per(labels: str, name: str, **matchers: str) -> str:
    """One series per value of `labels`."""
    return f"max by ({labels}) ({series(name, **matchers)})"


def dashboard() -> dashboards.Dashboard:
    """The dashboard."""
    built = frame.dashboard(
        "Impulse Monitor / Target",
        frame.TARGET,
        "One model variant: its figures with their intervals and baseline, and what a change is due to.",
        refresh="30s",
        since="now-7d",
    )
    _variables(built)
    for panel in [*_now(), *_headline()]:
        built.with_panel(panel)
    built.with_row(frame.row("Classes"))
    for panel in _classes():
        built.with_panel(panel)
    built.with_row(frame.row("Anomaly scores and drift"))
    for panel in _anomaly():
        built.with_panel(panel)
    built.with_row(frame.row("Confidence, slices, averages"))
    for panel in _confidence():
        built.with_panel(panel)
    built.with_row(frame.row("Runs"))
    for panel in _runs():
        built.with_panel(panel)
    shown = json.dumps(built.build(), cls=JSONEncoder)
    if others := [row for row in FIGURES.values() if f"{row.series.name}{{" not in shown]:
        built.with_row(frame.row("Other figures"))
        for row in others:
            built.with_panel(_other(row))
    return built


def _other(row: HeadlineFigure) -> PanelBuilder:
    """A headline figure that no other panel shows, and its baseline."""
    title = heading(row)
    panel = timeseries(
        title,
        row.series.meaning,
        query("A", latest_of(row), title),
        query("B", latest("edge_impulse_baseline_value", metric=row.name), f"{title}, baseline"),
        unit=unit(row),
    )
    return colored(panel, {title: shade(row), f"{title}, baseline": WHITE})


def _variables(built: dashboards.Dashboard) -> None:
    """Chosen by name, matched by identity: names in Studio may change and repeat."""
    info = 'edge_impulse_target_info{{job=~"$job", instance=~"$instance"{more}}}'
    for name, label, more in (
        ("project", "Project", ""),
        ("impulse", "Impulse", ', project_id=~"$project"'),
    ):
        built.with_variable(
            frame.variable(name, label, f"query_result({info.format(more=more)})").regex(
                f'/[{{,]{name}="(?<text>[^"]*)".*[{{,]{name}_id="(?<value>[^"]*)"/'
            )
        )
    for name, label, more in (
        ("variant", "Variant", ', project_id=~"$project", impulse_id=~"$impulse"'),
        ("category", "Category", ', project_id=~"$project", impulse_id=~"$impulse", variant=~"$variant"'),
    ):
        built.with_variable(frame.variable(name, label, f"label_values({info.format(more=more)}, {name})"))
    built.with_variable(
        frame.variable(
            "metric", "Explained", f"label_values({series('edge_impulse_change_ratio')}, metric)"
        ).description("The figure whose causes of change are shown")
    )
    built.with_variable(
        dashboards.TextBoxVariable("monitor")
        .label("Monitor's address")
        .description("Where your browser reaches the monitor, for links to its own pages")
        .default_value("http://localhost:9890")
    )
    built.link(
        dashboards.DashboardLink("This target at the monitor")
        .type(DashboardLinkType.LINK)
        .url(PAGE)
        .icon("external link")
        .target_blank(True)
    )
    firing = series("edge_impulse_alerts", alertstate="firing")
    for name, expression, icon, text in (
        ("Alert firing", f"max by (alertname) ({firing})", RED, "{{alertname}}"),
        ("Model trained", f"1000 * {latest('edge_impulse_model_trained_timestamp_seconds')}", BLUE, "Model trained"),
        (
            "Baseline",
            f"1000 * {latest('edge_impulse_baseline_timestamp_seconds')}",
            GREEN,
            "Baseline of the comparisons",
        ),
    ):
        built.annotation(
            dashboards.AnnotationQuery()
            .name(name)
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color(icon)
            .expr(expression)
            .title_format(text)
            .use_value_for_time(expression.startswith("1000"))
        )


def _now() -> list[PanelBuilder]:
    figures = stat(
        "Figures",
        "Those that the model has: accuracy (what Studio calls correct; for regression the share within the "
        "tolerance), "
        "mean F1 over classes (for FOMO over images), "
        "COCO mAP at IoU 0.50:0.95, and the share of windows flagged as anomalous.",
        *(query(letter, latest_of(row), heading(row)) for letter, row in zip(letters(), GLANCE, strict=False)),
        unit="percentunit",
        decimals=1,
        width=9,
        spark=True,
        no_value="none",
    )
    for row in GLANCE:
        own_unit = [] if row.is_ratio else [change("unit", unit(row))]
        figures = figures.override_by_name(heading(row), [color(shade(row)), *own_unit])
    return [
        figures,
        stat(
            "Change",
            "Of $metric from the baseline, whatever the cause, in percentage points.",
            query("A", f"min({explained('edge_impulse_change_ratio', cause='total')})", instant=True),
            unit="percentunit",
            decimals=1,
            steps=DROP,
            no_value="n/a",
        ),
        stat(
            "Alerts firing",
            "Alerts of this target.",
            query("A", f"sum({series('edge_impulse_alerts', alertstate='firing')}) or vector(0)", instant=True),
            steps=[(None, GREEN), (1, RED)],
        ).data_links(link("This target at the monitor", PAGE, new_tab=True)),
        stat(
            "Last pull",
            "Whether it gave a result set; if not, the figures are those of the last good one.",
            query("A", f"min({series('edge_impulse_up')})", instant=True),
            texts={"1": ("Good", GREEN), "0": ("Failed", RED)},
        ).data_links(link("This target at the monitor", PAGE, new_tab=True)),
        stat(
            "Last good pull",
            "When the figures were last read from Studio.",
            query("A", f"1000 * {latest('edge_impulse_last_success_timestamp_seconds')}", instant=True),
            unit="dateTimeFromNow",
        ),
        stat(
            "Results changed",
            "When the result set last differed from the one before.",
            query("A", f"1000 * {latest('edge_impulse_last_change_timestamp_seconds')}", instant=True),
            unit="dateTimeFromNow",
            no_value="not yet seen",
        ),
    ]


def _headline() -> list[PanelBuilder]:
    refs = letters()
    queries = []
    for row in BANDED:
        title = heading(row)
        queries += [
            query(next(refs), latest_of(row), title),
            query(next(refs), latest_of(row, "_lower"), f"{title}, lower"),
            query(next(refs), latest_of(row, "_upper"), f"{title}, upper"),
            query(next(refs), latest("edge_impulse_baseline_value", metric=row.name), f"{title}, baseline"),
        ]
    # a model of another kind
    beside = ("edge_impulse_mean_f1_ratio", "edge_impulse_map_ratio", "edge_impulse_mean_absolute_error")
    alone = f"{latest('edge_impulse_anomaly_flagged_ratio')} unless ({' or '.join(map(latest, beside))})"
    queries.append(query(next(refs), alone, "Flagged"))
    headline = timeseries(
        "Figures, their 95 % intervals and the baseline",
        f"{sentence(named(BANDED))}, those that the model has. The band is the interval with the sample as its unit; "
        "the dashed line is the baseline's value. Without a band there are too few samples for one. "
        "Anomaly detection alone has the share of windows flagged beside its accuracy.",
        *queries,
        unit="percentunit",
        width=10,
        height=10,
    )
    for row in BANDED:
        headline = band(headline, heading(row), shade(row))
    headline = colored(headline, {"Flagged": YELLOW})
    causes = timeseries(
        "Causes of the change of $metric",
        "What the change from the baseline is due to: the model on the same samples, other labels, other thresholds, "
        "samples added, "
        "samples removed. They add up to the total.",
        query("A", f"max by (cause) ({explained('edge_impulse_change_ratio', cause_not='total')})", "{{cause}}"),
        query("B", f"max by (cause) ({explained('edge_impulse_change_ratio', cause='total')})", "{{cause}}"),
        unit="percentunit",
        width=7,
        height=10,
        stacked=True,
        bars=True,
    )
    causes = colored(causes, {name: value for name, value in CAUSES.items() if name != "total"}).override_by_name(
        "total",
        [
            color(WHITE),
            change("custom.drawStyle", "line"),
            change("custom.lineWidth", 2),
            change("custom.fillOpacity", 0),
            change("custom.stacking", {"mode": "none", "group": "A"}),
        ],
    )
    chance = table(
        "Could it be chance?",
        "Each figure's change from the baseline by cause, and its p-value: how likely one at least as large is by the "
        "choice of "
        "samples alone. "
        "0.01 or less fires the default alerts where the drop is beyond their margin. Labels and thresholds are exact "
        "and have none. Visible is the smallest drop that this set would show in 80 % of cases: where it is above an "
        "alert's margin, the alert's silence is not health.",
        query("A", f"sort({per('metric, cause', 'edge_impulse_change_ratio')})", table=True),
        query("B", per("metric, cause", "edge_impulse_change_pvalue"), table=True),
        query("C", per("metric, cause", "edge_impulse_smallest_visible_drop_ratio"), table=True),
        width=7,
        height=10,
        no_value="–",
    )
    names = {"metric": "Figure", "cause": "Cause", "Value #A": "Change", "Value #B": "p", "Value #C": "Visible"}
    chance = columns(chance, names)
    chance = cell(cell(chance, "Figure", width=80), "Cause", width=70)
    chance = cell(chance, "Change", unit="percentunit", decimals=1, steps=DROP, style="color-text", width=72)
    chance = cell(chance, "p", decimals=4, steps=P_VALUE, style="color-text", width=66)
    chance = cell(chance, "Visible", unit="percentunit", decimals=1, width=72)
    return [headline, causes, chance, _error_evidence(), _changed_samples(), _beside_reference()]


def _error_evidence() -> PanelBuilder:
    """Whether new samples go wrong more often, before accuracy as a whole shows it."""
    found = timeseries(
        "Evidence of errors",
        "log10 of the odds against new samples going wrong as often as those of the model's first results. It may be "
        "looked at every day: where nothing got worse at most one target in a hundred ever crosses 2. From there on "
        "the accuracy alert fires, if the share of errors rose by its margin.",
        query("A", latest("edge_impulse_error_evidence"), "Evidence"),
        unit="none",
        width=12,
        height=6,
        legend=False,
        reaches=2.5,
    )
    return found.thresholds(thresholds([(None, "transparent"), (ALARM, RED)])).thresholds_style(dashed())


def _changed_samples() -> PanelBuilder:
    """How many samples to look at."""
    found = stat(
        "Samples that changed sides",
        "Since the baseline: samples in both that are newly wrong, fixed or relabelled, wrong ones that were added or "
        "removed, and those whose label looks wrong. The target's page at the monitor lists them.",
        *(
            query(letter, latest("edge_impulse_changed_samples", kind=kind), name, instant=True)
            for letter, (kind, (name, _)) in zip(letters(), SIDES.items(), strict=False)
        ),
        width=12,
        decimals=0,
        no_value="n/a",
    ).data_links(link("This target at the monitor", PAGE, new_tab=True))
    for name, shown in SIDES.values():
        found = found.override_by_name(name, [color(shown)])
    return found.height(6)


def _beside_reference() -> PanelBuilder:
    """What the variant loses against the reference variant."""
    of = "metric, against"
    found = table(
        "Against the reference variant",
        "What this variant loses of each figure on the same samples, its 95 % interval, and how likely that is by "
        "chance; by how much the loss has grown since the baseline, and how likely that is. Where either is above 3 "
        "points with a p of 0.01 or less the default alert fires. Empty for the reference itself.",
        *(
            query(letter, per(of, f"edge_impulse_variant_gap_{name}"), table=True)
            for letter, name in zip(
                "ABCDEF",
                ("ratio", "ratio_lower", "ratio_upper", "pvalue", "growth_ratio", "growth_pvalue"),
                strict=True,
            )
        ),
        width=24,
        height=4,
        no_value="–",
    )
    names = {"metric": "Figure", "against": "Reference", "Value #A": "Loss", "Value #B": "Lower", "Value #C": "Upper"}
    found = columns(found, {**names, "Value #D": "p", "Value #E": "Grown by", "Value #F": "p of growth"})
    for name in ("Loss", "Lower", "Upper", "Grown by"):
        found = cell(found, name, unit="percentunit", decimals=1)
    for name in ("p", "p of growth"):
        found = cell(found, name, decimals=4, steps=P_VALUE, style="color-text")
    return found


def _classes() -> list[PanelBuilder]:
    classes = table(
        "Classes, worst first",
        "Precision, recall with its 95 % interval, and F1 of each class; average precision for box detectors. Without "
        "an interval there are too few samples for one.",
        query(
            "A",
            f"sort({per('class', 'edge_impulse_class_f1_ratio')} or {per('class', 'edge_impulse_class_ap_ratio')})",
            table=True,
        ),
        query("B", per("class", "edge_impulse_class_windows"), table=True),
        query("C", per("class", "edge_impulse_class_precision_ratio"), table=True),
        query("D", per("class", "edge_impulse_class_recall_ratio"), table=True),
        query("E", per("class", "edge_impulse_class_f1_ratio"), table=True),
        query("F", per("class", "edge_impulse_class_ap_ratio"), table=True),
        query("G", per("class", "edge_impulse_class_recall_ratio_lower"), table=True),
        query("H", per("class", "edge_impulse_class_recall_ratio_upper"), table=True),
        width=12,
        height=8,
        no_value="–",
    )
    classes = columns(
        classes,
        {
            "class": "Class",
            "Value #B": "Windows",
            "Value #C": "Precision",
            "Value #D": "Recall",
            "Value #G": "Lower",
            "Value #H": "Upper",
            "Value #E": "F1",
            "Value #F": "AP",
            "Value #A": None,
        },
    )
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
    classes = cell(classes, "Class", width=110)
    classes = cell(classes, "Windows", decimals=0, width=78)
    confusion = (
        table(
            "Confusion: how the windows of a class (row) are predicted",
            "Share of the class's windows that were predicted as the column. The diagonal is the recall. "
            "The number of classes is limited by limits.classes.",
            query(
                "A",
                f"sum by (class, predicted) ({series('edge_impulse_confusion_windows')})"
                f" / on (class) group_left () sum by (class) ({series('edge_impulse_class_windows')})",
                table=True,
            ),
            width=12,
            height=8,
            unit="percentunit",
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
    return [
        classes,
        confusion,
        history(
            "F1 of each class over time",
            "A row per class; average precision for box detectors.",
            query(
                "A",
                f"{per('class', 'edge_impulse_class_f1_ratio')} or {per('class', 'edge_impulse_class_ap_ratio')}",
                "{{class}}",
            ),
            unit="percentunit",
            width=16,
            height=6,
        ),
        timeseries(
            "Mix of predicted classes against the baseline",
            "Distance of the shares of the predicted classes: PSI and Jensen–Shannon. How large is usual depends on "
            "the number of samples.",
            query("A", per("statistic", "edge_impulse_prediction_drift"), "{{statistic}}"),
            unit="none",
            height=6,
            limits=(0, None),
        ),
    ]


def _anomaly() -> list[PanelBuilder]:
    block = "block_id, block"
    evidence = timeseries(
        "Evidence of drift",
        "log10 of the odds against new samples scoring as the baseline's did. It may be looked at every day: "
        "without drift at most one target in a hundred ever crosses 2.",
        query("A", per(block, "edge_impulse_anomaly_drift_evidence"), "{{block}}"),
        unit="none",
        width=6,
    ).thresholds(thresholds([(None, "transparent"), (ALARM, RED)]))
    by_cause = f"{block}, cause"
    distances = table(
        "Distances from the baseline's scores",
        "Kolmogorov–Smirnov, PSI, Wasserstein and Jensen–Shannon by cause, and the p-value of one comparison. What "
        "distance is usual "
        "depends on "
        "the number of samples; the alert goes by the tests, and for new samples by the evidence. It begins only "
        "while the gate is open: while the difference is large enough to matter.",
        *(
            query(letter, per(by_cause, "edge_impulse_anomaly_drift", statistic=statistic), table=True)
            for letter, statistic in zip("ABCD", ("ks", "psi", "wasserstein", "js"), strict=True)
        ),
        query("E", per(by_cause, "edge_impulse_anomaly_drift_pvalue"), table=True),
        query("F", per(by_cause, "edge_impulse_anomaly_drift_gate"), table=True),
        width=12,
        height=7,
        no_value="–",
    )
    distances = columns(
        distances,
        {
            "block": "Block",
            "cause": "Cause",
            "Value #A": "KS",
            "Value #B": "PSI",
            "Value #C": "Wasserstein",
            "Value #D": "JS",
            "Value #E": "p",
            "Value #F": "Gate",
            "block_id": None,
        },
    )
    distances = cell(cell(distances, "Block", width=155), "Cause", width=75)
    for name in ("KS", "PSI", "JS"):
        distances = cell(distances, name, decimals=3, width=70)
    distances = cell(
        distances, "Wasserstein", decimals=3, steps=[(None, WHITE), (0.1, ORANGE)], style="color-text", width=105
    )
    distances = cell(distances, "p", decimals=4, steps=P_VALUE, style="color-text", width=75)
    distances = cell(distances, "Gate", texts=GATE, style="color-text", width=65)
    return [
        timeseries(
            "Score distribution",
            "Quantiles and mean of the windows' anomaly scores, and the block's threshold.",
            query("A", per(f"{block}, q", "edge_impulse_anomaly_score_quantile"), "{{block}} q{{q}}"),
            query("B", per(block, "edge_impulse_anomaly_score_mean"), "{{block}} mean"),
            query(
                "C",
                per(f"{block}, key", "edge_impulse_block_threshold", key="min_anomaly_score"),
                "{{block}} threshold",
            ),
            unit="none",
            width=9,
            height=8,
        ).override_by_regexp(
            "/ threshold$/", [color(RED), change("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})]
        ),
        timeseries(
            "Distance from the baseline's scores",
            "Normalised Wasserstein distance by cause: data, new samples; model, the same samples under another model. "
            "From 0.1 on the gate of the drift alert opens; for data from 0.1 beyond what chance gives.",
            query(
                "A",
                per(f"{block}, cause", "edge_impulse_anomaly_drift", statistic="wasserstein"),
                "{{block}} {{cause}}",
            ),
            unit="none",
            width=9,
            height=8,
            limits=(0, None),
        )
        .thresholds(thresholds([(None, "transparent"), (0.1, ORANGE)]))
        .thresholds_style(dashed()),
        evidence.axis_soft_max(2.5).thresholds_style(dashed()),
        timeseries(
            "Flagged and told apart",
            "Windows above the threshold; against ground truth, where there is one: AUROC, precision, recall and F1.",
            query("A", per(block, "edge_impulse_anomaly_flagged_ratio"), "{{block}} flagged"),
            query("B", per(block, "edge_impulse_anomaly_auroc_ratio"), "{{block}} AUROC"),
            query("C", per(block, "edge_impulse_anomaly_precision_ratio"), "{{block}} precision"),
            query("D", per(block, "edge_impulse_anomaly_recall_ratio"), "{{block}} recall"),
            query("E", per(block, "edge_impulse_anomaly_f1_ratio"), "{{block}} F1"),
            unit="percentunit",
            width=9,
            height=7,
            limits=(0, 1),
        ),
        distances,
        stat(
            "Enough data",
            "Whether there are samples enough (100 in the baseline, 30 now) for a verdict.",
            query("A", f"max({series('edge_impulse_comparison_insufficient')})", instant=True),
            texts={"0": ("Yes", GREEN), "1": ("Not yet", YELLOW)},
            no_value="n/a",
        ).height(7),
    ]


def _confidence() -> list[PanelBuilder]:
    slices = table(
        "Slices, worst first",
        "Accuracy over the samples that share a value of a configured slice.",
        query("A", f"sort({per('slice, value', 'edge_impulse_slice_accuracy_ratio')})", table=True),
        query("B", per("slice, value", "edge_impulse_slice_windows"), table=True),
        width=12,
        height=8,
        no_value="–",
    )
    slices = columns(slices, {"slice": "Slice", "value": "Is", "Value #A": "Accuracy", "Value #B": "Windows"})
    slices = cell(
        slices,
        "Accuracy",
        unit="percentunit",
        decimals=1,
        limits=(0, 1),
        scheme="continuous-RdYlGr",
        style="color-background",
        width=90,
    )
    slices = cell(slices, "Windows", decimals=0, width=80)
    return [
        timeseries(
            "Calibration",
            "How far confidence and accuracy are apart (expected calibration error), and the share of windows below "
            "the "
            "confidence threshold.",
            query("A", latest("edge_impulse_calibration_error_ratio"), "Calibration error"),
            query("B", latest("edge_impulse_uncertain_ratio"), "Uncertain"),
            query("C", latest("edge_impulse_calibration_error_null_ratio"), "By chance, 95 % point"),
            query("D", latest("edge_impulse_calibration_error_debiased_ratio"), "Without chance"),
            unit="percentunit",
            width=6,
            limits=(0, None),
        ),
        timeseries(
            "Losses",
            "Brier score (0 to 2) and log loss of the confidences; for regression the mean absolute error and the "
            "root of the mean squared "
            "error, in the label's unit. 0 is perfect.",
            query("A", latest("edge_impulse_brier_score"), "Brier score"),
            query("B", latest("edge_impulse_log_loss"), "Log loss"),
            query("C", latest("edge_impulse_mean_absolute_error"), "Mean absolute error"),
            query("D", f"sqrt({latest('edge_impulse_mean_squared_error')})", "Root mean squared error"),
            unit="none",
            width=6,
            limits=(0, None),
        ),
        slices,
        bargauge(
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
            width=12,
            height=7,
            steps=[(None, BLUE)],
            no_value="n/a",
        ).max(1),
        _variants(),
    ]


def _variants() -> PanelBuilder:
    by = "variant, category"

    def value(name: str, **matchers: str) -> str:
        return f"max by ({by}) ({all_variants(name, **matchers)})"

    refs = letters()
    shown = {next(refs): row for row in GLANCE}
    size = next(refs)
    panel = table(
        "Variants of this impulse",
        "Quantised and unoptimised side by side: what the device runs, and what was trained.",
        *(query(ref, value(row.series.name, **row.series.headline), table=True) for ref, row in shown.items()),
        query(size, value("edge_impulse_samples"), table=True),
        width=12,
        height=7,
        no_value="–",
    )
    panel = columns(
        panel,
        {
            "variant": "Variant",
            "category": "Category",
            **{f"Value #{ref}": heading(row) for ref, row in shown.items()},
            f"Value #{size}": "Samples",
        },
    )
    for row in GLANCE:
        panel = cell(panel, heading(row), unit=unit(row), decimals=decimals(row), width=95)
    return cell(cell(cell(panel, "Variant", width=100), "Category", width=85), "Samples", decimals=0, width=95)


def _runs() -> list[PanelBuilder]:
    states = timeseries(
        "How pulls ended",
        "The state of the last pull over time.",
        query("A", f"{per('state', 'edge_impulse_pull_state')} == 1", "{{state}}"),
        unit="none",
        width=12,
        height=5,
        stacked=True,
        bars=True,
        limits=(0, 1),
    )
    blocks = table(
        "Learning blocks and thresholds",
        "As set in Studio when the results were made.",
        query("A", per("block_id, block, type", "edge_impulse_block_info"), table=True),
        query("B", per("block_id, block, key", "edge_impulse_block_threshold"), table=True),
        width=10,
        height=7,
        no_value="–",
    )
    blocks = columns(
        blocks,
        {"block": "Block", "type": "Type", "key": "Threshold", "Value #B": "Is", "block_id": None, "Value #A": None},
    )
    for name, width in (("Block", 145), ("Type", 140), ("Threshold", 150), ("Is", 60)):
        blocks = cell(blocks, name, width=width)
    return [
        colored(states, STATES),
        timeseries(
            "Age of the results",
            "Since the result set last differed from the one before, and since the last good pull.",
            query("A", f"time() - {latest('edge_impulse_last_change_timestamp_seconds')}", "Results"),
            query("B", f"time() - {latest('edge_impulse_last_success_timestamp_seconds')}", "Good pull"),
            unit="s",
            width=12,
            height=5,
            limits=(0, None),
        ),
        timeseries(
            "Size of the result set",
            "Samples, windows, windows that could not be evaluated, and images with neither object nor detection.",
            query("A", latest("edge_impulse_samples"), "Samples"),
            query("B", latest("edge_impulse_windows"), "Windows"),
            query("C", f"{latest('edge_impulse_unscored_windows')} > 0", "Unscored windows"),
            query("D", f"{latest('edge_impulse_empty_images')} > 0", "Empty images"),
            unit="none",
            width=5,
            height=7,
            limits=(0, None),
        ),
        blocks,
        bargauge(
            "Left out",
            "What the figures could not count, or a limit cut off, by reason.",
            query("A", per("reason", "edge_impulse_left_out"), "{{reason}}", instant=True),
            unit="none",
            width=3,
            height=7,
            steps=[(None, YELLOW)],
            no_value="Nothing",
        ),
        stat(
            "Model trained",
            "When, according to Studio; n/a where the key may not read it.",
            query("A", f"1000 * {latest('edge_impulse_model_trained_timestamp_seconds')}", instant=True),
            unit="dateTimeFromNow",
            width=3,
            no_value="n/a",
        ).height(7),
        stat(
            "Features",
            "Whether the data set changed since the impulse's features were generated; n/a where the key may not read "
            "it.",
            query("A", f"max({series('edge_impulse_impulse_stale')})", instant=True),
            width=3,
            texts={"0": ("Current", GREEN), "1": ("Outdated", ORANGE)},
            no_value="n/a",
        ).height(7),
    ]
