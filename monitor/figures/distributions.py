"""Quantiles of Student's t and of F, from the incomplete beta function: importing SciPy's would cost 3 s and 75 MB."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_PRECISION = 1e-15
_STEPS = 10_000  # of the continued fraction; it takes about sqrt(max(a, b)) of them
_TINY = 1e-300


@lru_cache(maxsize=256)
def t_quantile(share: float, degrees: float) -> float:
    """The value below which `share` of Student's t distribution lies.

    Args:
        share: Above 0, below 1.
        degrees: Degrees of freedom, above 0; infinity gives the normal distribution's.
    """
    if share == 0.5:
        return 0.0
    if share < 0.5:
        return -t_quantile(1 - share, degrees)
    if math.isinf(degrees):
        return _bisected(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)), share)
    # P(|T| < t) = I_x(1/2, degrees / 2) with x = t^2 / (degrees + t^2), precise also near 0
    return _bisected(lambda t: incomplete_beta(0.5, degrees / 2, t * t / (degrees + t * t)), 2 * share - 1)


@lru_cache(maxsize=256)
def f_quantile(share: float, numerator: float, denominator: float) -> float:
    """The value below which `share` of the F distribution lies.

    Args:
        share: Above 0, below 1.
        numerator, denominator: Degrees of freedom, above 0.
    """

    def below(f: float) -> float:
        return incomplete_beta(numerator / 2, denominator / 2, numerator * f / (numerator * f + denominator))

    return _bisected(below, share)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz's method; DLMF 8.17.22).

    Args:
        a, b: Above 0.
        x: 0 to 1.

    Raises:
        ArithmeticError: It does not converge, as for parameters beyond some 1e8.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges fast
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    numerator = 1.0
    denominator = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1 / _not_zero(1 + term * denominator)
            numerator = _not_zero(1 + term / numerator)
            value *= numerator * denominator
        if abs(numerator * denominator - 1) < _PRECISION:
            return value
    raise ArithmeticError(f"the incomplete beta function of ({a}, {b}) at {x} does not converge")


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _bisected(below: Callable[[float], float], share: float) -> float:
    """The positive value at which a growing function reaches `share`."""
    high = 1.0
    while below(high) < share:
        high *= 2
    low = 0.0
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if below(middle) < share:
            low = middle
        else:
            high = middle
    return high
