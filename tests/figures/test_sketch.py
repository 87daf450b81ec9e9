"""Sketches of which samples a set holds: exact for small sets, good for large ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.figures.sketch import SIZE, shared, sketch

ids = st.sets(st.integers(0, 300), min_size=1, max_size=SIZE)


@given(ids, ids)
def test_small_sets_are_exact(found: set[int], before: set[int]) -> None:
    """Of sets of up to 128 samples the share is exact."""
    share = shared(sketch(np.array(sorted(found))), sketch(np.array(sorted(before))))

    assert share == pytest.approx(len(found & before) / len(found))


@pytest.mark.parametrize("common", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("size", [200, 5000, 100_000])
def test_large_sets(size: int, common: float) -> None:
    """Of larger sets the share is right to three standard errors, in any direction of size."""
    errors = []
    for start in range(10):
        found = np.arange(size) + start * 10_000_000
        before = found[size - int(common * size) :] if common else found + size
        before = np.concatenate([before, np.arange(3 * size) + 5_000_000 + start * 10_000_000])
        share = shared(sketch(found), sketch(before))
        assert share is not None
        errors.append(share - common)

    # where the other set is four times as large, a quarter of the sketch is in reach
    error = np.sqrt(max(common * (1 - common), 0.01) / (SIZE / 4))
    assert np.abs(errors).max() <= 3.5 * error
    assert abs(np.mean(errors)) <= 1.5 * error


def test_order_does_not_matter() -> None:
    """A sketch is of a set: of at most 128 numbers that any reader of JSON holds exactly."""
    samples = np.random.default_rng(1).permutation(10_000)

    assert sketch(samples) == sketch(np.sort(samples))
    assert len(sketch(samples)) == SIZE
    assert max(sketch(samples)) < 2**48


def test_unknown() -> None:
    """Nothing is said of a set without a sketch."""
    assert shared((), sketch(np.arange(5))) is None
    assert shared(sketch(np.arange(5)), ()) is None
