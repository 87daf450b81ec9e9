"""The headline figures as dashboards show them: names, series, units and colours, from the table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from string import ascii_uppercase

from deploy.grafana.builder.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, TEXT, YELLOW
from monitor.alerts.wording import listed, sentence
from monitor.figures.headline import FIGURES, Glance, HeadlineFigure, at_a_glance, with_test

BANDED = tuple(row for row in FIGURES.values() if row.series.bounds)
"""Figures whose interval is exported."""

GLANCE = at_a_glance(Glance.DASHBOARD)
"""Figures that dashboards show for every target."""

ON_SHARED = tuple(row for row in with_test() if row.on_shared)
"""Figures whose change counts on what both runs share."""

_PALETTE = (BLUE, ORANGE, PURPLE, YELLOW, GREEN, TEXT, RED, GREY)


def heading(row: HeadlineFigure) -> str:
    """Title of a panel or column."""
    return row.heading or sentence(row.label)


def named(rows: tuple[HeadlineFigure, ...], last: str = "and") -> str:
    """Figures as a sentence lists them."""
    return listed([row.label for row in rows], last)


def unit(row: HeadlineFigure) -> str:
    """Grafana's unit."""
    return "percentunit" if row.is_ratio else "none"


def decimals(row: HeadlineFigure) -> int:
    """Digits after the point, in a table."""
    return 1 if row.is_ratio else 3


def shade(row: HeadlineFigure) -> str:
    """The colour that a figure has everywhere."""
    rows = [*GLANCE, *(each for each in FIGURES.values() if each not in GLANCE)]
    return _PALETTE[rows.index(row) % len(_PALETTE)]


def of_metrics(rows: tuple[HeadlineFigure, ...], negated: str = "") -> dict[str, str]:
    """Matchers of series that carry a metric's name as a label: of these figures, or of all others (`_not`)."""
    several = "_in" if len(rows) > 1 else ""
    return {f"metric{negated}{several}": "|".join(row.name for row in rows)}


def letters() -> Iterator[str]:
    """Names of a panel's queries: A to Z, then AA and so on."""
    for length in count(1):
        yield from map("".join, product(ascii_uppercase, repeat=length))
