"""Bounds of shares, and how the cells write shares and days."""

from __future__ import annotations

import math

from scipy import stats


def upper(hits: int, of: int) -> float:
    """The upper 95 % bound of a share (Clopper and Pearson, one-sided)."""
    return 1.0 if hits == of else float(stats.beta.ppf(0.95, hits + 1, of - hits))


def lower(hits: int, of: int) -> float:
    """The lower 95 % bound of a share, likewise."""
    return 0.0 if not hits else float(stats.beta.ppf(0.05, hits, of - hits + 1))


def percent(share: float) -> str:
    """A share to a tenth of a per cent."""
    return "–" if math.isnan(share) else f"{share * 100:.1f} %"


def days(count: float) -> str:
    """A number of days; infinite is never."""
    return "never" if math.isinf(count) else f"{count:.0f}"
