"""Sparklines of runs that were counted."""

from __future__ import annotations

from monitor.errors import PullState
from monitor.store import Run
from monitor.views.charts import SPARK_MARGIN, SPARK_WIDTH, sparks
from tests.factories import evaluation, quality
from tests.store.store_sets import TARGET


def good(first: float, last: float, times: int, accuracy: float) -> Run:
    """A good run that was seen several times."""
    of = evaluation(quality=quality(accuracy))
    return Run(TARGET, first, first, PullState.OK, evaluation=of, last_seen=last, times=times)


def test_a_quiet_day_is_a_flat_line() -> None:
    """A run that was counted has two points of one height, when it was first and last seen; any other has one."""
    (spark,) = sparks([good(0, 50, 5, 0.9), good(60, 60, 1, 0.5), good(70, 100, 2, 0.7)], ["accuracy"], {})
    inner = SPARK_WIDTH - 2 * SPARK_MARGIN

    assert [SPARK_MARGIN + at / 100 * inner for at in (0, 50, 60, 70, 100)] == [x for x, _ in spark.points]
    first, second, low, third, fourth = (y for _, y in spark.points)
    assert (first, third) == (second, fourth)
    assert first < third < low
    assert (0.9, 0.7, 0.5, 0.9) == (spark.first, spark.last, spark.lowest, spark.highest)


def test_an_outage_is_seen_from_its_first_failure_to_its_last() -> None:
    """A failure that was counted is marked at both ends; the time of the last is within the drawing."""
    failed = Run(TARGET, 50, 50, PullState.AUTH, last_seen=100, times=9)
    (spark,) = sparks([good(0, 0, 1, 0.9), failed], ["accuracy"], {})

    assert (SPARK_WIDTH / 2, SPARK_WIDTH - SPARK_MARGIN) == spark.failed
