"""Quantiles beside SciPy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from monitor.figures.distributions import f_quantile, incomplete_beta, t_quantile

SHARES = st.floats(0.001, 0.999)
DEGREES = st.integers(1, 20_000)


@given(SHARES, DEGREES)
def test_t_quantile(share: float, degrees: int) -> None:
    """Student's quantile is SciPy's."""
    assert t_quantile(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), rel=1e-9, abs=1e-11)


def test_normal_quantile() -> None:
    """Infinitely many degrees of freedom are the normal distribution."""
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959963984540054, rel=1e-12)


@given(SHARES, DEGREES, DEGREES)
def test_f_quantile(share: float, numerator: int, denominator: int) -> None:
    """F's quantile is SciPy's."""
    expected = stats.f.ppf(share, numerator, denominator)
    assert f_quantile(share, numerator, denominator) == pytest.approx(expected, rel=1e-5)


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e5), st.floats(0, 1))
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    """The incomplete beta function is SciPy's, whatever its parameters."""
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-6, abs=1e-11)
