"""Ranges and ticks of axes."""

from __future__ import annotations

import math

import pytest

from monitor.views.axes import Scale, open_range, share_range, time_ticks, value_ticks

HOUR = 3600.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.91], (0.8, 1.0)),
        ([0.95, 0.97], (0.8, 1.0)),
        ([0.05], (0.0, 0.2)),
        ([0.31, 0.62], (0.3, 0.7)),
        ([0.3, 0.7], (0.3, 0.7)),
        ([], (0.0, 1.0)),
        ([0.0, 1.0], (0.0, 1.0)),
        ([math.nan, 0.5], (0.3, 0.5)),
    ],
)
def test_ranges_of_shares(values: list[float], expected: tuple[float, float]) -> None:
    """An axis of shares has whole tenths around all values, at least two of them, and none beyond 0 and 1."""
    assert expected == share_range(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.2], (0, 4)), ([120.0, 80.0], (0, 150)), ([-2.0, 1.0], (-2, 1)), ([], (0, 1)), ([0], (0, 1))],
)
def test_ranges_from_zero(values: list[float], expected: tuple[float, float]) -> None:
    """An axis without ends of its own begins at 0, and ends at a round number."""
    assert pytest.approx(expected) == open_range(values)


def test_ticks_are_round_and_within() -> None:
    """Ticks of values are round numbers within the range, at their places."""
    ticks = value_ticks(Scale(0.8, 1.0, 200.0, 0.0))

    assert ["0.8", "0.85", "0.9", "0.95", "1"] == [tick.text for tick in ticks]
    assert pytest.approx([200, 150, 100, 50, 0]) == [tick.at for tick in ticks]
    assert ["−2", "−1", "0", "1"] == [tick.text for tick in value_ticks(Scale(-2, 1, 0, 100))]


@pytest.mark.parametrize(
    ("hours", "texts"),
    [
        (6, ["00:00" if not hour else f"{hour:02}:00" for hour in range(7)]),
        (24 * 7, ["1 Jan", "2 Jan", "3 Jan", "4 Jan", "5 Jan", "6 Jan", "7 Jan", "8 Jan"]),
    ],
)
def test_times_are_whole(hours: float, texts: list[str]) -> None:
    """Ticks of time are whole hours or days of UTC, days by their date."""
    found = [tick.text for tick in time_ticks(Scale(0, hours * HOUR, 0, 100), 8)]

    assert ["1 Jan" if text == "00:00" else text for text in texts] == found


def test_a_value_beyond_is_at_the_end() -> None:
    """Nothing is drawn beyond the axes; a range without length has everything at its end."""
    scale = Scale(0, 10, 100, 200)

    assert (100, 150, 200) == tuple(map(scale.at, (-5, 5, 50)))
    assert 200 == Scale(3, 3, 100, 200).at(3)
