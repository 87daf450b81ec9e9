"""*Target*, first screen: what every kind of model has, and whether it got worse."""

from __future__ import annotations

from deploy.grafana.builder.figures import BANDED, GLANCE, decimals, heading, letters, named, shade, unit
from deploy.grafana.builder.panels import (
    BLUE,
    DROP,
    GREEN,
    GREY,
    ORANGE,
    POINTS,
    PURPLE,
    RED,
    TEXT,
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
    stat,
    table,
    thresholds,
    timeseries,
)
from deploy.grafana.builder.queries import in_points, query
from deploy.grafana.builder.target_series import (
    P_VALUE,
    at_new_results,
    explained,
    latest,
    latest_of,
    on_page,
    per,
    series,
)
from monitor.alerts.wording import sentence
from monitor.compare.martingale import ALARM
from monitor.figures.headline import HeadlineFigure

CAUSES = {"model": BLUE, "labels": PURPLE, "thresholds": YELLOW, "added": ORANGE, "removed": GREY, "total": TEXT}
"""Colours without a verdict: a change may be for the better."""
SIDES = {
    "newly_wrong": ("Newly wrong", RED),
    "fixed": ("Fixed", GREEN),
    "relabelled": ("Relabelled", PURPLE),
    "added_wrong": ("Added, wrong", ORANGE),
    "removed_wrong": ("Removed, were wrong", GREY),
    "suspect_label": ("Label looks wrong", YELLOW),
}
"""How samples change sides: the name and colour of each kind."""
SHOWN = tuple(row for row in BANDED if row in GLANCE)
"""The figures of the first chart; an interval of another, such as AUROC's, is often as wide as the chart."""
GATE = 0.1
"""The normalised Wasserstein distance from which a difference of scores is large enough to matter."""


def now(glance: tuple[HeadlineFigure, ...]) -> list[PanelBuilder]:
    """How it stands at this moment.

    Args:
        glance: The figures to show, where the model has them.
    """
    figures = stat(
        "Figures",
        "Those that the model has: accuracy (what Studio calls correct; for regression the share within the "
        "tolerance), mean F1 over classes (for FOMO over images), COCO mAP at IoU 0.50:0.95, and the share of windows "
        "flagged as anomalous.",
        *(query(letter, latest_of(row), heading(row)) for letter, row in zip(letters(), glance, strict=False)),
        unit="percentunit",
        decimals=1,
        width=9,
        spark=True,
        no_value="none",
    )
    for row in glance:
        own_unit = [] if row.is_ratio else [change("unit", unit(row)), change("decimals", decimals(row))]
        figures = figures.override_by_name(heading(row), [color(shade(row)), *own_unit])
    return [
        on_page(figures, "figures", "All figures, with their bounds and baseline"),
        on_page(
            stat(
                "Change",
                "Of $metric from the baseline, whatever the cause, in percentage points.",
                query("A", in_points(f"min({explained('edge_impulse_change_ratio', cause='total')})"), instant=True),
                unit=POINTS,
                decimals=1,
                steps=DROP,
                no_value="n/a",
            ),
            "why",
            "Why it changed",
        ),
        on_page(
            stat(
                "Alerts firing",
                "Alerts of this target.",
                query("A", f"sum({series('edge_impulse_alerts', alertstate='firing')}) or vector(0)", instant=True),
                steps=[(None, GREEN), (1, RED)],
            ),
            "alerts",
            "The alerts of this target",
        ),
        on_page(
            stat(
                "Last pull",
                "Whether it gave a result set; if not, the figures are those of the last good one.",
                query("A", f"min({series('edge_impulse_up')})", instant=True),
                texts={"1": ("Good", GREEN), "0": ("Failed", RED)},
            ),
            "history",
            "All pulls, and why one failed",
        ),
        on_page(
            stat(
                "Last good pull",
                "When the figures were last read from Studio.",
                query("A", f"1000 * {latest('edge_impulse_last_success_timestamp_seconds')}", instant=True),
                unit="dateTimeFromNow",
                no_value="never",
            ),
            "history",
            "All pulls",
        ),
        on_page(
            stat(
                "Results changed",
                "When the result set last differed from the one before.",
                query("A", f"1000 * {latest('edge_impulse_last_change_timestamp_seconds')}", instant=True),
                unit="dateTimeFromNow",
                no_value="not yet seen",
            ),
            "history",
            "All result sets",
        ),
    ]


def verdict() -> list[PanelBuilder]:
    """Whether it got worse, and why."""
    return [_headline(), _evidence(), _drift(), _causes(), _chance(), _changed_samples()]


def _headline() -> PanelBuilder:
    refs = letters()
    queries = []
    for row in SHOWN:
        title = heading(row)
        queries += [
            query(next(refs), latest_of(row), title),
            query(next(refs), latest_of(row, "_lower"), f"{title}, lower"),
            query(next(refs), latest_of(row, "_upper"), f"{title}, upper"),
            query(next(refs), latest("edge_impulse_baseline_value", metric=row.name), f"{title}, baseline"),
            query(next(refs), at_new_results(latest_of(row)), f"{title}, result set"),
        ]
    found = timeseries(
        "Figures, their 95 % intervals and the baseline",
        f"{sentence(named(SHOWN))}, those that the model has; of several blocks the worst. A dot is a result set that "
        "differs from the one before; the thin line says what holds until the next. The band is the interval with the "
        "unit in use; the dashed line is the baseline's value. Without a band there are too few samples for one.",
        *queries,
        unit="percentunit",
        width=12,
        height=9,
        limits=(0, 1),
        held=True,
        no_value="No good pull in this time",
    )
    for row in SHOWN:
        found = band(found, heading(row), shade(row))
    return on_page(found, "history", "Every result set, back to the first")


def _evidence() -> PanelBuilder:
    """Whether new samples go wrong more often, or score otherwise, before a figure as a whole shows it."""
    found = timeseries(
        "Evidence that new samples are different",
        "Of errors: log10 of the odds against new samples going wrong as often as those of the model's first results. "
        "Of drift, by anomaly block: against their scoring as the baseline's did. 0 is none. It may be looked at every "
        "day: where nothing got worse at most one target in a hundred ever crosses 2, the alarm. From there on the "
        "accuracy alert fires if the share of errors rose by its margin, and the drift alert if the gate is open.",
        query("A", latest("edge_impulse_error_evidence"), "Errors"),
        query("B", per("block_id, block", "edge_impulse_anomaly_drift_evidence"), "Drift, {{block}}"),
        unit="none",
        width=6,
        height=9,
        held=True,
        reaches=ALARM + 0.5,
        no_value="Not known yet: no sample came since the first results",
    )
    found = found.axis_label("log10 of the odds").axis_soft_min(-1).decimals(1)
    found = found.thresholds(thresholds([(None, "transparent"), (ALARM, RED)])).thresholds_style(dashed())
    return on_page(found, "why", "Why it changed")


def _drift() -> PanelBuilder:
    found = timeseries(
        "Drift from the baseline",
        "Anomaly scores: normalised Wasserstein distance by cause: data, new samples; model, the same samples under "
        f"another model. From {GATE} on the gate of the drift alert opens; for data from {GATE} beyond what chance "
        "gives. Classifiers: Jensen–Shannon distance of the mix of predicted classes. 0 is no drift; how large is "
        "usual depends on the number of samples.",
        query("A", per("block, cause", "edge_impulse_anomaly_drift", statistic="wasserstein"), "{{block}}, {{cause}}"),
        query("B", latest("edge_impulse_prediction_drift", statistic="js"), "Predicted classes"),
        unit="none",
        width=6,
        height=9,
        held=True,
        limits=(0, None),
        reaches=2 * GATE,
        no_value="This kind of model has neither scores nor classes",
    )
    found = found.thresholds(thresholds([(None, "transparent"), (GATE, ORANGE)])).thresholds_style(dashed())
    return on_page(found, "scores", "The scores of now and of the baseline")


def _causes() -> PanelBuilder:
    causes = timeseries(
        "Causes of the change of $metric",
        "What the change from the baseline is due to: the model on the same samples, other labels, other thresholds, "
        "samples added, samples removed. They add up to the total.",
        query(
            "A", in_points(f"max by (cause) ({explained('edge_impulse_change_ratio', cause_not='total')})"), "{{cause}}"
        ),
        query("B", in_points(f"max by (cause) ({explained('edge_impulse_change_ratio', cause='total')})"), "{{cause}}"),
        unit=POINTS,
        width=8,
        height=9,
        stacked=True,
        bars=True,
        no_value="No baseline to compare with, or no figure with causes",
    )
    causes = colored(causes, {name: value for name, value in CAUSES.items() if name != "total"}).override_by_name(
        "total",
        [
            color(TEXT),
            change("custom.drawStyle", "line"),
            change("custom.lineInterpolation", "stepAfter"),
            change("custom.lineWidth", 2),
            change("custom.fillOpacity", 0),
            change("custom.stacking", {"mode": "none", "group": "A"}),
        ],
    )
    return on_page(causes, "why", "Why it changed")


def _chance() -> PanelBuilder:
    chance = table(
        "Could it be chance?",
        "Each figure's change from the baseline by cause, and its p-value: how likely one at least as large is by the "
        "choice of samples alone. "
        "0.01 or less fires the default alerts where the drop is beyond their margin. Labels and thresholds are exact "
        "and have none. Visible is the smallest drop that this set would show in 80 % of cases: smaller "
        "ones are missed more often than one time in five.",
        query("A", f"sort({in_points(per('metric, cause', 'edge_impulse_change_ratio'))})", table=True),
        query("B", per("metric, cause", "edge_impulse_change_pvalue"), table=True),
        query("C", in_points(per("metric, cause", "edge_impulse_smallest_visible_drop_ratio")), table=True),
        width=9,
        height=9,
        no_value="No baseline to compare with, or no figure with causes",
    )
    names = {"metric": "Figure", "cause": "Cause", "Value #A": "Change", "Value #B": "p", "Value #C": "Visible"}
    chance = columns(chance, names)
    chance = cell(cell(chance, "Figure", width=95), "Cause", width=90)
    chance = cell(chance, "Change", unit=POINTS, decimals=1, steps=DROP, style="color-text")
    chance = cell(chance, "p", decimals=4, steps=P_VALUE, style="color-text")
    chance = cell(chance, "Visible", unit=POINTS, decimals=1)
    return on_page(chance, "why", "Why it changed")


def _changed_samples() -> PanelBuilder:
    """How many samples to look at."""
    found = bargauge(
        "Samples that changed sides",
        "Since the baseline: samples in both that are newly wrong, fixed or relabelled, wrong ones that were added or "
        "removed, and those whose label looks wrong. The target's page at the monitor lists them.",
        *(
            query(letter, latest("edge_impulse_changed_samples", kind=kind), name, instant=True)
            for letter, (kind, (name, _)) in zip(letters(), SIDES.items(), strict=False)
        ),
        unit="none",
        width=7,
        height=9,
        no_value="No baseline to compare with",
    ).decimals(0)
    for name, shown in SIDES.values():
        found = found.override_by_name(name, [color(shown)])
    return on_page(found, "samples", "The samples, one by one")
