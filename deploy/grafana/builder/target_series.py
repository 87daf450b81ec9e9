"""What the parts of *Target* share: its series, and links to the sections of its page at the service."""

from __future__ import annotations

from deploy.grafana.builder.frame import SERVICE
from deploy.grafana.builder.links import Linked, linked
from deploy.grafana.builder.panels import GREEN, ORANGE, RED, TEXT
from deploy.grafana.builder.queries import VARIABLES, selector
from monitor.figures.headline import HeadlineFigure

CHOSEN = {label: f"${variable}" for label, variable in VARIABLES.items()}
series = selector(**CHOSEN)
all_variants = selector(**{label: CHOSEN[label] for label in ("project_id", "impulse_id")})
explained = selector(**CHOSEN, metric="$metric")
"""The figure whose changes are explained."""

PAGE = f"{SERVICE}/targets/" + "-".join(f"${{{variable}}}" for variable in VARIABLES.values())
"""The target's page at the service itself."""

P_VALUE = [(None, TEXT), (0, RED), (0.01, ORANGE), (0.05, GREEN)]


def latest(name: str, **matchers: str) -> str:
    """The one series of the target, whichever instance it comes from."""
    return f"max({series(name, **matchers)})"


def latest_of(row: HeadlineFigure, bound: str = "") -> str:
    """A headline figure, or a bound of its interval; of several blocks the one that counts."""
    found = series(row.series.name, **row.series.headline)
    if not bound:
        return f"{row.worst or 'max'}({found})"
    limits = series(f"{row.series.name}{bound}", **row.series.headline)
    if row.worst:
        counts = "topk" if row.worst == "max" else "bottomk"
        limits = f"{limits} and on ({', '.join(row.series.labels)}) {counts}(1, {found})"
    return f"max({limits})"


def per(labels: str, name: str, **matchers: str) -> str:
    """One series per value of `labels`."""
    return f"max by ({labels}) ({series(name, **matchers)})"


def at_new_results(expression: str) -> str:
    """An expression's value where a result set was new, and none between: at the baseline, and where one differed from
    the one before.
    """
    changed = _moved("edge_impulse_last_change_timestamp_seconds")
    compared = _moved("edge_impulse_baseline_timestamp_seconds")
    return f"{expression} and ({changed} or {compared})"


def _moved(name: str) -> str:
    """A series of times, at the one step where it has moved on; also at its first, but not where it is back after a
    pause of the scrapes.
    """
    is_recent = f"{latest(name)} > time() - $__rate_interval_ms / 1000"
    return f"({is_recent} unless {latest(name)} == max({series(name)} offset $__interval))"


def on_page(panel: Linked, section: str, what: str) -> Linked:
    """The panel with links to the section of the target's page that says more."""
    return linked(panel, f"{PAGE.removeprefix(SERVICE)}#{section}", what, values=True)
