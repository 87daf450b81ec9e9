"""*Target*: one impulse and variant in full. What every kind of model has comes first; the rest is folded."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from deploy.grafana.builder import frame, target_classes, target_first, target_runs, target_scores
from deploy.grafana.builder.figures import GLANCE, heading, shade, unit
from deploy.grafana.builder.panels import BLUE, GREEN, ORANGE, PURPLE, RED, TEXT, PanelBuilder, colored, timeseries
from deploy.grafana.builder.queries import DATASOURCE, query
from deploy.grafana.builder.target_series import PAGE, latest, latest_of, on_page, series
from monitor.figures.headline import FIGURES, HeadlineFigure


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
    _annotations(built)
    for panel in [*target_first.now(GLANCE), *target_first.verdict()]:
        built.with_panel(panel)
    # Grafana draws a row that repeats over a variable without values once all the same, so no row can vanish: a folded
    # one costs no query, and its heading says whether there is anything in it.
    for title, panels in (
        ("Classes and confusion ($classes)", target_classes.panels()),
        ("Anomaly blocks and their scores ($blocks)", target_scores.anomaly()),
        ("Confidence, errors and averages", target_scores.further()),
        ("Slices ($slices)", target_runs.slices()),
        ("Variants of this impulse ($variants)", target_runs.variants(GLANCE)),
    ):
        built.with_row(frame.folded(title, panels))
    built.with_row(frame.row("Pulls, result set and model"))
    for panel in target_runs.pulls():
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
        held=True,
        no_value="This kind of model does not have this figure",
    )
    return on_page(colored(panel, {title: shade(row), f"{title}, baseline": TEXT}), "figures", "All figures")


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
    for name, label, counted in (
        ("classes", "Classes", target_classes.COUNTED),
        ("blocks", "Anomaly blocks", target_scores.BLOCKS),
        ("slices", "Values of slices", target_runs.SLICES),
        ("variants", "Variants", target_runs.VARIANTS),
    ):
        built.with_variable(frame.count(name, label, counted))
    built.link(
        dashboards.DashboardLink("This target at the monitor")
        .type(DashboardLinkType.LINK)
        .url(PAGE)
        .icon("external link")
        .target_blank(True)
    )


def _annotations(built: dashboards.Dashboard) -> None:
    """What happened, from the metrics themselves."""
    trained = latest("edge_impulse_model_trained_timestamp_seconds")
    compared = latest("edge_impulse_baseline_timestamp_seconds")
    another = f"max({_changes('edge_impulse_baseline_timestamp_seconds')}) > 0"
    relabelled = f"max({_changes('edge_impulse_changed_samples', kind='relabelled')}) > 0"
    firing = f"max by (alertname) ({series('edge_impulse_alerts', alertstate='firing')})"
    for name, expression, icon, text in (
        ("Alert firing", firing, RED, "{{alertname}}"),
        ("Model trained", f"1000 * {trained}", BLUE, "Model trained"),
        # Samples are counted as relabelled since the baseline: with another one the count moves too.
        ("Labels changed", f"{relabelled} unless {another}", PURPLE, "Labels changed"),
        ("Baseline pinned", another, ORANGE, "Another baseline: pinned, or moved on as configured"),
        ("Baseline", f"1000 * {compared}", GREEN, "Baseline of the comparisons"),
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


def _changes(name: str, **matchers: str) -> str:
    """How often a series has another value than before, within a step and a scrape: none is missed at any zoom."""
    return f"changes({series(name, **matchers)}[$__rate_interval])"
