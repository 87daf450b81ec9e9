"""Numbers near the largest that a float can hold, brought down to where their squares and sums are finite."""

from __future__ import annotations

import math

from monitor.results import FloatArray

_USUAL = 1e100  # squares of numbers up to it are finite, and sums of as many as there can be


def magnitude(*values: FloatArray) -> float:
    """What to divide huge values by, so that nothing overflows; 1 for usual ones.

    It is a power of two: dividing by it and multiplying with it rounds nothing (but what is 1e300 times smaller than
    the largest value).

    Args:
        values: float64[n] each, finite.
    """
    largest = max((float(max(each.max(), -each.min())) for each in values if each.size), default=0.0)
    return 1.0 if largest <= _USUAL else math.ldexp(1.0, math.frexp(largest)[1] - 1)


def brought_down(values: FloatArray, unit: float) -> FloatArray:
    """float64[n], values / unit; the same array where the unit is 1."""
    found: FloatArray = values if unit == 1.0 else values / unit
    return found
