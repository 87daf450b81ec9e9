"""*Target*: parts of the set, the other variants, and the pulls."""

from __future__ import annotations

from deploy.grafana.builder.figures import decimals, heading, letters, unit
from deploy.grafana.builder.panels import (
    GREEN,
    ORANGE,
    POINTS,
    STATES,
    YELLOW,
    PanelBuilder,
    bargauge,
    cell,
    colored,
    columns,
    stat,
    table,
    timeseries,
)
from deploy.grafana.builder.queries import in_points, query
from deploy.grafana.builder.target_series import P_VALUE, PAGE, all_variants, latest, on_page, per, series
from monitor.figures.headline import HeadlineFigure

SLICES = per("slice, value", "edge_impulse_slice_accuracy_ratio")
"""A series for each value of each slice."""
VARIANTS = f"max by (variant, category) ({all_variants('edge_impulse_samples')})"
"""A series for each variant of the impulse."""


def slices() -> list[PanelBuilder]:
    """Parts of the set."""
    found = table(
        "Slices, worst first",
        "Accuracy over the samples that share a value of a configured slice.",
        query("A", f"sort({SLICES})", table=True),
        query("B", per("slice, value", "edge_impulse_slice_windows"), table=True),
        width=24,
        height=8,
        no_value="No slices: none is configured, or this kind of model has no accuracy",
        pages=True,
    )
    found = columns(found, {"slice": "Slice", "value": "Is", "Value #A": "Accuracy", "Value #B": "Windows"})
    found = cell(
        found,
        "Accuracy",
        unit="percentunit",
        decimals=1,
        limits=(0, 1),
        scheme="continuous-RdYlGr",
        style="color-background",
    )
    found = cell(found, "Slice", links=[("The slices, now and in the baseline", f"{PAGE}#slices")])
    return [on_page(cell(found, "Windows", decimals=0), "slices", "The slices, now and in the baseline")]


def variants(glance: tuple[HeadlineFigure, ...]) -> list[PanelBuilder]:
    """What was trained and what the device runs.

    Args:
        glance: The figures to show of each variant.
    """
    return [_beside_reference(), _variants(glance)]


def _beside_reference() -> PanelBuilder:
    """What the variant loses against the reference variant."""
    of = "metric, against"
    found = table(
        "Against the reference variant",
        "What this variant loses of each figure on the same samples, its 95 % interval, and how likely that is by "
        "chance; by how much the loss has grown since the baseline, and how likely that is. Where either is above 3 "
        "points with a p of 0.01 or less the default alert fires. Empty for the reference itself.",
        *(
            query(letter, _shown(per(of, f"edge_impulse_variant_gap_{name}"), name), table=True)
            for letter, name in zip(
                "ABCDEF",
                ("ratio", "ratio_lower", "ratio_upper", "pvalue", "growth_ratio", "growth_pvalue"),
                strict=True,
            )
        ),
        width=13,
        height=7,
        no_value="Nothing to compare: this is the reference variant, or the only one",
    )
    names = {"metric": "Figure", "against": "Reference", "Value #A": "Loss", "Value #B": "Lower", "Value #C": "Upper"}
    found = columns(found, {**names, "Value #D": "p", "Value #E": "Grown by", "Value #F": "p of growth"})
    for name in ("Loss", "Lower", "Upper", "Grown by"):
        found = cell(found, name, unit=POINTS, decimals=1)
    for name in ("p", "p of growth"):
        found = cell(found, name, decimals=4, steps=P_VALUE, style="color-text")
    return on_page(found, "variants", "The samples on which the variants differ")


def _shown(expression: str, name: str) -> str:
    """Losses in points, p-values as they are."""
    return expression if name.endswith("pvalue") else in_points(expression)


def _variants(glance: tuple[HeadlineFigure, ...]) -> PanelBuilder:
    by = "variant, category"

    def value(name: str, **matchers: str) -> str:
        return f"max by ({by}) ({all_variants(name, **matchers)})"

    refs = letters()
    shown = {next(refs): row for row in glance}
    size = next(refs)
    panel = table(
        "Variants of this impulse",
        "Quantised and unoptimised side by side: what the device runs, and what was trained.",
        *(query(ref, value(row.series.name, **row.series.headline), table=True) for ref, row in shown.items()),
        query(size, VARIANTS, table=True),
        width=11,
        height=7,
        no_value="No good pull yet",
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
    for row in glance:
        panel = cell(panel, heading(row), unit=unit(row), decimals=decimals(row))
    panel = cell(cell(cell(panel, "Variant", width=85), "Category", width=80), "Samples", decimals=0)
    return on_page(panel, "variants", "The variants side by side")


def pulls() -> list[PanelBuilder]:
    """How pulls ended, and what they read."""
    return [*_over_time(), *_as_read()]


def _over_time() -> list[PanelBuilder]:
    states = timeseries(
        "How pulls ended",
        "The state of the last pull over time.",
        query("A", f"{per('state', 'edge_impulse_pull_state')} == 1", "{{state}}"),
        unit="none",
        width=8,
        height=6,
        stacked=True,
        bars=True,
        limits=(0, 1),
        no_value="No pull in this time",
    )
    age = timeseries(
        "Age of the results",
        "Since the result set last differed from the one before, and since the last good pull.",
        query("A", f"time() - {latest('edge_impulse_last_change_timestamp_seconds')}", "Results"),
        query("B", f"time() - {latest('edge_impulse_last_success_timestamp_seconds')}", "Good pull"),
        unit="s",
        width=8,
        height=6,
        limits=(0, None),
        no_value="No good pull yet",
    )
    size = timeseries(
        "Size of the result set",
        "Samples, windows, windows that could not be evaluated, and images with neither object nor detection.",
        query("A", latest("edge_impulse_samples"), "Samples"),
        query("B", latest("edge_impulse_windows"), "Windows"),
        query("C", f"{latest('edge_impulse_unscored_windows')} > 0", "Unscored windows"),
        query("D", f"{latest('edge_impulse_empty_images')} > 0", "Empty images"),
        unit="none",
        width=8,
        height=6,
        limits=(0, None),
        held=True,
        no_value="No good pull yet",
    )
    return [
        on_page(colored(states, STATES), "history", "All pulls, and why one failed"),
        on_page(age, "history", "All pulls"),
        on_page(size, "model", "Result set and model"),
    ]


def _as_read() -> list[PanelBuilder]:
    blocks = table(
        "Learning blocks and thresholds",
        "As set in Studio when the results were made.",
        query("A", per("block_id, block, type", "edge_impulse_block_info"), table=True),
        query("B", per("block_id, block, key", "edge_impulse_block_threshold"), table=True),
        width=12,
        height=6,
        no_value="No good pull yet, or Studio names no block",
    )
    blocks = columns(
        blocks,
        {"block": "Block", "type": "Type", "key": "Threshold", "Value #B": "Is", "block_id": None, "Value #A": None},
    )
    for name in ("Block", "Type", "Threshold"):
        blocks = cell(blocks, name)
    blocks = cell(blocks, "Is", width=80)
    left_out = bargauge(
        "Left out",
        "What the figures could not count, or a limit cut off, by reason.",
        query("A", per("reason", "edge_impulse_left_out"), "{{reason}}", instant=True),
        unit="none",
        width=4,
        height=6,
        steps=[(None, YELLOW)],
        no_value="Nothing",
    )
    trained = stat(
        "Model trained",
        "When, according to Studio; n/a where the key may not read it.",
        query("A", f"1000 * {latest('edge_impulse_model_trained_timestamp_seconds')}", instant=True),
        unit="dateTimeFromNow",
        width=4,
        no_value="n/a",
    )
    features = stat(
        "Features",
        "Whether the data set changed since the impulse's features were generated; n/a where the key may not read it.",
        query("A", f"max({series('edge_impulse_impulse_stale')})", instant=True),
        width=4,
        texts={"0": ("Current", GREEN), "1": ("Outdated", ORANGE)},
        no_value="n/a",
    )
    model = "Result set, model and blocks"
    return [
        on_page(blocks, "model", model),
        on_page(left_out, "model", model),
        on_page(trained.height(6), "model", model),
        on_page(features.height(6), "model", model),
    ]
