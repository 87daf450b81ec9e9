"""The catalogue: the one list that the exposition, the documentation and the command `metrics` follow."""

import json
import re

from monitor.exposition import METRICS, describe
from monitor.exposition.metric import MetricType, Scope, Switch
from monitor.targets import LABEL_NAMES
from tests.exposition.exposition_golden import DOCS, FOLDER, agree


def _switched() -> str:
    """What each switch of the configuration leaves out, in words."""
    parts = []
    for switch in Switch:
        names = ", ".join(f"`{metric.name}`" for metric in METRICS if metric.switch is switch)
        parts.append(f"with `{switch}: false` {names}")
    return "; ".join(parts)


SECTIONS = {
    Scope.PROJECT: "From the end of a configured project's first discovery on, whether or not a target is known.",
    Scope.TARGET: "From the end of a target's first pull on, until it leaves the configuration.",
    Scope.FIGURES: (
        "From the last good pull, and cached between pulls; they leave together once they are older than "
        "`stale_after`.\n"
        "Only figures that apply to the model, and are known, are exported. In the configuration,\n"
        f"[`exposition`](configuration.md#exposition) leaves out {_switched()}."
    ),
    Scope.SERVICE: "Beside these, the client library's `process_*` and `python_*`. Gauges are absent until they are "
    "first set.",
}
HEADINGS = {
    Scope.PROJECT: "Projects",
    Scope.TARGET: "Targets",
    Scope.FIGURES: "Figures of a target",
    Scope.SERVICE: "The service itself",
}


def page() -> str:
    """The documentation page of the catalogue."""
    quoted = ", ".join(f"`{label}`" for label in LABEL_NAMES)
    lines = [
        "# Metrics",
        "",
        "<!-- Written from the catalogue by UPDATE_GOLDEN=1 pytest tests/exposition; edit "
        "monitor/exposition instead. -->",
        "",
        f"Every series of a target carries {quoted};",
        "the tables name the labels beyond these. Ratios are 0 to 1. Nothing is exported as 0 because it is unknown.",
    ]
    for scope, heading in HEADINGS.items():
        lines += [
            "",
            f"## {heading}",
            "",
            SECTIONS[scope],
            "",
            "| name | type | labels | unit | meaning |",
            "|---|---|---|---|---|",
        ]
        for metric in METRICS:
            if metric.scope is scope:
                own = metric.all_labels if scope is Scope.PROJECT else metric.labels
                labels = ", ".join(f"`{label}`" for label in own)
                lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


def test_catalogue_is_a_contract() -> None:
    """Whoever renames a metric or a label sees it here: dashboards and rules depend on them."""
    rows = [row._asdict() for row in describe()]
    agree(FOLDER / "catalogue.json", json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def test_documentation_is_the_catalogue() -> None:
    """The page of metrics says what the catalogue says."""
    agree(DOCS / "metrics.md", page())


def test_names_are_unique() -> None:
    """No two entries share a name, nor the name of their family."""
    assert len(METRICS) == len({metric.name for metric in METRICS}) == len({metric.family for metric in METRICS})


def test_names_follow_the_conventions() -> None:
    """Names are prefixed, in base units, with `_total` for counters and `_info` for information alone."""
    for metric in METRICS:
        prefix = "impulse_monitor" if metric.scope is Scope.SERVICE else "edge_impulse"
        assert re.fullmatch(f"{prefix}_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") is (metric.type is MetricType.COUNTER)
        assert metric.name.endswith("_info") is (metric.type is MetricType.INFO)
        for unit in ("ratio", "seconds", "bytes"):
            assert (unit in metric.name.split("_")) is (unit == metric.unit), metric.name
        assert not metric.unit or metric.unit in metric.name.split("_")


def test_labels_are_names() -> None:
    """Labels are no repetition of the scope's, and none is a name that a type or Prometheus keeps for itself."""
    for metric in METRICS:
        assert len(metric.all_labels) == len(set(metric.all_labels))
        assert not {"le", "quantile", "job", "instance", "__name__"} & set(metric.all_labels)


def test_help_says_that_figures_are_cached() -> None:
    """A figure's HELP says that it is the last good pull's; other HELP texts do not."""
    for metric in METRICS:
        assert metric.help.endswith("Cached from the last good pull.") is (metric.scope is Scope.FIGURES)
        assert metric.meaning.endswith(".")
