"""A target's history: points, failures, markers, and where they are drawn."""

from __future__ import annotations

from itertools import pairwise

import pytest

from monitor.alerts.rules import Above, Drop, PullFailing, Rule
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.errors import PullState
from monitor.figures.evaluation import Interval
from monitor.store.figures import StoredFigures
from monitor.store.firings import FiringTime
from monitor.store.run_history import RunOutline
from monitor.views.history_chart import history_chart
from monitor.views.target_history import (
    BASELINE,
    LABELS,
    MOST_POINTS,
    TRAINED,
    History,
    SetFigures,
    as_json,
    chosen,
    history,
)
from tests.factories import evaluation, quality
from tests.store.store_sets import TARGET

DAY = 86_400.0
NOW = 100 * DAY


def good(number: int, begin: float, end: float, fingerprint: str, times: int = 1, trained: float = 1.0) -> RunOutline:
    """A good run that was seen several times."""
    return RunOutline(number, begin, end, times, PullState.OK, fingerprint, trained, "", f"digest {number}")


def failed(number: int, begin: float, end: float, state: PullState = PullState.AUTH, times: int = 1) -> RunOutline:
    """A run that failed."""
    return RunOutline(number, begin, end, times, state, error=f"failure {number}")


def figures(accuracy: float, baseline: float = 0.9, at: float = 1.0, relabelled: int = 0) -> SetFigures:
    """An accuracy with an interval of 3 points to either side, beside that of a baseline."""
    interval = Interval(accuracy - 0.03, accuracy + 0.03)
    of = evaluation(samples=100, quality=quality(accuracy, accuracy_interval=interval))
    compared = Comparison(
        BaselineFigures("pinned", at, "b", {"accuracy": baseline}), changed_samples={"relabelled": relabelled}
    )
    return SetFigures.of(StoredFigures(of, compared))


def past(outlines: list[RunOutline], found: dict[int, SetFigures], name: str = "all", **others: object) -> History:
    """A history at `NOW`."""
    fired = others.get("fired", ())
    rules = others.get("rules", ())
    return history(TARGET, name, NOW, outlines, found, fired, rules)  # type: ignore[arg-type]


def test_a_point_per_distinct_result_set() -> None:
    """A result set that comes back after a failure, or under another comparison, is one point with all its pulls and
    the figures of the last; after another result set it is a point of its own. Failures of one kind are one range.
    """
    outlines = [
        good(1, 10, 20, "a", 96),
        failed(2, 30, 40, times=5),
        failed(3, 50, 60, times=2),
        failed(4, 65, 66, PullState.UNREACHABLE),
        good(5, 70, 80, "a", 4),
        good(6, 90, 90, "b"),
        good(7, 95, 99, "a", 2),
    ]
    found = past(outlines, {5: figures(0.9), 6: figures(0.5), 7: figures(0.8)})

    assert [(1, 10, 80, 100, "a"), (6, 90, 90, 1, "b"), (7, 95, 99, 2, "a")] == [
        (each.run, each.begin, each.end, each.pulls, each.fingerprint) for each in found.points
    ]
    assert [0.9, 0.5, 0.8] == [each.found.figures["accuracy"].value for each in found.points]
    assert [(30, 60, 7, "auth", "failure 3"), (65, 66, 1, "unreachable", "failure 4")] == [
        (each.begin, each.end, each.pulls, each.state, each.error) for each in found.failures
    ]
    assert [95, 90, 65, 30, 10] == [each.begin for each in found.changes()]
    assert (10, NOW) == (found.since, found.until)


def test_too_many_result_sets_are_thinned() -> None:
    """Of more result sets than fit the first, the last and evenly chosen ones between them stay; the others are
    counted.
    """
    count = 3 * MOST_POINTS
    outlines = [good(number, number, number, f"set {number}") for number in range(count)]
    sets, left_out = chosen(outlines)
    numbers = [runs[0].id for runs in sets]

    assert (MOST_POINTS, count - MOST_POINTS) == (len(sets), left_out)
    assert (0, count - 1) == (numbers[0], numbers[-1])
    assert {2, 3, 4} >= {after - before for before, after in pairwise(numbers)}
    assert left_out == past(outlines, {}).left_out == as_json(past(outlines, {}))["left_out"]
    assert ([], 0) == chosen([failed(1, 1, 2)])


def test_markers_stand_where_it_happened() -> None:
    """A training is marked when it was, or with the result set that showed it where Studio's clock says otherwise;
    changed labels and another pinned baseline with the first result set that showed them.
    """
    outlines = [
        good(1, 10, 20, "a", trained=5.0),
        good(2, 30, 30, "b", trained=25.0),
        good(3, 40, 40, "c", trained=99.0),
        good(4, 50, 50, "d", trained=99.0),
        good(5, 60, 60, "e", trained=99.0),
        good(6, 70, 70, "f", trained=99.0),
    ]
    found = {number: figures(0.9) for number in (1, 2, 3)}
    found |= {4: figures(0.9, relabelled=7), 5: figures(0.9, relabelled=7), 6: figures(0.9, at=60.0)}
    markers = [(each.at, each.what) for each in past(outlines, found).markers]

    assert [(25.0, TRAINED), (40.0, TRAINED), (50.0, LABELS), (70.0, BASELINE)] == markers


def test_only_what_fired_within_the_range() -> None:
    """Each time that an alert fired within the range is a span, also of one alert; one that ended before any run that
    is known is none.
    """
    fired = [
        FiringTime("older", NOW - 60 * DAY, NOW - 55 * DAY),
        FiringTime("old", NOW - 9 * DAY, NOW - 8 * DAY),
        FiringTime("then", NOW - 5 * DAY, NOW - 4 * DAY),
        FiringTime("then", NOW - 3 * DAY, NOW - 2 * DAY),
        FiringTime("now", NOW - 3 * DAY, None),
    ]
    outlines = [good(1, NOW - 50 * DAY, NOW, "a", 96)]
    spans = {}
    for name in ("24h", "7d", "30d", "all"):
        found = past(outlines, {1: figures(0.9)}, name, fired=fired)
        spans[name] = [each.name for each in found.alerts]
        drawn = history_chart(found, "accuracy", 960, 280)
        assert len(spans[name]) == len(drawn.alerts if drawn else ())

    assert {
        "24h": ["now"],
        "7d": ["then", "then", "now"],
        "30d": ["old", "then", "then", "now"],
        "all": ["old", "then", "then", "now"],
    } == spans


def test_noise_is_no_collapse() -> None:
    """An accuracy that moves by a point is drawn on an axis of at least 20 points, so that its line moves by no more
    than a twentieth of the height; a stated range has whole tenths.
    """
    outlines = [good(1, 10, 20, "a"), good(2, 30, 40, "b")]
    found = past(outlines, {1: figures(0.945), 2: figures(0.935)})
    chart = history_chart(found, "accuracy", 960, 280)

    assert chart is not None
    assert (0.8, 1.0) == (chart.lowest, chart.highest)
    first, last = chart.dots
    assert 0 < last.y - first.y <= (chart.area.bottom - chart.area.top) / 19.9


def test_a_collapse_is_one() -> None:
    """A fall from 0.95 to 0.3 takes most of the height, and everything lies within the axes."""
    outlines = [good(1, 10, 20, "a"), good(2, 30, 40, "b")]
    chart = history_chart(past(outlines, {1: figures(0.95), 2: figures(0.3)}), "accuracy", 960, 280)

    assert chart is not None
    assert (0.2, 1.0) == (chart.lowest, chart.highest)
    heights = [dot.y for dot in chart.dots]
    assert heights[1] - heights[0] > 0.8 * (chart.area.bottom - chart.area.top)
    assert chart.area.top <= min(heights) <= max(heights) <= chart.area.bottom


def test_baseline_thresholds_and_times() -> None:
    """The baseline is drawn as long as it was compared with, a rule's threshold its margin beside it, an absolute one
    over the whole range; a rule about pulls has none.
    """
    outlines = [good(1, 0, 20, "a"), good(2, 40, 60, "b"), good(3, 80, NOW, "c")]
    found = {1: figures(0.9, 0.9), 2: figures(0.9, 0.9), 3: figures(0.9, 0.8, at=2.0)}
    rules = (Rule("drop", Drop("accuracy", 0.03)), Rule("high", Above("accuracy", 0.95)), Rule("pulls", PullFailing()))
    past_ = past(outlines, found, rules=rules)
    chart = history_chart(past_, "accuracy", 1000, 300)

    assert chart is not None
    assert ["baseline 0.9", "baseline 0.8"] == [each.text for each in chart.baselines]
    assert ["drop 0.87", "drop 0.77", "high 0.95"] == [each.text for each in chart.thresholds]
    whole = chart.thresholds[-1]
    assert (chart.area.left, chart.area.right) == pytest.approx((whole.x, whole.x + whole.width))
    scale = (chart.area.bottom - chart.area.top) / (chart.highest - chart.lowest)
    assert pytest.approx(0.03 * scale) == chart.thresholds[0].y - chart.baselines[0].y
    assert "high" in [each["alertname"] for each in as_json(past_)["thresholds"]]


def test_a_gap_in_the_intervals() -> None:
    """Result sets with an interval are one band, and one without splits it."""
    outlines = [good(number, number, number, f"{number}") for number in range(1, 5)]
    bare = SetFigures.of(StoredFigures(evaluation(quality=quality(0.9))))
    found = {1: figures(0.9), 2: figures(0.9), 3: bare, 4: figures(0.9)}
    chart = history_chart(past(outlines, found), "accuracy", 500, 200)

    assert chart is not None
    assert [8, 4] == [len(band.split()) for band in chart.bands]
    assert history_chart(past(outlines, {}), "accuracy", 500, 200) is None
    assert history_chart(past([], {}), "accuracy", 500, 200) is None
