"""Panels as all three dashboards have them: one look, and no panel without a title, description,
unit and data source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge as bargauges
from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import statushistory as histories
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeNamePlacement,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    SortOrder,
    StackingMode,
    TableCellHeight,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)

from deploy.grafana.builder.queries import DATASOURCE

GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"
BLUE, PURPLE, GREY, TEXT = "blue", "purple", "#8E8E8E", "text"
"""By Grafana's names: they have other shades in the light theme, where a fixed one may not be seen."""

STATES = {
    "ok": GREEN,
    "no_results": YELLOW,
    "auth": RED,
    "not_found": PURPLE,
    "unreachable": ORANGE,
    "inconsistent": BLUE,
    "invalid": "dark-red",
}
"""How a pull or discovery ended, and the colour that it has everywhere."""

PanelBuilder = Builder[Panel]

Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from a value on, the colour; the first has None."""

PLAIN: Steps = [(None, TEXT)]
POINTS = "suffix: points"
"""The unit of a difference of shares, which is no percentage of anything: of what `queries.in_points` gives."""
DROP: Steps = [(-1000, TEXT), (-100, RED), (-3, ORANGE), (-1, TEXT), (1, GREEN)]
"""In points. From the default alerts' margin on, a change counts. The first is for no value; a number, because Grafana
takes None in a column's thresholds for 0.
"""


def thresholds(steps: Steps) -> dashboards.ThresholdsConfig:
    """Absolute thresholds."""
    return (
        dashboards.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def dashed() -> common.GraphThresholdsStyleConfig:
    """Thresholds as dashed lines across a chart."""
    return common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)


def mapping(texts: Mapping[str, tuple[str, str]]) -> ValueMap:
    """From values to text and colour."""
    return ValueMap({value: ValueMappingResult(text=text, color=color) for value, (text, color) in texts.items()})


def link(title: str, url: str, *, new_tab: bool = False) -> list[Builder[DashboardLink]]:
    """The one link of a panel's values."""
    return [dashboards.DashboardLink(title).url(url).target_blank(new_tab)]


def change(name: str, value: object) -> DynamicConfigValue:
    """One property of an override."""
    return DynamicConfigValue(id_val=name, value=value)


def color(value: str) -> DynamicConfigValue:
    """The override that gives a series its colour."""
    return change("color", {"mode": "fixed", "fixedColor": value})


def stat(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str = "none",
    width: int = 3,
    steps: Steps = PLAIN,
    texts: Mapping[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
    no_value: str = "–",
    spark: bool = False,
) -> stats.Panel:
    """One number, or a few beside each other, with its past behind it where `spark`."""
    panel = (
        stats.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .no_value(no_value)
        .thresholds(thresholds(steps))
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA if spark else BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    for each in queries:
        panel = panel.with_target(each)
    if len(queries) > 1:
        panel = panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
    if texts:
        panel = panel.mappings([mapping(texts)])
    return panel if decimals is None else panel.decimals(decimals)


def timeseries(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
    fill: int = 0,
    table_legend: bool = False,
    legend: bool = True,
    limits: tuple[float | None, float | None] = (None, None),
    reaches: float | None = None,
    held: bool = False,
    no_value: str | None = None,
) -> series.Panel:
    """Lines over time, stacked areas, or stacked bars; the axis goes up to `reaches` at least. A value that is `held`
    stands until the next: flat, then a jump.
    """
    if bars:
        line, opacity = 1, 80
    elif stacked:
        # A stacked series of zeros would draw its line on top of the others.
        line, opacity = 0, 60
    else:
        line, opacity = 2, fill
    shown = (
        common.VizLegendOptions()
        .show_legend(legend)
        .display_mode(LegendDisplayMode.TABLE if table_legend else LegendDisplayMode.LIST)
        .placement(LegendPlacement.RIGHT if table_legend else LegendPlacement.BOTTOM)
        .calcs(["lastNotNull"] if table_legend else [])
    )
    panel = (
        series.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .line_width(line)
        .fill_opacity(opacity)
        .show_points(VisibilityMode.NEVER)
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
        .legend(shown)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    if bars:
        panel = panel.draw_style(GraphDrawStyle.BARS).max_data_points(120)
    low, high = limits
    panel = panel if low is None else panel.min(low)
    panel = panel if high is None else panel.max(high)
    panel = panel if reaches is None else panel.axis_soft_max(reaches)
    panel = panel.line_interpolation(LineInterpolation.STEP_AFTER) if held else panel
    panel = panel if no_value is None else panel.no_value(no_value)
    for each in queries:
        panel = panel.with_target(each)
    return panel


def band(panel: series.Panel, name: str, shade: str) -> series.Panel:
    """Draw the series `name`, `name, lower` and `name, upper` as a thin line in its interval, `name, result set` as a
    dot for each, and `name, baseline` as a dashed line.
    """
    unseen = change("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})
    edge = [color(shade), change("custom.lineWidth", 0), unseen]
    return (
        panel.override_by_name(name, [color(shade), change("custom.lineWidth", 1)])
        .override_by_name(
            f"{name}, result set",
            [
                color(shade),
                change("custom.drawStyle", "points"),
                change("custom.showPoints", "always"),
                change("custom.pointSize", 8),
                unseen,
            ],
        )
        .override_by_name(f"{name}, lower", edge)
        .override_by_name(
            f"{name}, upper", [*edge, change("custom.fillBelowTo", f"{name}, lower"), change("custom.fillOpacity", 18)]
        )
        .override_by_name(
            f"{name}, baseline",
            [color(shade), change("custom.lineWidth", 1), change("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})],
        )
    )


def colored(panel: series.Panel, colors: Mapping[str, str]) -> series.Panel:
    """Give series their colours by name."""
    for name, value in colors.items():
        panel = panel.override_by_name(name, [color(value)])
    return panel


def bargauge(
    title: str,
    description: str,
    *queries: Dataquery,
    unit: str,
    width: int,
    height: int = 8,
    steps: Steps = PLAIN,
    no_value: str = "–",
    names_above: bool = False,
) -> bargauges.Panel:
    """One bar per series, in the order of the query; `names_above` leaves long names whole."""
    panel = (
        bargauges.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .min(0)
        .no_value(no_value)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .name_placement(BarGaugeNamePlacement.TOP if names_above else BarGaugeNamePlacement.AUTO)
        .text(common.VizTextDisplayOptions().title_size(13).value_size(14))
        .thresholds(thresholds(steps))
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    for each in queries:
        panel = panel.with_target(each)
    return panel


def table(
    title: str,
    description: str,
    *queries: Dataquery,
    width: int,
    height: int,
    unit: str = "none",
    no_value: str = "",
    pages: bool = False,
) -> tables.Panel:
    """Rows; `columns` says which. In `pages` where there are more than fit, for no panel should be scrolled in."""
    panel = (
        tables.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .no_value(no_value)
        .cell_height(TableCellHeight.SM)
        .show_header(True)
        .thresholds(thresholds(PLAIN))
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    )
    if pages:
        footer = common.TableFooterOptions().show(False).reducer([]).count_rows(False).enable_pagination(True)
        panel = panel.footer(footer)
    for each in queries:
        panel = panel.with_target(each)
    return panel


def columns(panel: tables.Panel, names: Mapping[str, str | None]) -> tables.Panel:
    """Join the queries' rows by their labels; then order and rename the columns, and drop those named None. An empty
    cell has a dash: what a table says where it has no rows at all is not for its cells.
    """
    order = {name: index for index, name in enumerate(names)}
    renamed = {name: text for name, text in names.items() if text and text != name}
    left_out = dict.fromkeys(("Time", *(name for name, text in names.items() if text is None)), True)
    organize: dict[str, Any] = {"indexByName": order, "renameByName": renamed, "excludeByName": left_out}
    for name in filter(None, names.values()):
        panel = panel.override_by_name(name, [change("noValue", "–")])
    return panel.with_transformation(DataTransformerConfig("merge", options={})).with_transformation(
        DataTransformerConfig("organize", options=organize)
    )


def cell(
    panel: tables.Panel,
    name: str,
    *,
    unit: str | None = None,
    decimals: int | None = None,
    steps: Steps | None = None,
    texts: Mapping[str, tuple[str, str]] | None = None,
    style: str | None = None,
    width: int | None = None,
    hidden: bool = False,
    links: Sequence[tuple[str, str]] = (),
    limits: tuple[float, float] | None = None,
    scheme: str | None = None,
    filterable: bool = False,
) -> tables.Panel:
    """How a column looks; `style` is a cell type such as `color-text`, `color-background`, `gauge`."""
    parts: list[DynamicConfigValue] = []
    if unit is not None:
        parts.append(change("unit", unit))
    if decimals is not None:
        parts.append(change("decimals", decimals))
    if steps is not None:
        parts.append(change("thresholds", thresholds(steps).build()))
    if texts is not None:
        parts.append(change("mappings", [mapping(texts)]))
    if scheme is not None:
        parts.append(change("color", {"mode": scheme}))
    if limits is not None:
        parts += [change("min", limits[0]), change("max", limits[1])]
    if style is not None:
        shape = {"type": style, "mode": "gradient"} if style == "gauge" else {"type": style}
        parts.append(change("custom.cellOptions", shape))
    if width is not None:
        parts.append(change("custom.width", width))
    if filterable:
        parts.append(change("custom.filterable", True))
    if hidden:
        parts.append(change("custom.hidden", True))
    if links:
        parts.append(change("links", [{"title": title, "url": url} for title, url in links]))
    return panel.override_by_name(name, parts)


def history(
    title: str, description: str, *queries: Dataquery, unit: str, width: int, height: int, no_value: str
) -> histories.Panel:
    """A heat map: a row per series, a cell per moment, coloured from red (0) to green (1)."""
    panel = (
        histories.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .min(0)
        .max(1)
        .no_value(no_value)
        .max_data_points(60)
        .show_value(VisibilityMode.AUTO)
        .row_height(0.95)
        .fill_opacity(85)
        .color_scheme(dashboards.FieldColor().mode(FieldColorModeId.CONTINUOUS_RD_YL_GR))
        .legend(common.VizLegendOptions().show_legend(False))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
    )
    for each in queries:
        panel = panel.with_target(each)
    return panel
